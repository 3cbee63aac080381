//! Limits and timeouts of connections.

use std::{fmt::Write, net::IpAddr, time::Duration};

use catalog_tests::{
    Role, Shop, eventually,
    process::{memory, peak_memory, raise_open_file_limit},
    raw::{Raw, RawResponse},
    samples,
    wait::{check, within},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

const LIST: &str = "GET /v1/products?limit=200 HTTP/1.1\r\nhost: shop\r\n";
const GET: &str = "GET /v1/products/by-sku/T-1 HTTP/1.1\r\nhost: shop\r\n\r\n";

/// A page of these products has two megabytes, or the largest size of a page.
async fn fill_with_long_descriptions(shop: &Shop) {
    let product = |number: usize| {
        let mut product = samples::plain(&format!("D-{number:03}"));
        product["description"] = json!("x".repeat(10_000));
        product
    };
    let items: Vec<_> = (0..200).map(product).collect();
    shop.ada.post("/v1/products/bulk", &json!({"items": items})).await.expect(200);
}

/// Requests a list and doesn't read the response.
async fn unread_list(base: &str, forwarded_for: &str) -> Raw {
    let mut connection = Raw::connect_from(base, [127, 0, 0, 1].into(), Some(4096)).await;
    connection.send(format!("{LIST}x-forwarded-for: {forwarded_for}\r\n\r\n")).await.unwrap();
    connection
}

async fn is_served(connection: &mut Raw) -> Option<RawResponse> {
    connection.send(GET).await.ok()?;
    connection.response().await.ok()
}

#[track_caller]
fn check_rejection(response: &RawResponse, status: u16, kind: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.says_close() && response.head.contains("\r\nretry-after: 2\r\n"), "{response:?}");
    let problem: Value = serde_json::from_str(&response.body).unwrap();
    assert!(problem["type"].as_str().unwrap().ends_with(kind), "{problem}");
    assert!(response.head.contains(&format!("x-request-id: {}", problem["request_id"].as_str().unwrap())), "{response:?}");
}

#[tokio::test]
async fn connections_over_the_limit_get_503_until_one_closes() {
    let mut shop = Shop::builder().only_api().setting("HTTP_MAX_CONNECTIONS", "3").start().await;
    let base = shop.anyone.base();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = Raw::connect(&base).await;
        assert_eq!(is_served(&mut connection).await.unwrap().status, 404);
        open.push(connection);
    }
    check_rejection(&is_served(&mut Raw::connect(&base).await).await.unwrap(), 503, "/unavailable");
    assert_eq!(shop.metric(Role::Serve, "http_connections", &["public"]).await, Some(3.0));
    assert!(shop.metric(Role::Serve, "http_connections_rejected_total", &["public", "total"]).await >= Some(1.0));
    // By a reset, by a close, and with a partial head.
    open.pop().unwrap().reset();
    drop(open.pop().unwrap());
    open[0].send("GET /v1/pro").await.unwrap();
    drop(open);
    eventually("all three are closed", async || {
        let count = shop.metric(Role::Serve, "http_connections", &["public"]).await;
        check(count == Some(0.0), || count)
    })
    .await;
    assert_eq!(is_served(&mut Raw::connect(&base).await).await.unwrap().status, 404);
}

#[tokio::test]
async fn many_idle_connections_of_one_client_do_not_block_other_clients() {
    let shop = Shop::builder().only_api().setting("HTTP_MAX_CONNECTIONS", "8").start().await;
    let base = shop.anyone.base();
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(Raw::connect(&base).await);
    }
    within(Duration::from_secs(15), "another client is served", async || {
        let response = is_served(&mut Raw::connect(&base).await).await;
        check(response.as_ref().is_some_and(|response| response.status == 404), || response.map(|response| response.status))
    })
    .await;
}

