//! Common settings of pods and containers: security, scheduling, probes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, LocalObjectReference, PodSecurityContext, PodSpec,
        PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use kube::core::ObjectMeta;

use super::secrets_hash;
use crate::{
    crd,
    metadata::{Component, labels, selector},
    validate::Plan,
};

/// User id of the images of Catalog, which no user of a node has.
pub const USER: i64 = 65532;

/// With this policy the kubelet reports the last log lines of a failed container, which conditions quote.
pub const TERMINATION_MESSAGE_POLICY: &str = "FallbackToLogsOnError";

/// Returns the security context that the Pod Security Standard `restricted` requires, with a read-only root file system.
pub fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// Returns the security context that the Pod Security Standard `restricted` requires. Mounted files belong to the group of the user.
pub fn pod_security(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        // Otherwise the kubelet would change the group of every file of a large volume at every start.
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Builds the pod template of a component, with the hash of the Secrets that it uses.
pub fn template(plan: &Plan, component: Component, mut annotations: BTreeMap<String, String>, spec: PodSpec) -> PodTemplateSpec {
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        // Variables that Kubernetes derives from names of Services could collide with settings.
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

/// Returns the Secrets with the credentials of the registry.
pub fn pull_secrets(plan: &Plan) -> Option<Vec<LocalObjectReference>> {
    let secrets = &plan.release.pull_secrets;
    (!secrets.is_empty()).then(|| secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect())
}

/// Spreads the pods of a part over nodes and zones if that is possible.
pub fn topology_spread(plan: &Plan, component: Component) -> Vec<TopologySpreadConstraint> {
    let over = |topology_key: &str| TopologySpreadConstraint {
        label_selector: Some(selector(plan, component)),
        // Pods of the previous template are not counted.
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        max_skew: 1,
        topology_key: topology_key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        ..TopologySpreadConstraint::default()
    };
    vec![over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")]
}

/// Converts CPU and memory.
pub fn resources(resources: &crd::Resources) -> ResourceRequirements {
    let quantities = |declared: &BTreeMap<String, crd::Quantity>| {
        let converted: BTreeMap<_, _> = declared.iter().map(|(name, amount)| (name.clone(), Quantity(amount.0.clone()))).collect();
        (!converted.is_empty()).then_some(converted)
    };
    ResourceRequirements { requests: quantities(&resources.requests), limits: quantities(&resources.limits), claims: None }
}

/// Builds a named TCP port.
pub fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort { name: Some(name.into()), container_port: number, protocol: Some("TCP".into()), ..ContainerPort::default() }
}

/// Builds an HTTP probe. `period` is in seconds.
pub fn http_probe(path: &str, port: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction { path: Some(path.into()), port: IntOrString::String(port.into()), ..HTTPGetAction::default() }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Builds an `emptyDir` volume and its mount.
pub fn empty_dir(name: &str, path: &str) -> (Volume, VolumeMount) {
    let volume = Volume { name: name.into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    (volume, VolumeMount { name: name.into(), mount_path: path.into(), ..VolumeMount::default() })
}
