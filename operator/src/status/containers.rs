//! Issues of containers: why one cannot start, and why one ended.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};
use serde_json::Value;

/// A restarted container counts as healthy after it has been ready for this long. This is longer than the minute that startup
/// probes allow, so a container that fails soon after each start is not healthy between its failures.
pub const HEALTHY_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// After running this long a container has started, so its last restart is no longer an issue. The longest startup probe is that
/// of PostgreSQL: half an hour.
const LONGEST_START: SignedDuration = SignedDuration::from_mins(35);
/// Restarts after which failures are reported as `CrashLoopBackOff` even while the container runs. The kubelet reports it only
/// during the back-off.
const CRASH_LOOP_RESTARTS: i32 = 2;
/// Maximum number of lines and bytes to quote of a termination message.
const QUOTED: (usize, usize) = (3, 600);

/// An issue found in the status of a container or pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Reason such as `CrashLoopBackOff`.
    pub reason: String,
    /// Text for users.
    pub message: String,
    /// Whether the container ran and ended, rather than failed to start.
    pub has_ended: bool,
    /// When the issue ends if the container keeps running.
    pub until: Option<Timestamp>,
}

/// Finds the issue of a container, if it has one. `ready_since` is the time since which all containers of its pod are ready.
/// `is_restarted` is whether the kubelet restarts the container even after success.
pub fn find_issue(container: &ContainerStatus, is_restarted: bool, ready_since: Option<Timestamp>, now: Timestamp) -> Option<Finding> {
    let (state, last_state) = (container.state.as_ref(), container.last_state.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref()).or_else(|| last_state.and_then(|last| last.terminated.as_ref()));
    let failed = ended.filter(|ended| is_restarted || ended.exit_code != 0);
    let waiting = state.and_then(|state| state.waiting.as_ref()).and_then(|waiting| Some((waiting.reason.as_deref()?, &waiting.message)));
    match (waiting, failed) {
        (Some((reason, _)), Some(ended)) if is_starting(reason) || reason == "CrashLoopBackOff" => {
            Some(exit(container, ended, reason == "CrashLoopBackOff", None))
        }
        (Some((reason, _)), None) if is_starting(reason) => None,
        (Some((reason, text)), _) => {
            let message = format!("{} ({}): {}", container.name, container.image, text.as_deref().unwrap_or(reason));
            Some(Finding { reason: reason.into(), message, has_ended: false, until: None })
        }
        (None, Some(ended)) => match state.and_then(|state| state.running.as_ref()) {
            Some(running) => {
                let started = running.started_at.as_ref().map_or(now, |time| time.0);
                let until = healthy_at(container.ready, started, ready_since);
                (now < until).then(|| exit(container, ended, false, Some(until)))
            }
            None => Some(exit(container, ended, false, None)),
        },
        (None, None) => None,
    }
}

/// Whether the reason of a waiting container is part of a normal start.
pub fn is_starting(reason: &str) -> bool {
    matches!(reason, "ContainerCreating" | "PodInitializing")
}

/// When a restarted container counts as healthy.
fn healthy_at(is_ready: bool, started: Timestamp, ready_since: Option<Timestamp>) -> Timestamp {
    let start_ends = started + LONGEST_START;
    if is_ready { start_ends.min(started.max(ready_since.unwrap_or(started)) + HEALTHY_AFTER) } else { start_ends }
}

fn exit(container: &ContainerStatus, ended: &ContainerStateTerminated, is_backing_off: bool, until: Option<Timestamp>) -> Finding {
    let restarts = container.restart_count;
    let kubelet_reason = ended.reason.as_deref().unwrap_or("Error");
    // A generic reason is replaced by one that distinguishes a crash loop from a single failure.
    let reason = match kubelet_reason {
        "Error" | "Completed" if is_backing_off || restarts >= CRASH_LOOP_RESTARTS => "CrashLoopBackOff",
        "Error" | "Completed" => "ContainerFailed",
        specific => specific,
    };
    let at = ended.finished_at.as_ref().map(|at| format!(" at {}", at.0)).unwrap_or_default();
    let restarted = match restarts {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        restarts => format!(", restarted {restarts} times"),
    };
    let quoted = ended.message.as_deref().and_then(last_lines).map(|lines| format!(": {lines}")).unwrap_or_default();
    let message = format!("{} ended with exit code {} ({kubelet_reason}){at}{restarted}{quoted}", container.name, ended.exit_code);
    Finding { reason: reason.into(), message, has_ended: true, until }
}

/// The last lines of a termination message, joined into one line.
fn last_lines(message: &str) -> Option<String> {
    let mut lines: Vec<_> = message.lines().rev().filter(|line| !line.trim().is_empty()).take(QUOTED.0).map(line_text).collect();
    lines.reverse();
    let quoted = lines.join(" | ");
    // The last line usually has the cause.
    let start = quoted.ceil_char_boundary(quoted.len().saturating_sub(QUOTED.1));
    let quoted = &quoted[start..];
    (!quoted.is_empty()).then(|| if start == 0 { quoted.to_owned() } else { format!("…{quoted}") })
}

