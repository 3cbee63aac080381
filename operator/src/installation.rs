//! The database that a migration reported, and problems with it. These functions are pure.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::api::DynamicObject;
use serde::Deserialize;

use crate::{
    build::migration::EXPECT_INSTALLATION,
    crd::DatabaseStatus,
    observed::DatabaseProblem,
    validate::{ABANDON, DatabasePlan, Plan},
};

/// The exit code of `catalog migrate` when the database is another installation (api/src/roles/migrate.rs).
const OTHER_INSTALLATION: i32 = 3;

/// The termination message of `catalog migrate` (`api/src/release/installation_id.rs`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    installation_id: String,
}

/// Returns the installation id that a successful migration reported. Older releases of the shop report none.
#[must_use]
pub fn reported(pods: &[Pod]) -> Option<String> {
    let succeeded = terminated(pods).filter(|state| state.exit_code == 0);
    let reports = succeeded.filter_map(|state| serde_json::from_str::<Report>(state.message.as_deref()?).ok());
    reports.map(|report| report.installation_id).next()
}

/// Returns the problem if a migration rejected the database because it isn't the expected installation.
#[must_use]
pub fn rejected(pods: &[Pod], expected: &str) -> Option<DatabaseProblem> {
    let state = terminated(pods).find(|state| state.exit_code == OTHER_INSTALLATION)?;
    let message = state.message.clone().unwrap_or_else(|| format!("the database isn't installation {expected}"));
    Some(DatabaseProblem::OtherInstallation(format!(
        "{message}. To abandon installation {expected}, set the annotation {ABANDON}={expected} on the Catalog"
    )))
}

/// Returns the last termination of each container.
fn terminated(pods: &[Pod]) -> impl Iterator<Item = &ContainerStateTerminated> {
    let containers = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
    containers.filter_map(|container| {
        let current = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        current.or_else(|| container.last_state.as_ref()?.terminated.as_ref())
    })
}

/// Returns the problem if the claim of the embedded database was deleted.
#[must_use]
pub fn volume_lost(plan: &Plan) -> Option<DatabaseProblem> {
    let (lost, DatabasePlan::Embedded(database)) = (plan.installation.lost_claim.as_ref()?, &plan.database) else { return None };
    let id = plan.installation.expected.as_ref().unwrap_or(lost);
    Some(DatabaseProblem::VolumeLost(format!(
        "PersistentVolumeClaim {} (uid {lost}) was deleted with the data on its volume. Restore a claim of that name from \
         a backup or snapshot; or, to start with an empty database, set the annotation {ABANDON}={id} on the Catalog",
        database.volume.claim
    )))
}

/// Returns the status after the migration `job`, or `None` if the status already describes it.
#[must_use]
pub fn after_migration(
    before: Option<&DatabaseStatus>,
    plan: &Plan,
    job: &str,
    installation_id: impl FnOnce() -> Option<String>,
) -> Option<DatabaseStatus> {
    let is_known = before.is_some_and(|before| before.migration.as_deref() == Some(job));
    (!is_known).then(|| DatabaseStatus {
        installation_id: installation_id().or_else(|| plan.installation.expected.clone()),
        claim_uid: plan.installation.claim_uid.clone(),
        migration: Some(job.to_owned()),
        abandoned: plan.installation.abandoned.clone().filter(|_| plan.installation.is_abandoned).or_else(|| before?.abandoned.clone()),
    })
}

