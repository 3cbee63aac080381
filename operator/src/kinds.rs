//! The kinds of objects that a Catalog may own.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind of objects that a Catalog may own. Variants are in the order in which objects are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Claim of a data volume.
    PersistentVolumeClaim,
    /// Generated Secret.
    Secret,
    /// Service account of the pods.
    ServiceAccount,
    /// Configuration of the embedded NATS.
    ConfigMap,
    /// Service of the API or of an embedded server.
    Service,
    /// Embedded PostgreSQL or NATS.
    StatefulSet,
    /// Migration.
    Job,
    /// API or worker.
    Deployment,
    /// Limit of pods that are evicted at the same time.
    PodDisruptionBudget,
    /// Autoscaler of the API, by CPU use.
    HorizontalPodAutoscaler,
    /// Credentials of KEDA triggers.
    TriggerAuthentication,
    /// Autoscaler of a worker, by pending work.
    ScaledObject,
}

impl Kind {
    /// All kinds, in the order in which objects are applied.
    pub const ALL: [Self; 12] = [
        Self::PersistentVolumeClaim,
        Self::Secret,
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::StatefulSet,
        Self::Job,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::TriggerAuthentication,
        Self::ScaledObject,
    ];

    /// Returns group, version, kind and plural name.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
            Self::TriggerAuthentication => ("keda.sh", "v1alpha1", "TriggerAuthentication", "triggerauthentications"),
            Self::ScaledObject => ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Whether the kind is one of KEDA, which may not be installed.
    #[must_use]
    pub fn needs_keda(self) -> bool {
        matches!(self, Self::TriggerAuthentication | Self::ScaledObject)
    }

    /// Whether objects of the kind contain data that cannot be restored. They are never pruned, and the deletion policy applies to them.
    #[must_use]
    pub fn is_retainable(self) -> bool {
        matches!(self, Self::PersistentVolumeClaim | Self::Secret)
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn all_kinds_are_in_the_order_of_the_variants() {
        assert!(Kind::ALL.is_sorted());
    }

    #[test]
    fn api_versions_contain_the_group_except_for_core_kinds() {
        assert_eq!(Kind::PersistentVolumeClaim.resource().api_version, "v1");
        assert_eq!(Kind::HorizontalPodAutoscaler.resource().api_version, "autoscaling/v2");
    }
}
