//! Data volumes: they grow, never shrink, and stay in their storage class.

use super::{
    check::Check,
    plan::{Shop, Volume},
    problem::Reason,
};
use crate::crd::Quantity;

/// The volume of a part, and its size in bytes. The API server compares with the spec before, but a
/// claim may be older: one that was kept, or of a part that was away for a while.
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
    let amount = check.quantity(&size_path, size)?;
    let bytes = amount.to_bytes_u64().filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        check.invalid(&size_path, "give a size such as 5Gi");
    }
    let mut storage_class = storage_class.cloned();
    if let Some(found) = check.claim(&claim) {
        if found.storage.amount().is_ok_and(|found| found > amount) {
            let message = format!("the volume {claim} has {} and cannot shrink: give at least that", found.storage);
            check.complain(&size_path, Reason::VolumeShrinks, message);
        }
        if let (Some(wanted), Some(found)) = (&storage_class, &found.storage_class_name)
            && wanted != found
        {
            let message = format!("the volume {claim} is of the class {found} and cannot change it: give that class");
            check.complain(&class_path, Reason::StorageClassChanges, message);
        }
        if found.class_is_declared {
            storage_class = storage_class.or(found.storage_class_name.clone());
        }
    }
    Some((Volume { claim, size: size.clone(), storage_class }, bytes?))
}
