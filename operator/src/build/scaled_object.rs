//! Scaling of the workers by waiting work.

use std::collections::BTreeMap;

use super::{
    environment::ACCOUNT,
    keda::{
        Advanced, AuthenticationRef, Behavior, HpaConfig, ScaleDown, ScaleTargetRef, ScaledObject, ScaledObjectSpec, SecretTargetRef,
        Trigger, TriggerAuthentication, TriggerAuthenticationSpec,
    },
    metadata::{Component, metadata},
};
use crate::{
    crd::SslMode,
    validate::{DatabasePlan, MessagingPlan, Plan, PostgresAddress, SecretKey, WorkerScale},
};

/// Seconds between two looks at what waits: a sleeping worker wakes as soon.
const POLLING_SECONDS: i32 = 5;
/// Seconds without work before a worker sleeps, or before there are fewer.
const COOLDOWN_SECONDS: i32 = 60;
/// Mails that wait, as `catalog` keeps them (api/migrations).
const PENDING: &str = "SELECT count(*) FROM notifications.deliveries WHERE state = 'pending'";

/// What KEDA scales.
pub fn scaled_objects(plan: &Plan) -> Vec<ScaledObject> {
    let notifier = scaled_object(plan, Component::Notifier, plan.notifier.scale, "changes");
    let tracker = scaled_object(plan, Component::Tracker, plan.tracker.scale, "views");
    notifier.into_iter().chain(tracker).collect()
}

/// Credentials of the notifier's trigger on waiting mails.
pub fn trigger_authentications(plan: &Plan) -> Vec<TriggerAuthentication> {
    let WorkerScale::Lag { .. } = plan.notifier.scale else { return Vec::new() };
    let Some(Database { parameters, .. }) = database(plan) else { return Vec::new() };
    let parameter = |(parameter, SecretKey { secret, key }): (&str, &SecretKey)| SecretTargetRef {
        parameter: parameter.to_owned(),
        name: secret.clone(),
        key: key.clone(),
    };
    vec![TriggerAuthentication {
        metadata: metadata(plan, plan.shop.named("notifier"), Component::Notifier),
        spec: TriggerAuthenticationSpec { secret_target_ref: parameters.into_iter().map(parameter).collect() },
        ..TriggerAuthentication::default()
    }]
}

fn scaled_object(plan: &Plan, component: Component, scale: WorkerScale, stream: &str) -> Option<ScaledObject> {
    let WorkerScale::Lag { min, max, threshold } = scale else { return None };
    let name = plan.shop.named(component.as_str());
    let mut triggers: Vec<Trigger> = lag(plan, component, stream, threshold).into_iter().collect();
    if component == Component::Notifier {
        triggers.extend(waiting_mails(plan, threshold));
    }
    Some(ScaledObject {
        metadata: metadata(plan, name.clone(), component),
        spec: ScaledObjectSpec {
            scale_target_ref: ScaleTargetRef { name },
            polling_interval: POLLING_SECONDS,
            cooldown_period: COOLDOWN_SECONDS,
            min_replica_count: min,
            max_replica_count: max,
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
fn lag(plan: &Plan, component: Component, stream: &str, threshold: i32) -> Option<Trigger> {
    let (endpoint, account) = match &plan.messaging {
        MessagingPlan::Embedded(_) => (format!("{}.{}.svc:8222", plan.shop.named("nats"), plan.shop.namespace), "$G".to_owned()),
        MessagingPlan::External(messaging) => (messaging.monitoring_endpoint.clone()?, messaging.account.clone()),
    };
    Some(Trigger {
        r#type: "nats-jetstream".into(),
        metadata: settings([
            ("natsServerMonitoringEndpoint", endpoint),
            ("account", account),
            ("stream", format!("{}_{stream}", plan.events_prefix)),
            ("consumer", component.as_str().to_owned()),
            ("lagThreshold", threshold.to_string()),
        ]),
        authentication_ref: None,
    })
}

/// <https://keda.sh/docs/latest/scalers/postgresql/>
fn waiting_mails(plan: &Plan, threshold: i32) -> Option<Trigger> {
    let Database { mut address, .. } = database(plan)?;
    address.extend(settings([("query", PENDING.to_owned()), ("targetQueryValue", threshold.to_string())]));
    Some(Trigger {
        r#type: "postgresql".into(),
        metadata: address,
        authentication_ref: Some(AuthenticationRef { name: plan.shop.named("notifier") }),
    })
}

/// How KEDA reaches the database.
struct Database<'a> {
    address: BTreeMap<String, String>,
    parameters: Vec<(&'static str, &'a SecretKey)>,
}

/// How KEDA reaches the database, if it can.
fn database(plan: &Plan) -> Option<Database<'_>> {
    if !plan.database.is_open_to_keda() {
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
            address.insert("userName".into(), ACCOUNT.into());
            Database { address, parameters: vec![("password", &database.password)] }
        }
        DatabasePlan::External(external) => match &external.address {
            PostgresAddress::Uri(uri) => Database { address: BTreeMap::new(), parameters: vec![("connection", uri)] },
            PostgresAddress::Parts { host, port, database, username, password } => {
                let address = parts(host.clone(), *port, database, external.ssl_mode.unwrap_or(SslMode::Prefer));
                Database { address, parameters: vec![("userName", username), ("password", password)] }
            }
        },
    })
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
        plan
    }

    #[test]
    fn the_notifier_wakes_for_changes_and_for_waiting_mail() {
        let objects = scaled_objects(&autoscaled());
        let triggers: Vec<&str> = objects[0].spec.triggers.iter().map(|trigger| trigger.r#type.as_str()).collect();
        assert_eq!(triggers, ["nats-jetstream", "postgresql"]);
        assert_eq!(objects[0].spec.min_replica_count, 0);
        assert_eq!(objects[1].spec.triggers.len(), 1);
        let lag = &objects[1].spec.triggers[0].metadata;
        assert_eq!(lag["natsServerMonitoringEndpoint"], "shop-nats.shops.svc:8222");
        assert!(lag["stream"].ends_with("_views") && lag["stream"].starts_with("shops_shop_"), "{lag:?}");
    }

    #[test]
    fn a_notifier_that_keda_could_not_wake_for_mail_does_not_sleep() {
        // Its spec asks for none.
        let plan = samples::full();
        let objects = scaled_objects(&plan);
        assert_eq!((objects[0].spec.min_replica_count, objects[0].spec.triggers.len()), (1, 1));
        assert!(trigger_authentications(&plan).is_empty());
    }

    #[test]
    fn fixed_workers_are_nothing_of_kedas() {
        assert!(scaled_objects(&samples::minimal()).is_empty());
        assert!(trigger_authentications(&samples::minimal()).is_empty());
    }
}
