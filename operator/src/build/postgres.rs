//! The embedded PostgreSQL. Its image must be compatible with the official one: variables name owner and database, and the data is below
//! `/var/lib/postgresql`.
//!
//! A second container creates the login roles of the Secret and sets their passwords. The Secret is mounted, so that a new password
//! doesn't restart the server.

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
    persistent_volume_claim::data_volume,
};
use crate::{
    metadata::Component,
    validate::{EmbeddedDatabasePlan, Plan},
};

/// User id of `postgres` in the official image. Its Alpine variant has another one.
const USER: i64 = 999;
/// Script that creates the login roles of the Secret and sets their passwords.
const SET_LOGIN_ROLES: &str = include_str!("set-login-roles.sh");
/// Directory of the passwords of the login roles.
const LOGIN_ROLES: &str = "/etc/catalog/login-roles";
/// `max_connections` is a multiple of this, because every change of it restarts the server.
const CONNECTIONS_STEP: i32 = 100;

/// Builds the pod template.
pub fn template(plan: &Plan, database: &EmbeddedDatabasePlan) -> PodTemplateSpec {
    let (tmp, tmp_mount) = container::empty_dir("tmp", "/tmp");
    let (run, run_mount) = container::empty_dir("run", "/var/run/postgresql");
    let data_mount = VolumeMount { name: "data".into(), mount_path: "/var/lib/postgresql".into(), ..VolumeMount::default() };
    // Parallel queries use shared memory, and the default of a container is only 64 MiB.
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
            // The image requires a password to initialise the data directory. The login-roles container removes it.
            environment::plain("POSTGRES_PASSWORD_FILE", "/proc/sys/kernel/random/uuid"),
            // The same directory in all releases. Images before 18 declare a volume at their default directory, which is deleted with
            // the container. Data of another major release makes the server exit, where a new directory would be empty.
            environment::plain("PGDATA", "/var/lib/postgresql/pgdata"),
        ]),
        ports: Some(vec![container::port("postgres", 5432)]),
        resources: Some(container::resources(&database.resources)),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        // Half an hour: after a crash the server replays its write-ahead log before it accepts connections.
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
        command: Some(vec!["sh".into(), "-c".into(), without_comments(SET_LOGIN_ROLES)]),
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

/// Removes comments and empty lines from a script. It is part of the pod template, so every change of it restarts the server.
fn without_comments(script: &str) -> String {
    let is_comment = |line: &str| (line.starts_with('#') && !line.starts_with("#!")) || line.starts_with("-- ");
    let lines = script.lines().filter(|line| !line.is_empty() && !is_comment(line.trim_start()));
    lines.flat_map(|line| [line, "\n"]).collect()
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

/// Builds a probe by TCP. The temporary server that initialises the data directory doesn't listen on TCP.
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

/// Returns `max_connections`: enough for all declared pods, two more pods per role during a rollout, and 20 connections for people. A
/// server that was started with more keeps them, because a restart is more expensive than the memory of unused connections.
fn connections(plan: &Plan, database: &EmbeddedDatabasePlan) -> i32 {
    let for_role = |pods: i32, connections: i32| pods.saturating_add(2).saturating_mul(connections);
    let workers = plan.workers().map(|(_, worker)| for_role(worker.max_replicas, worker.connections));
    let needed = workers.into_iter().fold(for_role(plan.api.max_replicas, plan.api.connections), i32::saturating_add).saturating_add(20);
    let needed = ((needed - 1) / CONNECTIONS_STEP + 1).saturating_mul(CONNECTIONS_STEP);
    // The limit of PostgreSQL is 262143.
    needed.max(database.running_connections.unwrap_or(0)).clamp(CONNECTIONS_STEP, 10_000)
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};
    use crate::validate::{DatabasePlan, validate_offline};

    fn connections(plan: &Plan) -> i32 {
        let DatabasePlan::Embedded(database) = &plan.database else { unreachable!("the sample has an embedded database") };
        super::connections(plan, database)
    }

    #[test]
    fn there_are_connections_for_the_maximum_number_of_pods() {
        let mut plan = samples::minimal();
        assert_eq!(connections(&plan), 200);
        plan.api.max_replicas = 10;
        plan.tracker.max_replicas = 8;
        assert_eq!(connections(&plan), 300);
        plan.fulfiller.max_replicas = 2;
        assert_eq!(connections(&plan), 400);
        plan.api.connections = i32::MAX;
        assert_eq!(connections(&plan), 10_000);
    }

    #[test]
    fn connections_do_not_depend_on_keda() {
        let (mut catalog, _) = samples::minimal_input();
        let by = |min_replicas| Some(crate::crd::WorkerAutoscaling { min_replicas, max_replicas: 20, lag_threshold: None });
        (catalog.spec.tracker.autoscaling, catalog.spec.notifier.autoscaling) = (by(0), by(2));
        let [with, without] = [true, false].map(|keda| connections(&validate_offline(&catalog, keda).unwrap()));
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
    fn an_edited_comment_of_the_script_does_not_replace_the_pod() {
        let before = "#!/bin/sh\nset -e # exit\n\npsql <<'SQL'\n  -- why\nSELECT '#1';\nSQL\n  # why\necho '# done' -- x\n";
        let after = "#!/bin/sh\n# explains\nset -e # exit\npsql <<'SQL'\nSELECT '#1';\nSQL\necho '# done' -- x\n";
        assert_eq!(without_comments(before), without_comments(after));
        assert_eq!(without_comments(before), "#!/bin/sh\nset -e # exit\npsql <<'SQL'\nSELECT '#1';\nSQL\necho '# done' -- x\n");
        let plan = samples::minimal();
        let DatabasePlan::Embedded(database) = &plan.database else { unreachable!("the sample has an embedded database") };
        let spec = template(&plan, database).spec.unwrap();
        let script = spec.containers[1].command.as_ref().unwrap()[2].clone();
        assert!(script.contains("\nset_login_roles() {\n") && script.ends_with("\ndone\n"), "{script}");
        let comments: Vec<_> = script.lines().filter(|line| line.trim_start().starts_with(['#', '-'])).collect();
        assert!(comments.is_empty(), "{comments:?}");
    }

    #[test]
    fn a_new_password_or_login_role_does_not_replace_the_pod() {
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
