//! Claims of data volumes.
//!
//! They are separate objects and not `volumeClaimTemplates` of a StatefulSet, which are immutable: a volume grows when its claim is
//! applied.

use k8s_openapi::{
    api::core::v1::{
        PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, Volume, VolumeResourceRequirements,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    metadata::{Component, retainable_metadata},
    validate::{self, DatabasePlan, MessagingPlan, Plan},
};

/// Builds the claims of the embedded servers.
pub fn claims(plan: &Plan) -> Vec<PersistentVolumeClaim> {
    let postgres = match &plan.database {
        // A lost volume must not be silently replaced by an empty one.
        DatabasePlan::Embedded(database) if plan.installation.lost_claim.is_none() => Some((&database.volume, Component::Postgres)),
        DatabasePlan::Embedded(_) | DatabasePlan::External(_) => None,
    };
    let nats = match &plan.messaging {
        MessagingPlan::Embedded(messaging) => Some((&messaging.volume, Component::Nats)),
        MessagingPlan::External(_) => None,
    };
    postgres.into_iter().chain(nats).map(|(volume, component)| claim(plan, volume, component)).collect()
}

fn claim(plan: &Plan, volume: &validate::Volume, component: Component) -> PersistentVolumeClaim {
    let requests = [("storage".to_owned(), Quantity(volume.size.0.clone()))];
    PersistentVolumeClaim {
        metadata: retainable_metadata(plan, volume.claim.clone(), component),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements { requests: Some(requests.into()), limits: None }),
            storage_class_name: volume.storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// Builds the pod volume of a claim.
pub fn data_volume(volume: &validate::Volume) -> Volume {
    let claim = PersistentVolumeClaimVolumeSource { claim_name: volume.claim.clone(), read_only: None };
    Volume { name: "data".into(), persistent_volume_claim: Some(claim), ..Volume::default() }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn claims_have_an_owner_only_without_retain() {
        let mut plan = samples::minimal();
        assert!(claims(&plan).iter().all(|claim| claim.metadata.owner_references.is_none()));
        plan.retain = false;
        assert!(claims(&plan).iter().all(|claim| claim.metadata.owner_references.is_some()));
    }

    #[test]
    fn a_lost_claim_of_the_database_is_not_recreated() {
        let mut plan = samples::minimal();
        plan.installation.lost_claim = Some("u1".into());
        let names: Vec<_> = claims(&plan).into_iter().filter_map(|claim| claim.metadata.name).collect();
        assert_eq!(names, ["shop-nats-data"]);
    }

    #[test]
    fn external_servers_have_no_claims() {
        assert_eq!(claims(&samples::minimal()).len(), 2);
        assert_eq!(claims(&samples::full()).len(), 0);
    }
}
