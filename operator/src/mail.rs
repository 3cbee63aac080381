//! The state of the mail server, which notifiers report in `/readyz?verbose`.
//!
//! No object in the cluster changes when a mail server fails, so the pods are polled at their own addresses, independently of
//! reconciles. A Catalog is reconciled when its report changes.

mod poll;
mod schedule;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::{sync::Notify, time::Instant};

use self::schedule::{CatalogKey, Schedule};

/// Start of the line about the mail server, after `[+] ` or `[-] ` (api/src/roles/notifier.rs).
const LINE: &str = "mail server: ";

/// State of the mail server, as the notifiers of a Catalog report it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MailReport {
    /// No notifier runs.
    #[default]
    NoPods,
    /// The pods were not polled yet.
    NotPolled,
    /// No pod could be polled. Contains the error.
    PollFailed(String),
    /// The last mail was accepted, or none was sent yet.
    Available,
    /// The server rejects mail or doesn't respond. Contains the server, and its reply or the error.
    Unavailable(String),
}

/// A pod of a notifier that can be polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifierPod {
    name: String,
    address: SocketAddr,
    /// Host and port of the mail server that the pod uses. During a rollout, it may be another one than that of the spec.
    mail_server: String,
}

/// Selects the running pods of the notifier.
#[must_use]
pub fn notifiers(pods: &[Pod]) -> Vec<NotifierPod> {
    let running = pods.iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_notifier = pod.labels().get("app.kubernetes.io/component").is_some_and(|component| component == "notifier");
        is_notifier && phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
    });
    let of_pod = |pod: &Pod| {
        Some(NotifierPod { name: pod.name_any(), address: ops_address(pod)?, mail_server: mail_server(pod).unwrap_or_default() })
    };
    let mut notifiers: Vec<_> = running.filter_map(of_pod).collect();
    notifiers.sort_by(|a, b| a.name.cmp(&b.name));
    notifiers
}

/// Returns the mail servers that the pods use, each once.
#[must_use]
pub fn mail_servers(pods: &[NotifierPod]) -> Vec<String> {
    let servers: BTreeSet<_> = pods.iter().map(|pod| pod.mail_server.clone()).filter(|server| !server.is_empty()).collect();
    servers.into_iter().collect()
}

/// Reads the mail server from the variables of the pod (`build/environment.rs`).
fn mail_server(pod: &Pod) -> Option<String> {
    let variables = || pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.env.iter().flatten());
    let value = |name: &str| variables().find(|variable| variable.name == name)?.value.clone();
    Some(format!("{}:{}", value("MAIL_SERVER")?, value("MAIL_PORT")?))
}

fn ops_address(pod: &Pod) -> Option<SocketAddr> {
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let mut ports = pod.spec.as_ref()?.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some("ops"))?.container_port;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

/// The reports of all Catalogs. Cheap to clone.
#[derive(Clone, Default)]
pub struct MailReports(Arc<Inner>);

#[derive(Default)]
struct Inner {
    schedule: Mutex<Schedule>,
    added: Notify,
}

impl MailReports {
    /// Returns the last report of these pods of a Catalog, and polls them from now on.
    #[must_use]
    pub fn follow(&self, namespace: &str, name: &str, pods: Vec<NotifierPod>) -> MailReport {
        let (report, is_due) = self.schedule().follow(key(namespace, name), pods, Instant::now());
        if is_due {
            self.0.added.notify_one();
        }
        report
    }

    /// Stops polling the pods of a deleted Catalog.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.schedule().forget(&key(namespace, name));
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.0.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(namespace: &str, name: &str) -> CatalogKey {
    (namespace.to_owned(), name.to_owned())
}

/// The worst report of the pods; a pod that didn't answer counts only if no pod answered.
fn select_worst(mut reports: Vec<MailReport>) -> MailReport {
    reports.sort_by_key(|report| match report {
        MailReport::Unavailable(_) => 0,
        MailReport::Available => 1,
        MailReport::PollFailed(_) | MailReport::NotPolled | MailReport::NoPods => 2,
    });
    reports.into_iter().next().unwrap_or_default()
}

/// Parses the line about the mail server.
fn parse(text: &str) -> Option<MailReport> {
    text.lines().find_map(|line| {
        let (sign, rest) = line.split_at_checked(4)?;
        let reply = rest.strip_prefix(LINE)?;
        match sign {
            "[+] " => Some(MailReport::Available),
            "[-] " => Some(MailReport::Unavailable(reply.to_owned())),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, component: &str, status: &serde_json::Value) -> Pod {
        let env = json!([{"name": "MAIL_SERVER", "value": "smtp.example.com"}, {"name": "MAIL_PORT", "value": "25"}]);
        let ports = json!([{"name": "ops", "containerPort": 9090}]);
        let metadata = json!({"name": name, "labels": {"app.kubernetes.io/component": component}});
        serde_json::from_value(
            json!({"metadata": metadata, "spec": {"containers": [{"name": component, "ports": ports, "env": env}]}, "status": status}),
        )
        .unwrap()
    }

    #[test]
    fn running_notifiers_with_an_address_are_polled() {
        let running = json!({"phase": "Running", "podIP": "10.0.0.2"});
        let pods = [
            pod("b", "notifier", &json!({"phase": "Running", "podIP": "2001:db8::1"})),
            pod("a", "notifier", &running),
            pod("c", "tracker", &running),
            pod("d", "notifier", &json!({"phase": "Pending"})),
        ];
        assert_eq!(mail_servers(&notifiers(&pods)), ["smtp.example.com:25"]);
        let found: Vec<_> = notifiers(&pods).into_iter().map(|pod| format!("{} {}", pod.name, pod.address)).collect();
        assert_eq!(found, ["a 10.0.0.2:9090", "b [2001:db8::1]:9090"]);
    }

    #[test]
    fn the_line_about_the_mail_server_is_parsed() {
        let report = |line: &str| parse(&format!("ready\n[+] postgresql: ok\n[-] nats: not connected\n{line}"));
        assert_eq!(report("[+] mail server: ok\n"), Some(MailReport::Available));
        assert_eq!(report("[-] mail server: 535 no\n"), Some(MailReport::Unavailable("535 no".into())));
        assert_eq!(report(""), None);
    }

    #[test]
    fn the_worst_report_wins_and_unreachable_notifiers_count_only_if_all_are() {
        let (bad, unresponsive) = (MailReport::Unavailable("421".into()), MailReport::PollFailed("x".into()));
        assert_eq!(select_worst(vec![MailReport::Available, unresponsive.clone(), bad.clone()]), bad);
        assert_eq!(select_worst(vec![unresponsive.clone(), MailReport::Available]), MailReport::Available);
        assert_eq!(select_worst(vec![unresponsive.clone()]), unresponsive);
    }
}
