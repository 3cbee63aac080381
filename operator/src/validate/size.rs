//! The size of the spec.

use super::{Check, Reason};
use crate::crd::CatalogSpec;

/// Maximum size of the spec as JSON, in bytes.
///
/// A Catalog must fit into a request of etcd, at most 1.5 MiB as JSON. It contains the spec once, and once more in `status.lastApplied`
/// as a string, where quotes and backslashes are escaped: at most 768 KiB. Annotations have at most 256 KiB, escaped 512 KiB. The rest
/// is for managed fields and conditions. A limit of the schema cannot replace this one: `affinity` has nested lists.
const MAX_BYTES: usize = 256 * 1024;

/// Reports a spec that is too large for the status.
pub fn check(spec: &CatalogSpec, check: &mut Check<'_>) {
    let bytes = serde_json::to_string(spec).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_BYTES {
        let message = format!(
            "has {bytes} bytes as JSON, and at most {MAX_BYTES} are possible, because the status contains the applied spec: shorten env, \
             annotations, tolerations or affinity of api, notifier, tracker and fulfiller"
        );
        check.report("spec", Reason::InvalidValue, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        build::samples,
        validate::{Problem, validate_offline},
    };

    fn problems(bytes: usize) -> Vec<Problem> {
        let (mut catalog, _) = samples::full_input();
        catalog.spec.api.pod.annotations.insert("example.com/note".into(), String::new());
        let without = serde_json::to_string(&catalog.spec).unwrap().len();
        catalog.spec.api.pod.annotations.insert("example.com/note".into(), "x".repeat(bytes - without));
        validate_offline(&catalog, true).map_or_else(|problems| problems.0, |_| Vec::new())
    }

    #[test]
    fn a_spec_that_is_too_large_for_the_status_is_invalid() {
        assert_eq!(problems(MAX_BYTES), []);
        let [problem] = &problems(MAX_BYTES + 1)[..] else { unreachable!("one problem") };
        assert!(problem.path == "spec" && problem.message.starts_with("has 262145 bytes as JSON, and at most 262144 "), "{problem}");
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
