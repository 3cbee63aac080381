//! Admission policies and quotas that reject writes in the namespace of one test.

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::ResourceQuota,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::Namespace;

/// Creates a quota of `hard` of a resource, of which `used` are in use: no controller counts them. Returns the API of quotas.
///
/// # Panics
/// If the API server rejects the quota.
pub async fn create_quota(namespace: &Namespace, name: &str, resource: &str, hard: &str, used: &str) -> Api<ResourceQuota> {
    let hard = json!({ (resource): hard });
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}});
    namespace.apply(&quota).await.expect("the quota is accepted");
    let quotas = namespace.api::<ResourceQuota>();
    let status = json!({"status": {"hard": hard, "used": { (resource): used }}});
    quotas.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.expect("its status is accepted");
    quotas
}

/// Updates that an admission policy rejects.
pub struct RejectedUpdates<'a> {
    /// API group of the objects.
    pub group: &'a str,
    /// Plural name of their resource.
    pub resource: &'a str,
    /// CEL expression that is false for an object that is rejected.
    pub unless: &'a str,
    /// Text of the error.
    pub message: &'a str,
    /// Reason of the error: `Forbidden` (403) or `Invalid` (422).
    pub reason: &'a str,
}

impl RejectedUpdates<'_> {
    /// Rejects them in this namespace. The policy is in force shortly after.
    ///
    /// # Panics
    /// If the API server rejects the policy.
    pub async fn create_in(&self, namespace: &Namespace) {
        let (client, name) = (namespace.client(), namespace.name());
        let rule = json!({"apiGroups": [self.group], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": [self.resource]});
        let validation = json!({"expression": self.unless, "message": self.message, "reason": self.reason});
        let policy = json!({"metadata": {"name": name}, "spec": {
            "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [validation],
        }});
        let selector = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
        let binding = json!({"metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Deny"], "matchResources": selector,
        }});
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(policy).expect("a policy");
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(binding).expect("a binding");
        Api::all(client.clone()).create(&PostParams::default(), &policy).await.expect("the policy is accepted");
        Api::all(client.clone()).create(&PostParams::default(), &binding).await.expect("the binding is accepted");
    }

    /// Deletes the policy of this namespace. It is no longer in force shortly after.
    ///
    /// # Panics
    /// If there is none.
    pub async fn delete_in(namespace: &Namespace) {
        let (client, name) = (namespace.client(), namespace.name());
        let params = DeleteParams::default();
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
        bindings.delete(name, &params).await.expect("the binding can be deleted");
        let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
        policies.delete(name, &params).await.expect("the policy can be deleted");
    }
}
