//! Derives the condition `MailReady` from the reports of the notifiers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::conditions::ConditionState;
use crate::{crd::Catalog, kinds::Kind, live::Live, mail::MailReport};

/// The condition `MailReady`.
pub const CONDITION: &str = "MailReady";

/// State of the condition `MailReady`.
pub struct MailStatus {
    /// Whether mail can be sent. `None` means Unknown.
    pub holds: Option<bool>,
    /// Reason.
    pub reason: String,
    /// Message.
    pub message: String,
}

impl MailStatus {
    /// Returns the state of `Degraded` if the condition is False.
    pub fn failure(&self) -> Option<ConditionState> {
        (self.holds == Some(false)).then(|| ConditionState::yes(&self.reason, self.message.clone()))
    }
}

/// Derives `MailReady` from the report of the notifiers, which use these mail `servers`. `previous` is the current condition.
pub fn mail(catalog: &Catalog, live: &Live, report: &MailReport, servers: &[String], previous: Option<&Condition>) -> MailStatus {
    let state = |holds, reason: &str, message: String| MailStatus { holds, reason: reason.into(), message };
    let declared = format!("{}:{}", catalog.spec.mail.server, catalog.spec.mail.port);
    let pending = || {
        let is_pending = servers.iter().any(|server| *server != declared);
        if is_pending { format!("; not all notifiers use {declared} of spec.mail yet: see Progressing") } else { String::new() }
    };
    let deployment = format!("{}-notifier", catalog.name_any());
    let replicas = live.get(Kind::Deployment, &deployment).and_then(|live| live.data["spec"]["replicas"].as_i64());
    match report {
        MailReport::NoPods if replicas == Some(0) => {
            let starts = if live.get(Kind::ScaledObject, &deployment).is_some() { "; one starts when mail waits" } else { "; mail waits" };
            state(None, "Idle", format!("Deployment {deployment} has no pods{starts}"))
        }
        MailReport::NoPods => state(None, "NotRunning", format!("no pod of Deployment {deployment} runs: see NotifierAvailable")),
        MailReport::NotPolled => match previous.and_then(|previous| Some((previous, previous.status.to_lowercase().parse().ok()?))) {
            Some((previous, holds)) => state(Some(holds), &previous.reason, previous.message.clone()),
            // The reason of an Unknown condition, such as 0 pods, is that of another report.
            None => state(None, "NotReported", format!("the pods of Deployment {deployment} have not reported yet")),
        },
        MailReport::PollFailed(error) => {
            state(None, "NotReported", format!("{error}; the operator reads /readyz of notifiers: allow it to reach their port 9090"))
        }
        MailReport::Available => {
            let servers = if servers.is_empty() { "its mail server".to_owned() } else { format!("mail server {}", servers.join(" or ")) };
            state(Some(true), "NoFailure", format!("no notifier reports a failure of {servers}{}", pending()))
        }
        MailReport::Unavailable(reply) => {
            let message = format!("{reply}. Mail waits and is sent later; check spec.mail, its credentials and the server{}", pending());
            state(Some(false), "MailServerUnavailable", message)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build::samples;

    fn live(replicas: i64) -> Live {
        let deployment =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop-notifier"}, "spec": {"replicas": replicas}});
        Live::of([(Kind::Deployment, serde_json::from_value(deployment).unwrap())])
    }

    #[test]
    fn mail_ready_follows_the_report_of_the_notifiers() {
        let (catalog, _) = samples::minimal_input();
        let server = format!("{}:{}", catalog.spec.mail.server, catalog.spec.mail.port);
        for (replicas, report, holds, reason, message) in [
            (0, MailReport::NoPods, None, "Idle", "Deployment shop-notifier has no pods"),
            (1, MailReport::NoPods, None, "NotRunning", "no pod of Deployment shop-notifier runs"),
            (1, MailReport::NotPolled, None, "NotReported", "the pods of Deployment shop-notifier have not reported yet"),
            (1, MailReport::PollFailed("Pod a: refused".into()), None, "NotReported", "Pod a: refused; the operator reads /readyz"),
            (1, MailReport::Available, Some(true), "NoFailure", &format!("no notifier reports a failure of mail server {server}")),
            (
                1,
                MailReport::Unavailable("mail server a:1: 535 no".into()),
                Some(false),
                "MailServerUnavailable",
                "mail server a:1: 535 no. ",
            ),
        ] {
            let state = mail(&catalog, &live(replicas), &report, std::slice::from_ref(&server), None);
            assert_eq!((state.holds, state.reason.as_str()), (holds, reason), "{report:?}");
            assert!(state.message.starts_with(message) && !state.message.contains("see Progressing"), "{}", state.message);
            assert_eq!(state.failure().is_some(), holds == Some(false));
        }
    }

    #[test]
    fn the_server_of_the_pods_is_named_until_they_use_the_one_of_the_spec() {
        let (mut catalog, _) = samples::minimal_input();
        (catalog.spec.mail.server, catalog.spec.mail.port) = ("new.example.com".into(), 587);
        let message = |report, servers: &[&str]| {
            let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
            mail(&catalog, &live(1), &report, &servers, None).message
        };
        let pending = "; not all notifiers use new.example.com:587 of spec.mail yet: see Progressing";
        let healthy = "no notifier reports a failure of mail server";
        assert_eq!(message(MailReport::Available, &["old.example.com:25"]), format!("{healthy} old.example.com:25{pending}"));
        let both = ["new.example.com:587", "old.example.com:25"];
        assert_eq!(message(MailReport::Available, &both), format!("{healthy} new.example.com:587 or old.example.com:25{pending}"));
        assert_eq!(message(MailReport::Available, &both[..1]), format!("{healthy} new.example.com:587"));
        let failing = message(MailReport::Unavailable("mail server old.example.com:25: 421".into()), &["old.example.com:25"]);
        assert!(failing.starts_with("mail server old.example.com:25: 421. ") && failing.ends_with(pending), "{failing}");
    }

    #[test]
    fn true_and_false_do_not_change_until_new_pods_are_polled() {
        let (catalog, _) = samples::minimal_input();
        let unknown = (None, "NotReported", "the pods of Deployment shop-notifier have not reported yet");
        for (status, expected) in [("True", (Some(true), "R", "M")), ("False", (Some(false), "R", "M")), ("Unknown", unknown)] {
            let before =
                json!({"type": CONDITION, "status": status, "reason": "R", "message": "M", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let state = mail(&catalog, &live(1), &MailReport::NotPolled, &[], Some(&serde_json::from_value(before).unwrap()));
            assert_eq!((state.holds, state.reason.as_str(), state.message.as_str()), expected);
        }
    }
}
