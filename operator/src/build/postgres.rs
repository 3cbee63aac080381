//! The embedded PostgreSQL, in an image that keeps the contract of the official one: role, password and
//! database come from the environment, the data lies below `/var/lib/postgresql`.

use k8s_openapi::{
    api::core::v1::{
        Container, EmptyDirVolumeSource, ExecAction, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, Probe, Volume, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    container,
    environment::{self, ACCOUNT},
    metadata::Component,
    stateful_set::data_volume,
};
use crate::validate::{EmbeddedDatabasePlan, Plan};

/// The user `postgres` of the official image (not of its Alpine variant, which has another).
const USER: i64 = 999;
/// Sets the role's password to the Secret's.
const SET_PASSWORD: &str = include_str!("set-password.sh");
/// `max_connections` grows in steps, because every change of it is a restart.
const CONNECTIONS_STEP: i32 = 100;

/// The pod.
pub fn template(plan: &Plan, database: &EmbeddedDatabasePlan) -> PodTemplateSpec {
    let (tmp, tmp_mount) = container::scratch("tmp", "/tmp");
    let (run, run_mount) = container::scratch("run", "/var/run/postgresql");
    let data_mount = VolumeMount { name: "data".into(), mount_path: "/var/lib/postgresql".into(), ..VolumeMount::default() };
    // Parallel queries share memory here, and a container has only 64 MiB by itself.
    let shared = EmptyDirVolumeSource {
        medium: Some("Memory".into()),
        size_limit: Some(Quantity("256Mi".into())),
        ..EmptyDirVolumeSource::default()
    };
    let shared = Volume { name: "shared-memory".into(), empty_dir: Some(shared), ..Volume::default() };
    let shared_mount = VolumeMount { name: "shared-memory".into(), mount_path: "/dev/shm".into(), ..VolumeMount::default() };
    let container = Container {
        name: Component::Postgres.as_str().into(),
        image: Some(database.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(vec!["postgres".into(), "-c".into(), format!("max_connections={}", connections(plan, database))]),
        env: Some(vec![
            environment::plain("POSTGRES_USER", ACCOUNT),
            environment::plain("POSTGRES_DB", ACCOUNT),
            environment::secret("POSTGRES_PASSWORD", &database.password),
            // Below the mount in every release: images before 18 declare another volume at their default place, which goes
            // with the container. And data of another release stops the server, where another directory would be empty.
            environment::plain("PGDATA", "/var/lib/postgresql/pgdata"),
        ]),
        ports: Some(vec![container::port("postgres", 5432)]),
        lifecycle: Some(Lifecycle {
            post_start: Some(LifecycleHandler { exec: Some(exec(&["sh", "-c", SET_PASSWORD])), ..LifecycleHandler::default() }),
            ..Lifecycle::default()
        }),
        resources: Some(container::resources(&database.resources)),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        // Half an hour: after a crash it goes through its log before it takes connections.
        startup_probe: Some(is_ready(2, 900)),
        liveness_probe: Some(is_ready(10, 12)),
        readiness_probe: Some(is_ready(3, 2)),
        volume_mounts: Some(vec![data_mount, tmp_mount, run_mount, shared_mount]),
        ..Container::default()
    };
    let spec = PodSpec {
        containers: vec![container],
        volumes: Some(vec![data_volume(&database.volume), tmp, run, shared]),
        image_pull_secrets: container::pull_secrets(plan),
        security_context: Some(container::pod_security(USER)),
        termination_grace_period_seconds: Some(120),
        ..PodSpec::default()
    };
    container::template(plan, Component::Postgres, std::collections::BTreeMap::new(), spec)
}

/// By TCP: the server that only prepares the data directory doesn't listen there.
fn is_ready(period: i32, failures: i32) -> Probe {
    Probe {
        exec: Some(exec(&["pg_isready", "--quiet", "--host", "127.0.0.1", "--username", ACCOUNT, "--dbname", ACCOUNT])),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn exec(command: &[&str]) -> ExecAction {
    ExecAction { command: Some(command.iter().map(|&word| word.to_owned()).collect()) }
}

/// Connections for every pod that is declared, two of them being replaced each, and some for people. A server that runs with
/// more keeps them: a restart costs more than the memory of unused connections.
fn connections(plan: &Plan, database: &EmbeddedDatabasePlan) -> i32 {
    let of = |most: i32, each: i32| most.saturating_add(2).saturating_mul(each);
    let workers = plan.workers().map(|(_, worker)| of(worker.most, worker.connections));
    let needed = workers.into_iter().fold(of(plan.api.most, plan.api.connections), i32::saturating_add).saturating_add(20);
    let needed = ((needed - 1) / CONNECTIONS_STEP + 1).saturating_mul(CONNECTIONS_STEP);
    // PostgreSQL allows 262143.
    needed.max(database.running_connections.unwrap_or(0)).clamp(CONNECTIONS_STEP, 10_000)
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::validate::{DatabasePlan, validate_unseen};

    fn connections(plan: &Plan) -> i32 {
        let DatabasePlan::Embedded(database) = &plan.database else { unreachable!("the sample has an embedded database") };
        super::connections(plan, database)
    }

    #[test]
    fn every_pod_there_may_be_finds_a_connection() {
        let mut plan = samples::minimal();
        assert_eq!(connections(&plan), 200);
        plan.api.most = 10;
        plan.tracker.most = 8;
        assert_eq!(connections(&plan), 300);
        plan.fulfiller.most = 2;
        assert_eq!(connections(&plan), 400);
        plan.api.connections = i32::MAX;
        assert_eq!(connections(&plan), 10_000);
    }

    #[test]
    fn connections_are_those_of_what_is_declared_with_and_without_keda() {
        let (mut catalog, _) = samples::minimal_input();
        let by = |min_replicas| Some(crate::crd::WorkerAutoscaling { min_replicas, max_replicas: 20, lag_threshold: None });
        (catalog.spec.tracker.autoscaling, catalog.spec.notifier.autoscaling) = (by(0), by(2));
        let [with, without] = [true, false].map(|keda| connections(&validate_unseen(&catalog, keda).unwrap()));
        assert_eq!(with, without);
    }

    #[test]
    fn a_running_server_keeps_its_connections_when_fewer_are_needed() {
        let mut plan = samples::minimal();
        for (running, expected) in [(None, 200), (Some(100), 200), (Some(500), 500)] {
            if let DatabasePlan::Embedded(database) = &mut plan.database {
                database.running_connections = running;
            }
            assert_eq!(connections(&plan), expected);
        }
    }

    #[test]
    fn the_password_is_set_from_the_environment_alone() {
        assert!(SET_PASSWORD.contains("\\getenv password POSTGRES_PASSWORD"));
        assert!(!SET_PASSWORD.contains("$POSTGRES_PASSWORD"), "it would be an argument, or in the script");
    }
}
