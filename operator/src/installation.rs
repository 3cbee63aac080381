//! What a migration reported of its database, and what is wrong with the database: pure.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::api::DynamicObject;
use serde::Deserialize;

use crate::{
    build::migration::EXPECT_INSTALLATION,
    crd::DatabaseStatus,
    validate::{ABANDON, DatabasePlan, Plan},
};

/// The exit code of `catalog migrate` when the database is another installation (api/src/roles/migrate.rs).
const OTHER_INSTALLATION: i32 = 3;

/// What was found out about the database in one reconcile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseFindings {
    /// What a finished migration reported, if that is news.
    pub status: Option<DatabaseStatus>,
    /// What is wrong with it.
    pub problem: Option<DatabaseProblem>,
}

/// What is wrong with a database, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseProblem {
    /// The claim of its volume doesn't exist any more.
    VolumeLost(String),
    /// It is another installation than the expected one.
    OtherInstallation(String),
}

/// What `catalog migrate` writes as its termination message (api/src/release/identity.rs).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    installation_id: String,
}

/// The installation id that a successful migration reported. An older release of the shop reports none.
#[must_use]
pub fn reported(pods: &[Pod]) -> Option<String> {
    let succeeded = terminated(pods).filter(|end| end.exit_code == 0);
    let reports = succeeded.filter_map(|end| serde_json::from_str::<Report>(end.message.as_deref()?).ok());
    reports.map(|report| report.installation_id).next()
}

/// Why a migration left the database as it was, and how to go on, if it is another installation than it expects.
#[must_use]
pub fn rejected(pods: &[Pod], expected: &str) -> Option<DatabaseProblem> {
    let end = terminated(pods).find(|end| end.exit_code == OTHER_INSTALLATION)?;
    let message = end.message.clone().unwrap_or_else(|| format!("the database isn't installation {expected}"));
    Some(DatabaseProblem::OtherInstallation(format!(
        "{message}. To leave installation {expected} behind, set the annotation {ABANDON}={expected} on the Catalog"
    )))
}

/// How containers ended last.
fn terminated(pods: &[Pod]) -> impl Iterator<Item = &ContainerStateTerminated> {
    let containers = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
    containers.filter_map(|container| {
        let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        now.or_else(|| container.last_state.as_ref()?.terminated.as_ref())
    })
}

/// That the claim of the embedded database doesn't exist any more.
#[must_use]
pub fn volume_lost(plan: &Plan) -> Option<DatabaseProblem> {
    let (lost, DatabasePlan::Embedded(database)) = (plan.installation.lost_claim.as_ref()?, &plan.database) else { return None };
    let consent = plan.installation.expected.as_ref().unwrap_or(lost);
    Some(DatabaseProblem::VolumeLost(format!(
        "PersistentVolumeClaim {} (uid {lost}) was deleted, and the data on its volume with it. Restore a claim of that name from \
         a backup or snapshot; or, to start with an empty database, set the annotation {ABANDON}={consent} on the Catalog",
        database.volume.claim
    )))
}

/// The status after the migration `job`, which has reported `installation_id`. `None` if there is no news.
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
    })
}

/// The installation that a migration Job expects.
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
    fn only_the_message_of_a_success_is_a_report() {
        let ended = |code: i32, message: &str| pod(&json!({"state": {"terminated": {"exitCode": code, "message": message}}}));
        let report = r#"{"installationId": "a", "newestMigration": 1}"#;
        assert_eq!(reported(&[ended(1, "no"), ended(0, report)]).as_deref(), Some("a"));
        assert_eq!(reported(&[ended(0, "an older release"), ended(1, report)]), None);
    }

    #[test]
    fn a_rejected_database_is_known_while_the_container_waits_for_its_restart() {
        let ended = json!({"terminated": {"exitCode": 3, "message": "this database has no schema"}});
        let waits = pod(&json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}));
        let Some(DatabaseProblem::OtherInstallation(message)) = rejected(&[waits], "a") else { panic!("not rejected") };
        assert!(message.starts_with("this database has no schema.") && message.contains("catalog.rs/abandon-installation=a"), "{message}");
        let other = pod(&json!({"state": {"terminated": {"exitCode": 1, "message": "no"}}}));
        assert_eq!(rejected(&[other], "a"), None);
    }

    #[test]
    fn a_claim_is_lost_only_if_the_status_knows_it_and_nobody_abandoned_it() {
        let (mut catalog, mut observed) = samples::minimal_input();
        assert_eq!(volume_lost(&validate(&catalog, &observed).unwrap()), None, "a new Catalog");
        let known = DatabaseStatus { installation_id: None, claim_uid: Some("u1".into()), migration: None };
        catalog.status = Some(crate::crd::CatalogStatus { database: Some(known), ..Default::default() });
        let plan = validate(&catalog, &observed).unwrap();
        let Some(DatabaseProblem::VolumeLost(message)) = volume_lost(&plan) else { panic!("not lost") };
        // Without a known id, the uid of the claim is what can be abandoned.
        assert!(message.contains("shop-postgres-data") && message.contains("catalog.rs/abandon-installation=u1"), "{message}");
        let mut consented = catalog.clone();
        consented.metadata.annotations = Some([(ABANDON.to_owned(), "u1".to_owned())].into());
        assert_eq!(volume_lost(&validate(&consented, &observed).unwrap()), None);
        let restored = ClaimFacts { uid: Some("u2".into()), storage: "5Gi".into(), ..ClaimFacts::default() };
        observed.claims.insert("shop-postgres-data".into(), restored);
        let plan = validate(&catalog, &observed).unwrap();
        assert_eq!((volume_lost(&plan), plan.installation.claim_uid.as_deref()), (None, Some("u2")));
    }

    #[test]
    fn a_migration_is_news_once_and_without_a_report_the_expected_id_stays() {
        let mut plan = samples::minimal();
        plan.installation.expected = Some("a".into());
        let after = after_migration(None, &plan, "shop-migrate-1", || None).unwrap();
        assert_eq!(after.installation_id.as_deref(), Some("a"));
        assert_eq!(after_migration(Some(&after), &plan, "shop-migrate-1", || Some("b".into())), None);
        let next = after_migration(Some(&after), &plan, "shop-migrate-2", || Some("b".into())).unwrap();
        assert_eq!(next.installation_id.as_deref(), Some("b"));
    }
}
