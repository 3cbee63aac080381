//! Rules for all requests: ids, traces, paths, methods and malformed requests.

use catalog_tests::{Shop, samples};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn a_valid_request_id_is_kept_and_a_missing_one_generated() {
    let shop = Shop::api().await;
    let given = "order-4711_a.b:c/d";
    let reply = shop.anyone.get("/v1/products").header("x-request-id", given).await.expect(200);
    assert_eq!(reply.header("x-request-id"), given);
    let reply = shop.anyone.get("/v1/nothing").header("x-request-id", given).await.expect(404);
    assert_eq!(reply.json()["request_id"], given);
    let long = "x".repeat(129);
    for bad in ["", "with space", &long, "uml\u{e4}ut", "tab\tbed"] {
        let reply = shop.anyone.get("/v1/products").header("x-request-id", bad).await.expect(200);
        assert_ne!(reply.header("x-request-id"), bad);
        assert!(!reply.header("x-request-id").is_empty());
    }
    let ids = [shop.anyone.get("/v1/products").await, shop.anyone.get("/v1/products").await];
    assert_ne!(ids[0].header("x-request-id"), ids[1].header("x-request-id"));
}

#[tokio::test]
async fn the_log_has_requests_with_their_id_and_trace() {
    let shop = Shop::api().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    shop.ada.delete("/v1/products/nothing").header("x-request-id", "find-me").header("traceparent", trace).await.expect(404);
    let line = catalog_tests::eventually("the request is logged", async || {
        shop.log_lines().into_iter().find(|line| line.contains("find-me")).ok_or("not yet")
    })
    .await;
    for part in ["4bf92f3577b34da6a3ce929d0e0e4736", "DELETE", "404", "/v1/products/{id}"] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
}

#[tokio::test]
async fn a_valid_traceparent_is_continued_and_any_other_replaced() {
    let shop = Shop::api().await;
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let reply = shop.anyone.get("/v1/products").header("traceparent", given).await.expect(200);
    assert!(reply.header("traceparent").contains("4bf92f3577b34da6a3ce929d0e0e4736"));
    for bad in [
        "",
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let reply = shop.anyone.get("/v1/products").header("traceparent", bad).await.expect(200);
        assert_ne!(reply.header("traceparent"), bad);
    }
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let shop = Shop::api().await;
    for path in [
        "/nothing",
        "/v1",
        "/v1/",
        "/v2/products",
        "/v1/product",
        "/v1/products/",
        "/v1/products//",
        "/V1/products",
        "/v1/products/x/y/z",
        "/.env",
        "/metrics",
        "/readyz",
        "/livez",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            shop.ada.request(method.clone(), path).await.problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn unsupported_methods_are_405_with_allow() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::plain("T-1")).await;
    let put = Method::PUT;
    let cases = [
        (put.clone(), "/v1/products".to_owned(), vec!["GET", "POST"]),
        (Method::DELETE, "/v1/products".to_owned(), vec!["GET", "POST"]),
        (put.clone(), product.path.clone(), vec!["GET", "PATCH", "DELETE"]),
        (Method::POST, product.path.clone(), vec!["GET", "PATCH", "DELETE"]),
        (Method::GET, product.at("restore"), vec!["POST"]),
        (Method::GET, "/v1/auth/login".to_owned(), vec!["POST"]),
        (Method::POST, "/.well-known/jwks.json".to_owned(), vec!["GET"]),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/products".to_owned(), vec!["GET", "POST"]),
    ];
    for (method, path, allowed) in cases {
        let reply = shop.ada.request(method.clone(), &path).await;
        reply.problem(405, "method-not-allowed");
        for allowed in allowed {
            assert!(reply.header("allow").contains(allowed), "{method} {path}: {}", reply.header("allow"));
        }
    }
}

#[tokio::test]
async fn malformed_paths_get_problem_documents() {
    let shop = Shop::api().await;
    let long = "x".repeat(20_000);
    for path in
        ["/v1/products/by-sku/%FF", "/v1/products/by-sku/%00", "/v1/products/%FF", "/v1/products/by-sku/a%00b", "/%FF", "/v1/products/%00"]
    {
        let reply = shop.anyone.get(path).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {} {}", reply.status, reply.text());
    }
    let reply = shop.anyone.get(&format!("/v1/products/{long}")).await;
    assert!(matches!(reply.status, 404 | 414 | 431), "{}", reply.status);
}

/// Sends bytes, closes the sending side if `is_end`, and reads until the server closes the connection.
async fn raw(shop: &Shop, bytes: &[u8], is_end: bool) -> String {
    let address = shop.anyone.base().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    if is_end {
        let _ = stream.shutdown().await;
    }
    let mut response = Vec::new();
    let _ = tokio::time::timeout(catalog_tests::wait::DEFAULT_TIMEOUT, stream.read_to_end(&mut response))
        .await
        .expect("the server keeps waiting");
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn malformed_requests_do_not_affect_other_clients() {
    let shop = Shop::api().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"nonsense\r\n\r\n",
        b"GET /v1/products HTTP/9.9\r\n\r\n",
        b"GET /v1/products HTTP/1.1\r\n\r\n",
        b"POST /v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        b"GET /v1/products HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\x01b\r\n\r\n",
        b"",
    ] {
        let response = raw(&shop, bytes, true).await;
        assert!(!response.starts_with("HTTP/1.1 5"), "{bytes:?}: {response}");
    }
    let many_headers = format!("GET /v1/products HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Pad: y\r\n".repeat(2000));
    let response = raw(&shop, many_headers.as_bytes(), true).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response}");
    shop.anyone.get("/v1/products").await.expect(200);
}

#[tokio::test]
async fn a_request_must_have_one_host() {
    // RFC 9112, section 3.2.
    let shop = Shop::api().await;
    for (version, hosts, status) in
        [("1.1", "", 400), ("1.1", "Host: x\r\nHost: x\r\n", 400), ("1.1", "Host: x\r\n", 200), ("1.0", "", 200)]
    {
        let request = format!("GET /v1/products HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        let response = raw(&shop, request.as_bytes(), false).await;
        assert!(response.starts_with(&format!("HTTP/{version} {status}")), "{request:?}: {response}");
        assert!(status == 200 || response.contains("problems/malformed"), "{response}");
    }
}

#[tokio::test]
async fn requests_can_be_pipelined_on_one_connection() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::plain("T-1")).await;
    let one = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", product.path);
    let last = one.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let response = raw(&shop, format!("{one}{one}{last}").as_bytes(), false).await;
    assert_eq!(response.matches("HTTP/1.1 200").count(), 3, "{response}");
}
