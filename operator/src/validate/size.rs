//! The size of the spec.

use super::{Check, Reason};
use crate::crd::{Catalog, CatalogSpec};

/// Maximum size of the spec as JSON, in bytes.
///
/// A Catalog must fit into a request of etcd, at most 1.5 MiB as JSON. It contains the spec once, and once more in `status.lastApplied`
/// as a string, where quotes and backslashes are escaped: at most 768 KiB. Annotations have at most 256 KiB, escaped 512 KiB. The rest
/// is for managed fields and conditions. A limit of the schema cannot replace this one: `affinity` has nested lists.
const MAX_BYTES: usize = 256 * 1024;

/// Reports a spec that is too large for the status. The last applied spec is never too large, because the status contains it: it may
/// be larger than the spec by the default tag of the image, and an earlier release of the operator had no limit.
pub fn check(catalog: &Catalog, check: &mut Check<'_>) {
    let bytes = serde_json::to_string(&catalog.spec).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_BYTES && !was_applied(catalog) {
        let message = format!(
            "has {bytes} bytes as JSON, and at most {MAX_BYTES} are possible, because the status contains the applied spec: shorten env, \
             annotations, tolerations or affinity of api, notifier, tracker and fulfiller"
        );
        check.report("spec", Reason::InvalidValue, message);
    }
}

/// Whether the spec is the last applied one.
fn was_applied(catalog: &Catalog) -> bool {
    let last = catalog.status.as_ref().and_then(|status| status.last_applied.as_ref());
    last.and_then(|last| serde_json::from_str::<CatalogSpec>(&last.spec).ok()).is_some_and(|last| last == catalog.spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        build::samples,
        crd::{CatalogStatus, LastApplied},
        validate::{Problem, validate_offline},
    };

    /// A Catalog whose spec has this size.
    fn catalog(bytes: usize) -> Catalog {
        let (mut catalog, _) = samples::full_input();
        catalog.spec.api.pod.annotations.insert("example.com/note".into(), String::new());
        let without = serde_json::to_string(&catalog.spec).unwrap().len();
        catalog.spec.api.pod.annotations.insert("example.com/note".into(), "x".repeat(bytes - without));
        catalog
    }

    fn problems(catalog: &Catalog) -> Vec<Problem> {
        validate_offline(catalog, true).map_or_else(|problems| problems.0, |_| Vec::new())
    }

    #[test]
    fn a_spec_that_is_too_large_for_the_status_is_invalid() {
        assert_eq!(problems(&catalog(MAX_BYTES)), []);
        let [problem] = &problems(&catalog(MAX_BYTES + 1))[..] else { unreachable!("one problem") };
        assert!(problem.path == "spec" && problem.message.starts_with("has 262145 bytes as JSON, and at most 262144 "), "{problem}");
    }

    #[test]
    fn a_last_applied_spec_is_not_too_large_and_another_spec_is() {
        let mut catalog = catalog(MAX_BYTES);
        catalog.spec.image.tag = Some("0.1.0-with-a-long-suffix".into());
        assert_eq!(problems(&catalog).len(), 1);
        let last_applied = Some(LastApplied { observed_generation: None, spec: serde_json::to_string(&catalog.spec).unwrap() });
        catalog.status = Some(CatalogStatus { last_applied, ..CatalogStatus::default() });
        assert_eq!(problems(&catalog), []);
        catalog.spec.image.tag = Some("0.2.0-with-a-long-suffix".into());
        assert_eq!(problems(&catalog).len(), 1);
    }

    #[test]
    fn a_string_of_json_is_at_most_twice_as_long_as_the_json() {
        for text in ["\\\\", "\"", "\n", "\u{1}", "é", "€", "x"] {
            let json = serde_json::to_string(&text.repeat(1000)).unwrap();
            let quotes = 2;
            assert!(serde_json::to_string(&json).unwrap().len() <= 2 * json.len() + quotes, "{text:?}");
        }
    }
}
