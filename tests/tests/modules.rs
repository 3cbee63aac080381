//! The modules of the crates and what they use of each other.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use catalog_tests::modules::{CRATES, parse};

#[test]
fn the_uses_of_modules_form_no_cycle() {
    let mut cycles = Vec::new();
    for (name, root) in CRATES {
        for siblings in parse(root).siblings() {
            cycles.extend(siblings.cycles().iter().map(|used| format!("{name}: {used}")));
        }
    }
    assert!(cycles.is_empty(), "the uses of modules form cycles:\n{}", cycles.join("\n"));
}

#[test]
fn the_architecture_document_draws_the_modules_as_they_are() {
    let document = include_str!("../../docs/architecture.md");
    for (name, root) in CRATES.into_iter().filter(|(name, _)| *name != "tools") {
        let flowchart = parse(root).flowchart();
        assert!(
            document.contains(&format!("```mermaid\n{flowchart}\n```")),
            "docs/architecture.md: {name} is not as `make modules` prints it"
        );
    }
}
