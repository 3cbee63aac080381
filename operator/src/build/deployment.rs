//! Deployments of the API and the workers.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{Container, ContainerPort, EnvVar, Lifecycle, LifecycleHandler, PodSpec, SleepAction},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    container,
    environment::{self, HTTP_PORT, OPS_PORT, SHUTDOWN_SECONDS},
    files::Files,
};
use crate::{
    crd::PullPolicy,
    metadata::{Component, metadata, selector},
    validate::{ApiScale, Plan, RolePlan, WorkerRole, WorkerScale},
};

/// Seconds that the API keeps accepting requests before it gets SIGTERM: kube-proxy may still route to the pod for a few seconds after it
/// starts terminating.
const DRAIN_SECONDS: i64 = 5;
/// Seconds between the end of `SHUTDOWN_TIMEOUT` and SIGKILL.
const SPARE_SECONDS: i64 = 5;

/// Builds the Deployments of the API and the workers.
pub fn deployments(plan: &Plan) -> Vec<Deployment> {
    let workers = plan.workers().map(|(role, worker)| self::worker(plan, role, worker));
    std::iter::once(api(plan)).chain(workers).collect()
}

fn api(plan: &Plan) -> Deployment {
    let replicas = match plan.api.scale {
        ApiScale::Fixed(replicas) => Some(replicas),
        ApiScale::Cpu { .. } => None,
    };
    let mut files = Files::default();
    files.mount_signing_keys(&plan.auth.signing_keys);
    let drain = LifecycleHandler { sleep: Some(SleepAction { seconds: DRAIN_SECONDS }), ..LifecycleHandler::default() };
    let container = Container {
        args: Some(vec!["serve".into()]),
        ports: Some(vec![container::port("http", HTTP_PORT), container::port("ops", OPS_PORT)]),
        lifecycle: Some(Lifecycle { pre_stop: Some(drain), ..Lifecycle::default() }),
        ..Container::default()
    };
    deployment(plan, Component::Api, &plan.api, replicas, Role { container, settings: environment::api(plan), files, drain: DRAIN_SECONDS })
}

fn worker(plan: &Plan, role: WorkerRole, worker: &RolePlan<WorkerScale>) -> Deployment {
    let replicas = match worker.scale {
        WorkerScale::Fixed(replicas) => Some(replicas),
        // The autoscaler owns the field.
        WorkerScale::Lag { .. } => None,
    };
    let ops: ContainerPort = container::port("ops", OPS_PORT);
    let container = Container { args: Some(vec![role.as_str().into()]), ports: Some(vec![ops]), ..Container::default() };
    let own = Role { container, settings: environment::worker(plan, role), files: Files::default(), drain: 0 };
    deployment(plan, Component::Worker(role), worker, replicas, own)
}

/// The parts of a Deployment that differ between roles.
struct Role {
    container: Container,
    settings: Vec<EnvVar>,
    files: Files,
    drain: i64,
}

