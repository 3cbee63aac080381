//! Checks data volumes. A bound claim can grow, but neither shrink nor change its storage class.
//!
//! An impossible change is skipped and reported, so that it doesn't block the rest of the spec. An unbound claim that differs from the
//! spec is replaced (`apply/claims.rs`).

use super::{
    check::Check,
    plan::{Shop, Volume},
};
use crate::{crd::Quantity, observed::ClaimFacts};

/// Checks the volume of a component, and returns it with its size in bytes.
pub fn check(
    shop: &Shop,
    part: &str,
    path: &str,
    size: &Quantity,
    storage_class: Option<&String>,
    check: &mut Check<'_>,
) -> Option<(Volume, u64)> {
    let claim = shop.named(&format!("{part}-data"));
    let (size_path, class_path) = (format!("{path}.storage"), format!("{path}.storageClassName"));
    let amount = check.parse_quantity(&size_path, size)?;
    if amount.to_bytes_u64().is_none_or(|bytes| bytes == 0) {
        check.invalid(&size_path, "use a size such as 5Gi");
    }
    let (mut size, mut storage_class) = (size.clone(), storage_class.cloned());
    if let Some(found) = check.claim(&claim).filter(|found| found.is_bound) {
        let described = described(&claim, found);
        let capacity = found.capacity.as_ref().unwrap_or(&found.storage);
        if capacity.amount().is_ok_and(|capacity| capacity > amount) {
            check.skip(size_path, format!("{described} has {capacity} and cannot shrink: set at least {capacity}"));
            size = found.storage.clone();
        } else if capacity.amount().is_ok_and(|capacity| capacity == amount) {
            // After a failed expansion the request can be lowered, but not to the present capacity
            // (Kubernetes documentation, "Recovering from Failure when Expanding Volumes").
            size = found.storage.clone();
        } else if let Some(error) = &found.resize_error {
            let message = format!("{described} has {capacity} and does not grow to {size}: {error}; set {capacity} if that is enough");
            check.skip(size_path, message);
        }
        if let (Some(new), Some(class)) = (&storage_class, &found.storage_class_name)
            && new != class
        {
            let message = format!("{described} is bound and cannot change to {new}: set {class}, or move the data to another Catalog");
            check.skip(class_path, message);
            storage_class = None;
        }
        if found.class_is_declared {
            storage_class = storage_class.or(found.storage_class_name.clone());
        }
    }
    let bytes = size.amount().ok()?.to_bytes_u64()?;
    Some((Volume { claim, size, storage_class }, bytes))
}

fn described(claim: &str, found: &ClaimFacts) -> String {
    format!("PersistentVolumeClaim {claim} (storage class {})", found.storage_class_name.as_deref().unwrap_or("none"))
}
