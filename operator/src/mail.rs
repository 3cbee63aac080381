//! What notifiers report of the mail server, read from `/readyz?verbose` of their pods.
//!
//! Nothing in the cluster changes when a mail server stops answering, so the pods are asked every few seconds, at their own
//! addresses and beside the reconciles. A Catalog is reconciled when the answer changes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::{Body, to_bytes};
use catalog_logging::Chain;
use futures::{Stream, StreamExt, stream};
use http::Uri;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::crd::GuardedCatalog;

/// Between two questions to the same pod.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A pod asks its dependencies before it answers, for up to two seconds each.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 16 * 1024;
/// Pods that are asked at the same time.
const CONCURRENCY: usize = 32;
/// How the line about the mail server begins after `[+] ` or `[-] ` (api/src/roles/notifier.rs).
const LINE: &str = "mail server: ";

/// What the notifiers of a Catalog report of the mail server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MailReport {
    /// No notifier runs.
    #[default]
    NoPods,
    /// They have not been asked yet.
    NotAsked,
    /// None could be asked; why.
    NotAnswered(String),
    /// The last mail was accepted, or none was sent yet.
    Available,
    /// The server rejects mail or doesn't answer; in its own words, if there are any.
    Unavailable(String),
}

/// A pod of a notifier that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifierPod {
    name: String,
    address: SocketAddr,
}

/// The running pods of the notifier.
#[must_use]
pub fn notifiers(pods: &[Pod]) -> Vec<NotifierPod> {
    let running = pods.iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_notifier = pod.labels().get("app.kubernetes.io/component").is_some_and(|component| component == "notifier");
        is_notifier && phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
    });
    let mut notifiers: Vec<_> = running.filter_map(|pod| Some(NotifierPod { name: pod.name_any(), address: ops_address(pod)? })).collect();
    notifiers.sort_by(|a, b| a.name.cmp(&b.name));
    notifiers
}

fn ops_address(pod: &Pod) -> Option<SocketAddr> {
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let mut ports = pod.spec.as_ref()?.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some("ops"))?.container_port;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

/// The reports of all Catalogs. Cheap to clone.
#[derive(Clone, Default)]
pub struct MailReports(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// By namespace and name of the Catalog.
    followed: Mutex<BTreeMap<(String, String), Followed>>,
    added: Notify,
}

struct Followed {
    pods: Vec<NotifierPod>,
    report: MailReport,
}

impl MailReports {
    /// What the notifiers of a Catalog reported last. From now on these pods are asked.
    #[must_use]
    pub fn follow(&self, namespace: &str, name: &str, pods: Vec<NotifierPod>) -> MailReport {
        let key = (namespace.to_owned(), name.to_owned());
        let mut followed = self.0.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if pods.is_empty() {
            followed.remove(&key);
            return MailReport::NoPods;
        }
        if let Some(known) = followed.get(&key).filter(|known| known.pods == pods) {
            return known.report.clone();
        }
        followed.insert(key, Followed { pods, report: MailReport::NotAsked });
        self.0.added.notify_one();
        MailReport::NotAsked
    }

    /// The Catalog was deleted.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner).remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Asks the pods as long as the stream is polled. The Catalogs of which another answer came.
    pub fn changes(&self) -> impl Stream<Item = ObjectRef<GuardedCatalog>> + Send + 'static {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let rounds = stream::unfold((self.clone(), client, ticks), |(reports, client, mut ticks)| async move {
            tokio::select! {
                _ = ticks.tick() => {}
                () = reports.0.added.notified() => {}
            }
            let changed = reports.ask(&client).await;
            Some((stream::iter(changed), (reports, client, ticks)))
        });
        rounds.flatten()
    }

    async fn ask(&self, client: &Client<HttpConnector, Body>) -> Vec<ObjectRef<GuardedCatalog>> {
        let asked: Vec<_> = {
            let followed = self.0.followed.lock().unwrap_or_else(PoisonError::into_inner);
            followed.iter().map(|(key, followed)| (key.clone(), followed.pods.clone())).collect()
        };
        let answers = stream::iter(asked).map(async |(key, pods)| {
            let mut reports = Vec::new();
            for pod in &pods {
                reports.push(report(client, pod).await);
            }
            (key, pods, summary(reports))
        });
        let answers: Vec<_> = answers.buffer_unordered(CONCURRENCY).collect().await;
        let mut followed = self.0.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::new();
        for (key, pods, report) in answers {
            let Some(known) = followed.get_mut(&key).filter(|known| known.pods == pods && known.report != report) else { continue };
            known.report = report;
            let (namespace, name) = key;
            changed.push(ObjectRef::new(&name).within(&namespace));
        }
        changed
    }
}

