//! The builds of the Makefile.
#![allow(clippy::unwrap_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

use std::{fs, path::Path};

/// Cargo resolves the features of dependencies for the packages that a command selects.
#[test]
fn every_build_selects_the_whole_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in ["Makefile", "Dockerfile", "tests/coverage.sh", "tests/generate-queries.sh"] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let builds =
                ["cargo build", "cargo test", "cargo check", "cargo clippy", "cargo run"].iter().any(|command| line.contains(command));
            assert!(!builds || line.contains("--workspace") || line.contains("${selection[@]}"), "{file}: {line}");
        }
    }
}
