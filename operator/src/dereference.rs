//! Reads the objects that a plan depends on besides the Catalog.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};

use crate::{
    crd::{Catalog, CatalogSpec, Pod},
    error::Error,
    installation::expected_installation,
    kinds::Kind,
    live::{Live, claims::claim_facts, managers::owns_arguments},
    observed::{Observed, SecretFacts},
};

/// The Secrets that a Catalog references, by name. `None` if one doesn't exist.
#[derive(Debug, Clone, Default)]
pub struct Referenced(BTreeMap<String, Option<SecretFacts>>);

impl Referenced {
    /// Reads the Secrets that `catalog` references, with one call per Secret.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn read(client: &Client, namespace: &str, catalog: &Catalog) -> Result<Self, Error> {
        Self::default().with(client, namespace, catalog).await
    }

    /// Adds the Secrets that `catalog` references, with one call per Secret that hasn't been read.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn with(&self, client: &Client, namespace: &str, catalog: &Catalog) -> Result<Self, Error> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let mut facts = self.0.clone();
        for name in referenced_secrets(&catalog.spec) {
            if !facts.contains_key(name) {
                let found = api.get_opt(name).await.map_err(|source| Error::api("get", format!("Secret {name}"), source))?;
                facts.insert(name.to_owned(), found.as_ref().map(SecretFacts::of));
            }
        }
        Ok(Self(facts))
    }
}

/// Collects the observed state from the objects that were read.
#[must_use]
pub fn observed(live: &Live, referenced: &Referenced) -> Observed {
    let generated = live.of_kind(Kind::Secret).map(ResourceExt::name_any);
    let claims = live.of_kind(Kind::PersistentVolumeClaim);
    Observed {
        keda: live.has_keda(),
        referenced: referenced.0.iter().filter_map(|(name, facts)| Some((name.clone(), facts.clone()?))).collect(),
        generated: generated.filter_map(|name| Some((name.clone(), SecretFacts::of(&live.secret(&name)?)))).collect(),
        max_connections: max_connections(live),
        claims: claims.map(|claim| (claim.name_any(), claim_facts(claim))).collect(),
        migrations: live.of_kind(Kind::Job).map(|job| (job.name_any(), expected_installation(job))).collect(),
    }
}

/// Returns the `max_connections` that the operator last applied. An edit by another client is ignored, because it will be reverted.
fn max_connections(live: &Live) -> Option<i32> {
    let set = live.of_kind(Kind::StatefulSet).find(|set| set.name_any().ends_with("-postgres"))?;
    let container = &set.data["spec"]["template"]["spec"]["containers"];
    let arguments = container.as_array()?.iter().find(|container| container["name"] == "postgres")?["args"].as_array()?;
    let connections = arguments.iter().find_map(|argument| argument.as_str()?.strip_prefix("max_connections="))?;
    owns_arguments(set, "postgres").then_some(())?;
    connections.parse().ok()
}

/// Returns the names of the Secrets that a spec references.
#[must_use]
pub fn referenced_secrets(spec: &CatalogSpec) -> BTreeSet<&str> {
    let CatalogSpec { image, api, notifier, tracker, fulfiller, database, messaging, mail, auth, .. } = spec;
    let database = database
        .external
        .iter()
        .flat_map(|external| std::iter::once(&external.secret_ref.name).chain(external.ca_secret_ref.iter().map(|ca| &ca.name)));
    let messaging = messaging.external.iter().flat_map(|external| {
        external
            .url_secret_ref
            .iter()
            .chain(&external.credentials_secret_ref)
            .chain(&external.ca_secret_ref)
            .map(|reference| &reference.name)
    });
    let mail = mail.credentials_secret_ref.iter().map(|credentials| &credentials.name);
    let superuser = auth.superuser_secret_ref.iter().map(|reference| &reference.name);
    let environment = [&api.pod, &notifier.pod, &tracker.pod, &fulfiller.pod].into_iter().flat_map(|Pod { env, .. }| env);
    let environment = environment.filter_map(|variable| Some(&variable.value_from.as_ref()?.secret_key_ref.name));
    let pull = image.pull_secrets.iter().map(|reference| &reference.name);
    pull.chain(database).chain(messaging).chain(mail).chain(superuser).chain(environment).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::{Reason, validate};

    #[test]
    fn every_secret_that_validation_needs_is_read() {
        let full: Catalog = serde_norway::from_str(include_str!("../samples/full.yaml")).unwrap();
        let problems = validate(&full, &Observed::default()).unwrap_err().0;
        let not_found: Vec<_> = problems.iter().filter(|problem| problem.reason == Reason::SecretNotFound).collect();
        assert!(not_found.len() > 5, "{not_found:?}");
        let read = referenced_secrets(&full.spec);
        for problem in not_found {
            assert!(read.iter().any(|name| problem.message.contains(&format!("Secret {name} not found"))), "{problem:?} {read:?}");
        }
    }
}
