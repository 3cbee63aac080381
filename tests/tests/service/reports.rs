//! Reports: views by product and time, and the most viewed products.

use catalog_tests::{
    Role, Shop,
    samples::{Created, create_many},
};
use chrono::{DurationRound, TimeDelta, Utc};
use serde_json::Value;

/// A shop whose first product was viewed once today, the second twice and so on, and each once two days ago.
async fn viewed() -> (Shop, Vec<Created>) {
    let shop = Shop::builder().roles(&[Role::Serve, Role::Tracker]).start().await;
    let products = create_many(&shop.ada, "R", 4).await;
    for (number, product) in products.iter().enumerate() {
        for _ in 0..=number {
            shop.anyone.get(&product.path).await.expect(200);
        }
    }
    for (number, product) in (1..).zip(&products) {
        shop.views_reach(&product.id, number).await;
    }
    (shop, products)
}

fn rows(report: &Value) -> Vec<Value> {
    report["items"].as_array().unwrap_or_else(|| panic!("{report}")).clone()
}

fn total(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["views"].as_u64().unwrap_or_else(|| panic!("{row}"))).sum()
}

#[tokio::test]
async fn reports_are_for_admins() {
    let shop = Shop::api().await;
    for path in ["/v1/reports/views", "/v1/reports/top-products"] {
        shop.anyone.get(path).await.problem(401, "token-missing");
    }
}

#[tokio::test]
async fn views_are_reported_by_product_and_time() {
    let (shop, products) = viewed().await;
    let report = shop.ada.get("/v1/reports/views").await.expect(200).json();
    assert_eq!(total(&rows(&report)), 10, "{report}");
    for bucket in ["day", "hour"] {
        let report = shop.ada.get(&format!("/v1/reports/views?bucket={bucket}")).await.expect(200).json();
        assert_eq!(total(&rows(&report)), 10, "{report}");
    }
    let one = shop.ada.get(&format!("/v1/reports/views?product_id={}", products[2].id)).await.expect(200).json();
    assert_eq!(total(&rows(&one)), 3, "{one}");
}

#[tokio::test]
async fn the_most_viewed_products_come_first() {
    let (shop, products) = viewed().await;
    let report = shop.ada.get("/v1/reports/top-products?limit=3").await.expect(200).json();
    let found: Vec<_> = rows(&report).iter().map(|row| row["product_id"].as_str().unwrap_or_else(|| panic!("{row}")).to_owned()).collect();
    assert_eq!(found, [&products[3].id, &products[2].id, &products[1].id].map(Clone::clone), "{report}");
    assert_eq!(total(&rows(&report)), 9);
}

#[tokio::test]
async fn reports_are_available_as_csv() {
    let (shop, products) = viewed().await;
    for path in ["/v1/reports/views", "/v1/reports/top-products"] {
        let reply = shop.ada.get(path).header("accept", "text/csv").await.expect(200);
        assert!(reply.header("content-type").starts_with("text/csv"), "{path}: {:?}", reply.headers);
        let text = reply.text();
        assert_eq!(text.lines().count(), 5, "{path}: {text}");
        assert!(text.lines().next().unwrap().contains("views"), "{path}: {text}");
        assert!(products.iter().all(|product| text.contains(&product.id)), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_latest_allowed_day_has_a_four_digit_year() {
    let shop = Shop::api().await;
    for zone in ["UTC", "Etc/GMT%2B12", "Pacific/Kiritimati"] {
        let report = shop.ada.get(&format!("/v1/reports/top-products?to=9998-12-31&tz={zone}")).await.expect(200).json();
        assert!(report["to"].as_str().unwrap().starts_with("999"), "{report}");
    }
}

#[tokio::test]
async fn a_range_without_views_is_an_empty_report() {
    let (shop, _) = viewed().await;
    let past = (Utc::now() - TimeDelta::days(30)).duration_trunc(TimeDelta::days(1)).unwrap();
    let (from, to) = (past.format("%Y-%m-%dT%H:%M:%SZ"), (past + TimeDelta::days(2)).format("%Y-%m-%dT%H:%M:%SZ"));
    for path in ["/v1/reports/views", "/v1/reports/top-products"] {
        let report = shop.ada.get(&format!("{path}?from={from}&to={to}")).await.expect(200).json();
        assert_eq!(rows(&report), Vec::<Value>::new(), "{path}");
        for bad in [
            "from=yesterday",
            "to=2024-13-01",
            "to=2024-1-1",
            "to=9999-12-31",
            "to=9999-12-31T23:59:59Z",
            "from=9998-12-31&to=9999-01-01",
            "tz=Mars/Olympus",
            "limit=0",
        ] {
            shop.ada.get(&format!("{path}?{bad}")).await.problem(400, "invalid-parameters");
        }
        let reversed = format!("{path}?from={to}&to={from}");
        shop.ada.get(&reversed).await.problem(400, "invalid-parameters");
    }
}
