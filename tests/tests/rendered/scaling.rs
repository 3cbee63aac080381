//! The queries of the rendered KEDA triggers work in a running shop.

use std::collections::BTreeMap;

use catalog_operator::build::keda::Trigger;
use catalog_tests::process::Environment;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::pods::Rendered;

/// Runs the query of every trigger on the servers at these addresses.
///
/// # Panics
/// If KEDA could not use a response.
pub async fn assert_triggers_work(rendered: &Rendered, servers: &Environment) {
    let objects = &rendered.objects.workloads.scaled_objects;
    assert_eq!(objects.len(), 3, "notifier, tracker and fulfiller");
    for object in objects {
        for trigger in &object.spec.triggers {
            match trigger.r#type.as_str() {
                "nats-jetstream" => assert_lag_is_readable(trigger, servers).await,
                "postgresql" => {
                    let mut connection = assert_query_is_zero(rendered, trigger, servers).await;
                    if trigger.metadata["query"].contains(" orders.orders ") {
                        assert_only_due_orders_count(&mut connection, &trigger.metadata["query"]).await;
                    }
                }
                other => panic!("this suite doesn't support triggers of type {other}"),
            }
        }
    }
}

/// <https://keda.sh/docs/latest/scalers/nats-jetstream/>
async fn assert_lag_is_readable(trigger: &Trigger, servers: &Environment) {
    let [stream, consumer] = ["stream", "consumer"].map(|name| trigger.metadata[name].as_str());
    let url: reqwest::Url = servers["NATS_URL"].parse().unwrap();
    let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
    let client = async_nats::ConnectOptions::with_user_and_password(user, password).connect(url.as_str()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(stream).await.unwrap();
    stream.consumer_info(consumer).await.unwrap();
    // The monitoring endpoint lists consumers by account.
    let Some(monitor) = servers.get("NATS_MONITOR") else { return };
    let url = format!("http://{monitor}/jsz?acc={}&consumers=true&config=true", trigger.metadata["account"]);
    let seen: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let seen = seen["account_details"].as_array().into_iter().flatten().flat_map(|it| it["stream_detail"].as_array().into_iter().flatten());
    let mut seen = seen.filter(|it| it["name"] == trigger.metadata["stream"]);
    let consumers = seen.next().and_then(|it| it["consumer_detail"].as_array()).into_iter().flatten();
    assert!(consumers.into_iter().any(|it| it["name"] == consumer), "the monitoring endpoint does not list {:?}", trigger.metadata);
}

/// <https://keda.sh/docs/latest/scalers/postgresql/>
async fn assert_query_is_zero(rendered: &Rendered, trigger: &Trigger, servers: &Environment) -> PgConnection {
    let mut parameters: BTreeMap<String, String> = trigger.metadata.clone();
    if let Some(reference) = &trigger.authentication_ref {
        let mut all = rendered.objects.workloads.trigger_authentications.iter();
        let found = all.find(|it| it.metadata.name.as_ref() == Some(&reference.name)).expect("the TriggerAuthentication is rendered");
        let secrets = found.spec.secret_target_ref.iter();
        parameters.extend(secrets.map(|it| (it.parameter.clone(), rendered.secret(&it.name, &it.key))));
    }
    let mut options: PgConnectOptions = servers["DATABASE_URL"].parse().unwrap();
    if let Some(connection) = parameters.get("connection") {
        connection.parse::<PgConnectOptions>().unwrap();
    } else {
        options = options.username(&parameters["userName"]).password(&parameters["password"]).database(&parameters["dbName"]);
    }
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    assert_eq!(count(&mut connection, &parameters["query"]).await, 0, "no mail is pending and no order is due");
    parameters["targetQueryValue"].parse::<u32>().unwrap();
    connection
}

async fn count(connection: &mut PgConnection, query: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(connection).await.unwrap()
}

/// Asserts that the query counts due orders only. The orders are not committed, so that the fulfiller ignores them.
async fn assert_only_due_orders_count(connection: &mut PgConnection, query: &str) {
    let mut transaction = connection.begin().await.unwrap();
    for (status, due_in) in
        [("pending", None), ("confirmed", Some("1 hour")), ("confirmed", Some("-1 hour")), ("fulfilled", Some("-1 hour"))]
    {
        sqlx::query(
            "INSERT INTO orders.orders (id, customer_id, status, total, created_at, updated_at, fulfil_at) \
             VALUES (gen_random_uuid(), gen_random_uuid(), $1, 1, now(), now(), now() + $2::text::interval)",
        )
        .bind(status)
        .bind(due_in)
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    assert_eq!(count(&mut transaction, query).await, 1, "only one order is due");
    transaction.rollback().await.unwrap();
}