/// One pod that cannot send is enough for mail to be late.
fn summary(mut reports: Vec<MailReport>) -> MailReport {
    reports.sort_by_key(|report| match report {
        MailReport::Unavailable(_) => 0,
        MailReport::Available => 1,
        MailReport::NotAnswered(_) | MailReport::NotAsked | MailReport::NoPods => 2,
    });
    reports.into_iter().next().unwrap_or_default()
}

async fn report(client: &Client<HttpConnector, Body>, pod: &NotifierPod) -> MailReport {
    let said = match timeout(ANSWER_TIMEOUT, read(client, pod.address)).await {
        Ok(Ok(text)) => match parse(&text) {
            Some(report) => return report,
            None => "its report has no line about the mail server".to_owned(),
        },
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    };
    MailReport::NotAnswered(format!("Pod {} at {}: {said}", pod.name, pod.address))
}

async fn read(client: &Client<HttpConnector, Body>, address: SocketAddr) -> anyhow::Result<String> {
    let uri: Uri = format!("http://{address}/readyz?verbose").parse()?;
    let answer = client.get(uri).await.map_err(|error| anyhow::anyhow!("{}", Chain(&error)))?;
    let body = to_bytes(Body::new(answer.into_body()), MAX_ANSWER).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn parse(text: &str) -> Option<MailReport> {
    text.lines().find_map(|line| {
        let (sign, rest) = line.split_at_checked(4)?;
        let said = rest.strip_prefix(LINE)?;
        match sign {
            "[+] " => Some(MailReport::Available),
            "[-] " => Some(MailReport::Unavailable(said.to_owned())),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, component: &str, status: &serde_json::Value) -> Pod {
        let ports = json!([{"name": "ops", "containerPort": 9090}]);
        let metadata = json!({"name": name, "labels": {"app.kubernetes.io/component": component}});
        serde_json::from_value(
            json!({"metadata": metadata, "spec": {"containers": [{"name": component, "ports": ports}]}, "status": status}),
        )
        .unwrap()
    }

    #[test]
    fn running_notifiers_with_an_address_are_asked() {
        let running = json!({"phase": "Running", "podIP": "10.0.0.2"});
        let pods = [
            pod("b", "notifier", &json!({"phase": "Running", "podIP": "2001:db8::1"})),
            pod("a", "notifier", &running),
            pod("c", "tracker", &running),
            pod("d", "notifier", &json!({"phase": "Pending"})),
        ];
        let found: Vec<_> = notifiers(&pods).into_iter().map(|pod| format!("{} {}", pod.name, pod.address)).collect();
        assert_eq!(found, ["a 10.0.0.2:9090", "b [2001:db8::1]:9090"]);
    }

    #[test]
    fn the_line_about_the_mail_server_is_read() {
        let report = |line: &str| parse(&format!("ready\n[+] postgresql: ok\n[-] nats: not connected\n{line}"));
        assert_eq!(report("[+] mail server: ok\n"), Some(MailReport::Available));
        assert_eq!(report("[-] mail server: 535 no\n"), Some(MailReport::Unavailable("535 no".into())));
        assert_eq!(report(""), None);
    }

    #[test]
    fn one_notifier_that_cannot_send_counts_and_one_that_cannot_be_asked_does_not() {
        let (bad, silent) = (MailReport::Unavailable("421".into()), MailReport::NotAnswered("x".into()));
        assert_eq!(summary(vec![MailReport::Available, silent.clone(), bad.clone()]), bad);
        assert_eq!(summary(vec![silent.clone(), MailReport::Available]), MailReport::Available);
        assert_eq!(summary(vec![silent.clone()]), silent);
    }

    #[test]
    fn pods_that_are_replaced_are_asked_again() {
        let reports = MailReports::default();
        let pods = |address: &str| notifiers(&[pod("a", "notifier", &json!({"phase": "Running", "podIP": address}))]);
        assert_eq!(reports.follow("shops", "shop", pods("10.0.0.2")), MailReport::NotAsked);
        let known = |report: MailReport| {
            reports.0.followed.lock().unwrap().values_mut().for_each(|followed| followed.report = report.clone());
        };
        known(MailReport::Available);
        assert_eq!(reports.follow("shops", "shop", pods("10.0.0.2")), MailReport::Available);
        assert_eq!(reports.follow("shops", "shop", pods("10.0.0.3")), MailReport::NotAsked);
        assert_eq!(reports.follow("shops", "shop", Vec::new()), MailReport::NoPods);
        assert!(reports.0.followed.lock().unwrap().is_empty());
    }
}
