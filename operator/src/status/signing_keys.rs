//! Reports entries of the Secret of signing keys that `catalog` ignores.

use kube::ResourceExt;

use super::conditions::ConditionState;
use crate::{crd::Catalog, live::Live, secrets::unreadable_signing_keys};

/// State of `Degraded` if an entry of the Secret is not a usable key. The message contains nothing of its content.
#[must_use]
pub fn unreadable(catalog: &Catalog, live: &Live) -> Option<ConditionState> {
    let secret = format!("{}-signing-keys", catalog.name_any());
    let data = live.secret(&secret)?.data.unwrap_or_default();
    let entries: Vec<_> = unreadable_signing_keys(&data).into_iter().map(|(entry, why)| format!("{entry} {why}")).collect();
    let message = format!(
        "Secret {secret}: {}; restore the entry from a backup, or remove it if there is none. Pods that start now reject the tokens \
         that such a key has signed",
        entries.join(", ")
    );
    (!entries.is_empty()).then(|| ConditionState::yes("SigningKeyUnreadable", message))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::{ByteString, api::core::v1::Secret};
    use kube::core::ObjectMeta;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        build::samples,
        kinds::Kind,
        status::{Issues, Outcome, status},
        validate::Problems,
    };

    /// The objects of a shop whose Secret of signing keys has a readable key and an entry with this content.
    fn live(content: &str) -> Live {
        let (name, pem) = catalog_signing_keys::generate(Timestamp::UNIX_EPOCH.into(), &mut StdRng::seed_from_u64(7));
        let entries = [(name, pem.as_str()), ("20260101T000000Z-b.pem".to_owned(), content), ("README".to_owned(), "keys of the shop")];
        let data = entries.map(|(name, content)| (name, ByteString(content.as_bytes().to_vec()))).into();
        let metadata = ObjectMeta { name: Some("shop-signing-keys".into()), ..ObjectMeta::default() };
        let secret = serde_json::to_value(Secret { metadata, data: Some(data), ..Secret::default() }).unwrap();
        Live::of([(Kind::Secret, serde_json::from_value(secret).unwrap())])
    }

    #[test]
    fn an_unreadable_entry_makes_a_catalog_degraded_and_its_content_is_not_reported() {
        let (catalog, _) = samples::minimal_input();
        let report = status(&catalog, &live("hunter2"), &Outcome::Applied(Vec::new()), Some(&Issues::default()), Timestamp::UNIX_EPOCH);
        let degraded = report.conditions.iter().find(|condition| condition.type_ == "Degraded").unwrap();
        assert_eq!((degraded.status.as_str(), degraded.reason.as_str()), ("True", "SigningKeyUnreadable"));
        let expected = "Secret shop-signing-keys: 20260101T000000Z-b.pem is not a private key on the curve P-256 in PEM form";
        assert!(degraded.message.starts_with(expected), "{}", degraded.message);
        assert!(!serde_json::to_string(&report).unwrap().contains("hunter2"));
    }

    #[test]
    fn an_unreadable_entry_is_reported_together_with_a_rejected_spec() {
        let (catalog, _) = samples::minimal_input();
        let rejected = Outcome::Rejected(Problems(Vec::new()), None);
        let report = status(&catalog, &live(""), &rejected, Some(&Issues::default()), Timestamp::UNIX_EPOCH);
        let degraded = report.conditions.iter().find(|condition| condition.type_ == "Degraded").unwrap();
        assert!(degraded.reason == "Refused" && degraded.message.contains("20260101T000000Z-b.pem"), "{degraded:?}");
    }
}
