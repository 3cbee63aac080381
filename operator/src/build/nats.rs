//! The embedded NATS. Its image must be compatible with the official one: the entry point is the server, and an argument names the
//! configuration file.

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, Container, PodSpec, PodTemplateSpec, Volume, VolumeMount};
use sha2::{Digest, Sha256};

use super::{
    container,
    environment::{self, ACCOUNT},
    persistent_volume_claim::data_volume,
    secrets_hash::short,
};
use crate::{
    metadata::Component,
    validate::{EmbeddedMessagingPlan, Plan},
};

/// Name of the configuration file.
pub const FILE: &str = "nats.conf";
/// Directory of the configuration file.
const DIRECTORY: &str = "/etc/nats-config";
/// An arbitrary user id, because all users can read the files of the image.
const USER: i64 = 1000;

/// Builds the configuration file. The server expands `$NATS_PASSWORD` from its environment.
///
/// `max_payload`: an event contains a product before and after a change, each up to 1 MiB. `sync_interval`: by default the server syncs
/// every two minutes, and a power failure would lose acknowledged events.
pub fn configuration(plan: &Plan, messaging: &EmbeddedMessagingPlan) -> String {
    format!(
        "server_name: \"{name}\"\n\
         port: 4222\n\
         http_port: 8222\n\
         max_payload: 8MB\n\
         authorization {{ user: {ACCOUNT}, password: $NATS_PASSWORD }}\n\
         jetstream {{ store_dir: \"/data\", max_file_store: {bytes}, sync_interval: always }}\n",
        name = plan.shop.named("nats"),
        bytes = messaging.stream_bytes,
    )
}

/// Builds the pod template.
pub fn template(plan: &Plan, messaging: &EmbeddedMessagingPlan) -> PodTemplateSpec {
    let mount =
        |name: &str, path: &str, read_only| VolumeMount { name: name.into(), mount_path: path.into(), read_only, ..VolumeMount::default() };
    let container = Container {
        name: Component::Nats.as_str().into(),
        image: Some(messaging.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(vec!["--config".into(), format!("{DIRECTORY}/{FILE}")]),
        env: Some(vec![environment::secret("NATS_PASSWORD", &messaging.password)]),
        ports: Some(vec![container::port("client", 4222), container::port("monitor", 8222)]),
        resources: Some(container::resources(&messaging.resources)),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        // The server recovers its store before it is healthy.
        startup_probe: Some(container::http_probe("/healthz", "monitor", 2, 300)),
        liveness_probe: Some(container::http_probe("/healthz?js-enabled-only=true", "monitor", 10, 6)),
        readiness_probe: Some(container::http_probe("/healthz?js-server-only=true", "monitor", 3, 2)),
        volume_mounts: Some(vec![mount("data", "/data", None), mount("config", DIRECTORY, Some(true))]),
        ..Container::default()
    };
    let config = ConfigMapVolumeSource { name: plan.shop.named("nats"), ..ConfigMapVolumeSource::default() };
    let spec = PodSpec {
        containers: vec![container],
        volumes: Some(vec![
            data_volume(&messaging.volume),
            Volume { name: "config".into(), config_map: Some(config), ..Volume::default() },
        ]),
        image_pull_secrets: container::pull_secrets(plan),
        security_context: Some(container::pod_security(USER)),
        termination_grace_period_seconds: Some(30),
        ..PodSpec::default()
    };
    // The server reads its configuration only when it starts.
    let mut hash = Sha256::new();
    hash.update(configuration(plan, messaging));
    container::template(plan, Component::Nats, [("catalog.rs/config-hash".to_owned(), short(hash))].into(), spec)
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::validate::MessagingPlan;

    fn embedded(plan: &Plan) -> &EmbeddedMessagingPlan {
        let MessagingPlan::Embedded(messaging) = &plan.messaging else { panic!("external") };
        messaging
    }

    #[test]
    fn the_configuration_contains_no_password_and_leaves_free_space_on_the_volume() {
        let plan = samples::minimal();
        let text = configuration(&plan, embedded(&plan));
        assert!(text.contains("password: $NATS_PASSWORD"), "{text}");
        assert!(text.contains("max_file_store: 1932735276,"), "{text}");
        assert!(text.contains("sync_interval: always"), "{text}");
    }

    #[test]
    fn a_changed_configuration_replaces_the_pod() {
        let mut plan = samples::minimal();
        let before = template(&plan, embedded(&plan));
        if let MessagingPlan::Embedded(messaging) = &mut plan.messaging {
            messaging.stream_bytes += 1;
        }
        assert_ne!(template(&plan, embedded(&plan)).metadata, before.metadata);
    }
}
