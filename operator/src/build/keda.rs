//! The two kinds of KEDA that are used, with the fields that are set.

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
    /// What is scaled by what.
    pub spec: ScaledObjectSpec,
}

/// What is scaled by what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// The Deployment.
    pub scale_target_ref: ScaleTargetRef,
    /// Seconds between two looks at the triggers.
    pub polling_interval: i32,
    /// Seconds without work before the last pod goes.
    pub cooldown_period: i32,
    /// Fewest pods.
    pub min_replica_count: i32,
    /// Most pods.
    pub max_replica_count: i32,
    /// How many pods run while a trigger cannot be read.
    pub fallback: Fallback,
    /// Further settings.
    pub advanced: Advanced,
    /// What asks for pods.
    pub triggers: Vec<Trigger>,
}

/// How many pods run while a trigger cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Failed polls in a row before it takes effect.
    pub failure_threshold: i32,
    /// Number of pods.
    pub replicas: i32,
}

/// Further settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// Settings of the autoscaler that KEDA makes.
    pub horizontal_pod_autoscaler_config: HpaConfig,
}

/// Settings of the autoscaler that KEDA makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaConfig {
    /// How fast it scales.
    pub behavior: Behavior,
}

/// How fast an autoscaler scales.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Towards fewer pods.
    pub scale_down: ScaleDown,
}

/// How fast an autoscaler scales towards fewer pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    /// Seconds for which it must have been right.
    pub stabilization_window_seconds: i32,
}

/// The Deployment that is scaled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleTargetRef {
    /// Its name.
    pub name: String,
}

/// Something that asks for pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Kind of trigger.
    pub r#type: String,
    /// Its settings.
    pub metadata: BTreeMap<String, String>,
    /// Where its credentials are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
}

/// The `TriggerAuthentication` of a trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationRef {
    /// Its name.
    pub name: String,
}

/// Where credentials of triggers are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct TriggerAuthentication {
    /// Version of KEDA's API.
    pub api_version: ApiVersion,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// The credentials.
    pub spec: TriggerAuthenticationSpec,
}

/// The credentials of a trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerAuthenticationSpec {
    /// Parameters that come from Secrets.
    pub secret_target_ref: Vec<SecretTargetRef>,
}

/// A parameter that comes from a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretTargetRef {
    /// Parameter of the trigger.
    pub parameter: String,
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret.
    pub key: String,
}

/// Version of KEDA's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiVersion {
    /// The only one there is.
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