/// Returns the installation that a migration Job expects.
#[must_use]
pub fn expected_installation(job: &DynamicObject) -> Option<String> {
    let containers = job.data["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let variables = containers.flat_map(|container| container["env"].as_array().into_iter().flatten());
    variables.filter(|variable| variable["name"] == EXPECT_INSTALLATION).find_map(|variable| Some(variable["value"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{build::samples, observed::ClaimFacts, validate::validate};

    fn pod(container: &Value) -> Pod {
        let mut container = container.clone();
        for (field, value) in [("name", json!("migrate")), ("image", json!("")), ("imageID", json!(""))] {
            container[field] = value;
        }
        container["ready"] = json!(false);
        container["restartCount"] = json!(0);
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [container]}})).unwrap()
    }

    #[test]
    fn only_a_successful_migration_reports_an_installation() {
        let ended = |code: i32, message: &str| pod(&json!({"state": {"terminated": {"exitCode": code, "message": message}}}));
        let report = r#"{"installationId": "a", "newestMigration": 1}"#;
        assert_eq!(reported(&[ended(1, "no"), ended(0, report)]).as_deref(), Some("a"));
        assert_eq!(reported(&[ended(0, "an older release"), ended(1, report)]), None);
    }

    #[test]
    fn a_rejected_database_is_reported_while_the_container_waits_for_its_restart() {
        let ended = json!({"terminated": {"exitCode": 3, "message": "this database has no schema"}});
        let waits = pod(&json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}));
        let Some(DatabaseProblem::OtherInstallation(message)) = rejected(&[waits], "a") else { panic!("not rejected") };
        assert!(message.starts_with("this database has no schema.") && message.contains("catalog.rs/abandon-installation=a"), "{message}");
        let other = pod(&json!({"state": {"terminated": {"exitCode": 1, "message": "no"}}}));
        assert_eq!(rejected(&[other], "a"), None);
    }

    #[test]
    fn a_claim_is_lost_if_the_status_contains_it_and_it_was_not_abandoned() {
        let (mut catalog, mut observed) = samples::minimal_input();
        assert_eq!(volume_lost(&validate(&catalog, &observed).unwrap()), None, "a new Catalog");
        let known = DatabaseStatus { installation_id: None, claim_uid: Some("u1".into()), ..Default::default() };
        catalog.status = Some(crate::crd::CatalogStatus { database: Some(known), ..Default::default() });
        let plan = validate(&catalog, &observed).unwrap();
        let Some(DatabaseProblem::VolumeLost(message)) = volume_lost(&plan) else { panic!("not lost") };
        // If the installation id is unknown, the annotation takes the uid of the claim.
        assert!(message.contains("shop-postgres-data") && message.contains("catalog.rs/abandon-installation=u1"), "{message}");
        let mut abandoned = catalog.clone();
        abandoned.metadata.annotations = Some([(ABANDON.to_owned(), "u1".to_owned())].into());
        assert_eq!(volume_lost(&validate(&abandoned, &observed).unwrap()), None);
        let restored = ClaimFacts { uid: Some("u2".into()), storage: "5Gi".into(), ..ClaimFacts::default() };
        observed.claims.insert("shop-postgres-data".into(), restored);
        let plan = validate(&catalog, &observed).unwrap();
        assert_eq!((volume_lost(&plan), plan.installation.claim_uid.as_deref()), (None, Some("u2")));
    }

    #[test]
    fn a_migration_changes_the_status_once_and_without_a_report_the_expected_id_is_kept() {
        let mut plan = samples::minimal();
        plan.installation.expected = Some("a".into());
        let after = after_migration(None, &plan, "shop-migrate-1", || None).unwrap();
        assert_eq!(after.installation_id.as_deref(), Some("a"));
        assert_eq!(after_migration(Some(&after), &plan, "shop-migrate-1", || Some("b".into())), None);
        let next = after_migration(Some(&after), &plan, "shop-migrate-2", || Some("b".into())).unwrap();
        assert_eq!(next.installation_id.as_deref(), Some("b"));
        plan.installation.abandoned = Some("a".into());
        let ignored = after_migration(Some(&after), &plan, "shop-migrate-3", || Some("b".into())).unwrap();
        plan.installation.is_abandoned = true;
        let abandoned = after_migration(Some(&after), &plan, "shop-migrate-3", || Some("b".into())).unwrap();
        assert_eq!((ignored.abandoned, abandoned.abandoned.as_deref()), (None, Some("a")));
    }
}