/// Message and error of a JSON log line, or the line itself.
fn line_text(line: &str) -> String {
    let fields: Option<Value> = serde_json::from_str(line).ok();
    let text = |name: &str| fields.as_ref().and_then(|fields| fields[name].as_str());
    match (text("message"), text("error")) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message.to_owned(),
        (None, _) => line.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FINISHED: &str = "2026-11-30T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn container(restarts: i32, is_ready: bool, state: &Value, last: &Value) -> ContainerStatus {
        let status = json!({"name": "api", "image": "catalog:1", "imageID": "", "ready": is_ready, "restartCount": restarts,
            "state": state, "lastState": last});
        serde_json::from_value(status).unwrap()
    }

    fn ended(code: i32, reason: &str) -> Value {
        json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": FINISHED, "message": "starting\npool timed out\n"}})
    }

    fn running(since: &str) -> Value {
        json!({"running": {"startedAt": since}})
    }

    #[test]
    fn a_crash_loop_has_the_same_reason_and_message_while_waiting_and_running() {
        let now = at("2026-11-30T10:00:30Z");
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}});
        let waits = find_issue(&container(2, false, &waiting, &ended(1, "Error")), true, None, now).unwrap();
        let runs = find_issue(&container(2, true, &running("2026-11-30T10:00:20Z"), &ended(1, "Error")), true, None, now).unwrap();
        let ends = find_issue(&container(2, false, &ended(1, "Error"), &json!({})), true, None, now).unwrap();
        assert_eq!(waits.reason, "CrashLoopBackOff");
        assert_eq!(
            waits.message,
            "api ended with exit code 1 (Error) at 2026-11-30T10:00:00Z, restarted 2 times: starting | pool timed out"
        );
        for other in [&runs, &ends] {
            assert_eq!((&other.reason, &other.message), (&waits.reason, &waits.message));
        }
    }

    #[test]
    fn a_restarted_container_is_healthy_after_two_minutes_of_readiness() {
        let restarted = |is_ready| container(1, is_ready, &running("2026-11-30T10:00:10Z"), &ended(137, "OOMKilled"));
        let ready_since = Some(at("2026-11-30T10:00:40Z"));
        let found = find_issue(&restarted(true), true, ready_since, at("2026-11-30T10:02:39Z")).unwrap();
        assert_eq!((found.reason.as_str(), found.until), ("OOMKilled", Some(at("2026-11-30T10:02:40Z"))));
        assert_eq!(find_issue(&restarted(true), true, ready_since, at("2026-11-30T10:02:40Z")), None);
        // A slow start is not healthy, and an old restart is not an issue.
        assert!(find_issue(&restarted(false), true, None, at("2026-11-30T10:30:00Z")).is_some());
        assert_eq!(find_issue(&restarted(false), true, None, at("2026-11-30T10:36:00Z")), None);
        assert_eq!(find_issue(&restarted(true), true, Some(at("2026-11-30T12:00:00Z")), at("2026-11-30T12:00:10Z")), None);
    }

    #[test]
    fn exit_code_0_is_an_issue_only_of_a_container_that_should_keep_running() {
        let now = at("2026-11-30T10:00:01Z");
        let done = container(0, false, &ended(0, "Completed"), &json!({}));
        assert_eq!(find_issue(&done, false, None, now), None);
        assert_eq!(find_issue(&done, true, None, now).unwrap().reason, "ContainerFailed");
    }

    #[test]
    fn a_container_that_cannot_start_is_reported_with_the_kubelets_text() {
        let missing = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"mail\" not found"}});
        let found = find_issue(&container(0, false, &missing, &json!({})), true, None, at(FINISHED)).unwrap();
        assert_eq!(found.message, "api (catalog:1): secret \"mail\" not found");
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        assert_eq!(find_issue(&container(0, false, &creating, &json!({})), true, None, at(FINISHED)), None);
    }

    #[test]
    fn the_end_of_a_termination_message_is_quoted_within_limits() {
        let json = r#"{"level":"ERROR","message":"migration failed","error":"password authentication failed"}"#;
        assert_eq!(last_lines(json).unwrap(), "migration failed: password authentication failed");
        let long = last_lines(&format!("{}the end", "é".repeat(2000))).unwrap();
        assert!(long.len() <= QUOTED.1 + "…".len() && long.ends_with("the end"), "{long}");
        assert_eq!(last_lines("\n \n"), None);
        assert_eq!(last_lines("1\n2\n3\n4").unwrap(), "2 | 3 | 4");
    }
}
