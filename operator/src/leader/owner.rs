//! Makes the Deployment of the operator the owner of the Lease. As long as the Lease has an owner, the installation exists, even while
//! none of its pods runs. The garbage collector deletes the Lease with the Deployment.

use catalog_logging::Chain;
use k8s_openapi::{
    api::{apps::v1::Deployment, coordination::v1::Lease},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::time::timeout;

use super::RETRY;

/// The Deployment that runs this process.
pub struct Owner {
    api: Api<Deployment>,
    name: String,
    /// The reference to it, as last read.
    reference: Option<OwnerReference>,
    /// Why the Lease has no owner, as last logged. `None` once it has one.
    failure: Option<String>,
}

impl Owner {
    /// Refers to the Deployment `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: String) -> Self {
        Self { api: Api::namespaced(client, namespace), name, reference: None, failure: None }
    }

    /// Sets the owner of the Lease, unless it is set. If the Deployment cannot be read, the Lease keeps its owners.
    pub async fn set(&mut self, lease: &mut Lease) {
        if self.reference.as_ref().is_some_and(|reference| lease.owner_references().contains(reference)) {
            self.failure = None;
            return;
        }
        match timeout(RETRY / 2, self.api.get_metadata(&self.name)).await {
            Ok(Ok(deployment)) => {
                self.reference = deployment.owner_ref(&());
                // Replaces a reference to a Deployment that was deleted and created again.
                lease.owner_references_mut().retain(|reference| reference.kind != Deployment::kind(&()));
                lease.owner_references_mut().extend(self.reference.clone());
            }
            Ok(Err(error)) => self.record_failure(Chain(&error).to_string()),
            Err(_) => self.record_failure("the API server did not respond in time".to_owned()),
        }
    }

    /// Logs why the owner could not be set, unless the last failure had the same reason.
    pub fn record_failure(&mut self, error: String) {
        if self.failure.as_ref() != Some(&error) {
            tracing::warn!(error, object_kind = "Deployment", object_name = self.name, "lease has no owner; retrying");
        }
        self.failure = Some(error);
    }
}
