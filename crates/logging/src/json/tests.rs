use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{field::Empty, subscriber::with_default};
use tracing_subscriber::layer::SubscriberExt;

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

fn lines(log: impl FnOnce()) -> Vec<Value> {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    with_default(tracing_subscriber::registry().with(JsonLayer::new(move || writer.clone())), log);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn fields_of_all_spans_are_at_the_top_level() {
    let lines = lines(|| {
        let request = tracing::error_span!("request", request_id = "r1", account_id = Empty, event_id = Empty);
        let _entered = request.enter();
        request.record("account_id", "a1");
        let _inner = tracing::info_span!("import", import_id = 7).entered();
        tracing::warn!(rows = 3_u64, atomic = true, "import canceled");
    });
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["message"], &line["level"]), (&"import canceled".into(), &"WARN".into()));
    assert_eq!((&line["request_id"], &line["account_id"], &line["import_id"]), (&"r1".into(), &"a1".into(), &7.into()));
    assert_eq!((&line["rows"], &line["atomic"]), (&3.into(), &true.into()));
    assert!(line.get("event_id").is_none(), "a field without a value is left out: {line}");
}

#[test]
fn each_name_occurs_once_with_the_innermost_value() {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    with_default(tracing_subscriber::registry().with(JsonLayer::new(move || writer.clone())), || {
        let _outer = tracing::error_span!("outer", event_id = "outer", message = "none", level = "none").entered();
        let _inner = tracing::error_span!("inner", event_id = "inner").entered();
        tracing::info!("first");
        tracing::info!(event_id = "event", "second");
    });
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("event_id").count(), 2, "{text}");
    assert!(text.contains("\"event_id\":\"inner\"") && text.contains("\"event_id\":\"event\""), "{text}");
    assert!(text.contains("\"message\":\"first\"") && !text.contains("none"), "{text}");
}

#[test]
fn values_cannot_forge_lines_or_fields() {
    let lines = lines(|| tracing::info!(path = "/x\",\"level\":\"ERROR\"\n{\"message\":\"forged\"}", "request"));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["message"], &line["level"]), (&"request".into(), &"INFO".into()));
}

#[test]
fn errors_are_logged_with_their_causes() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the outbox cannot be read")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Outer(io::Error::other("connection reset"));
    let lines = lines(|| tracing::warn!(error = &error as &dyn std::error::Error, "database unavailable; retrying"));
    assert_eq!(lines[0]["error"], "the outbox cannot be read: connection reset");
}
