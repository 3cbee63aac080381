use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use axum::{Router, routing::get};
use catalog_logging::JsonLayer;
use serde_json::Value;
use tower::ServiceExt;
use tracing::subscriber::set_default;
use tracing_subscriber::{Layer as _, layer::SubscriberExt};

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn panics() -> &'static str {
    panic!("no price")
}

async fn panics_later() -> &'static str {
    tokio::task::yield_now().await;
    panic!("no price")
}

async fn logs_later() -> &'static str {
    tokio::task::yield_now().await;
    tracing::info!("inside");
    "done"
}

/// The status of a GET, and the lines it logs.
async fn get_logged(path: &str) -> (StatusCode, Vec<Value>) {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let lines = JsonLayer::new(move || writer.clone()).with_filter(LevelFilter::INFO);
    let _logging = set_default(tracing_subscriber::registry().with(lines));
    let router = Router::new()
        .route("/panics", get(panics))
        .route("/panics-later", get(panics_later))
        .route("/logs-later", get(logs_later))
        .layer(ObserveLayer::new(1, 0));
    let request = Request::get(path).header("host", "shop").header("x-request-id", "r1").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    (response.status(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test]
async fn a_panic_is_the_cause_in_the_line_of_its_request() {
    for path in ["/panics", "/panics-later"] {
        let (status, lines) = get_logged(path).await;
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(status, 500);
        assert_eq!((&line["request_id"], &line["message"], &line["level"]), (&"r1".into(), &"request".into(), &"ERROR".into()), "{line}");
        assert!(line["error"].as_str().unwrap().contains("no price"), "{line}");
    }
}

#[tokio::test]
async fn an_anonymous_read_has_its_fields_on_every_line_once_it_has_waited() {
    let (status, lines) = get_logged("/logs-later?q=secret").await;
    assert_eq!(status, 200);
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["inside", "request"]);
    for line in &lines {
        assert_eq!((&line["request_id"], &line["path"], &line["method"]), (&"r1".into(), &"/logs-later".into(), &"GET".into()), "{line}");
        assert!(!line.to_string().contains("secret"), "queries are not logged: {line}");
    }
}

#[tokio::test]
async fn the_number_of_log_lines_for_rejected_requests_is_limited() {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let lines = JsonLayer::new(move || writer.clone()).with_filter(LevelFilter::INFO);
    let _logging = set_default(tracing_subscriber::registry().with(lines));
    let router = Router::new().fallback(|| async { StatusCode::NOT_FOUND }).layer(ObserveLayer::new(1, 0));
    let before = UNLOGGED.get();
    for _ in 0..5000 {
        let request = Request::get("/").header("host", "shop").body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), 404);
    }
    let logged = String::from_utf8_lossy(&buffer.0.lock().unwrap()).lines().count() as u64;
    assert_eq!(logged + UNLOGGED.get() - before, 5000);
    assert!((100..2500).contains(&logged), "{logged}");
}
