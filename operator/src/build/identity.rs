//! The account of every pod, and whose the generated Secrets are.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use super::metadata::{Component, kept_metadata, metadata};
use crate::validate::Plan;

/// An account without rights and without a token: nothing in the shop talks to the API server.
pub fn service_account(plan: &Plan) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(plan, plan.shop.name.clone(), Component::Shared),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Metadata of the generated Secrets that exist.
pub fn kept_secrets(plan: &Plan) -> Vec<Secret> {
    let wanted = crate::secrets::names(plan);
    let kept = plan.kept_secrets.iter().filter_map(|(name, uid)| Some((name, uid, *wanted.get(name)?)));
    let secret = |(name, uid, component): (&String, &Option<String>, Component)| {
        let mut metadata = kept_metadata(plan, name.clone(), component);
        metadata.uid.clone_from(uid);
        Secret { metadata, ..Secret::default() }
    };
    kept.map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn pods_get_no_token() {
        assert_eq!(service_account(&samples::minimal()).automount_service_account_token, Some(false));
    }

    #[test]
    fn kept_secrets_are_named_without_content_and_owned_only_if_they_go_too() {
        let mut plan = samples::minimal();
        plan.kept_secrets = [("shop-postgres".into(), Some("u1".into())), ("shop-other".into(), None)].into();
        let secrets = kept_secrets(&plan);
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].metadata.uid.as_deref(), Some("u1"));
        assert_eq!((&secrets[0].data, &secrets[0].type_, &secrets[0].metadata.owner_references), (&None, &None, &None));
        plan.retain = false;
        assert!(kept_secrets(&plan)[0].metadata.owner_references.is_some());
    }
}
