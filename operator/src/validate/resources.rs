//! CPU and memory.

use super::check::Check;
use crate::crd::Resources;

/// What pods get when the spec says nothing.
#[derive(Clone, Copy)]
pub struct Defaults {
    cpu: &'static str,
    memory: &'static str,
    memory_limit: &'static str,
}

/// Of API and workers.
pub const ROLE: Defaults = Defaults { cpu: "100m", memory: "64Mi", memory_limit: "256Mi" };
/// Of the embedded PostgreSQL.
pub const POSTGRES: Defaults = Defaults { cpu: "100m", memory: "256Mi", memory_limit: "1Gi" };
/// Of the embedded NATS.
pub const NATS: Defaults = Defaults { cpu: "50m", memory: "64Mi", memory_limit: "512Mi" };

/// The resources, or the defaults. CPU has no default limit: it would only slow down.
pub fn check(path: &str, given: Option<&Resources>, defaults: Defaults, check: &mut Check<'_>) -> Resources {
    let Some(given) = given else {
        return Resources {
            requests: [("cpu".to_owned(), defaults.cpu.into()), ("memory".to_owned(), defaults.memory.into())].into(),
            limits: [("memory".to_owned(), defaults.memory_limit.into())].into(),
        };
    };
    for (name, request) in &given.requests {
        let amount = check.quantity(&format!("{path}.requests.{name}"), request);
        let limit = given.limits.get(name).and_then(|limit| limit.amount().ok());
        if let (Some(amount), Some(limit)) = (amount, limit)
            && amount > limit
        {
            check.invalid(&format!("{path}.requests.{name}"), "a request may not be more than its limit: lower the one or raise the other");
        }
    }
    for (name, limit) in &given.limits {
        check.quantity(&format!("{path}.limits.{name}"), limit);
    }
    given.clone()
}