#[tokio::test]
async fn each_client_has_a_limit_of_connections_unless_it_is_a_proxy() {
    let open = async |shop: &Shop, source: IpAddr| Raw::connect_from(&shop.anyone.base(), source, None).await;
    let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
    let shop = Shop::builder().only_api().setting("HTTP_MAX_CONNECTIONS_PER_CLIENT", "2").start().await;
    let mut connections = [open(&shop, one).await, open(&shop, one).await];
    for connection in &mut connections {
        assert_eq!(is_served(connection).await.unwrap().status, 404);
    }
    check_rejection(&is_served(&mut open(&shop, one).await).await.unwrap(), 429, "/too-many-requests");
    assert_eq!(is_served(&mut open(&shop, other).await).await.unwrap().status, 404);
    let behind_a_proxy = Shop::builder()
        .only_api()
        .beside_another()
        .setting("HTTP_MAX_CONNECTIONS_PER_CLIENT", "2")
        .setting("TRUSTED_PROXY_HOPS", "1")
        .start()
        .await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(open(&behind_a_proxy, one).await);
        assert_eq!(is_served(connections.last_mut().unwrap()).await.unwrap().status, 404);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let mut shop = Shop::builder().only_api().setting("HTTP_WRITE_TIMEOUT", "1s").start().await;
    fill_with_long_descriptions(&shop).await;
    let mut unread = unread_list(&shop.anyone.base(), "192.0.2.1").await;
    eventually("the client is disconnected", async || {
        let count = shop.metric(Role::Serve, "http_write_timeouts_total", &[]).await;
        check(count == Some(1.0), || count)
    })
    .await;
    let read = unread.read_to_end().await;
    assert!(read.as_ref().map_or(true, |bytes| *bytes < 1_000_000), "the client received the whole response: {read:?}");
    assert_eq!(shop.metric(Role::Serve, "http_response_budget_used_bytes", &[]).await, Some(0.0));
}

