//! The passwords of the embedded PostgreSQL: that of the active login role and, during a rotation, that of the previous one.
//!
//! A rotation gives the other login role a new password and makes it the active one. PostgreSQL follows the Secret
//! (`build/set-login-roles.sh`), the migration waits until it can log in, and pods are replaced after that. The previous
//! password stays valid as long as a pod may use it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rand::Rng;

use super::{
    Data, entry, generate_password,
    in_use::{LoginInUse, login},
};
use crate::{
    kinds::Kind,
    live::Live,
    validate::{EmbeddedDatabasePlan, LOGIN_ROLES},
};

/// Key with the name of the active login role. The key of a password is the name of its role.
pub const USERNAME: &str = "username";
/// Key with the time at which the active password was generated.
const CHANGED_AT: &str = "changed-at";
/// Key with the password of the owner. Only releases without login roles used it.
const OWNER_PASSWORD: &str = "password";
/// How long a password stays valid after its last pod was deleted, so that draining pods can finish their requests.
const KEEP_FOR: SignedDuration = SignedDuration::from_mins(5);

/// A change of the Secret with the passwords of the embedded PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginChange {
    /// Missing keys were added, for example after an upgrade from a release without login roles.
    MissingKeysAdded,
    /// The other login role became active, with a new password.
    Rotated {
        /// The active login role.
        login: String,
    },
    /// Passwords that no pod uses were removed.
    OldPasswordsRemoved,
}

/// Generates the content of a new Secret.
pub fn generate(now: Timestamp, rng: &mut impl Rng) -> Data {
    let [first, _] = LOGIN_ROLES;
    [entry(USERNAME, first), entry(first, &generate_password(rng)), entry(CHANGED_AT, &format_seconds(now))].into()
}

/// The new content of the Secret, or `None` if nothing changes. `in_use` is the login role of all pods; `None` while pods are being
/// replaced.
#[must_use]
pub fn update(
    database: &EmbeddedDatabasePlan,
    data: &Data,
    in_use: Option<&LoginInUse>,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Option<(Data, LoginChange)> {
    let active = database.login.as_str();
    let Some(changed_at) = read_changed_at(data, active) else {
        let mut completed = data.clone();
        if text(data, active).is_none() {
            completed.extend([entry(active, &generate_password(rng))]);
        }
        completed.extend([entry(USERNAME, active), entry(CHANGED_AT, &format_seconds(now))]);
        return Some((completed, LoginChange::MissingKeysAdded));
    };
    let in_use = in_use.filter(|in_use| in_use.login == active)?;
    let inactive = inactive_login(active);
    if has_old_passwords(data, active) {
        let mut without_old_passwords = data.clone();
        without_old_passwords.retain(|key, _| key != inactive && key != OWNER_PASSWORD);
        return (now >= expiry(changed_at, in_use)).then_some((without_old_passwords, LoginChange::OldPasswordsRemoved));
    }
    let is_requested = database.rotate.is_some_and(|instant| changed_at < instant && instant <= now);
    is_requested.then(|| {
        let mut rotated = data.clone();
        rotated.extend([entry(USERNAME, inactive), entry(inactive, &generate_password(rng)), entry(CHANGED_AT, &format_seconds(now))]);
        (rotated, LoginChange::Rotated { login: inactive.to_owned() })
    })
}

/// When the old passwords will be removed. `None` if there are none, or while pods or KEDA may still use them.
#[must_use]
pub fn old_passwords_expire_at(data: &Data, in_use: Option<&LoginInUse>) -> Option<Timestamp> {
    let in_use = in_use?;
    let changed_at = read_changed_at(data, &in_use.login)?;
    has_old_passwords(data, &in_use.login).then(|| expiry(changed_at, in_use))
}

/// When the old passwords expire. If the last rollout ended before the rotation, count from the rotation: no Deployment was rolled out
/// for it, but KEDA may have used the old password until then.
fn expiry(changed_at: Timestamp, in_use: &LoginInUse) -> Timestamp {
    changed_at.max(in_use.rolled_out_at) + KEEP_FOR
}

/// Whether the Secret has a password of a login role.
pub fn has_password(data: &Data, login: &str) -> bool {
    text(data, login).is_some()
}

/// Whether the Secret has passwords besides the active one.
pub fn has_old_passwords(data: &Data, active: &str) -> bool {
    data.contains_key(inactive_login(active)) || data.contains_key(OWNER_PASSWORD)
}

/// When the active password was generated. `None` if any key is missing or invalid.
pub fn read_changed_at(data: &Data, active: &str) -> Option<Timestamp> {
    text(data, active)?;
    text(data, USERNAME).filter(|username| *username == active)?;
    text(data, CHANGED_AT)?.parse().ok()
}

pub fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    let ByteString(value) = data.get(key)?;
    std::str::from_utf8(value).ok().filter(|text| !text.trim().is_empty())
}

