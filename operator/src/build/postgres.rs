//! The embedded PostgreSQL, in an image that keeps the contract of the official one: owner and database come from the
//! environment, the data lies below `/var/lib/postgresql`.
//!
//! A second container gives it the login roles of the Secret. The Secret is mounted, so that another password doesn't
//! restart the server.

use k8s_openapi::{
    api::core::v1::{
        Container, EmptyDirVolumeSource, ExecAction, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, Volume, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    container,
    environment::{self, ACCOUNT},
    files::Files,
    metadata::Component,
    persistent_volume_claim::data_volume,
};
use crate::validate::{EmbeddedDatabasePlan, Plan};

/// The user `postgres` of the official image (not of its Alpine variant, which has another).
const USER: i64 = 999;
/// Gives PostgreSQL the login roles of the Secret.
const SET_LOGIN_ROLES: &str = include_str!("set-login-roles.sh");
/// Where that Secret is mounted.
const LOGIN_ROLES: &str = "/etc/catalog/login-roles";
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
            // The image asks for one to create the data directory. It is removed when the login roles are set.
            environment::plain("POSTGRES_PASSWORD_FILE", "/proc/sys/kernel/random/uuid"),
            // Below the mount in every release: images before 18 declare another volume at their default place, which goes
            // with the container. And data of another release stops the server, where another directory would be empty.
            environment::plain("PGDATA", "/var/lib/postgresql/pgdata"),
        ]),
        ports: Some(vec![container::port("postgres", 5432)]),
        resources: Some(container::resources(&database.resources)),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        // Half an hour: after a crash it goes through its log before it takes connections.
        startup_probe: Some(is_ready(2, 900)),
        liveness_probe: Some(is_ready(10, 12)),
        readiness_probe: Some(is_ready(3, 2)),
        volume_mounts: Some(vec![data_mount, tmp_mount.clone(), run_mount.clone(), shared_mount]),
        ..Container::default()
    };
    let mut files = Files::default();
    files.mount_login_roles(&database.password.secret, LOGIN_ROLES);
    let login_roles = Container {
        name: "login-roles".into(),
        image: Some(database.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(["sh", "-c", SET_LOGIN_ROLES].map(str::to_owned).to_vec()),
        env: Some(vec![environment::plain("POSTGRES_USER", ACCOUNT), environment::plain("LOGIN_ROLES", LOGIN_ROLES)]),
        resources: Some(login_roles_resources()),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        volume_mounts: Some(files.mounts.into_iter().chain([tmp_mount, run_mount]).collect()),
        ..Container::default()
    };
    let spec = PodSpec {
        containers: vec![container, login_roles],
        volumes: Some([data_volume(&database.volume), tmp, run, shared].into_iter().chain(files.volumes).collect()),
        image_pull_secrets: container::pull_secrets(plan),
        security_context: Some(container::pod_security(USER)),
        termination_grace_period_seconds: Some(120),
        ..PodSpec::default()
    };
    container::template(plan, Component::Postgres, std::collections::BTreeMap::new(), spec)
}

fn login_roles_resources() -> ResourceRequirements {
    let amounts =
        |amounts: &[(&str, &str)]| amounts.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect();
    ResourceRequirements {
        requests: Some(amounts(&[("cpu", "10m"), ("memory", "16Mi")])),
        limits: Some(amounts(&[("memory", "64Mi")])),
        claims: None,
    }
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
    fn another_password_or_login_role_leaves_the_pod_as_it_is() {
        let mut plan = samples::minimal();
        let DatabasePlan::Embedded(database) = &plan.database else { unreachable!("the sample has an embedded database") };
        let before = template(&plan, database);
        plan.digests.insert("shop-postgres".into(), [("catalog_b".to_owned(), [1; 32])].into());
        let DatabasePlan::Embedded(database) = &mut plan.database else { unreachable!("the sample has an embedded database") };
        database.login = "catalog_b".into();
        database.password.key = "catalog_b".into();
        let database = database.clone();
        assert_eq!(template(&plan, &database), before);
    }
}
