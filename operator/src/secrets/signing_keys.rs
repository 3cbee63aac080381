//! Generates and rotates the keys that sign access tokens, and removes a key when all tokens that it signed have expired.
//!
//! Only readable keys count: `catalog` ignores the other entries, so they replace no key. They are reported
//! (`status/signing_keys.rs`) and not removed, because a user may still repair them.

use std::time::Duration;

use catalog_signing_keys::{InvalidKey, key_id};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rand::CryptoRng;

use super::Data;
use crate::validate::Plan;

/// How long a key is kept beyond the longest lifetime of a token: until the next key signs, and for clock skew.
const RETENTION_MARGIN: Duration = Duration::from_hours(1);

/// Generates a key, and returns the name and the content of its entry.
pub fn generate(now: Timestamp, rng: &mut impl CryptoRng) -> (String, ByteString) {
    let (name, pem) = catalog_signing_keys::generate(now.into(), rng);
    (name, ByteString(pem.as_bytes().to_vec()))
}

/// Returns the new data of the Secret with the signing keys, if it changes: a new key is due, or an old one is no longer needed. Other
/// entries of the Secret are not changed.
///
/// `edited_at` is when another client last edited the data. Before that, a key that is readable now may not have been, and its
/// predecessor may have signed tokens in its place.
#[must_use]
pub fn rotate(plan: &Plan, data: &Data, edited_at: Option<Timestamp>, now: Timestamp, rng: &mut impl CryptoRng) -> Option<Data> {
    let mut changed = data.clone();
    let mut keys: Vec<(Timestamp, &String)> = data.iter().filter_map(|(name, content)| Some((created_at(name, content)?, name))).collect();
    keys.sort_unstable();

    let keep = signed(plan.auth.access_token_life.max(plan.auth.refresh_token_life) + RETENTION_MARGIN);
    for ((_, old), (created_at, _)) in keys.iter().zip(keys.iter().skip(1)) {
        let replaced_at = edited_at.map_or(*created_at, |edited_at| edited_at.max(*created_at));
        if now.duration_since(replaced_at) > keep {
            changed.remove(*old);
        }
    }
    if is_due(plan, keys.last().map(|(created_at, _)| *created_at), now) {
        changed.extend([generate(now, rng)]);
    }
    (changed != *data).then_some(changed)
}

/// Returns the entries that `catalog` ignores although they have the name of a key, each with the reason.
#[must_use]
pub fn unreadable(data: &Data) -> Vec<(&str, InvalidKey)> {
    let entries = data.iter().filter(|(name, _)| key_id(name).is_some());
    entries.filter_map(|(name, ByteString(content))| Some((name.as_str(), catalog_signing_keys::read(name, content).err()?))).collect()
}

/// Returns the creation time of a readable key.
fn created_at(name: &str, ByteString(content): &ByteString) -> Option<Timestamp> {
    catalog_signing_keys::read(name, content).ok()?.created_at.try_into().ok()
}

