//! What is wrong with a part of a Catalog.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};

use super::{claims, controllers, pods};
use crate::{live::Live, mail::MailReport};

/// Pods that wait longer than this, and Jobs without pods, say why. An image that has to be pulled usually arrives sooner.
pub const SLOW_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// Parts in the order in which one needs another: the first issue is usually the cause of the later ones.
const COMPONENTS: [&str; 7] = ["postgres", "nats", "migrate", "api", "notifier", "tracker", "fulfiller"];

/// Something that keeps a part from working, or that has lately done so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The part, such as `api`.
    pub component: String,
    /// Who reports it.
    pub source: Source,
    /// Such as `ImagePullBackOff`.
    pub reason: String,
    /// Kind and name of the object, such as `Pod shop-api-1`.
    pub object: String,
    /// In the words of the cluster, as far as it has any.
    pub message: String,
    /// Whether it makes the Catalog degraded. Slowness doesn't.
    pub is_failure: bool,
    /// When it is over unless something happens before.
    pub until: Option<Timestamp>,
}

/// Who reports an issue. The first one says most about the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The provisioner, of a claim: its pod waits for the volume.
    Claim,
    /// The kubelet or the scheduler, of a pod.
    Pod,
    /// A controller, of pods that it cannot create.
    Creation,
    /// A controller, of time that has passed.
    Deadline,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}

/// The issues of a Catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues {
    /// At most one of each part.
    pub list: Vec<Issue>,
    /// When time alone changes the list.
    pub changes_at: Option<Timestamp>,
    /// What the notifiers report of the mail server.
    pub mail: MailReport,
}

impl Issues {
    /// Finds them in the objects, their pods, and the Events of those that [`uids_needing_events`] names.
    #[must_use]
    pub fn find(live: &Live, pods: &[Pod], events: &[Event], now: Timestamp) -> Self {
        let mut list = controllers::issues(live, events, now);
        list.extend(claims::issues(live, events, now));
        list.extend(pods.iter().filter_map(|pod| pods::issue(pod, live, events, now)));
        let rank = |component: &str| COMPONENTS.iter().position(|known| *known == component).unwrap_or(COMPONENTS.len());
        let order =
            |a: &Issue, b: &Issue| (!a.is_failure, a.source, &a.reason, &a.object).cmp(&(!b.is_failure, b.source, &b.reason, &b.object));
        // Always the same one first, or the status would change with the order of a list.
        list.sort_by(|a, b| rank(&a.component).cmp(&rank(&b.component)).then_with(|| order(a, b)));
        let slow = pods.iter().filter_map(|pod| pods::slow_at(pod, live)).chain(controllers::slow_at(live));
        let changes_at = list.iter().filter_map(|issue| issue.until).chain(slow).filter(|at| *at > now).min();
        list.dedup_by(|later, first| later.component == first.component);
        Self { list, changes_at, mail: MailReport::default() }
    }

    /// The issue of a part.
    #[must_use]
    pub fn of(&self, component: &str) -> Option<&Issue> {
        self.list.iter().find(|issue| issue.component == component)
    }

    /// Issues that make the Catalog degraded.
    pub fn failures(&self) -> impl Iterator<Item = &Issue> {
        self.list.iter().filter(|issue| issue.is_failure)
    }
}

/// Uids of objects about which only Events say what is wrong: those without pods, claims
/// without a volume, and one slow pod of each part.
#[must_use]
pub fn uids_needing_events(live: &Live, pods: &[Pod], now: Timestamp) -> Vec<String> {
    let mut slow: Vec<_> = pods.iter().filter(|pod| pods::slow_at(pod, live).is_some_and(|at| at <= now)).collect();
    slow.sort_by_key(|pod| (pods::component(pod), pod.metadata.name.clone()));
    slow.dedup_by_key(|pod| pods::component(pod));
    let slow = slow.into_iter().filter_map(|pod| pod.metadata.uid.clone());
    let objects = controllers::without_pods(live).map(|(_, object)| object).chain(claims::unbound(live));
    objects.filter_map(|object| object.metadata.uid.clone()).chain(slow).collect()
}
