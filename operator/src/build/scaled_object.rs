//! Scaling of the workers by pending work.

use std::collections::BTreeMap;

use super::{
    environment::ACCOUNT,
    keda::{
        Advanced, AuthenticationRef, Behavior, Fallback, HpaConfig, ScaleDown, ScaleTargetRef, ScaledObject, ScaledObjectSpec,
        SecretTargetRef, Trigger, TriggerAuthentication, TriggerAuthenticationSpec,
    },
};
use crate::{
    crd::SslMode,
    metadata::{Component, metadata},
    validate::{DatabasePlan, MessagingPlan, Plan, PostgresAddress, SecretKey, WaitingRows, WorkerRole, WorkerScale},
};

/// Seconds between two polls of a trigger, and so the delay with which a worker scales up from zero.
const POLLING_SECONDS: i32 = 5;
/// Seconds without work before a worker scales down.
const COOLDOWN_SECONDS: i32 = 60;
/// Failed polls of a trigger before the fallback takes effect: 15 seconds.
const FAILURE_THRESHOLD: i32 = 3;

/// Builds the objects by which KEDA scales the workers.
pub fn scaled_objects(plan: &Plan) -> Vec<ScaledObject> {
    plan.workers().into_iter().filter_map(|(role, worker)| scaled_object(plan, role, worker.scale)).collect()
}

/// Builds the credentials of the triggers that query the database, one for each worker that has such a trigger.
pub fn trigger_authentications(plan: &Plan) -> Vec<TriggerAuthentication> {
    plan.workers().into_iter().filter_map(|(role, worker)| trigger_authentication(plan, role, worker.scale)).collect()
}

fn trigger_authentication(plan: &Plan, role: WorkerRole, scale: WorkerScale) -> Option<TriggerAuthentication> {
    let WorkerScale::Lag { .. } = scale else { return None };
    role.waiting_rows()?;
    let Database { parameters, .. } = database(plan)?;
    let parameter = |(parameter, SecretKey { secret, key }): (&str, &SecretKey)| SecretTargetRef {
        parameter: parameter.to_owned(),
        name: secret.clone(),
        key: key.clone(),
    };
    Some(TriggerAuthentication {
        metadata: metadata(plan, plan.shop.named(role.as_str()), Component::Worker(role)),
        spec: TriggerAuthenticationSpec { secret_target_ref: parameters.into_iter().map(parameter).collect() },
        ..TriggerAuthentication::default()
    })
}

fn scaled_object(plan: &Plan, role: WorkerRole, scale: WorkerScale) -> Option<ScaledObject> {
    let WorkerScale::Lag { min, max, threshold } = scale else { return None };
    let name = plan.shop.named(role.as_str());
    let triggers = lag(plan, role, threshold).into_iter().chain(waiting_rows(plan, role, threshold)).collect();
    Some(ScaledObject {
        metadata: metadata(plan, name.clone(), Component::Worker(role)),
        spec: ScaledObjectSpec {
            scale_target_ref: ScaleTargetRef { name },
            polling_interval: POLLING_SECONDS,
            cooldown_period: COOLDOWN_SECONDS,
            min_replica_count: min,
            max_replica_count: max,
            fallback: Fallback { failure_threshold: FAILURE_THRESHOLD, replicas: min.max(1) },
            advanced: Advanced {
                horizontal_pod_autoscaler_config: HpaConfig {
                    behavior: Behavior { scale_down: ScaleDown { stabilization_window_seconds: COOLDOWN_SECONDS } },
                },
            },
            triggers,
        },
        ..ScaledObject::default()
    })
}

