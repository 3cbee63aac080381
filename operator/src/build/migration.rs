//! The migration Job.

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{Container, PodSpec},
};
use sha2::{Digest, Sha256};

use super::{container, deployment::pull_policy, environment, files::Files, secrets_hash::short};
use crate::{
    metadata::{Component, metadata},
    validate::Plan,
};

/// File that the kubelet reads the termination message from: the default of `terminationMessagePath`.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Variable with the installation id that the database must have.
pub const EXPECT_INSTALLATION: &str = "EXPECT_INSTALLATION";

/// Builds the migration Job. Its name contains a hash of its spec, of the Secrets that it uses, and of the volume of the database: a
/// different migration is a new Job, and the same one isn't repeated. It waits for its servers and is retried until it succeeds.
///
/// The expected installation isn't part of the hash, because it is only known after the first migration, which would then be repeated.
/// An existing Job keeps its expected installation.
#[must_use]
pub fn job(plan: &Plan) -> Job {
    let mut files = Files::default();
    let mut settings = environment::migration(plan);
    settings.extend(environment::database(plan, &mut files));
    settings.extend(environment::events(plan, &mut files));
    settings.push(environment::plain("TERMINATION_LOG", TERMINATION_LOG));
    let container = Container {
        name: Component::Migrate.as_str().into(),
        args: Some(vec!["migrate".into()]),
        image: Some(plan.release.image.clone()),
        image_pull_policy: Some(pull_policy(plan.release.pull_policy).into()),
        env: Some(settings),
        resources: Some(container::resources(&plan.api.resources)),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        volume_mounts: (!files.mounts.is_empty()).then_some(files.mounts),
        ..Container::default()
    };
    let pod = &plan.api.pod;
    let spec = PodSpec {
        containers: vec![container],
        restart_policy: Some("OnFailure".into()),
        // It ignores SIGTERM, and must not continue while the migration runs that replaces it.
        termination_grace_period_seconds: Some(1),
        volumes: (!files.volumes.is_empty()).then_some(files.volumes),
        image_pull_secrets: container::pull_secrets(plan),
        security_context: Some(container::pod_security(container::USER)),
        // The migration runs on the nodes of the API.
        node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
        tolerations: (!pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
        ..PodSpec::default()
    };
    let mut spec = JobSpec {
        backoff_limit: Some(i32::MAX),
        template: container::template(plan, Component::Migrate, std::collections::BTreeMap::new(), spec),
        ..JobSpec::default()
    };
    let mut hash = Sha256::new();
    // Serialising an object that was just built cannot fail. On failure the spec is left out of the hash.
    hash.update(serde_json::to_vec(&spec).unwrap_or_default());
    let installation = &plan.installation;
    for (name, value) in [("claim", &installation.claim_uid), ("abandoned", &installation.abandoned)] {
        if let Some(value) = value {
            hash.update(format!("{name}={value};"));
        }
    }
    let name = plan.shop.named(&format!("migrate-{}", &short(hash)[..8]));
    let expected = installation.migrations.get(&name).unwrap_or(&installation.expected);
    let containers = spec.template.spec.iter_mut().flat_map(|pod| &mut pod.containers);
    for settings in containers.filter_map(|container| container.env.as_mut()) {
        settings.extend(expected.as_ref().map(|id| environment::plain(EXPECT_INSTALLATION, id)));
    }
    Job { metadata: metadata(plan, name, Component::Migrate), spec: Some(spec), ..Job::default() }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    fn name(plan: &Plan) -> String {
        job(plan).metadata.name.unwrap()
    }

    fn expected(plan: &Plan) -> Option<String> {
        let pod = job(plan).spec.unwrap().template.spec.unwrap();
        let settings = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        settings.filter(|setting| setting.name == EXPECT_INSTALLATION).find_map(|setting| setting.value)
    }

    #[test]
    fn a_new_volume_or_an_abandoned_installation_needs_a_new_migration_and_a_reported_id_does_not() {
        let mut plan = samples::minimal();
        plan.installation.claim_uid = Some("u1".into());
        let before = name(&plan);
        plan.installation.expected = Some("a".into());
        assert_eq!((name(&plan), expected(&plan)), (before.clone(), Some("a".into())));
        plan.installation.migrations = [(before.clone(), None)].into();
        assert_eq!((name(&plan), expected(&plan)), (before.clone(), None), "an existing Job is not changed");
        let mut abandoned_plan = plan.clone();
        abandoned_plan.installation.abandoned = Some("a".into());
        assert_ne!(name(&abandoned_plan), before);
        plan.installation.claim_uid = Some("u2".into());
        assert_ne!(name(&plan), before);
        assert_eq!(expected(&plan), Some("a".into()));
    }

    #[test]
    fn a_new_image_or_password_needs_a_new_migration_and_a_new_scale_does_not() {
        let plan = samples::full();
        let before = name(&plan);
        assert!(before.starts_with("shop-migrate-") && before.len() == "shop-migrate-".len() + 8, "{before}");
        let mut scaled = plan.clone();
        scaled.tracker.scale = crate::validate::WorkerScale::Fixed(7);
        assert_eq!(name(&scaled), before);
        let mut upgraded = plan.clone();
        upgraded.release.image = "registry.example.com/catalog:1.3.0".into();
        assert_ne!(name(&upgraded), before);
        let mut rotated = plan.clone();
        rotated.digests.entry("admin".into()).or_default().insert("password".into(), [7; 32]);
        assert_ne!(name(&rotated), before);
    }
}
