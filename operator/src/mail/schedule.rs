//! Schedules the polls of each Catalog's notifiers, and limits how often a changed report is published. No I/O and no clock.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{MailReport, NotifierPod};

/// Interval between two polls of a pod, unless there are too many pods.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Minimum interval per pod, so that the operator makes at most 50 requests per second for any number of pods.
const INTERVAL_PER_POD: Duration = Duration::from_millis(20);
/// Maximum interval, up to which it doubles while no pod of a Catalog responds.
const UNRESPONSIVE_INTERVAL: Duration = Duration::from_mins(1);
/// Minimum interval between two published replies with different codes, and between two published errors of polls.
const CODE_INTERVAL: Duration = Duration::from_mins(1);
/// Minimum interval between two published texts of the same reply code, because servers put ids and times into them.
const TEXT_INTERVAL: Duration = Duration::from_mins(10);

/// Namespace and name of a Catalog.
pub type CatalogKey = (String, String);

/// All Catalogs with running notifiers.
pub struct Schedule {
    interval: Duration,
    followed: BTreeMap<CatalogKey, Followed>,
}

struct Followed {
    pods: Vec<NotifierPod>,
    report: MailReport,
    reported_at: Instant,
    due: Instant,
    is_in_flight: bool,
    /// Number of consecutive polls to which no pod responded.
    failed_polls: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::with_interval(POLL_INTERVAL)
    }
}

impl Schedule {
    /// Creates a schedule with this interval between two polls of a pod.
    pub fn with_interval(interval: Duration) -> Self {
        Self { interval, followed: BTreeMap::new() }
    }

    /// Returns the last report of these pods, and whether a poll is due because they are new.
    pub fn follow(&mut self, key: CatalogKey, pods: Vec<NotifierPod>, now: Instant) -> (MailReport, bool) {
        if pods.is_empty() {
            self.followed.remove(&key);
            return (MailReport::NoPods, false);
        }
        if let Some(known) = self.followed.get(&key).filter(|known| known.pods == pods) {
            return (known.report.clone(), false);
        }
        let new = Followed { pods, report: MailReport::NotPolled, reported_at: now, due: now, is_in_flight: false, failed_polls: 0 };
        self.followed.insert(key, new);
        (MailReport::NotPolled, true)
    }

    /// Ends the polls of a Catalog.
    pub fn forget(&mut self, key: &CatalogKey) {
        self.followed.remove(key);
    }

    /// Starts polls that are due, at most `limit`, beginning with those that have been due longest.
    pub fn start(&mut self, now: Instant, limit: usize) -> Vec<(CatalogKey, Vec<NotifierPod>)> {
        let mut due: Vec<_> = self.followed.iter_mut().filter(|(_, followed)| !followed.is_in_flight && followed.due <= now).collect();
        due.sort_by_key(|(_, followed)| followed.due);
        due.truncate(limit);
        let started = due.into_iter().map(|(key, followed)| {
            followed.is_in_flight = true;
            (key.clone(), followed.pods.clone())
        });
        started.collect()
    }

    /// When the next poll is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.followed.values().filter(|followed| !followed.is_in_flight).map(|followed| followed.due).min()
    }

    /// Ends a poll. Returns whether its report is published.
    pub fn finish(&mut self, key: &CatalogKey, pods: &[NotifierPod], report: MailReport, now: Instant) -> bool {
        let interval = self.interval();
        // If the pods were replaced in the meantime, a poll of the new ones is due.
        let Some(known) = self.followed.get_mut(key).filter(|known| known.pods == pods) else { return false };
        known.failed_polls = if matches!(report, MailReport::PollFailed(_)) { known.failed_polls.saturating_add(1) } else { 0 };
        let factor = 1_u32 << known.failed_polls.saturating_sub(FAILED_POLLS - 1).min(10);
        known.due = now + interval.saturating_mul(factor).min(UNRESPONSIVE_INTERVAL.max(interval));
        known.is_in_flight = false;
        // A notifier that misses a poll now and then must not change the condition.
        let is_passing = known.failed_polls > 0
            && known.failed_polls < FAILED_POLLS
            && matches!(known.report, MailReport::Available | MailReport::Unavailable(_));
        let should_publish = !is_passing && republish_after(&known.report, &report).is_some_and(|after| now >= known.reported_at + after);
        if should_publish {
            (known.report, known.reported_at) = (report, now);
        }
        should_publish
    }

    fn interval(&self) -> Duration {
        let pods: usize = self.followed.values().map(|followed| followed.pods.len()).sum();
        INTERVAL_PER_POD.saturating_mul(u32::try_from(pods).unwrap_or(u32::MAX)).max(self.interval)
    }
}

