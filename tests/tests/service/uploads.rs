//! Limits of uploads: time, rate, number, and the admin's session.

use std::{io, time::Duration};

use catalog_tests::{
    Api, Reply, Shop, eventually,
    people::GRACE,
    samples::{self, create},
    wait::check,
};
use futures::channel::mpsc;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::Instant,
};

const BULK: &str = "/v1/products/bulk";
/// Rows that are staged at once.
const BATCH: usize = 1000;

/// A request whose body is sent in chunks.
struct Slow {
    body: mpsc::UnboundedSender<io::Result<String>>,
    reply: JoinHandle<Reply>,
}

impl Slow {
    fn request(api: &Api, method: reqwest::Method, path: &str, content_type: &str) -> Self {
        let (body, pieces) = mpsc::unbounded();
        let call = api.request(method, path).body(content_type, reqwest::Body::wrap_stream(pieces));
        Self { body, reply: tokio::spawn(call.into_future()) }
    }

    /// Starts an upload and sends its first rows.
    fn import(api: &Api, query: &str, prefix: &str) -> Self {
        let upload = Self::request(api, reqwest::Method::POST, &format!("{BULK}{query}"), "application/x-ndjson");
        upload.send((0..BATCH).map(|row| format!("{}\n", samples::plain(&format!("{prefix}-{row:04}")))).collect());
        upload
    }

    fn send(&self, text: String) {
        self.body.unbounded_send(Ok(text)).unwrap();
    }

    /// Sends the end of the body.
    async fn end(self) -> Reply {
        drop(self.body);
        self.reply.await.unwrap()
    }

    /// The reply to a body that hasn't ended.
    async fn reply(self) -> Reply {
        let reply = self.reply.await.unwrap();
        drop(self.body);
        reply
    }
}

async fn staged(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(DISTINCT import_id) FROM products.import_rows").fetch_one(&shop.database).await.unwrap()
}

async fn are_staged(shop: &Shop, uploads: i64) {
    eventually(&format!("the first rows of {uploads} uploads are staged"), async || {
        let staged = staged(shop).await;
        check(staged == uploads, || staged)
    })
    .await;
}

async fn stored(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap()
}

async fn nothing_is_left(shop: &Shop) {
    assert_eq!(stored(shop).await, 0);
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events.outbox").fetch_one(&shop.database).await.unwrap();
    assert_eq!(events, 0);
    are_staged(shop, 0).await;
}

#[tokio::test]
async fn an_import_whose_admin_is_deactivated_changes_nothing() {
    let shop = Shop::api().await;
    let uploads = [(&shop.ada, &shop.people.ada.id, "?atomic=true"), (&shop.grace, &shop.people.grace.id, "")];
    for (admin, id, query) in uploads {
        let upload = Slow::import(admin, query, "A");
        are_staged(&shop, 1).await;
        shop.owner.delete(&format!("/v1/admins/{id}")).await.expect(204);
        let problem = upload.end().await.problem(401, "token-revoked");
        assert!(problem["detail"].as_str().unwrap().contains("Nothing was imported"), "{problem}");
        nothing_is_left(&shop).await;
    }
}

#[tokio::test]
async fn an_import_whose_admin_signs_out_changes_nothing() {
    let shop = Shop::api().await;
    for (admin, query) in [(&shop.ada, "?atomic=true"), (&shop.grace, "")] {
        let upload = Slow::import(admin, query, "A");
        are_staged(&shop, 1).await;
        admin.post_empty("/v1/auth/logout").await.expect(204);
        upload.end().await.problem(401, "token-revoked");
        nothing_is_left(&shop).await;
    }
}

#[tokio::test]
async fn a_request_whose_session_ends_during_its_body_is_rejected() {
    const BODY: &str = "{\"name\": \"Renamed\"}";
    let shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("A")).await;
    let address = shop.anyone.base().trim_start_matches("http://").to_owned();
    let mut client = TcpStream::connect(&address).await.unwrap();
    let (path, token, length) = (&product.path, shop.grace.token(), BODY.len());
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    // The server sends 100 Continue when the request is authenticated.
    let mut reply = [0; 25];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&reply), "HTTP/1.1 100 Continue\r\n\r\n");
    let started = Instant::now();
    shop.owner.delete(&format!("/v1/admins/{}", shop.people.grace.id)).await.expect(204);
    eventually("the body is slow", async || check(started.elapsed() > Duration::from_millis(200), || started.elapsed())).await;
    client.write_all(BODY.as_bytes()).await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 401 "), "{reply}");
    assert_eq!(shop.anyone.get(&product.path).await.expect(200).json(), product.body);
}

#[tokio::test]
async fn eight_slow_uploads_of_one_admin_do_not_block_another() {
    let shop = Shop::api().await;
    let mut slow = vec![Slow::import(&shop.ada, "", "S0"), Slow::import(&shop.ada, "", "S1")];
    are_staged(&shop, 2).await;
    for _ in 2..8 {
        let upload = Slow::request(&shop.ada, reqwest::Method::POST, BULK, "application/x-ndjson");
        let problem = upload.reply().await.problem(429, "too-many-requests");
        assert!(problem["detail"].as_str().unwrap().contains("2 imports in progress"), "{problem}");
    }
    let result = shop.grace.post(BULK, &json!({"items": [samples::plain("G-1")]})).await.expect(200).json();
    assert_eq!(result["created"], 1);
    // Each upload that ends frees a permit.
    let result = slow.remove(0).end().await.expect(200).json();
    assert_eq!(result["created"], BATCH);
    shop.ada.post(BULK, &json!({"items": [samples::plain("S-2")]})).await.expect(200);
    slow.remove(0).end().await.expect(200);
}

