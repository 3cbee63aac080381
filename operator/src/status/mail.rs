//! Whether the shop's mail goes out, as its notifiers report.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::conditions::ConditionState;
use crate::{crd::Catalog, kinds::Kind, live::Live, mail::MailReport};

/// The condition `MailReady`.
pub const CONDITION: &str = "MailReady";

/// What `MailReady` says: `None` stands for Unknown.
pub struct MailStatus {
    /// Whether mail goes out.
    pub holds: Option<bool>,
    /// A word in `CamelCase`.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl MailStatus {
    /// What makes the Catalog degraded.
    pub fn failure(&self) -> Option<ConditionState> {
        (self.holds == Some(false)).then(|| ConditionState::yes(&self.reason, self.message.clone()))
    }
}

/// Judges what the notifiers report. `before` is the condition as it was.
pub fn mail(catalog: &Catalog, live: &Live, report: &MailReport, before: Option<&Condition>) -> MailStatus {
    let said = |holds, reason: &str, message: String| MailStatus { holds, reason: reason.into(), message };
    let server = format!("mail server {}:{}", catalog.spec.mail.server, catalog.spec.mail.port);
    let deployment = format!("{}-notifier", catalog.name_any());
    let replicas = live.get(Kind::Deployment, &deployment).and_then(|live| live.data["spec"]["replicas"].as_i64());
    match report {
        MailReport::NoPods if replicas == Some(0) => {
            said(None, "Idle", format!("Deployment {deployment} has no pods; one starts when mail waits"))
        }
        MailReport::NoPods => said(None, "NotRunning", format!("no pod of Deployment {deployment} runs: see NotifierAvailable")),
        MailReport::NotAsked => match before {
            Some(before) => said(before.status.to_lowercase().parse().ok(), &before.reason, before.message.clone()),
            None => said(None, "NotReported", format!("the pods of Deployment {deployment} have not reported yet")),
        },
        MailReport::NotAnswered(error) => {
            said(None, "NotReported", format!("{error}; the operator reads /readyz of notifiers: allow it to reach their port 9090"))
        }
        MailReport::Available => said(Some(true), "NoFailure", format!("no notifier reports a failure of {server}")),
        MailReport::Unavailable(reply) => {
            let message = format!("{server}: {reply}. Mail waits and is sent later; check spec.mail, its credentials and the server");
            said(Some(false), "MailServerUnavailable", message)
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
    fn mail_is_ready_unknown_or_failing_as_the_notifiers_say() {
        let (catalog, _) = samples::minimal_input();
        let server = format!("mail server {}:{}", catalog.spec.mail.server, catalog.spec.mail.port);
        for (replicas, report, holds, reason, message) in [
            (0, MailReport::NoPods, None, "Idle", "Deployment shop-notifier has no pods"),
            (1, MailReport::NoPods, None, "NotRunning", "no pod of Deployment shop-notifier runs"),
            (1, MailReport::NotAsked, None, "NotReported", "the pods of Deployment shop-notifier have not reported yet"),
            (1, MailReport::NotAnswered("Pod a: refused".into()), None, "NotReported", "Pod a: refused; the operator reads /readyz"),
            (1, MailReport::Available, Some(true), "NoFailure", "no notifier reports a failure of mail server"),
            (1, MailReport::Unavailable("535 no".into()), Some(false), "MailServerUnavailable", &format!("{server}: 535 no. ")),
        ] {
            let said = mail(&catalog, &live(replicas), &report, None);
            assert_eq!((said.holds, said.reason.as_str()), (holds, reason), "{report:?}");
            assert!(said.message.starts_with(message), "{}", said.message);
            assert_eq!(said.failure().is_some(), holds == Some(false));
        }
    }

    #[test]
    fn pods_that_were_replaced_change_nothing_until_they_are_asked() {
        let (catalog, _) = samples::minimal_input();
        for (status, holds) in [("True", Some(true)), ("False", Some(false)), ("Unknown", None)] {
            let before =
                json!({"type": CONDITION, "status": status, "reason": "R", "message": "M", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let said = mail(&catalog, &live(1), &MailReport::NotAsked, Some(&serde_json::from_value(before).unwrap()));
            assert_eq!((said.holds, said.reason.as_str(), said.message.as_str()), (holds, "R", "M"));
        }
    }
}
