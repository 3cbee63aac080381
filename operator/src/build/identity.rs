//! The service account of all pods, and the metadata of generated Secrets.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use crate::{
    metadata::{Component, metadata, retainable_metadata},
    validate::Plan,
};

/// Builds the service account of all pods. It has no permissions and no token, because no pod calls the API server.
pub fn service_account(plan: &Plan) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(plan, plan.shop.name.clone(), Component::Shared),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Builds the metadata of the generated Secrets that exist.
pub fn existing_secrets(plan: &Plan) -> Vec<Secret> {
    let declared = crate::secrets::names(plan);
    let existing = plan.existing_secrets.iter().filter_map(|(name, uid)| Some((name, uid, *declared.get(name)?)));
    let secret = |(name, uid, component): (&String, &Option<String>, Component)| {
        let mut metadata = retainable_metadata(plan, name.clone(), component);
        metadata.uid.clone_from(uid);
        Secret { metadata, ..Secret::default() }
    };
    existing.map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn pods_get_no_token() {
        assert_eq!(service_account(&samples::minimal()).automount_service_account_token, Some(false));
    }

    #[test]
    fn existing_secrets_have_no_content_and_an_owner_only_without_retain() {
        let mut plan = samples::minimal();
        plan.existing_secrets = [("shop-postgres".into(), Some("u1".into())), ("shop-other".into(), None)].into();
        let secrets = existing_secrets(&plan);
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].metadata.uid.as_deref(), Some("u1"));
        assert_eq!((&secrets[0].data, &secrets[0].type_, &secrets[0].metadata.owner_references), (&None, &None, &None));
        plan.retain = false;
        assert!(existing_secrets(&plan)[0].metadata.owner_references.is_some());
    }
}
