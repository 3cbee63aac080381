//! Reads pods and Events for the status.

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::{Api, api::ListParams};

use super::Context;
use crate::{
    error::Error,
    live::{Live, pod_selector},
    mail::{mail_servers, notifiers},
    status::{Issues, uids_needing_events},
};

/// Maximum number of warning Events to read per object. An object rarely has more than one per reason.
const MAX_EVENTS: u32 = 50;

impl Context {
    /// Lists the pods of a Catalog, and the Events of objects whose status doesn't explain a failure.
    ///
    /// # Errors
    /// If pods cannot be listed.
    pub async fn diagnose(&self, namespace: &str, name: &str, live: &Live, now: Timestamp) -> Result<Issues, Error> {
        let pods = match &live.pods {
            Some(pods) => pods.clone(),
            None => self.list_pods(namespace, name).await?,
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let events = uids_needing_events(live, &pods, now).into_iter().map(|uid| {
            let warnings = ListParams::default().fields(&format!("type=Warning,regarding.uid={uid}")).limit(MAX_EVENTS);
            let api = api.clone();
            async move { api.list(&warnings).await }
        });
        let events = match try_join_all(events).await {
            Ok(lists) => lists.into_iter().flat_map(|list| list.items).collect(),
            // Issues from the status of pods are still reported.
            Err(error) => {
                tracing::warn!(error = %catalog_logging::Chain(&error), "Events not listed; status has no causes from Events");
                Vec::new()
            }
        };
        let found = Issues::find(live, &pods, &events, now);
        let notifiers = notifiers(&pods);
        let mail_servers = mail_servers(&notifiers);
        Ok(Issues { mail: self.mail.follow(namespace, name, notifiers), mail_servers, ..found })
    }

    /// Lists the pods of a Catalog, those of its migrations included.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn list_pods(&self, namespace: &str, name: &str) -> Result<Vec<Pod>, Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default().labels(&pod_selector(name))).await;
        Ok(list.map_err(|source| Error::api("list", "pods", source))?.items)
    }
}
