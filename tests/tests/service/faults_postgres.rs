//! Outages of PostgreSQL: responses are 503 with `Retry-After`, and processes recover without a restart.

use catalog_tests::{
    Role, Shop,
    people::{ADA, GRACE},
    samples::{self, create},
    wait::{check, eventually},
};
use serde_json::json;
use sqlx::Connection;

#[tokio::test]
async fn without_the_database_requests_get_503_until_it_is_available_again() {
    let mut shop = Shop::builder().private_postgres().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::product("T-1")).await;
    let unread = create(&shop.ada, &samples::product("T-2")).await;
    shop.inbox().at_least(4).await;
    shop.wait_until_idle().await;
    shop.postgres_mut().stop().await;

    let login = json!({"username": ADA.0, "password": ADA.2});
    let create_body = samples::plain("T-3");
    let bulk = json!({"items": [create_body]});
    let patch = json!({"name": "x"});
    let calls = [
        shop.anyone.get(&unread.path),
        shop.anyone.get("/v1/products/by-sku/T-1"),
        shop.anyone.get("/v1/products"),
        shop.anyone.get(&product.at("stock")),
        shop.anyone.post("/v1/auth/login", &login),
        shop.anyone.post("/v1/auth/refresh", &json!({"refresh_token": "x".repeat(43)})),
        // Whether the account is active cannot be checked; it is not signed out.
        shop.ada.get("/v1/admins"),
        shop.ada.get(&product.path.replace("products", "admins")),
        shop.ada.post("/v1/products", &create_body),
        shop.ada.patch(&product.path, &patch),
        shop.ada.delete(&product.path),
        shop.ada.post_empty(&product.at("restore")),
        shop.ada.post("/v1/products/bulk", &bulk),
        shop.ada.get(&product.at("views")),
        shop.ada.get("/v1/reports/views"),
        shop.ada.get("/v1/reports/top-products"),
    ];
    for reply in futures::future::join_all(calls.map(IntoFuture::into_future)).await {
        reply.problem(503, "unavailable");
    }
    // Requests that don't use the database are served.
    shop.anyone.get("/.well-known/jwks.json").await.expect(200);
    shop.anyone.get("/openapi.json").await.expect(200);
    for role in [Role::Serve, Role::Notifier, Role::Tracker] {
        assert_eq!(shop.ops(role, "/readyz").await.0, 200, "{role}: an outage must not make the process unready");
        assert!(shop.ops(role, "/readyz?verbose").await.1.contains("[-] postgresql"), "{role}");
    }

    let pids = [Role::Serve, Role::Notifier, Role::Tracker].map(|role| shop.process(role).pid());
    shop.postgres_mut().start().await;
    eventually("reads are answered again", async || {
        let status = shop.anyone.get("/v1/products").await.status;
        check(status == 200, || status)
    })
    .await;
    shop.inbox().clear().await;
    eventually("writes are answered again", async || {
        let status = shop.ada.patch(&product.path, &json!({"name": "Back again"})).await.status;
        check(status == 200, || status)
    })
    .await;
    shop.inbox().mail_about(GRACE.1, "Back again").await;
    shop.anyone.get(&unread.path).await.expect(200);
    shop.views_reach(&unread.id, 1).await;
    for (role, pid) in [Role::Serve, Role::Notifier, Role::Tracker].into_iter().zip(pids) {
        assert!(shop.process(role).is_running() && shop.process(role).pid() == pid, "{role} was restarted");
    }
}

#[tokio::test]
async fn a_database_that_rejects_connections_is_unavailable() {
    let mut shop = Shop::builder().only_api().private_postgres().allow_error_logs().start().await;
    let (server, name) = (shop.postgres_mut().url("postgres"), shop.prefix().to_owned());
    let mut operator = sqlx::PgConnection::connect(&server).await.unwrap();
    let mut allow = async |allowed: bool| {
        let change = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut operator).await.unwrap();
        let end = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1").bind(&name);
        end.execute(&mut operator).await.unwrap();
    };
    allow(false).await;
    eventually("every connection is rejected", async || {
        let reply = shop.anyone.get("/v1/products").await;
        assert_ne!(reply.status, 500);
        check(reply.status == 503, || reply.status)
    })
    .await;
    for reply in [shop.anyone.get("/v1/products").await, shop.ada.post("/v1/products", &samples::plain("T-1")).await] {
        reply.problem(503, "unavailable");
    }
    allow(true).await;
    eventually("the API responds with 200 again", async || {
        let status = shop.ada.get("/v1/products").await.status;
        check(status == 200, || status)
    })
    .await;
}

#[tokio::test]
async fn views_served_during_a_database_outage_are_counted_afterwards() {
    let mut shop = Shop::builder().roles(&[Role::Serve, Role::Tracker]).private_postgres().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    // After the events of its own changes, the product stays in the cache.
    shop.wait_until_idle().await;
    let marker = create(&shop.ada, &samples::plain("marker")).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.anyone.get(&marker.path).await.expect(200);
    shop.views_reach(&product.id, 1).await;
    shop.postgres_mut().stop().await;
    let mut served = 0;
    for _ in 0..50 {
        if shop.anyone.get(&product.path).await.status != 200 {
            break;
        }
        served += 1;
    }
    assert!(served > 0, "nothing was served from the cache");
    shop.postgres_mut().start().await;
    eventually("the database answers again", async || {
        let status = shop.anyone.get("/v1/products").await.status;
        check(status == 200, || status)
    })
    .await;
    shop.views_reach(&product.id, served + 1).await;
}

#[tokio::test]
async fn a_killed_database_keeps_every_committed_change() {
    let mut shop = Shop::builder().private_postgres().allow_error_logs().start().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let mut confirmed = Vec::new();
    for round in 0..3 {
        let ada = shop.ada.clone();
        let path = product.path.clone();
        let writer = tokio::spawn(async move {
            let mut done = Vec::new();
            for number in 0..2000 {
                let name = format!("Change {round}-{number} made");
                let reply = ada.patch(&path, &json!({"name": name})).await;
                if reply.status != 200 {
                    assert_eq!(reply.status, 503, "{}", reply.text());
                    break;
                }
                done.push(name);
            }
            done
        });
        // Some have been committed.
        eventually("changes are under way", async || {
            let name = shop.anyone.get(&product.path).await.json()["name"].as_str().unwrap_or_default().to_owned();
            check(name.starts_with(&format!("Change {round}-")) && !name.contains("-0 "), || name)
        })
        .await;
        shop.postgres_mut().stop().await;
        let done = writer.await.unwrap();
        assert!(!done.is_empty());
        confirmed.extend(done);
        shop.postgres_mut().start().await;
        eventually("the database answers again", async || {
            let status = shop.ada.get("/v1/admins").await.status;
            check(status == 200, || status)
        })
        .await;
    }
    let last = shop.anyone.get(&product.path).await.expect(200).json();
    assert!(last["version"].as_u64().unwrap() > confirmed.len() as u64);
    for name in [&confirmed[0], confirmed.last().unwrap()] {
        shop.inbox().mail_about(GRACE.1, name).await;
    }
    shop.wait_until_idle().await;
    let mails = shop.inbox().mails_for(GRACE.1).await;
    for name in &confirmed {
        assert!(mails.iter().any(|mail| mail.mentions(name)), "no mail about {name}");
    }
}
