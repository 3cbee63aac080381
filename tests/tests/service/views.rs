//! Views: each anonymous read of a product is counted exactly once, and no other request is.

use std::sync::atomic::{AtomicUsize, Ordering};

use catalog_tests::{
    Role, Shop,
    samples::{self, create, create_many},
    shop::MAX_DELAY,
    wait::{check, within},
};

async fn start_shop() -> Shop {
    Shop::builder().roles(&[Role::Serve, Role::Tracker]).start().await
}

#[tokio::test]
async fn a_new_product_has_no_views() {
    let shop = start_shop().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let shown = shop.ada.get(&product.at("views")).await.expect(200).json();
    let fields: Vec<_> = shown.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["as_of", "total"]);
    assert_eq!(shown["total"], 0);
}

#[tokio::test]
async fn anonymous_reads_by_id_and_sku_and_conditional_reads_are_counted() {
    let shop = start_shop().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    shop.anyone.get(&product.path).await.expect(200);
    shop.anyone.get("/v1/products/by-sku/T-1").await.expect(200);
    shop.anyone.get(&product.path).header("if-none-match", &product.etag).await.expect(304);
    shop.anyone.get("/v1/products/by-sku/T-1").header("if-none-match", &product.etag).await.expect(304);
    shop.views_reach(&product.id, 4).await;
}

#[tokio::test]
async fn other_requests_are_not_counted() {
    let shop = start_shop().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    let marker = create(&shop.ada, &samples::plain("marker")).await;
    shop.ada.get(&product.path).await.expect(200);
    shop.owner.get("/v1/products/by-sku/T-1").await.expect(200);
    shop.ada.get(&product.path).header("if-none-match", &product.etag).await.expect(304);
    shop.anyone.head(&product.path).await.expect(200);
    shop.anyone.head(&product.path).header("if-none-match", &product.etag).await.expect(304);
    shop.anyone.with_token("nonsense").get(&product.path).await.expect(401);
    shop.anyone.get("/v1/products").await.expect(200);
    shop.anyone.get(&product.at("stock")).await.expect(200);
    shop.anyone.request(reqwest::Method::PUT, &product.path).await.expect(405);
    shop.ada.delete(&marker.path).await.expect(204);
    shop.anyone.get(&marker.path).await.expect(404);
    shop.ada.post_empty(&marker.at("restore")).await.expect(200);
    // A view of another product. When it is counted, any earlier one would be as well.
    shop.anyone.get(&marker.path).await.expect(200);
    shop.views_reach(&marker.id, 1).await;
    assert_eq!(shop.views(&product.id).await, 0);
}

/// The acceptance criterion of views.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_reads_by_eight_clients_are_ten_thousand_views_two_seconds_later() {
    const READS: usize = 10_000;
    let shop = Shop::builder().roles(&[Role::Serve, Role::Tracker]).setting("ACCESS_LOG_SAMPLE", "100").alone().start().await;
    let products = create_many(&shop.ada, "V", 40).await;
    let next = AtomicUsize::new(0);
    let client = async || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= READS {
                return;
            }
            // Unevenly distributed: some products are read far more often.
            let product = &products[number % 40 * (number % 7) % 40];
            shop.anyone.get(&product.path).await.expect(200);
        }
    };
    let admin = async {
        for product in products.iter().cycle().take(400) {
            shop.ada.get(&product.path).await.expect(200);
        }
    };
    tokio::join!(futures::future::join_all((0..8).map(|_| client())), admin);
    let total = async || {
        let sum: Option<i64> =
            sqlx::query_scalar("SELECT sum(total)::bigint FROM tracking.product_views").fetch_one(&shop.database).await.unwrap();
        usize::try_from(sum.unwrap_or_default()).unwrap()
    };
    within(MAX_DELAY, "all views are counted", async || {
        let counted = total().await;
        check(counted >= READS, || counted)
    })
    .await;
    let mut shown = 0;
    for product in &products {
        shown += shop.views(&product.id).await;
    }
    assert_eq!((total().await, shown), (READS, READS as u64));
}

#[tokio::test]
async fn views_show_in_lists_and_survive_deletion_and_restoration() {
    let shop = start_shop().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for _ in 0..3 {
        shop.anyone.get(&product.path).await.expect(200);
    }
    shop.views_reach(&product.id, 3).await;
    catalog_tests::eventually("lists show the views", async || {
        let list = shop.anyone.get("/v1/products").await.expect(200).json();
        check(list["items"][0]["views"] == 3, || list)
    })
    .await;
    shop.ada.delete(&product.path).await.expect(204);
    shop.ada.get(&product.at("views")).await.problem(404, "not-found");
    shop.ada.post_empty(&product.at("restore")).await.expect(200);
    assert_eq!(shop.views(&product.id).await, 3);
}

#[tokio::test]
async fn several_trackers_share_the_work_without_counting_twice() {
    let mut shop = start_shop().await;
    shop.start_role(Role::Tracker).await;
    shop.start_role(Role::Tracker).await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for _ in 0..20 {
        futures::future::join_all((0..15).map(|_| async { shop.anyone.get(&product.path).await.expect(200) })).await;
    }
    shop.views_reach(&product.id, 300).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.views(&product.id).await, 300);
}
