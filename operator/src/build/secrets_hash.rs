//! A hash of the Secret values that a pod uses. As an annotation of the pod template it replaces the pods when a value changes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodSpec;
use sha2::{Digest, Sha256};

use crate::validate::Plan;

/// Computes the hash. The finished pod is searched for references, so that none is forgotten. Secrets that are mounted with all keys
/// (such as the signing keys) are left out, because the program watches them.
pub fn of(plan: &Plan, pod: &PodSpec) -> String {
    let mut hash = Sha256::new();
    for (secret, key) in uses(pod) {
        hash.update(format!("{secret}/{key}="));
        match plan.digests.get(&secret).and_then(|keys| keys.get(&key)) {
            Some(digest) => hash.update(digest),
            None => hash.update("?"),
        }
    }
    short(hash)
}

/// Returns the first 80 bits in hexadecimal digits, which are enough to detect changes.
pub fn short(hash: Sha256) -> String {
    hash.finalize()[..10].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Returns name and key of each Secret value that the pod references.
fn uses(pod: &PodSpec) -> BTreeSet<(String, String)> {
    let containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    let variables = containers.flat_map(|container| container.env.iter().flatten());
    let from_env = variables.filter_map(|variable| variable.value_from.as_ref()?.secret_key_ref.as_ref());
    let from_env = from_env.map(|reference| (reference.name.clone(), reference.key.clone()));
    let mounted = pod.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref());
    let from_files = mounted.flat_map(|secret| {
        let name = secret.secret_name.clone().unwrap_or_default();
        secret.items.iter().flatten().map(move |item| (name.clone(), item.key.clone()))
    });
    from_env.chain(from_files).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodTemplateSpec;

    use super::super::{build, samples};

    fn hash(template: &PodTemplateSpec) -> String {
        template.metadata.as_ref().unwrap().annotations.as_ref().unwrap()["catalog.rs/secrets-hash"].clone()
    }

    /// Returns the hashes of api, notifier, tracker, fulfiller and migration.
    fn hashes(plan: &crate::validate::Plan) -> Vec<String> {
        let objects = build(plan);
        let workloads = objects.workloads.deployments.iter().map(|deployment| &deployment.spec.template);
        workloads.chain([&objects.migration.spec.as_ref().unwrap().template]).map(hash).collect()
    }

    #[test]
    fn a_changed_secret_replaces_only_the_pods_that_use_it() {
        let plan = samples::full();
        let before = hashes(&plan);
        for (secret, key, changed) in [
            ("shop-db", "uri", [true; 5]),
            ("smtp", "password", [false, true, false, false, false]),
            ("admin", "password", [false, false, false, false, true]),
            ("shop-signing-keys", "20261121T100000Z-aaaaaa.pem", [false; 5]),
        ] {
            let mut plan = plan.clone();
            plan.digests.entry(secret.into()).or_default().insert(key.into(), [9; 32]);
            let after = hashes(&plan);
            let differs: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
            assert_eq!(differs, changed, "{secret}");
        }
    }
}
