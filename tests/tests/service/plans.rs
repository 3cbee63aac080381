//! Query plans: statements read only the rows that they need, in a new shop and in a large one.

use catalog_tests::{
    Role, Shop,
    bench::numbered_products,
    buying::{cart, place},
    eventually,
    samples::{create, plain},
    wait::check,
};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, query_as, query_scalar, raw_sql};

/// Rows of each growing table.
const ROWS: u64 = 5_000;
const BUYERS: u64 = 20;
/// A fifth of one table. Buyers read far less: their own rows, and some deleted ones before the next vacuum.
const ROWS_PER_BUYER: i64 = 1_000;
/// Growing tables. (Carts are deleted, and their index has deleted entries until the next vacuum.)
const ORDER_TABLES: [&str; 9] = [
    "products.products",
    "products.stock",
    "products.stock_movements",
    "orders.orders",
    "orders.lines",
    "orders.history",
    "orders.cart_items",
    "events.outbox",
    "http.idempotency_keys",
];
const MAIL_TABLES: [&str; 2] = ["notifications.messages", "notifications.deliveries"];

/// Places and cancels an order, fills and empties a cart, fills it again and orders it.
async fn buy_once(shop: &Shop, number: u64) {
    let id = numbered_products::id(number);
    let items = json!({"items": [{"product_id": id, "quantity": 1}]});
    let order = place(&shop.carol, &items).await.expect(201).json();
    shop.carol.post_empty(&format!("/v1/orders/{}/cancel", order["id"].as_str().unwrap())).await.expect(200);
    let cart = cart(&shop.carol).await;
    let item = format!("{cart}/items/{id}");
    for quantity in [1, 2] {
        shop.carol.request(Method::PUT, &item).json(&json!({"quantity": quantity})).await.expect(200);
    }
    shop.carol.request(Method::DELETE, &item).await.expect(204);
    shop.carol.request(Method::PUT, &item).json(&json!({"quantity": 1})).await.expect(200);
    place(&shop.carol, &json!({"cart_id": cart.rsplit('/').next()})).await.expect(201);
}

/// Buys one product after the other and returns the number of rows read.
async fn rows_read_by_buyers(shop: &Shop) -> i64 {
    let before = TableStatistics::rows_read_after(&shop.database, &ORDER_TABLES, "products.stock", ROWS).await;
    let orders = TableStatistics::read(&shop.database, &ORDER_TABLES, "orders.orders").await.written;
    for number in 1..=BUYERS {
        buy_once(shop, number).await;
    }
    TableStatistics::rows_read_after(&shop.database, &ORDER_TABLES, "orders.orders", orders.cast_unsigned() + 2 * BUYERS).await - before
}

/// Fills the tables with rows, starting at number `first`.
async fn fill(database: &PgPool, first: u64) {
    numbered_products::put(database, first, ROWS).await.unwrap();
    let others = format!(
        "INSERT INTO products.stock (product_id, on_hand) SELECT id, 1000 FROM products.products ON CONFLICT DO NOTHING;
         INSERT INTO events.outbox (id, partition, aggregate_id, subject, headers, payload, published_at)
             SELECT gen_random_uuid(), n % 16, gen_random_uuid(), 'old', '{{}}', '{{}}', now() - interval '30 days' FROM generate_series({first}, {ROWS}) n;
         INSERT INTO http.idempotency_keys (caller, route, key, request_hash, status, headers, body, created_at)
             SELECT gen_random_uuid(), 'POST /v1/orders', n::text, '', 201, '{{}}', '', now() FROM generate_series({first}, {ROWS}) n"
    );
    raw_sql(AssertSqlSafe(others)).execute(database).await.unwrap();
}

#[tokio::test]
async fn buying_scans_no_whole_table() {
    let shop = Shop::api().await;
    fill(&shop.database, 1).await;
    raw_sql("ANALYZE").execute(&shop.database).await.unwrap();
    let rows = rows_read_by_buyers(&shop).await;
    assert!(rows < ROWS_PER_BUYER * BUYERS.cast_signed(), "{rows} rows were read by {BUYERS} buyers, of {ROWS} in each table");
}

/// A plan that was cached for a few products stays in use when there are thousands.
#[tokio::test]
async fn buying_in_a_recently_empty_shop_scans_no_whole_table() {
    let shop = Shop::builder().only_api().setting("DATABASE_MAX_CONNECTIONS", "7").start().await;
    freeze_statistics(&shop.database, &ORDER_TABLES).await;
    numbered_products::put(&shop.database, 1, 1).await.unwrap();
    raw_sql("INSERT INTO products.stock (product_id, on_hand) SELECT id, 1000 FROM products.products")
        .execute(&shop.database)
        .await
        .unwrap();
    // More concurrent requests than connections, so that each connection caches its plans.
    join_all((0..8).map(|_| buy_once(&shop, 1))).await;
    TableStatistics::rows_read_after(&shop.database, &ORDER_TABLES, "orders.orders", 16).await;
    fill(&shop.database, 2).await;
    let rows = rows_read_by_buyers(&shop).await;
    assert!(rows < ROWS_PER_BUYER * BUYERS.cast_signed(), "{rows} rows were read by {BUYERS} buyers, of {ROWS} in each table");
}