/// Consecutive failed polls after which `MailReady` (True or False) becomes Unknown.
const FAILED_POLLS: u32 = 3;

/// Returns how long the previous report must have been published before this one is. `None` if they are equal.
fn republish_after(previous: &MailReport, report: &MailReport) -> Option<Duration> {
    match (previous, report) {
        _ if previous == report => None,
        (MailReport::Unavailable(previous), MailReport::Unavailable(reply)) => {
            let has_same_code = reply_code(reply).is_some_and(|code| reply_code(previous) == Some(code));
            Some(if has_same_code { TEXT_INTERVAL } else { CODE_INTERVAL })
        }
        (MailReport::PollFailed(_), MailReport::PollFailed(_)) => Some(CODE_INTERVAL),
        _ => Some(Duration::ZERO),
    }
}

/// Extracts the SMTP reply code, as in `permanent error (535): 5.7.8 no` (the text of lettre's errors).
fn reply_code(reply: &str) -> Option<&str> {
    let (_, rest) = reply.split_once('(')?;
    let (code, _) = rest.split_once(')')?;
    (code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(address: &str) -> Vec<NotifierPod> {
        vec![NotifierPod { name: "a".into(), address: format!("{address}:9090").parse().unwrap(), mail_server: String::new() }]
    }

    fn key(name: &str) -> CatalogKey {
        ("shops".into(), name.into())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A schedule with one Catalog, and the time of its first poll.
    struct OneCatalog(Schedule, Instant);

    impl OneCatalog {
        fn new() -> Self {
            let (mut schedule, start) = (Schedule::default(), Instant::now());
            assert_eq!(schedule.follow(key("shop"), pods("10.0.0.2"), start), (MailReport::NotPolled, true));
            Self(schedule, start)
        }

        /// Returns whether a report of this second is published.
        fn reports(&mut self, second: u64, report: MailReport) -> bool {
            self.0.finish(&key("shop"), &pods("10.0.0.2"), report, self.1 + seconds(second))
        }

        fn fails(&mut self, second: u64, reply: &str) -> bool {
            self.reports(second, MailReport::Unavailable(reply.into()))
        }

        fn published(&mut self) -> MailReport {
            self.0.follow(key("shop"), pods("10.0.0.2"), self.1).0
        }
    }

    #[test]
    fn a_different_text_of_the_same_reply_code_is_published_after_ten_minutes() {
        let mut one = OneCatalog::new();
        assert!(one.fails(0, "transient error (451): try later, id 0"));
        for second in 1..600 {
            assert!(!one.fails(second, &format!("transient error (451): try later, id {second}")));
        }
        assert_eq!(one.published(), MailReport::Unavailable("transient error (451): try later, id 0".into()));
        assert!(one.fails(600, "transient error (451): try later, id 600"));
        assert_eq!(one.published(), MailReport::Unavailable("transient error (451): try later, id 600".into()));
    }

    #[test]
    fn a_different_reply_code_is_published_after_a_minute_and_a_different_state_at_once() {
        let mut one = OneCatalog::new();
        assert!(one.fails(0, "transient error (451): later"));
        assert!(!one.fails(59, "permanent error (535): no"));
        assert!(one.fails(60, "permanent error (535): no"));
        assert!(one.reports(61, MailReport::Available));
        assert!(!one.reports(62, MailReport::Available));
        assert!(one.fails(63, "no reply within 30 s"));
        assert!(!one.fails(64, "Connection error: refused (os error 111)"));
        assert!(one.fails(123, "Connection error: refused (os error 111)"));
    }

    #[test]
    fn a_failed_poll_is_published_after_the_third_in_a_row() {
        let mut one = OneCatalog::new();
        let failed = |reason: &str| MailReport::PollFailed(reason.into());
        assert!(one.reports(0, MailReport::Available));
        assert!(!one.reports(5, failed("x")) && !one.reports(10, failed("x")) && !one.reports(15, MailReport::Available));
        assert!(!one.reports(20, failed("x")) && !one.reports(25, failed("x")) && one.reports(35, failed("x")));
        assert!(!one.reports(36, failed("y")));
        assert!(one.reports(40, MailReport::Available));
    }

    #[test]
    fn new_pods_are_polled_at_once_and_reports_of_the_previous_ones_are_ignored() {
        let mut one = OneCatalog::new();
        let now = one.1;
        assert_eq!(one.0.start(now, 8).len(), 1);
        assert!(one.reports(0, MailReport::Available));
        assert_eq!(one.published(), MailReport::Available);
        let replaced = pods("10.0.0.3");
        assert_eq!(one.0.follow(key("shop"), replaced.clone(), now), (MailReport::NotPolled, true));
        assert!(!one.reports(1, MailReport::Available));
        assert_eq!(one.0.start(now, 8), [(key("shop"), replaced)]);
        assert_eq!(one.0.follow(key("shop"), Vec::new(), now), (MailReport::NoPods, false));
        assert_eq!((one.0.start(now, 8), one.0.next_due()), (Vec::new(), None));
    }

    #[test]
    fn unresponsive_pods_are_polled_less_often_until_they_respond() {
        let mut one = OneCatalog::new();
        let mut due = |report: MailReport| {
            one.reports(0, report);
            one.0.next_due().unwrap().duration_since(one.1).as_secs()
        };
        let failed = || MailReport::PollFailed("no response within 5 s".into());
        assert_eq!([(); 7].map(|()| due(failed())), [5, 5, 10, 20, 40, 60, 60]);
        assert_eq!([due(MailReport::Available), due(failed())], [5, 5]);
    }

    #[test]
    fn a_thousand_catalogs_cost_fifty_requests_per_second_and_each_is_polled_every_twenty_seconds() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        for number in 0..1000 {
            let _ = schedule.follow(key(&format!("shop-{number}")), pods("10.0.0.2"), start);
        }
        let (mut polls, mut last) = (0, BTreeMap::new());
        for second in 0..120 {
            let now = start + seconds(second);
            for (key, pods) in schedule.start(now, usize::MAX) {
                let before = last.insert(key.clone(), second).unwrap_or(second);
                assert!(second - before <= 20, "{key:?} was polled {} s ago", second - before);
                schedule.finish(&key, &pods, MailReport::Available, now);
                polls += 1;
            }
        }
        assert_eq!(polls, 1000 * 120 / 20);
    }

    #[test]
    fn the_catalogs_that_have_been_due_longest_are_polled_first() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        for (name, second) in [("a", 2), ("b", 0), ("c", 1)] {
            let _ = schedule.follow(key(name), pods("10.0.0.2"), start + seconds(second));
        }
        let mut names = |limit| schedule.start(start + seconds(9), limit).into_iter().map(|((_, name), _)| name).collect::<Vec<_>>();
        assert_eq!(
            [names(2), names(2), names(2)].map(|mut names| {
                names.sort();
                names.concat()
            }),
            ["bc", "a", ""]
        );
    }
}
