//! What an order reads: its own rows, however full the shop is.

use catalog_tests::{Shop, bench::shelf, buying::place, eventually, wait::holds};
use serde_json::json;
use sqlx::{PgPool, query_as, raw_sql};

const PRODUCTS: u64 = 2_000;
const ORDERS: u64 = 40;
/// Some rows of some tables, each a few times; reading any of them from end to end is twenty times as much.
const ROWS_PER_ORDER: i64 = 100;

#[tokio::test]
async fn an_order_reads_no_table_from_end_to_end() {
    let shop = Shop::api().await;
    shelf::stock(&shop.database, PRODUCTS).await.unwrap();
    raw_sql("INSERT INTO products.stock (product_id, on_hand) SELECT id, 1000 FROM products.products")
        .execute(&shop.database)
        .await
        .unwrap();
    raw_sql("ANALYZE").execute(&shop.database).await.unwrap();
    let before = eventually("all products are in the statistics", async || {
        let Read { stocked, rows, .. } = read(&shop.database).await;
        holds(stocked >= PRODUCTS.cast_signed(), || stocked).map(|()| rows)
    })
    .await;
    // The relay of an idle shop looks into its outbox, too: what it makes of an empty one must do for a full one.
    for number in 1..=ORDERS {
        place(&shop.carol, &json!({"items": [{"product_id": shelf::id(number), "quantity": 1}]})).await.expect(201);
    }
    let rows = eventually("all orders are in the statistics", async || {
        let Read { orders, rows, .. } = read(&shop.database).await;
        holds(orders >= ORDERS.cast_signed(), || orders).map(|()| rows)
    })
    .await;
    let rows = rows - before;
    assert!(rows < ROWS_PER_ORDER * ORDERS.cast_signed(), "{rows} rows were read for {ORDERS} orders of {PRODUCTS} products");
}

/// What PostgreSQL's statistics say; they come a second late, all of a connection at once.
#[derive(sqlx::FromRow)]
struct Read {
    /// Products with stock that were written.
    stocked: i64,
    /// Orders that were written.
    orders: i64,
    /// Rows that statements read, in tables or in indexes.
    rows: i64,
}

async fn read(database: &PgPool) -> Read {
    query_as(
        "SELECT (SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname = 'products' AND relname = 'stock') AS stocked,
                (SELECT n_tup_ins FROM pg_stat_user_tables WHERE schemaname = 'orders' AND relname = 'orders') AS orders,
                (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname || '.' || relname = ANY($1))::bigint
                + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname || '.' || relname = ANY($1))::bigint AS rows",
    )
    .bind(["products.products", "products.stock", "orders.orders", "orders.lines", "events.outbox", "http.idempotency_keys"])
    .fetch_one(database)
    .await
    .unwrap()
}