#[tokio::test]
async fn sending_mail_scans_no_whole_table() {
    const CHANGES: i64 = 20;
    let shop = Shop::builder().roles(&[Role::Serve, Role::Notifier]).start().await;
    raw_sql("ANALYZE").execute(&shop.database).await.unwrap();
    freeze_statistics(&shop.database, &MAIL_TABLES).await;
    let product = create(&shop.ada, &plain("A")).await;
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    let old = "INSERT INTO notifications.messages (event_id, subject, body, created_at)
                   SELECT gen_random_uuid(), 'Old', 'Old', now() FROM generate_series(1, 5000);
               INSERT INTO notifications.deliveries
                   (event_id, recipient_id, address, recipient_name, message_id, state, next_attempt_at, created_at, finished_at)
                   SELECT event_id, event_id, 'old@example.com', 'Old', event_id::text, 'sent', now(), now(), now()
                   FROM notifications.messages WHERE subject = 'Old'";
    raw_sql(old).execute(&shop.database).await.unwrap();
    let before = TableStatistics::rows_read_after(&shop.database, &MAIL_TABLES, "notifications.messages", 5001).await;
    for number in 0..CHANGES {
        shop.ada.patch(&product.path, &json!({"name": format!("Change {number}")})).await.expect(200);
    }
    shop.inbox().at_least(2 + 2 * usize::try_from(CHANGES).unwrap()).await;
    let rows = TableStatistics::rows_read_after(&shop.database, &MAIL_TABLES, "notifications.messages", 5001 + CHANGES.unsigned_abs())
        .await
        - before;
    assert!(rows < 1_000 * CHANGES, "{rows} rows were read for {CHANGES} changes");
}

/// A few sold-out products among thousands, in every sort order.
#[tokio::test]
async fn listing_sold_out_products_scans_no_whole_table() {
    const TABLES: [&str; 3] = ["products.products", "products.popularity", "products.stock"];
    const SORTS: [&str; 8] = ["created_at", "-created_at", "name", "-name", "price", "-price", "views", "-views"];
    let shop = Shop::api().await;
    freeze_statistics(&shop.database, &TABLES).await;
    numbered_products::put(&shop.database, 1, ROWS).await.unwrap();
    raw_sql("INSERT INTO products.stock (product_id, on_hand) SELECT id, CASE WHEN right(sku, 3) = '777' THEN 0 ELSE 9 END FROM products.products")
        .execute(&shop.database)
        .await
        .unwrap();
    raw_sql("ANALYZE").execute(&shop.database).await.unwrap();
    // Each connection reports its statistics separately.
    TableStatistics::rows_read_after(&shop.database, &TABLES, "products.popularity", ROWS).await;
    let before = TableStatistics::rows_read_after(&shop.database, &TABLES, "products.stock", ROWS).await;
    for sort in SORTS {
        let page = shop.anyone.get(&format!("/v1/products?in_stock=false&sort={sort}")).await.expect(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), 5, "{page}");
    }
    eventually("the lists are in the statistics", async || {
        let scans: i64 = query_scalar("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'stock_sold_out_idx'")
            .fetch_one(&shop.database)
            .await
            .unwrap();
        check(scans >= 8, || scans)
    })
    .await;
    let rows = TableStatistics::read(&shop.database, &TABLES, "products.stock").await.rows - before;
    assert!(rows < ROWS.cast_signed() / 5, "{rows} rows were read by 8 lists of 5 products");
}

/// Disables autovacuum, so that later plans use the current statistics.
async fn freeze_statistics(database: &PgPool, tables: &[&str]) {
    let off = tables.iter().map(|table| format!("ALTER TABLE {table} SET (autovacuum_enabled = false);")).collect::<String>();
    raw_sql(AssertSqlSafe(off)).execute(database).await.unwrap();
}

/// Statistics of PostgreSQL. Each connection reports them with a delay of some seconds.
#[derive(Debug, sqlx::FromRow)]
struct TableStatistics {
    /// Rows written to the given table.
    written: i64,
    /// Rows that statements read from tables or indexes.
    rows: i64,
}

impl TableStatistics {
    async fn read(database: &PgPool, tables: &[&str], of: &str) -> Self {
        query_as(
            "SELECT (SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname || '.' || relname = $2) AS written,
                    (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname || '.' || relname = ANY($1))::bigint
                    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname || '.' || relname = ANY($1))::bigint AS rows",
        )
        .bind(tables)
        .bind(of)
        .fetch_one(database)
        .await
        .unwrap()
    }

    /// Returns the rows read, once the statistics include the written rows.
    async fn rows_read_after(database: &PgPool, tables: &[&str], of: &str, written: u64) -> i64 {
        let what = format!("{written} rows of {of} are in the statistics");
        eventually(&what, async || {
            let read = Self::read(database, tables, of).await;
            check(read.written >= written.cast_signed(), || read.written).map(|()| read.rows)
        })
        .await
    }
}
