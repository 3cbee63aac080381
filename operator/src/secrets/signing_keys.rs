//! Generates and rotates the keys that sign access tokens, and removes a key when all tokens that it signed have expired.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use k8s_openapi::ByteString;
use p256::{
    SecretKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use rand::{Rng, RngExt};

use super::Data;
use crate::validate::Plan;

/// Format of the creation time (UTC) with which names start. `catalog` parses it (api/src/identity/keys/ring.rs).
const NAME_FORMAT: &str = "%Y%m%dT%H%M%SZ";
/// How long a key is kept beyond the longest lifetime of a token: until the next key signs, and for clock skew.
const RETENTION_MARGIN: Duration = Duration::from_hours(1);

/// Generates a key, and returns its name and its PEM text.
pub fn generate(now: Timestamp, rng: &mut impl Rng) -> (String, ByteString) {
    let name = format!("{}-{:06x}.pem", now.to_zoned(TimeZone::UTC).strftime(NAME_FORMAT), rng.random_range(0..0x0100_0000_u32));
    loop {
        let mut scalar = [0; 32];
        rng.fill_bytes(&mut scalar);
        // Nearly every number is a valid key, but not all are (SEC 1, section 3.2.1).
        let pem = SecretKey::from_slice(&scalar).ok().and_then(|key| key.to_pkcs8_pem(LineEnding::LF).ok());
        if let Some(pem) = pem {
            return (name, ByteString(pem.as_bytes().to_vec()));
        }
    }
}

/// Returns the new data of the Secret with the signing keys, if it changes: a new key is due, or an old one is no longer needed. Other
/// entries of the Secret are not changed.
#[must_use]
pub fn rotate(plan: &Plan, data: &Data, now: Timestamp, rng: &mut impl Rng) -> Option<Data> {
    let mut changed = data.clone();
    let mut keys: Vec<(Timestamp, &String)> = data.keys().filter_map(|name| Some((created_at(name)?, name))).collect();
    keys.sort_unstable();

    let keep = signed(plan.auth.access_token_life.max(plan.auth.refresh_token_life) + RETENTION_MARGIN);
    for ((_, old), (replaced_at, _)) in keys.iter().zip(keys.iter().skip(1)) {
        if now.duration_since(*replaced_at) > keep {
            changed.remove(*old);
        }
    }
    if is_due(plan, keys.last().map(|(created_at, _)| *created_at), now) {
        changed.extend([generate(now, rng)]);
    }
    (changed != *data).then_some(changed)
}

fn is_due(plan: &Plan, newest: Option<Timestamp>, now: Timestamp) -> bool {
    let Some(newest) = newest else { return true };
    let is_requested = plan.auth.rotate.is_some_and(|instant| newest < instant && instant <= now);
    is_requested || now.duration_since(newest) >= signed(plan.auth.rotation)
}

fn created_at(name: &str) -> Option<Timestamp> {
    let time = name.strip_suffix(".pem")?.split('-').next()?;
    DateTime::strptime(NAME_FORMAT, time).ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use p256::pkcs8::DecodePrivateKey;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::build::samples;

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
    fn the_name_of_a_key_has_its_creation_time_and_the_key_is_one_for_es256() {
        let (name, pem) = generate(at("2026-11-21T10:00:00Z"), &mut rng());
        assert!(name.starts_with("20261121T100000Z-") && name.len() == "20261121T100000Z-aaaaaa.pem".len(), "{name}");
        assert_eq!(created_at(&name), Some(at("2026-11-21T10:00:00Z")));
        let pem = String::from_utf8(pem.0).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS #8");
        SecretKey::from_pkcs8_pem(&pem).unwrap();
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

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

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
                    proptest::prop_assert!(changed.contains_key(&newest));
                    data = changed;
                }
                proptest::prop_assert_eq!(rotate(&plan, &data, now, &mut rng), None);
            }
        }
    }
}
