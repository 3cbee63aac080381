//! The two kinds of KEDA that the operator applies, with the fields that it sets.

use std::collections::BTreeMap;

use k8s_openapi::{Metadata, NamespaceResourceScope};
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

/// A workload that KEDA scales.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct ScaledObject {
    /// Version of KEDA's API.
    pub api_version: ApiVersion,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The scaled Deployment and its triggers.
    pub spec: ScaledObjectSpec,
}

/// The scaled Deployment and its triggers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// The Deployment that is scaled.
    pub scale_target_ref: ScaleTargetRef,
    /// Seconds between two polls of the triggers.
    pub polling_interval: i32,
    /// Seconds without work before KEDA scales to zero.
    pub cooldown_period: i32,
    /// Minimum number of pods.
    pub min_replica_count: i32,
    /// Maximum number of pods.
    pub max_replica_count: i32,
    /// The number of pods while a trigger cannot be read.
    pub fallback: Fallback,
    /// Settings of the `HorizontalPodAutoscaler`.
    pub advanced: Advanced,
    /// What the Deployment is scaled by.
    pub triggers: Vec<Trigger>,
}

/// The number of pods while a trigger cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Consecutive failed polls before the fallback takes effect.
    pub failure_threshold: i32,
    /// Number of pods.
    pub replicas: i32,
}

/// Settings of the `HorizontalPodAutoscaler`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// Settings of the `HorizontalPodAutoscaler` that KEDA creates.
    pub horizontal_pod_autoscaler_config: HpaConfig,
}

/// Settings of the `HorizontalPodAutoscaler` that KEDA creates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaConfig {
    /// How fast the autoscaler scales.
    pub behavior: Behavior,
}

/// How fast an autoscaler scales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// How fast the autoscaler scales down.
    pub scale_down: ScaleDown,
}

/// How fast an autoscaler scales down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    /// Seconds over which the highest recommendation counts.
    pub stabilization_window_seconds: i32,
}

/// The Deployment that is scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleTargetRef {
    /// Name of the Deployment.
    pub name: String,
}

/// A metric that a Deployment is scaled by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Type of the trigger.
    pub r#type: String,
    /// Settings of the trigger.
    pub metadata: BTreeMap<String, String>,
    /// The `TriggerAuthentication` with the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
}

/// The `TriggerAuthentication` of a trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationRef {
    /// Name of the `TriggerAuthentication`.
    pub name: String,
}

/// References to the credentials of a trigger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct TriggerAuthentication {
    /// Version of KEDA's API.
    pub api_version: ApiVersion,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// References to the credentials.
    pub spec: TriggerAuthenticationSpec,
}

/// Parameters of a trigger that contain credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerAuthenticationSpec {
    /// Parameters that come from Secrets.
    pub secret_target_ref: Vec<SecretTargetRef>,
}

/// A parameter that comes from a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretTargetRef {
    /// Name of the parameter.
    pub parameter: String,
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret.
    pub key: String,
}

/// Version of KEDA's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiVersion {
    /// Version `v1alpha1`.
    #[default]
    #[serde(rename = "keda.sh/v1alpha1")]
    V1Alpha1,
}

impl k8s_openapi::Resource for ScaledObject {
    type Scope = NamespaceResourceScope;
    const API_VERSION: &'static str = "keda.sh/v1alpha1";
    const GROUP: &'static str = "keda.sh";
    const KIND: &'static str = "ScaledObject";
    const URL_PATH_SEGMENT: &'static str = "scaledobjects";
    const VERSION: &'static str = "v1alpha1";
}

impl Metadata for ScaledObject {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl k8s_openapi::Resource for TriggerAuthentication {
    type Scope = NamespaceResourceScope;
    const API_VERSION: &'static str = "keda.sh/v1alpha1";
    const GROUP: &'static str = "keda.sh";
    const KIND: &'static str = "TriggerAuthentication";
    const URL_PATH_SEGMENT: &'static str = "triggerauthentications";
    const VERSION: &'static str = "v1alpha1";
}

impl Metadata for TriggerAuthentication {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
