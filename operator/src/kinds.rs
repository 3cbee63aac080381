//! The kinds that a Catalog may own, in the order in which they are applied.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that a Catalog may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A data volume's claim.
    PersistentVolumeClaim,
    /// A generated Secret.
    Secret,
    /// The pods' identity.
    ServiceAccount,
    /// Configuration files.
    ConfigMap,
    /// A name in the cluster's DNS.
    Service,
    /// Embedded PostgreSQL and NATS.
    StatefulSet,
    /// The migration.
    Job,
    /// The API and the workers.
    Deployment,
    /// How many pods may be evicted at once.
    PodDisruptionBudget,
    /// Scaling by CPU load.
    HorizontalPodAutoscaler,
    /// Credentials of KEDA's triggers.
    TriggerAuthentication,
    /// Scaling by waiting work.
    ScaledObject,
}

impl Kind {
    /// All of them, in the order in which they are applied.
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

    /// How the API server names it.
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

    /// Its definition may be missing from the cluster.
    #[must_use]
    pub fn needs_keda(self) -> bool {
        matches!(self, Self::TriggerAuthentication | Self::ScaledObject)
    }

    /// It holds what cannot be made again, so no edit of a Catalog deletes it.
    #[must_use]
    pub fn is_retainable(self) -> bool {
        matches!(self, Self::PersistentVolumeClaim | Self::Secret)
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn kinds_are_ordered_as_they_are_applied() {
        assert!(Kind::ALL.is_sorted());
    }

    #[test]
    fn versions_are_written_as_objects_write_them() {
        assert_eq!(Kind::PersistentVolumeClaim.resource().api_version, "v1");
        assert_eq!(Kind::HorizontalPodAutoscaler.resource().api_version, "autoscaling/v2");
    }
}
