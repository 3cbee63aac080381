//! SIGTERM: roles accept no new work, finish the work in flight, and end.

use std::time::Duration;

use catalog_tests::{
    Role, Shop, eventually,
    samples::{self, create, create_many},
    wait::check,
};
use futures::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

#[tokio::test]
async fn every_role_drains_and_stops_on_sigterm() {
    let mut shop = Shop::builder().roles(&[Role::Serve, Role::Notifier, Role::Tracker, Role::Fulfiller]).start().await;
    create(&shop.ada, &samples::plain("T-1")).await;
    shop.wait_until_idle().await;
    for role in [Role::Fulfiller, Role::Tracker, Role::Notifier, Role::Serve] {
        shop.process(role).terminate();
        let status = shop.process(role).ended().await;
        assert_eq!(status.code(), Some(0), "{role}: {}", shop.process(role).report());
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished() {
    let mut shop = Shop::api().await;
    let (pieces, rest) = mpsc::channel::<Result<Vec<u8>, std::io::Error>>(4);
    let body = reqwest::Body::wrap_stream(futures::stream::unfold(rest, async |mut rest| Some((rest.recv().await?, rest))));
    let request = shop.ada.request(reqwest::Method::POST, "/v1/products/bulk").body("application/x-ndjson", body);
    let upload = tokio::spawn(request.attempt());
    let row = |number: usize| Ok(format!("{}\n", samples::plain(&format!("S-{number}"))).into_bytes());
    pieces.send(row(1)).await.unwrap();
    // The server has begun to read.
    let before = reqwest::get(format!("{}/v1/products", shop.anyone.base())).await.unwrap();
    assert_eq!(before.status(), 200);
    pieces.send(row(2)).await.unwrap();
    let address = shop.process(Role::Serve).address("OPS_ADDRESS").await;
    shop.process(Role::Serve).terminate();
    eventually("it reports that it drains", async || {
        let response = reqwest::get(format!("http://{address}/readyz")).await.map_err(|error| error.to_string())?;
        let (status, text) = (response.status(), response.text().await.unwrap_or_default());
        check(status == 503 && text.contains("draining"), || text)
    })
    .await;
    assert!(reqwest::get(format!("{}/v1/products", shop.anyone.base())).await.is_err(), "new connections are accepted while draining");
    pieces.send(row(3)).await.unwrap();
    drop(pieces);
    let result = upload.await.unwrap().expect("the upload is answered").expect(200).json();
    assert_eq!(result["created"], 3, "{result}");
    let status = shop.process(Role::Serve).ended().await;
    assert_eq!(status.code(), Some(0), "{}", shop.process(Role::Serve).report());
}

#[tokio::test]
async fn a_busy_connection_gets_connection_close_before_it_is_closed() {
    let mut shop = Shop::api().await;
    let address = shop.anyone.base().trim_start_matches("http://").to_owned();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut answers = 0;
    loop {
        connection.write_all(b"HEAD /v1/products HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.expect("every request is answered"));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        if head.contains("connection: close") {
            break;
        }
        answers += 1;
        if answers == 10 {
            shop.process(Role::Serve).terminate();
        }
    }
    assert!(answers >= 10, "`connection: close` came after {answers} responses, too early");
    let status = shop.process(Role::Serve).ended().await;
    assert_eq!(status.code(), Some(0), "{}", shop.process(Role::Serve).report());
}

#[tokio::test]
async fn an_unfinished_request_does_not_delay_the_exit_beyond_the_timeout() {
    let mut shop = Shop::builder().only_api().allow_error_logs().setting("SHUTDOWN_TIMEOUT", "1s").start().await;
    let (asked_for_more, begun) = tokio::sync::oneshot::channel();
    let stuck = futures::stream::once(async { Ok::<_, std::io::Error>(b"{\"sku\":".to_vec()) }).chain(futures::stream::once(async {
        let _ = asked_for_more.send(());
        std::future::pending().await
    }));
    let request =
        shop.ada.request(reqwest::Method::POST, "/v1/products/bulk").body("application/x-ndjson", reqwest::Body::wrap_stream(stuck));
    let upload = tokio::spawn(request.attempt());
    begun.await.unwrap();
    shop.process(Role::Serve).terminate();
    let status = shop.process(Role::Serve).ended().await;
    assert!(upload.await.unwrap().is_err());
    assert!(status.code().is_some(), "the process was killed by a signal: {}", shop.process(Role::Serve).report());
}

#[tokio::test]
async fn a_graceful_stop_loses_no_view() {
    let mut shop = Shop::builder().roles(&[Role::Serve, Role::Tracker]).setting("VIEWS_FLUSH_INTERVAL", "10s").start().await;
    let products = create_many(&shop.ada, "V", 3).await;
    for product in &products {
        for _ in 0..10 {
            shop.anyone.get(&product.path).await.expect(200);
        }
    }
    // None of them is published yet.
    shop.process(Role::Serve).terminate();
    let status = shop.process(Role::Serve).ended().await;
    assert_eq!(status.code(), Some(0), "{}", shop.process(Role::Serve).report());
    shop.start_role(Role::Serve).await;
    for product in &products {
        shop.views_reach(&product.id, 10).await;
    }
}

#[tokio::test]
async fn stopping_workers_under_load_loses_and_repeats_nothing() {
    let mut shop = Shop::start().await;
    let products = create_many(&shop.ada, "W", 5).await;
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    shop.inbox().clear().await;
    for round in 0..3 {
        for product in &products {
            shop.anyone.get(&product.path).await.expect(200);
            let name = format!("Round {round} of {}", product.id);
            shop.ada.patch(&product.path, &serde_json::json!({ "name": name })).await.expect(200);
        }
        for role in [Role::Notifier, Role::Tracker] {
            shop.process(role).terminate();
            let status = shop.process(role).ended().await;
            assert_eq!(status.code(), Some(0), "{}", shop.process(role).report());
            shop.start_role(role).await;
        }
    }
    shop.inbox().at_least(30).await;
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 30);
    for product in &products {
        shop.views_reach(&product.id, 3).await;
    }
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_exit() {
    let mut shop = Shop::builder().only_api().setting("SHUTDOWN_TIMEOUT", "20s").start().await;
    shop.anyone.get("/v1/products").await.expect(200);
    let started = std::time::Instant::now();
    shop.process(Role::Serve).terminate();
    assert!(shop.process(Role::Serve).ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
