//! Reads the audit log of the API server.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::certificates::OPERATOR;

/// A request that the API server has answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it was answered.
    pub at: Timestamp,
    /// Whether an operator sent it.
    pub by_operator: bool,
    /// The verb as in RBAC: `get`, `list`, `create`, `patch` and so on.
    pub verb: String,
    /// The path and query.
    pub uri: String,
    /// The namespace; empty for cluster-scoped requests.
    pub namespace: String,
    /// The plural name of the resource; empty for requests such as discovery.
    pub resource: String,
    /// The HTTP status code of the response.
    pub code: u64,
}

impl Request {
    /// Whether it is a write of anything but a Lease.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch") && self.resource != "leases"
    }

    /// Whether a reconcile sent it, as opposed to watches, leader election and Events.
    pub fn is_by_reconcile(&self) -> bool {
        self.by_operator
            && self.verb != "watch"
            && !matches!(self.resource.as_str(), "leases" | "events")
            && !self.uri.contains("resourceVersion=")
    }
}

/// A position in an audit log.
pub struct Audit {
    log: PathBuf,
    read: u64,
}

impl Audit {
    /// Starts at the current end of the audit log in `directory`.
    pub fn of(directory: &Path) -> Self {
        let log = directory.join("audit.log");
        let read = fs::metadata(&log).map(|file| file.len()).unwrap_or_default();
        Self { log, read }
    }

    /// Returns the requests since the last call.
    ///
    /// # Panics
    /// If the log cannot be read.
    pub fn read_new(&mut self) -> Vec<Request> {
        let mut log = File::open(&self.log).expect("the API server keeps an audit log");
        log.seek(SeekFrom::Start(self.read)).expect("a file can be sought");
        let mut lines = BufReader::new(log);
        let (mut line, mut requests) = (String::new(), Vec::new());
        loop {
            line.clear();
            let length = lines.read_line(&mut line).expect("the log can be read");
            // The last line may be incomplete; the next call reads it.
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

/// Returns the arguments with which kube-apiserver logs the requests of operators and the writes of Catalogs.
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