/// The login role that isn't active.
fn inactive_login(active: &str) -> &'static str {
    let [first, second] = LOGIN_ROLES;
    if active == first { second } else { first }
}

/// Formats a time in whole seconds, to which the annotation is truncated, too.
fn format_seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The login role of objects that are restored while a migration is pending: the previous role, until its password is removed or all
/// Deployments have the active role. PostgreSQL may not have the password of the active role yet.
#[must_use]
pub fn login_to_restore(live: &Live, data: &Data, active: &str) -> String {
    let previous = inactive_login(active);
    let mut deployments = live.of_kind(Kind::Deployment).map(login).peekable();
    let is_replaced = deployments.peek().is_some() && deployments.all(|login| login == Some(active));
    if is_replaced || !has_password(data, previous) { active.to_owned() } else { previous.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{build::samples, validate::DatabasePlan};

    const START: &str = "2026-11-30T10:00:00Z";

    fn at(minutes: i64) -> Timestamp {
        START.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    /// Returns the plan of a Catalog whose Secret has this content.
    fn plan(data: &Data, rotate: Option<Timestamp>) -> EmbeddedDatabasePlan {
        let DatabasePlan::Embedded(mut database) = samples::minimal().database else { unreachable!("the sample embeds one") };
        database.login = text(data, USERNAME).filter(|login| LOGIN_ROLES.contains(login)).unwrap_or(LOGIN_ROLES[0]).to_owned();
        database.rotate = rotate;
        database
    }

    fn used(login: &str, minutes: i64) -> LoginInUse {
        LoginInUse { login: login.into(), rolled_out_at: at(minutes) }
    }

    /// Updates the Secret while all pods use `in_use`, after a rollout that ended an hour ago.
    fn change(data: &Data, rotate: Option<i64>, in_use: Option<&str>, now: i64) -> Option<(Data, LoginChange)> {
        change_after(data, rotate, in_use.map(|login| used(login, -60)).as_ref(), now)
    }

    fn change_after(data: &Data, rotate: Option<i64>, in_use: Option<&LoginInUse>, now: i64) -> Option<(Data, LoginChange)> {
        let mut rng = StdRng::seed_from_u64(now.unsigned_abs());
        update(&plan(data, rotate.map(at)), data, in_use, at(now), &mut rng)
    }

    fn first() -> Data {
        generate(at(0), &mut StdRng::seed_from_u64(7))
    }

    fn keys(data: &Data) -> Vec<&str> {
        data.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_rotation_gives_the_other_role_a_password_and_keeps_the_previous_one_until_no_pod_uses_it() {
        let before = first();
        assert_eq!(change(&before, None, Some("catalog_a"), 60), None, "no rotation was requested");
        assert_eq!(change(&before, Some(0), Some("catalog_a"), 60), None, "the password isn't older");
        assert_eq!(change(&before, Some(61), Some("catalog_a"), 60), None, "the requested time is in the future");
        let (both, done) = change(&before, Some(30), Some("catalog_a"), 60).unwrap();
        assert_eq!(done, LoginChange::Rotated { login: "catalog_b".into() });
        assert_eq!(text(&both, USERNAME), Some("catalog_b"));
        assert_eq!(both["catalog_a"], before["catalog_a"]);
        assert_ne!(both["catalog_b"], before["catalog_a"]);

        assert_eq!(change(&both, Some(62), Some("catalog_a"), 70), None, "pods use the previous password");
        assert_eq!(change(&both, Some(62), None, 70), None, "pods are being replaced");
        assert_eq!(change(&both, Some(62), Some("catalog_b"), 64), None, "pods may be draining");
        let expire_at = |login| old_passwords_expire_at(&both, Some(&used(login, -60)));
        assert_eq!([old_passwords_expire_at(&both, None), expire_at("catalog_a"), expire_at("catalog_b")], [None, None, Some(at(65))]);
        assert_eq!(old_passwords_expire_at(&before, Some(&used("catalog_a", -60))), None);
        let (one, done) = change(&both, Some(62), Some("catalog_b"), 65).unwrap();
        assert_eq!((keys(&one), done), (vec!["catalog_b", "changed-at", "username"], LoginChange::OldPasswordsRemoved));
        let (_, done) = change(&one, Some(62), Some("catalog_b"), 65).unwrap();
        assert_eq!(done, LoginChange::Rotated { login: "catalog_a".into() });
    }

    #[test]
    fn the_previous_password_stays_for_five_minutes_after_the_rollout() {
        let (both, _) = change(&first(), Some(30), Some("catalog_a"), 60).unwrap();
        let rolled_out = used("catalog_b", 90);
        assert_eq!(old_passwords_expire_at(&both, Some(&rolled_out)), Some(at(95)));
        assert_eq!(change_after(&both, Some(62), Some(&rolled_out), 94), None, "pods may be draining");
        let (_, done) = change_after(&both, Some(62), Some(&rolled_out), 95).unwrap();
        assert_eq!(done, LoginChange::OldPasswordsRemoved);
    }

    #[test]
    fn the_secret_of_a_release_without_login_roles_is_completed_and_its_password_is_removed_when_no_pod_uses_it() {
        let before: Data = [entry("password", "old")].into();
        let (completed, done) = change(&before, Some(30), None, 60).unwrap();
        assert_eq!((keys(&completed), done), (vec!["catalog_a", "changed-at", "password", "username"], LoginChange::MissingKeysAdded));
        assert_eq!(change(&completed, Some(30), None, 70), None);
        let (one, done) = change(&completed, Some(30), Some("catalog_a"), 70).unwrap();
        assert_eq!((keys(&one), done), (vec!["catalog_a", "changed-at", "username"], LoginChange::OldPasswordsRemoved));
        assert_eq!(change(&one, Some(30), Some("catalog_a"), 70), None, "the request is older than the password");
    }

    #[test]
    fn missing_and_invalid_keys_are_generated_and_an_edited_password_is_kept() {
        for broken in [
            vec![],
            vec![("username", "catalog_a")],
            vec![("username", "postgres"), ("catalog_a", "x"), ("changed-at", START)],
            vec![("username", "catalog_b"), ("catalog_b", " "), ("changed-at", START)],
            vec![("username", "catalog_b"), ("catalog_b", "x"), ("changed-at", "today")],
        ] {
            let broken: Data = broken.into_iter().map(|(key, value)| entry(key, value)).collect();
            let (completed, done) = change(&broken, None, Some("catalog_a"), 60).unwrap();
            assert_eq!(done, LoginChange::MissingKeysAdded, "{:?}", keys(&broken));
            assert_eq!(change(&completed, None, Some("catalog_a"), 60), None, "{:?}", keys(&broken));
        }
        let mut edited = first();
        edited.extend([entry("catalog_a", "edited")]);
        assert_eq!(change(&edited, None, Some("catalog_a"), 60), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Each step advances the time, may request a rotation and may end a rollout.
        #[test]
        fn the_secret_always_has_the_password_that_pods_use(
            steps in proptest::collection::vec((0_i64..20, any::<bool>(), 0..3_u8), 1..40),
        ) {
            let (mut data, mut login, mut rotate) = (first(), "catalog_a".to_owned(), None);
            let mut in_pods = data["catalog_a"].clone();
            // Login and password of the pods that were deleted last, and until when they drain.
            let (mut drains, mut rolled_out_at) = (None, -60);
            let mut now = 0;
            for (minutes, requested, rollout) in steps {
                now += minutes;
                rotate = if requested { Some(now) } else { rotate };
                // 0: pods are being replaced. 1: no rollout ended in this step. 2: one did.
                let in_use = match rollout {
                    0 => None,
                    1 => Some(used(&login, rolled_out_at)),
                    _ => {
                        let active = text(&data, USERNAME).unwrap().to_owned();
                        if active != login {
                            drains = Some((login, in_pods, now + 4));
                            rolled_out_at = now;
                        }
                        login = active;
                        in_pods = data[&login].clone();
                        Some(used(&login, rolled_out_at))
                    }
                };
                if let Some((changed, _)) = change_after(&data, rotate, in_use.as_ref(), now) {
                    data = changed;
                }
                prop_assert_eq!(data.get(&login), Some(&in_pods), "pods use {}", login);
                if let Some((login, password, _)) = drains.as_ref().filter(|(_, _, until)| now <= *until) {
                    prop_assert_eq!(data.get(login), Some(password), "pods that drain use {}", login);
                }
                prop_assert!(read_changed_at(&data, text(&data, USERNAME).unwrap()).is_some());
            }
        }
    }
}