/// <https://keda.sh/docs/latest/scalers/nats-jetstream/>
fn lag(plan: &Plan, role: WorkerRole, threshold: i32) -> Option<Trigger> {
    let (endpoint, account) = match &plan.messaging {
        MessagingPlan::Embedded(_) => (format!("{}.{}.svc:8222", plan.shop.named("nats"), plan.shop.namespace), "$G".to_owned()),
        MessagingPlan::External(messaging) => {
            (qualified_endpoint(plan, messaging.monitoring_endpoint.as_deref()?), messaging.account.clone())
        }
    };
    Some(Trigger {
        r#type: "nats-jetstream".into(),
        metadata: settings([
            ("natsServerMonitoringEndpoint", endpoint),
            ("account", account),
            ("stream", format!("{}_{}", plan.events_prefix, role.stream())),
            ("consumer", role.as_str().to_owned()),
            ("lagThreshold", threshold.to_string()),
        ]),
        authentication_ref: None,
    })
}

/// <https://keda.sh/docs/latest/scalers/postgresql/>
fn waiting_rows(plan: &Plan, role: WorkerRole, threshold: i32) -> Option<Trigger> {
    let WaitingRows { count, .. } = role.waiting_rows()?;
    let Database { mut address, .. } = database(plan)?;
    address.extend(settings([("query", count.to_owned()), ("targetQueryValue", threshold.to_string())]));
    Some(Trigger {
        r#type: "postgresql".into(),
        metadata: address,
        authentication_ref: Some(AuthenticationRef { name: plan.shop.named(role.as_str()) }),
    })
}

/// Address and credentials of the database for KEDA.
struct Database<'a> {
    address: BTreeMap<String, String>,
    parameters: Vec<(&'static str, &'a SecretKey)>,
}

/// Returns address and credentials of the database for KEDA, if KEDA can query it.
fn database(plan: &Plan) -> Option<Database<'_>> {
    if plan.database.keda_obstacle().is_some() {
        return None;
    }
    let parts = |host: String, port: i32, database: &str, ssl_mode: SslMode| {
        let ssl_mode = ssl_mode.as_str().to_owned();
        settings([("host", host), ("port", port.to_string()), ("dbName", database.to_owned()), ("sslmode", ssl_mode)])
    };
    Some(match &plan.database {
        DatabasePlan::Embedded(database) => {
            let host = format!("{}.{}.svc", plan.shop.named("postgres"), plan.shop.namespace);
            let mut address = parts(host, 5432, ACCOUNT, SslMode::Disable);
            address.insert("userName".into(), database.login.clone());
            Database { address, parameters: vec![("password", &database.password)] }
        }
        DatabasePlan::External(external) => match &external.address {
            PostgresAddress::Uri(uri) => Database { address: BTreeMap::new(), parameters: vec![("connection", uri)] },
            PostgresAddress::Parts { host, port, database, username, password } => {
                let address = parts(qualified(plan, host), *port, database, external.ssl_mode.unwrap_or(SslMode::Prefer));
                Database { address, parameters: vec![("userName", username), ("password", password)] }
            }
        },
    })
}

/// Returns a host name that KEDA's namespace can resolve. A name without a dot is a Service of the shop's namespace; other names and
/// addresses are returned unchanged.
fn qualified(plan: &Plan, host: &str) -> String {
    if host.contains(['.', ':']) { host.to_owned() } else { format!("{host}.{}.svc", plan.shop.namespace) }
}

/// Does the same as [`qualified`] for `host:port` and `[address]:port`.
fn qualified_endpoint(plan: &Plan, endpoint: &str) -> String {
    let Some((host, port)) = endpoint.rsplit_once(':') else { return qualified(plan, endpoint) };
    format!("{}:{port}", qualified(plan, host))
}

