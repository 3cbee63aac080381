//! Distinguishes pods that start after their Deployment was scaled up from 0 from pods that have failed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    issue::SLOW_AFTER,
    parts::{Parts, SCALED_TO_ZERO, SCALING_UP, UNAVAILABLE},
};

/// Sets the reason of workloads that had 0 pods `before` and have no available pod yet, for at most a minute.
pub fn set_conditions(before: &[Condition], now: Timestamp, parts: &mut Parts) {
    let workloads = [
        ("ApiAvailable", &mut parts.api),
        ("NotifierAvailable", &mut parts.notifier),
        ("TrackerAvailable", &mut parts.tracker),
        ("FulfillerAvailable", &mut parts.fulfiller),
    ];
    for (kind, workload) in workloads {
        let was = before.iter().find(|was| was.type_ == kind);
        let starts = was.is_some_and(|was| {
            was.reason == SCALED_TO_ZERO || was.reason == SCALING_UP && now.duration_since(was.last_transition_time.0) < SLOW_AFTER
        });
        if starts && workload.state.reason == UNAVAILABLE {
            workload.state.reason = SCALING_UP.into();
            workload.state.message.push_str("; they start, because the Deployment was scaled up from 0");
        }
    }
}