fn deployment<Scale>(plan: &Plan, component: Component, role: &RolePlan<Scale>, replicas: Option<i32>, own: Role) -> Deployment {
    let Role { container, mut settings, mut files, drain } = own;
    settings.extend(environment::database(plan, &mut files));
    settings.extend(environment::events(plan, &mut files));
    settings.extend(environment::operations());
    settings.extend(environment::additional(&role.pod.env));
    let container = Container {
        name: component.as_str().into(),
        image: Some(plan.release.image.clone()),
        image_pull_policy: Some(pull_policy(plan.release.pull_policy).into()),
        env: Some(settings),
        resources: Some(container::resources(&role.resources)),
        security_context: Some(container::security()),
        termination_message_policy: Some(container::TERMINATION_MESSAGE_POLICY.into()),
        // Roles start immediately. Unavailable dependencies only affect the readiness probe.
        startup_probe: Some(container::http_probe("/livez", "ops", 1, 60)),
        liveness_probe: Some(container::http_probe("/livez", "ops", 10, 3)),
        readiness_probe: Some(container::http_probe("/readyz", "ops", 3, 2)),
        volume_mounts: (!files.mounts.is_empty()).then_some(files.mounts),
        ..container
    };
    let spec = PodSpec {
        containers: vec![container],
        volumes: (!files.volumes.is_empty()).then_some(files.volumes),
        image_pull_secrets: container::pull_secrets(plan),
        security_context: Some(container::pod_security(container::USER)),
        termination_grace_period_seconds: Some(drain + SHUTDOWN_SECONDS + SPARE_SECONDS),
        topology_spread_constraints: Some(container::topology_spread(plan, component)),
        node_selector: (!role.pod.node_selector.is_empty()).then(|| role.pod.node_selector.clone()),
        tolerations: (!role.pod.tolerations.is_empty()).then(|| role.pod.tolerations.clone()),
        affinity: role.pod.affinity.clone(),
        ..PodSpec::default()
    };
    Deployment {
        metadata: metadata(plan, plan.shop.named(component.as_str()), component),
        spec: DeploymentSpec {
            replicas,
            revision_history_limit: Some(3),
            selector: selector(plan, component),
            // A pod is only terminated when its replacement is ready.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: container::template(plan, component, role.pod.annotations.clone(), spec),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

/// Returns the value of `imagePullPolicy`.
pub fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    fn replicas(plan: &Plan) -> Vec<Option<i32>> {
        deployments(plan).iter().map(|deployment| deployment.spec.replicas).collect()
    }

    #[test]
    fn replicas_are_declared_unless_an_autoscaler_owns_them() {
        assert_eq!(replicas(&samples::minimal()), [Some(2), Some(1), Some(1), Some(1)]);
        assert_eq!(replicas(&samples::full()), [None; 4]);
    }

    #[test]
    fn pods_live_long_enough_to_drain() {
        let grace = |deployment: &Deployment| deployment.spec.template.spec.as_ref()?.termination_grace_period_seconds;
        assert_eq!(deployments(&samples::minimal()).iter().map(grace).collect::<Vec<_>>(), [Some(40), Some(35), Some(35), Some(35)]);
    }

    #[test]
    fn a_change_replaces_only_the_pods_that_use_it() {
        let replaced = |edit: fn(&mut Plan)| {
            let mut plan = samples::full();
            let before = deployments(&plan);
            edit(&mut plan);
            let pairs = before.iter().zip(deployments(&plan));
            pairs.map(|(before, after)| before.spec.template != after.spec.template).collect::<Vec<_>>()
        };
        assert_eq!(replaced(|plan| plan.mail.server = "mail.example.org".into()), [false, true, false, false]);
        assert_eq!(replaced(|plan| plan.auth.access_token_life *= 2), [true, false, false, false]);
        let delayed = |plan: &mut Plan| {
            plan.fulfiller.pod.env =
                vec![crate::crd::EnvVar { name: "FULFILMENT_DELAY".into(), value: Some("1h".into()), value_from: None }];
        };
        assert_eq!(replaced(delayed), [false, false, false, true]);
    }

    #[test]
    fn pods_have_the_settings_of_the_spec() {
        let deployment = &deployments(&samples::full())[0];
        let template = &deployment.spec.template;
        let pod = template.spec.as_ref().unwrap();
        assert_eq!(pod.node_selector.as_ref().unwrap()["kubernetes.io/arch"], "amd64");
        assert_eq!(pod.tolerations.as_ref().unwrap().len(), 1);
        assert!(pod.affinity.is_some());
        assert_eq!(pod.image_pull_secrets.as_ref().unwrap()[0].name, "registry");
        assert_eq!(template.metadata.as_ref().unwrap().annotations.as_ref().unwrap()["example.com/team"], "shop");
        let container = &pod.containers[0];
        assert_eq!(container.image.as_deref(), Some("registry.example.com/catalog:1.2.0"));
        assert!(container.env.as_ref().unwrap().iter().any(|variable| variable.name == "ACCESS_LOG_SAMPLE"));
    }
}
