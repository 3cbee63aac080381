//! Who asked the API server for what, as its own audit log says.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::certificates::OPERATOR;

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it was answered.
    pub at: Timestamp,
    /// Whether an operator asked.
    pub by_operator: bool,
    /// As in RBAC: `get`, `list`, `create`, `patch` and so on.
    pub verb: String,
    /// With its query.
    pub uri: String,
    /// The namespace, if it was in one.
    pub namespace: String,
    /// The kind in the plural, or nothing for discovery and the like.
    pub resource: String,
    /// The status code.
    pub code: u64,
}

impl Request {
    /// Whether it changes something that isn't a Lease.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch") && self.resource != "leases"
    }

    /// Whether it belongs to a reconcile.
    pub fn is_of_a_reconcile(&self) -> bool {
        self.by_operator
            && self.verb != "watch"
            && !matches!(self.resource.as_str(), "leases" | "events")
            && !self.uri.contains("resourceVersion=")
    }
}

/// Reads the log from where it was.
pub struct Audit {
    log: PathBuf,
    read: u64,
}

impl Audit {
    /// Of the server that keeps its files there, from now on.
    pub fn of(directory: &Path) -> Self {
        let log = directory.join("audit.log");
        let read = fs::metadata(&log).map(|file| file.len()).unwrap_or_default();
        Self { log, read }
    }

    /// What was answered since it was last asked.
    ///
    /// # Panics
    /// If the log cannot be read.
    pub fn more(&mut self) -> Vec<Request> {
        let mut log = File::open(&self.log).expect("the API server keeps an audit log");
        log.seek(SeekFrom::Start(self.read)).expect("a file has places");
        let mut lines = BufReader::new(log);
        let (mut line, mut requests) = (String::new(), Vec::new());
        loop {
            line.clear();
            let length = lines.read_line(&mut line).expect("the log can be read");
            // A line that is still being written is for the next time.
            if !line.ends_with('\n') {
                return requests;
            }
            self.read += u64::try_from(length).expect("a length");
            requests.extend(serde_json::from_str(&line).ok().and_then(|entry: Value| request(&entry)));
        }
    }
}

fn request(entry: &Value) -> Option<Request> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Request {
        at: entry["stageTimestamp"].as_str()?.parse().ok()?,
        by_operator: entry["user"]["username"] == OPERATOR,
        verb: text(&entry["verb"]),
        uri: text(&entry["requestURI"]),
        namespace: text(&entry["objectRef"]["namespace"]),
        resource: text(&entry["objectRef"]["resource"]),
        code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
    })
}

/// What makes kube-apiserver keep the log of what operators ask for, and of Catalogs.
pub fn arguments(directory: &Path) -> [OsString; 2] {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "Metadata", "users": [OPERATOR]},
            {"level": "Metadata", "verbs": ["create", "patch"], "resources": [{"group": "catalog.rs", "resources": ["catalogs"]}]},
            {"level": "None"},
        ],
    });
    let file = directory.join("audit-policy.json");
    fs::write(&file, policy.to_string()).expect("the directory can be written");
    [format!("--audit-policy-file={}", file.display()).into(), format!("--audit-log-path={}", directory.join("audit.log").display()).into()]
}
