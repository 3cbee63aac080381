//! Generated documents are current.
#![allow(clippy::unwrap_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

use std::{fs, path::Path, process::Command};

use catalog_tests::programs;

#[test]
fn configuration_md_has_the_help_of_the_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directory = programs::catalog().parent().unwrap();
    let printed = Command::new(root.join("tests/generate-configuration.sh")).arg(directory).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let committed = fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let current = String::from_utf8(printed.stdout).unwrap();
    assert!(committed == current, "docs/configuration.md is stale: run `make generate` and read the difference");
}