fn is_due(plan: &Plan, newest: Option<Timestamp>, now: Timestamp) -> bool {
    let Some(newest) = newest else { return true };
    let is_requested = plan.auth.rotate.is_some_and(|instant| newest < instant && instant <= now);
    is_requested || now.duration_since(newest) >= signed(plan.auth.rotation)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::build::samples;

    /// Rotates keys that no other client has edited.
    fn rotate(plan: &Plan, data: &Data, now: Timestamp, rng: &mut StdRng) -> Option<Data> {
        super::rotate(plan, data, None, now, rng)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    fn first() -> Data {
        [generate(at("2026-01-01T00:00:00Z"), &mut rng())].into()
    }

    fn names(data: &Data) -> Vec<&str> {
        data.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_key_is_replaced_at_the_rotation_age_and_kept_until_its_tokens_have_expired() {
        let plan = samples::minimal();
        let data = first();
        assert_eq!(rotate(&plan, &data, at("2026-03-31T23:00:00Z"), &mut rng()), None, "2160 hours are 90 days");
        let both = rotate(&plan, &data, at("2026-04-01T00:00:00Z"), &mut rng()).unwrap();
        assert_eq!(both.len(), 2);
        assert!(data.iter().all(|(name, pem)| both[name] == *pem), "the old key is kept");
        // The lifetime of a refresh token, 30 days, and the margin of an hour.
        assert_eq!(rotate(&plan, &both, at("2026-05-01T01:00:00Z"), &mut rng()), None);
        let one = rotate(&plan, &both, at("2026-05-01T01:00:01Z"), &mut rng()).unwrap();
        assert_eq!(one.len(), 1);
        assert!(names(&one)[0].starts_with("20260401T000000Z-"));
    }

    #[test]
    fn a_requested_rotation_is_done_once() {
        let mut plan = samples::minimal();
        plan.auth.rotate = Some(at("2026-01-10T00:00:00Z"));
        let data = first();
        assert_eq!(rotate(&plan, &data, at("2026-01-09T00:00:00Z"), &mut rng()), None, "the requested instant is in the future");
        let now = at("2026-01-10T00:00:01Z");
        let both = rotate(&plan, &data, now, &mut rng()).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(rotate(&plan, &both, now, &mut rng()), None, "the new key is younger than the requested instant");
    }

    #[test]
    fn other_entries_are_not_changed_and_a_missing_key_is_generated() {
        let plan = samples::minimal();
        let data: Data = [("README".to_owned(), ByteString(b"unrelated".to_vec()))].into();
        let filled = rotate(&plan, &data, at("2026-01-01T00:00:00Z"), &mut rng()).unwrap();
        assert_eq!(filled.len(), 2);
        assert_eq!(filled["README"], data["README"]);
    }

    /// Replaces the content of an entry by its first half, as a careless edit may do.
    fn truncate(data: &mut Data, name: &str) {
        let ByteString(content) = data.get_mut(name).unwrap();
        content.truncate(content.len() / 2);
    }

    #[test]
    fn an_unreadable_key_replaces_no_key_and_is_not_removed() {
        let plan = samples::minimal();
        let first = first();
        let mut data = rotate(&plan, &first, at("2026-04-01T00:00:00Z"), &mut rng()).unwrap();
        let (good, damaged) = (names(&data)[0].to_owned(), names(&data)[1].to_owned());
        truncate(&mut data, &damaged);
        assert_eq!(unreadable(&data), [(damaged.as_str(), InvalidKey::NotAKey)]);
        let renewed = rotate(&plan, &data, at("2026-05-10T00:00:00Z"), &mut rng()).unwrap();
        assert!(data.iter().all(|(name, content)| renewed[name] == *content), "both entries are kept");
        assert_eq!(renewed.len(), 3, "a new key is due, because the only readable one is old");
        let later = rotate(&plan, &renewed, at("2026-07-01T00:00:00Z"), &mut rng()).unwrap();
        assert!(!later.contains_key(&good) && later.contains_key(&damaged), "{later:?}");
    }

    #[test]
    fn a_key_is_generated_if_no_readable_one_exists() {
        let plan = samples::minimal();
        let mut data = first();
        let name = names(&data)[0].to_owned();
        truncate(&mut data, &name);
        let now = at("2026-01-02T00:00:00Z");
        let renewed = rotate(&plan, &data, now, &mut rng()).unwrap();
        assert_eq!((renewed.len(), unreadable(&renewed).len()), (2, 1));
        assert_eq!(rotate(&plan, &renewed, now, &mut rng()), None);
    }

    #[test]
    fn a_repaired_key_does_not_expire_the_key_that_signed_in_its_place() {
        let plan = samples::minimal();
        let both = rotate(&plan, &first(), at("2026-04-01T00:00:00Z"), &mut rng()).unwrap();
        let (edited_at, expired) = (at("2026-05-20T00:00:00Z"), at("2026-06-19T01:00:01Z"));
        assert_eq!(super::rotate(&plan, &both, Some(edited_at), edited_at, &mut rng()), None);
        assert_eq!(super::rotate(&plan, &both, Some(edited_at), expired, &mut rng()).unwrap().len(), 1);
    }

    /// The key with which `catalog` signs (api/src/identity/keys/ring.rs).
    fn signer(data: &Data, now: Timestamp) -> Option<String> {
        let mut keys: Vec<_> = data.iter().filter_map(|(name, content)| Some((created_at(name, content)?, name))).collect();
        keys.sort_unstable();
        let published = now - SignedDuration::from_mins(5);
        keys.iter().rev().find(|(created_at, _)| *created_at <= published).or(keys.first()).map(|(_, name)| (*name).clone())
    }

    #[derive(Debug, Clone, Copy)]
    enum Edit {
        None,
        Truncate(usize),
        Repair,
        AddGarbage,
    }

    fn edits() -> impl Strategy<Value = Edit> {
        prop_oneof![2 => Just(Edit::None), 3 => (0..8_usize).prop_map(Edit::Truncate), 2 => Just(Edit::Repair), 1 => Just(Edit::AddGarbage)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_newest_key_is_never_removed_and_a_second_rotation_changes_nothing(hours in proptest::collection::vec(1_i64..4000, 1..12)) {
            let plan = samples::minimal();
            let mut data = first();
            let mut now = at("2026-01-01T00:00:00Z");
            let mut rng = rng();
            for pause in hours {
                now = now.checked_add(SignedDuration::from_hours(pause)).unwrap();
                let newest = data.keys().next_back().cloned().unwrap();
                if let Some(changed) = rotate(&plan, &data, now, &mut rng) {
                    prop_assert!(changed.contains_key(&newest));
                    data = changed;
                }
                prop_assert_eq!(rotate(&plan, &data, now, &mut rng), None);
            }
        }

        #[test]
        fn a_readable_key_is_kept_until_its_tokens_have_expired_whatever_entries_are_edited(
            steps in proptest::collection::vec((1_i64..1500, edits()), 1..14)
        ) {
            let plan = samples::minimal();
            let lifetime = signed(plan.auth.refresh_token_life);
            let (mut data, mut now, mut rng, mut edited_at) = (first(), at("2026-01-01T00:00:00Z"), rng(), None);
            let (mut generated, mut last_signed) = (data.clone(), BTreeMap::new());
            for (hours, edit) in steps {
                // The key that signed after the last step, and the one that signs at the end of the pause.
                let end = now + SignedDuration::from_hours(hours);
                last_signed.extend([now, end].into_iter().filter_map(|time| Some((signer(&data, time)?, time))));
                now = end;
                match edit {
                    Edit::None => {}
                    Edit::Truncate(index) => {
                        let name = names(&data)[index % data.len()].to_owned();
                        truncate(&mut data, &name);
                    }
                    Edit::Repair => data.iter_mut().for_each(|(name, content)| *content = generated.get(name).unwrap_or(content).clone()),
                    Edit::AddGarbage => data.extend([(format!("{}-x.pem", now.strftime("%Y%m%dT%H%M%SZ")), ByteString(b"garbage".to_vec()))]),
                }
                if !matches!(edit, Edit::None) {
                    edited_at = Some(now);
                }
                let after = super::rotate(&plan, &data, edited_at, now, &mut rng).unwrap_or_else(|| data.clone());
                for (name, content) in &data {
                    let is_readable = created_at(name, content).is_some();
                    let has_tokens = last_signed.get(name).is_some_and(|signed_at| now.duration_since(*signed_at) <= lifetime);
                    prop_assert!(!is_readable || !has_tokens || after.contains_key(name), "{} signed until {:?}; now {}", name, last_signed[name], now);
                    prop_assert!(is_readable || after.contains_key(name), "the unreadable entry {} was removed", name);
                }
                prop_assert!(signer(&after, now).is_some());
                data = after;
                generated.extend(data.iter().filter(|(name, content)| created_at(name, content).is_some()).map(|(name, content)| (name.clone(), content.clone())));
            }
        }
    }
}
