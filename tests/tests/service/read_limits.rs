//! Lists, reports and single reads have separate limits, so that they don't starve orders.

use catalog_tests::{
    Api, Role, Shop,
    buying::{order, stocked},
    people::ADA,
    samples::{self, create},
    wait::{check, eventually},
};
use futures::future::join_all;
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};

/// Takes a lock that blocks lists but not orders.
async fn block_lists(database: &PgPool) -> Transaction<'static, Postgres> {
    let mut tx = database.begin().await.unwrap();
    sqlx::query("LOCK TABLE products.popularity IN ACCESS EXCLUSIVE MODE").execute(&mut *tx).await.unwrap();
    tx
}

async fn in_use(shop: &mut Shop, kind: &str, count: f64) {
    eventually("the permits are in use", async || {
        let used = shop.metric(Role::Serve, "database_read_permits_in_use", &[kind]).await;
        check(used == Some(count), || used)
    })
    .await;
}

#[tokio::test]
async fn waiting_lists_are_rejected_while_orders_and_sign_ins_continue() {
    let settings = [("DATABASE_LIST_CONNECTIONS", "1"), ("DATABASE_LIST_TIMEOUT", "1m"), ("DATABASE_MAX_CONNECTIONS", "5")];
    let builder = settings.iter().fold(Shop::builder().only_api().allow_error_logs(), |shop, (name, value)| shop.setting(name, *value));
    let mut shop = builder.start().await;
    let product = stocked(&shop.ada, "T-1", 1000).await;
    let blocked = block_lists(&shop.database).await;
    let anyone = shop.anyone.clone();
    let first = tokio::spawn(async move { anyone.get("/v1/products").await });
    in_use(&mut shop, "lists", 1.0).await;

    let others = join_all((0..60).map(|_| shop.anyone.get("/v1/products").into_future()));
    let orders = async {
        for _ in 0..20 {
            order(&shop.carol, &[(&product, 1)]).await.expect(201);
        }
        shop.anyone.post("/v1/auth/login", &json!({"username": ADA.0, "password": ADA.2})).await.expect(200);
        shop.anyone.get(&product.path).await.expect(200);
        shop.anyone.get("/v1/products/by-sku/T-1").await.expect(200);
        shop.ada.get("/v1/reports/top-products").await.expect(200);
    };
    let (others, ()) = futures::join!(others, orders);
    for reply in others {
        let problem = reply.problem(503, "too-busy");
        assert!(problem["detail"].as_str().unwrap().contains("Retry-After"), "{problem}");
    }
    let rejected = "database_reads_rejected_total";
    let by = async |shop: &mut Shop, reason| shop.metric(Role::Serve, rejected, &["lists", reason]).await.unwrap_or_default();
    let (full, late) = (by(&mut shop, "queue_full").await, by(&mut shop, "timeout").await);
    assert!(full > 0.0, "the queue has no bound");
    assert!((full + late - 60.0).abs() < 0.5, "{full} at once and {late} after a wait");

    blocked.rollback().await.unwrap();
    first.await.unwrap().expect(200);
    in_use(&mut shop, "lists", 0.0).await;
    shop.anyone.get("/v1/products").await.expect(200);
    let lists = shop.metric(Role::Serve, "database_pool_connections", &["pool=\"lists\""]).await.unwrap_or_default();
    assert!(lists >= 1.0, "the pool of lists has {lists} connections");
}

#[tokio::test]
async fn a_slow_list_gets_statement_timeout_and_its_connection_is_reused() {
    let shop = Shop::builder()
        .only_api()
        .allow_error_logs()
        .setting("DATABASE_LIST_CONNECTIONS", "1")
        .setting("DATABASE_LIST_TIMEOUT", "100ms")
        .start()
        .await;
    create(&shop.ada, &samples::plain("T-1")).await;
    let blocked = block_lists(&shop.database).await;
    for _ in 0..3 {
        let problem = shop.anyone.get("/v1/products").await.problem(503, "statement-timeout");
        assert!(problem["detail"].as_str().unwrap().contains("filters"), "the detail doesn't say what to do: {problem}");
    }
    blocked.rollback().await.unwrap();
    eventually("lists are served", async || {
        let status = shop.anyone.get("/v1/products").await.status;
        check(status == 200, || status)
    })
    .await;
}

#[tokio::test]
async fn reports_that_wait_for_the_database_do_not_delay_lists() {
    let mut shop = Shop::builder()
        .only_api()
        .allow_error_logs()
        .setting("DATABASE_REPORT_CONNECTIONS", "1")
        .setting("DATABASE_REPORT_TIMEOUT", "1m")
        .start()
        .await;
    create(&shop.ada, &samples::plain("T-1")).await;
    let mut blocked = shop.database.begin().await.unwrap();
    sqlx::query("LOCK TABLE tracking.hourly_views IN ACCESS EXCLUSIVE MODE").execute(&mut *blocked).await.unwrap();
    let ada = shop.ada.clone();
    let report = tokio::spawn(async move { ada.get("/v1/reports/top-products").await });
    in_use(&mut shop, "reports", 1.0).await;
    shop.anyone.get("/v1/products").await.expect(200);
    shop.ada.get("/v1/admins").await.expect(200);
    blocked.rollback().await.unwrap();
    report.await.unwrap().expect(200);
}

async fn remaining(api: &Api, path: &str) -> String {
    let reply = api.get(path).await.expect(200);
    assert_eq!(reply.header("ratelimit-policy"), "\"reads\";q=5;w=60", "{path}");
    reply.header("ratelimit").split(';').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn anonymous_reads_are_limited_per_client_and_minute_and_authenticated_ones_are_not() {
    let shop = Shop::builder().only_api().setting("HTTP_READS_PER_CLIENT", "5").start().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let paths = ["/v1/products".to_owned(), product.path.clone(), "/v1/products/by-sku/T-1".into(), product.at("stock")];
    for (number, path) in paths.iter().enumerate() {
        assert_eq!(remaining(&shop.anyone, path).await, format!("r={}", 4 - number), "{path}");
    }
    assert_eq!(remaining(&shop.anyone, "/v1/products?limit=1").await, "r=0");
    for path in &paths {
        let reply = shop.anyone.get(path).await;
        reply.problem(429, "too-many-requests");
        assert_eq!(reply.header("ratelimit-policy"), "\"reads\";q=5;w=60");
        for api in [&shop.ada, &shop.carol] {
            let reply = api.get(path).await.expect(200);
            assert_eq!(reply.header("ratelimit"), "");
        }
    }
    // An invalid token does not bypass the limit.
    shop.anyone.with_token("none").get("/v1/products").await.problem(401, "token-invalid");
}

#[tokio::test]
async fn without_the_setting_there_is_no_limit_on_reads() {
    let shop = Shop::api().await;
    for _ in 0..100 {
        assert_eq!(shop.anyone.get("/v1/products").await.expect(200).header("ratelimit"), "");
    }
}