#[tokio::test]
async fn eight_slow_uploads_of_many_admins_do_not_block_a_ninth() {
    let shop = Shop::builder().only_api().setting("IMPORT_MAX_PER_ADMIN", "4").start().await;
    let admins = [&shop.ada, &shop.owner];
    let slow: Vec<_> = (0..8).map(|number| Slow::import(admins[number % 2], "", &format!("S{number}"))).collect();
    are_staged(&shop, 8).await;
    let result = shop.grace.post(BULK, &json!({"items": [samples::plain("G-1")]})).await.expect(200).json();
    assert_eq!(result["created"], 1);
    for upload in slow {
        upload.end().await.expect(200);
    }
    assert_eq!(stored(&shop).await, i64::try_from(8 * BATCH + 1).unwrap());
}

#[tokio::test]
async fn an_upload_below_the_minimum_rate_ends_with_408() {
    // So high that any client is below it.
    let rate = "1000000000";
    let shop = Shop::builder().only_api().setting("IMPORT_MIN_RATE", rate).setting("IMPORT_RATE_WINDOW", "500ms").start().await;
    for query in ["", "?atomic=true"] {
        let upload = Slow::request(&shop.ada, reqwest::Method::POST, &format!("{BULK}{query}"), "application/x-ndjson");
        upload.send(format!("{}\n", samples::plain("A")));
        let problem = upload.reply().await.problem(408, "timeout");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("slower than 1000000000 bytes per second, averaged over 500ms"), "{detail}");
        nothing_is_left(&shop).await;
    }
    let silent = Slow::request(&shop.ada, reqwest::Method::POST, BULK, "text/csv");
    let problem = silent.reply().await.problem(408, "timeout");
    assert!(problem["detail"].as_str().unwrap().contains("nothing was received for 500ms"), "{problem}");
    // The admin's permits are free again.
    shop.ada.post(BULK, &json!({"items": [samples::plain("A")]})).await.expect(200);
}

#[tokio::test]
async fn an_upload_that_takes_too_long_ends_with_408() {
    let shop = Shop::builder().only_api().setting("IMPORT_MAX_DURATION", "1s").start().await;
    let problem = Slow::import(&shop.ada, "", "A").reply().await.problem(408, "timeout");
    assert!(problem["detail"].as_str().unwrap().contains("took longer than 1s"), "{problem}");
    nothing_is_left(&shop).await;
}

#[tokio::test]
async fn errors_that_are_not_listed_are_counted() {
    let shop = Shop::api().await;
    let rows = format!("{}\n", samples::plain("A")) + &"{\"sku\": \"B\", \"name\": \"\", \"price\": {\"amount\": \"cheap\"}}\n".repeat(700);
    let send = async |query: &str| {
        shop.ada.request(reqwest::Method::POST, &format!("{BULK}{query}")).body("application/x-ndjson", rows.clone()).await
    };
    let problem = send("?atomic=true").await.problem(422, "invalid");
    assert_eq!((problem["errors"].as_array().unwrap().len(), &problem["more_errors"]), (1000, &json!(400)));
    let detail = "700 rows are invalid, so nothing was imported; errors lists the first 1000, and there are 400 more.";
    assert_eq!(problem["detail"], detail);
    assert_eq!(stored(&shop).await, 0);
    let result = send("").await.expect(200).json();
    assert_eq!((&result["created"], &result["failed"], &result["more_errors"]), (&json!(1), &json!(700), &json!(400)));
    assert_eq!(result["errors"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn rows_of_one_sku_with_different_names_are_merged_and_the_result_says_so() {
    let shop = Shop::api().await;
    let row = |sku: &str, name: &str| json!({"sku": sku, "name": name, "price": {"amount": "1.00"}});
    let rows =
        json!({"items": [row("B", "Chair"), row("A", "Table"), row("B", "Stool"), row("A", "Table"), row("B", "Stool"), row("B", "Sofa")]});
    for query in ["?atomic=true", ""] {
        let result = shop.ada.post(&format!("{BULK}{query}"), &rows).await.expect(200).json();
        assert_eq!(
            result["warnings"],
            json!([
                {"row": 3, "sku": "B", "detail": "row 3 and row 1 have the sku \"B\" and different names: \"Stool\" replaced \"Chair\""},
                {"row": 6, "sku": "B", "detail": "row 6 and row 5 have the sku \"B\" and different names: \"Sofa\" replaced \"Stool\""},
            ])
        );
        assert_eq!((&result["failed"], &result["more_warnings"]), (&json!(0), &json!(0)));
        assert_eq!(shop.anyone.get("/v1/products/by-sku/B").await.expect(200).json()["name"], "Sofa");
    }
    let many: Vec<_> = (0..150).map(|number| row("C", &format!("Lamp {number}"))).collect();
    let result = shop.ada.post(BULK, &json!({"items": many})).await.expect(200).json();
    assert_eq!((result["warnings"].as_array().unwrap().len(), &result["more_warnings"]), (100, &json!(49)));
}

#[tokio::test]
async fn an_admin_who_signs_in_again_imports_what_was_rejected() {
    let shop = Shop::api().await;
    let upload = Slow::import(&shop.grace, "", "A");
    are_staged(&shop, 1).await;
    shop.grace.post_empty("/v1/auth/logout").await.expect(204);
    upload.end().await.problem(401, "token-revoked");
    let pair = shop.anyone.post("/v1/auth/login", &json!({"username": GRACE.0, "password": GRACE.2})).await.expect(200).json();
    let grace = shop.anyone.with_token(pair["access_token"].as_str().unwrap());
    assert_eq!(Slow::import(&grace, "", "A").end().await.expect(200).json()["created"], BATCH);
}
