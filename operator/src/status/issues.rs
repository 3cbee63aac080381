//! The issues of all components of a Catalog.

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};

use super::{claims, controllers, issue::Issue, pods};
use crate::{live::Live, mail::MailReport};

/// Components in the order of their dependencies: the first issue is usually the cause of the later ones.
const COMPONENTS: [&str; 7] = ["postgres", "nats", "migrate", "api", "notifier", "tracker", "fulfiller"];

/// The issues of a Catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues {
    /// At most one issue per component.
    pub list: Vec<Issue>,
    /// When the list changes without an event.
    pub changes_at: Option<Timestamp>,
    /// The notifiers' report on the mail server.
    pub mail: MailReport,
    /// The mail servers that the polled notifiers use.
    pub mail_servers: Vec<String>,
}

impl Issues {
    /// Finds the issues of objects and pods. `events` are those of the objects that [`uids_needing_events`] returns.
    #[must_use]
    pub fn find(live: &Live, pods: &[Pod], events: &[Event], now: Timestamp) -> Self {
        let mut list = controllers::issues(live, events, now);
        list.extend(claims::issues(live, events, now));
        list.extend(pods.iter().filter_map(|pod| pods::issue(pod, live, events, now)));
        let rank = |component: &str| COMPONENTS.iter().position(|known| *known == component).unwrap_or(COMPONENTS.len());
        let order =
            |a: &Issue, b: &Issue| (!a.is_failure, a.source, &a.reason, &a.object).cmp(&(!b.is_failure, b.source, &b.reason, &b.object));
        // A total order, so that the status doesn't depend on the order of the LIST.
        list.sort_by(|a, b| rank(&a.component).cmp(&rank(&b.component)).then_with(|| order(a, b)));
        let slow = pods.iter().filter_map(|pod| pods::slow_at(pod, live)).chain(controllers::slow_at(live));
        let changes_at = list.iter().filter_map(|issue| issue.until).chain(slow).filter(|at| *at > now).min();
        list.dedup_by(|later, first| later.component == first.component);
        Self { list, changes_at, mail: MailReport::default(), mail_servers: Vec::new() }
    }

    /// The issue of a component.
    #[must_use]
    pub fn of(&self, component: &str) -> Option<&Issue> {
        self.list.iter().find(|issue| issue.component == component)
    }

    /// Issues that make the Catalog degraded.
    pub fn failures(&self) -> impl Iterator<Item = &Issue> {
        self.list.iter().filter(|issue| issue.is_failure)
    }
}

/// Uids of objects whose Events have the cause of an issue: those without pods, unbound claims, and one slow pod per component.
#[must_use]
pub fn uids_needing_events(live: &Live, pods: &[Pod], now: Timestamp) -> Vec<String> {
    let mut slow: Vec<_> = pods.iter().filter(|pod| pods::slow_at(pod, live).is_some_and(|at| at <= now)).collect();
    slow.sort_by_key(|pod| (pods::component(pod), pod.metadata.name.clone()));
    slow.dedup_by_key(|pod| pods::component(pod));
    let slow = slow.into_iter().filter_map(|pod| pod.metadata.uid.clone());
    let objects = controllers::without_pods(live).map(|(_, object)| object).chain(claims::unbound(live));
    objects.filter_map(|object| object.metadata.uid.clone()).chain(slow).collect()
}
