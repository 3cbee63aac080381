//! What containers and pods have in common: security, scheduling, probes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, LocalObjectReference, PodSecurityContext, PodSpec,
        PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use kube::core::ObjectMeta;

use super::{
    metadata::{Component, labels, selector},
    secrets_hash,
};
use crate::{crd, validate::Plan};

/// The user of the shop's own images, nobody's on any node.
pub const USER: i64 = 65532;

/// The kubelet keeps the end of the log of a container that fails, and conditions quote it.
pub const TERMINATION_MESSAGE_POLICY: &str = "FallbackToLogsOnError";

/// As Pod Security `restricted` asks, and the root file system is read-only besides.
pub fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// As Pod Security `restricted` asks. Mounted files belong to the user's group.
pub fn pod_security(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        // A large volume isn't walked through at every start.
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// A pod template of a part, with the hash of the Secrets that it uses.
pub fn template(plan: &Plan, component: Component, mut annotations: BTreeMap<String, String>, spec: PodSpec) -> PodTemplateSpec {
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        // Names of Services must not become settings.
        enable_service_links: Some(false),
        service_account_name: Some(plan.shop.name.clone()),
        ..spec
    };
    annotations.insert("catalog.rs/secrets-hash".into(), secrets_hash::of(plan, &spec));
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels(plan, component)), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(spec),
    }
}

/// The registry's credentials.
pub fn pull_secrets(plan: &Plan) -> Option<Vec<LocalObjectReference>> {
    let secrets = &plan.release.pull_secrets;
    (!secrets.is_empty()).then(|| secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect())
}

/// Pods of a part like different nodes and zones, but rather start together than not at all.
pub fn spread(plan: &Plan, component: Component) -> Vec<TopologySpreadConstraint> {
    let over = |topology_key: &str| TopologySpreadConstraint {
        label_selector: Some(selector(plan, component)),
        // Pods of the release before don't count.
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        max_skew: 1,
        topology_key: topology_key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        ..TopologySpreadConstraint::default()
    };
    vec![over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")]
}

/// CPU and memory.
pub fn resources(resources: &crd::Resources) -> ResourceRequirements {
    let amounts = |given: &BTreeMap<String, crd::Quantity>| {
        let amounts: BTreeMap<_, _> = given.iter().map(|(name, amount)| (name.clone(), Quantity(amount.0.clone()))).collect();
        (!amounts.is_empty()).then_some(amounts)
    };
    ResourceRequirements { requests: amounts(&resources.requests), limits: amounts(&resources.limits), claims: None }
}

/// A named port.
pub fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort { name: Some(name.into()), container_port: number, protocol: Some("TCP".into()), ..ContainerPort::default() }
}

/// A probe by HTTP.
pub fn http_probe(path: &str, port: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction { path: Some(path.into()), port: IntOrString::String(port.into()), ..HTTPGetAction::default() }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A directory that lives as long as its pod.
pub fn scratch(name: &str, path: &str) -> (Volume, VolumeMount) {
    let volume = Volume { name: name.into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    (volume, VolumeMount { name: name.into(), mount_path: path.into(), ..VolumeMount::default() })
}