fn settings<const N: usize>(settings: [(&str, String); N]) -> BTreeMap<String, String> {
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    fn autoscaled() -> Plan {
        let mut plan = samples::minimal();
        plan.notifier.scale = WorkerScale::Lag { min: 0, max: 5, threshold: 50 };
        plan.tracker.scale = WorkerScale::Lag { min: 1, max: 8, threshold: 1000 };
        plan.fulfiller.scale = WorkerScale::Lag { min: 0, max: 4, threshold: 20 };
        plan
    }

    #[test]
    fn a_worker_is_scaled_by_its_lag_and_by_its_rows_in_the_database() {
        let plan = autoscaled();
        let objects = scaled_objects(&plan);
        for (name, min, consumes, threshold, counts) in [
            ("notifier", 0, "_changes", "50", Some("notifications.deliveries")),
            ("tracker", 1, "_views", "1000", None),
            ("fulfiller", 0, "_changes", "20", Some("orders.orders")),
        ] {
            let full_name = format!("shop-{name}");
            let spec = &objects.iter().find(|object| object.metadata.name.as_ref() == Some(&full_name)).unwrap().spec;
            assert_eq!((spec.min_replica_count, spec.scale_target_ref.name.as_str()), (min, full_name.as_str()));
            assert_eq!(spec.fallback.replicas, min.max(1), "the fallback is at least one pod");
            let lag = &spec.triggers[0].metadata;
            assert_eq!(lag["natsServerMonitoringEndpoint"], "shop-nats.shops.svc:8222");
            assert!(lag["stream"].ends_with(consumes) && lag["stream"].starts_with("shops_shop_"), "{lag:?}");
            assert_eq!((lag["consumer"].as_str(), lag["lagThreshold"].as_str()), (name, threshold));
            let query = spec.triggers.get(1);
            assert_eq!(query.is_some(), counts.is_some(), "{name}");
            if let (Some(query), Some(counts)) = (query, counts) {
                assert!(query.metadata["query"].contains(counts), "{query:?}");
                assert_eq!(query.metadata["targetQueryValue"], threshold);
                assert_eq!(query.authentication_ref.as_ref().unwrap().name, full_name);
            }
        }
        let authentications: Vec<_> = trigger_authentications(&plan).into_iter().filter_map(|object| object.metadata.name).collect();
        assert_eq!(authentications, ["shop-notifier", "shop-fulfiller"], "only for triggers that reference one");
    }

    #[test]
    fn a_worker_with_rows_that_keda_cannot_count_does_not_scale_to_zero() {
        // Its notifier and its fulfiller have minReplicas: 0.
        let plan = samples::full();
        for object in scaled_objects(&plan) {
            assert_eq!((object.spec.min_replica_count, object.spec.triggers.len()), (1, 1), "{:?}", object.metadata.name);
        }
        assert!(trigger_authentications(&plan).is_empty());
    }

    #[test]
    fn host_names_without_a_dot_get_the_namespace_of_the_shop() {
        let plan = samples::minimal();
        for (host, resolved) in [
            ("acid-shop", "acid-shop.shops.svc"),
            ("acid-shop.data", "acid-shop.data"),
            ("db.example.com", "db.example.com"),
            ("db.", "db."),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(qualified(&plan, host), resolved);
        }
        for (endpoint, resolved) in
            [("nats:8222", "nats.shops.svc:8222"), ("nats.events:8222", "nats.events:8222"), ("[2001:db8::1]:8222", "[2001:db8::1]:8222")]
        {
            assert_eq!(qualified_endpoint(&plan, endpoint), resolved);
        }
    }

    #[test]
    fn triggers_of_external_servers_have_host_names_that_keda_can_resolve() {
        let (catalog, observed) = samples::short_host_input();
        let plan = crate::validate::validate(&catalog, &observed).unwrap();
        let triggers: Vec<_> = scaled_objects(&plan).into_iter().flat_map(|object| object.spec.triggers).collect();
        let of = |key: &str| triggers.iter().filter_map(|trigger| trigger.metadata.get(key)).collect::<Vec<_>>();
        assert_eq!(of("host"), ["acid-shop.shops.svc"; 2]);
        assert_eq!(of("natsServerMonitoringEndpoint"), ["nats.shops.svc:8222"; 2]);
    }

    #[test]
    fn workers_with_fixed_replicas_have_no_objects_of_keda() {
        assert!(scaled_objects(&samples::minimal()).is_empty());
        assert!(trigger_authentications(&samples::minimal()).is_empty());
    }
}