#[tokio::test]
async fn a_client_with_unread_lists_gets_503_and_others_are_served() {
    // A quarter of it is less than two pages.
    let mut shop = Shop::builder().only_api().setting("HTTP_RESPONSE_BUDGET", "4").setting("TRUSTED_PROXY_HOPS", "1").start().await;
    fill_with_long_descriptions(&shop).await;
    let _unread = unread_list(&shop.anyone.base(), "192.0.2.1").await;
    eventually("the first list waits for its client", async || {
        let used = shop.metric(Role::Serve, "http_response_budget_used_bytes", &[]).await;
        check(used > Some(0.0), || used)
    })
    .await;
    let list = async |address: &str| shop.anyone.get("/v1/products?limit=200").header("x-forwarded-for", address).await;
    let problem = list("192.0.2.1").await.problem(503, "unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("smaller pages"), "{problem}");
    list("192.0.2.2").await.expect(200);
    let small = shop.anyone.get("/v1/products?limit=1").header("x-forwarded-for", "192.0.2.1").await;
    small.expect(200);
    assert_eq!(shop.metric(Role::Serve, "http_response_budget_rejections_total", &[]).await, Some(1.0));
}

#[tokio::test]
async fn a_head_over_32_kib_gets_431_while_the_client_still_sends() {
    let shop = Shop::api().await;
    for length in [33_000, 300_000] {
        let mut connection = Raw::connect(&shop.anyone.base()).await;
        connection.send(format!("GET /v1/products HTTP/1.1\r\nhost: shop\r\nx-pad: {}", "x".repeat(length))).await.unwrap();
        assert_eq!(connection.response().await.unwrap().status, 431);
        assert_eq!(connection.read_to_end().await.unwrap(), 0);
    }
    // Complete, in one packet.
    for (length, status) in [(31_000, 200), (33_000, 431), (48_000, 431)] {
        let mut connection = Raw::connect(&shop.anyone.base()).await;
        connection.send(format!("GET /v1/products HTTP/1.1\r\nhost: shop\r\nx-pad: {}\r\n\r\n", "x".repeat(length))).await.unwrap();
        assert_eq!(connection.response().await.unwrap().status, status, "{length}");
    }
}

#[tokio::test]
async fn a_body_over_its_limit_is_rejected_by_its_length_and_a_chunked_one_at_the_limit() {
    let shop = Shop::api().await;
    let post =
        |path: &str, headers: &str| format!("POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n{headers}\r\n\r\n");
    // No byte of the body is sent.
    let mut connection = Raw::connect(&shop.anyone.base()).await;
    connection.send(post("/v1/auth/login", "content-length: 65537")).await.unwrap();
    let response = connection.response().await.unwrap();
    assert!(response.status == 413 && response.says_close() && response.body.contains("64 KiB"), "{response:?}");
    let mut connection = Raw::connect(&shop.anyone.base()).await;
    connection.send(post("/v1/auth/login", "transfer-encoding: chunked")).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..16 {
        connection.send(&chunk).await.unwrap();
    }
    connection.send("1\r\nx\r\n").await.unwrap();
    let response = connection.response().await.unwrap();
    assert!(response.status == 413 && response.says_close(), "{response:?}");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_not_asked_for_a_body_that_is_not_read() {
    let shop = Shop::api().await;
    let mut connection = Raw::connect(&shop.anyone.base()).await;
    let head = "host: shop\r\ncontent-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n";
    connection.send(format!("POST /v1/products HTTP/1.1\r\n{head}\r\n")).await.unwrap();
    let response = connection.response().await.unwrap();
    assert!(response.status == 401 && response.says_close(), "{response:?}");
    let mut connection = Raw::connect(&shop.anyone.base()).await;
    connection.send(format!("POST /v1/auth/refresh HTTP/1.1\r\n{head}\r\n")).await.unwrap();
    assert_eq!(connection.response().await.unwrap().status, 100);
    connection.send("{}").await.unwrap();
    let response = connection.response().await.unwrap();
    assert!(response.status == 422 && !response.says_close(), "{response:?}");
}

#[tokio::test]
async fn a_missing_body_delays_the_response_by_at_most_a_second() {
    let shop = Shop::api().await;
    let mut connection = Raw::connect(&shop.anyone.base()).await;
    connection.send("POST /v1/products HTTP/1.1\r\nhost: shop\r\ncontent-length: 100\r\n\r\n").await.unwrap();
    let started = std::time::Instant::now();
    let response = connection.response().await.unwrap();
    assert!(response.status == 401 && response.says_close(), "{response:?}");
    assert!((1..5).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

/// Requests that are rejected before their body is read: status, request line and headers, length of the body.
fn rejected_requests(shop: &Shop) -> [(u16, String, usize); 5] {
    let (admin, customer) = (shop.ada.token(), shop.carol.token());
    let json = "content-type: application/json\r\n";
    [
        (401, format!("POST /v1/products HTTP/1.1\r\n{json}"), 200),
        (415, format!("POST /v1/products HTTP/1.1\r\nauthorization: Bearer {admin}\r\ncontent-type: text/plain\r\n"), 200),
        (404, format!("POST /v1/nothing HTTP/1.1\r\n{json}"), 5000),
        (405, format!("PUT /v1/products HTTP/1.1\r\n{json}"), 200),
        (413, format!("POST /v1/carts HTTP/1.1\r\nauthorization: Bearer {customer}\r\n{json}"), 100_000),
    ]
}

#[tokio::test]
async fn keep_alive_connections_survive_requests_that_are_rejected_before_their_body_was_read() {
    const CONNECTIONS: usize = 25;
    const ROUNDS: usize = 60;
    let shop = Shop::api().await;
    let (base, requests) = (shop.anyone.base(), rejected_requests(&shop));
    let client = async || {
        let mut opened = 1;
        let mut connection = Raw::connect(&base).await;
        for _ in 0..ROUNDS {
            for (status, head, length) in &requests {
                connection.send(format!("{head}host: shop\r\ncontent-length: {length}\r\n\r\n")).await.expect("the head is accepted");
                // A packet of its own, often after the server has its response.
                tokio::time::sleep(Duration::from_millis(1)).await;
                connection.send("x".repeat(*length)).await.expect("the body is accepted");
                let response = connection.response().await.expect("a response");
                assert_eq!(response.status, *status, "{response:?}");
                assert_eq!(response.says_close(), *status == 413, "{response:?}");
                if response.says_close() {
                    connection = Raw::connect(&base).await;
                    opened += 1;
                }
            }
        }
        opened
    };
    let opened: usize = futures::future::join_all((0..CONNECTIONS).map(|_| client())).await.into_iter().sum();
    let sent = CONNECTIONS * ROUNDS * requests.len();
    assert_eq!(opened, CONNECTIONS * (ROUNDS + 1));

    // A pooled client, whose bodies are streams that it cannot send again.
    let http = reqwest::Client::builder().pool_max_idle_per_host(CONNECTIONS).build().unwrap();
    let pooled = async || {
        for _ in 0..ROUNDS / 3 * 2 {
            for (status, head, length) in &requests {
                let (request_line, headers) = head.split_once("\r\n").unwrap();
                let [method, path, _] = request_line.split(' ').collect::<Vec<_>>()[..] else { panic!("a request line") };
                let mut request = http.request(method.parse().unwrap(), format!("{base}{path}"));
                for line in headers.lines() {
                    let (name, value) = line.split_once(": ").unwrap();
                    request = request.header(name, value);
                }
                let pieces = stream::iter([length / 2, length - length / 2]).then(async |length| {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Ok::<_, std::io::Error>("x".repeat(length))
                });
                let body = reqwest::Body::wrap_stream(pieces.boxed());
                let response = request.body(body).send().await.unwrap_or_else(|error| panic!("{status} {head}: {error:?}"));
                assert_eq!(response.status(), *status);
                response.bytes().await.unwrap();
            }
        }
    };
    futures::future::join_all((0..CONNECTIONS).map(|_| pooled())).await;
    let pooled = CONNECTIONS * (ROUNDS / 3 * 2) * requests.len();
    println!("{} rejected requests, no connection error", sent + pooled);
    assert!(sent + pooled >= 10_000);
}

/// Connects from another address, sends as much as the server accepts, and keeps the connection open.
async fn stall(base: &str, number: usize, head: &str, rest: String) -> Raw {
    let mut connection = Raw::connect_from(base, [127, 0, 0, 1].into(), Some(4096)).await;
    let mut request = head.to_owned();
    let _ = write!(request, "x-forwarded-for: 192.0.{}.{}\r\n", number / 256, number % 256);
    // The server may close the connection before it has read everything.
    let _ = connection.send(request + &rest).await;
    connection
}

/// MiB that 500 unfinished heads, 250 bodies that never end and 60 unread lists add to the peak of the API's memory.
async fn memory_of_stalled_clients(head_bytes: usize, body_bytes: usize) -> f64 {
    raise_open_file_limit(8000);
    // Measures memory in use, not memory that the allocator retains.
    let shop = Shop::builder().only_api().allow_error_logs().setting("MIMALLOC_PURGE_DELAY", "0");
    let mut shop = shop.setting("TRUSTED_PROXY_HOPS", "1").start().await;
    samples::create(&shop.ada, &samples::plain("T-1")).await;
    fill_with_long_descriptions(&shop).await;
    shop.anyone.get("/v1/products?limit=200").await.expect(200);
    let base = shop.anyone.base();
    let pid = shop.process(Role::Serve).pid();
    // A debug build already used much memory during the setup and may reuse it, so compare the peaks before and after.
    let (before, resident) = (peak_memory(pid), memory(pid));
    let login = "POST /v1/auth/login HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let chunks = format!("\r\n{}", format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(body_bytes / 1024));
    let heads = (0..500)
        .map(|number| stall(&base, number, "GET /v1/products HTTP/1.1\r\nhost: shop\r\n", format!("x-pad: {}", "x".repeat(head_bytes))));
    let bodies = (500..750).map(|number| stall(&base, number, login, chunks.clone()));
    let lists = (750..810).map(|number| stall(&base, number, LIST, "\r\n".into()));
    let _connections = tokio::join!(futures::future::join_all(heads), futures::future::join_all(bodies), futures::future::join_all(lists));
    // Other clients are still served.
    shop.anyone.get("/v1/products/by-sku/T-1").await.expect(200);
    let (mut peak, mut unchanged) = (0.0, 0);
    eventually("the memory grows no more", async || {
        let now = peak_memory(pid);
        unchanged = if now > peak { 0 } else { unchanged + 1 };
        peak = now;
        check(unchanged >= 200, || now)
    })
    .await;
    shop.anyone.get("/v1/products/by-sku/T-1").await.expect(200);
    println!(
        "heads of {head_bytes} bytes, bodies of {body_bytes} bytes: at most {before:.0} MiB before ({resident:.0} MiB resident), at most {peak:.0} MiB with them"
    );
    peak - before
}

#[tokio::test]
async fn clients_that_stall_add_at_most_64_mib() {
    let added = memory_of_stalled_clients(300_000, 1_000_000).await;
    println!("500 unfinished heads of 300 KB, 250 bodies of 1 MB that never end and 60 unread lists add {added:.0} MiB");
    assert!(added <= 64.0, "{added:.1} MiB");
}

#[tokio::test]
async fn clients_that_stall_just_below_the_limits_add_at_most_96_mib() {
    let added = memory_of_stalled_clients(32_000, 60_000).await;
    println!("500 unfinished heads of 32 KB, 250 bodies of 60 KB that never end and 60 unread lists add {added:.0} MiB");
    assert!(added <= 96.0, "{added:.1} MiB");
}
