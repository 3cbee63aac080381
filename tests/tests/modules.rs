//! The packages of the workspace and the modules of each, and what they use of each other.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use catalog_tests::modules::{Package, flowchart, packages, parse};

/// Crates that several programs share, at most.
const MAX_CRATES: usize = 6;
/// Dependencies that belong to the programs: servers, clients and command lines.
const FRAMEWORKS: [&str; 7] = ["async-nats", "axum", "clap", "hyper", "kube", "sqlx", "tokio"];

fn is_shared(package: &Package) -> bool {
    package.folder.starts_with("crates/")
}

#[test]
fn the_uses_of_modules_form_no_cycle() {
    let mut cycles = Vec::new();
    for package in packages().iter().filter(|package| package.folder != "tests") {
        for siblings in parse(&package.root).siblings() {
            cycles.extend(siblings.cycles().iter().map(|used| format!("{}: {used}", package.folder)));
        }
    }
    assert!(cycles.is_empty(), "the uses of modules form cycles:\n{}", cycles.join("\n"));
}

#[test]
fn shared_crates_are_few() {
    let packages = packages();
    let shared = packages.iter().filter(|package| is_shared(package)).count();
    assert!(shared <= MAX_CRATES, "{shared} crates in crates/, and at most {MAX_CRATES} are allowed");
}

#[test]
fn no_package_uses_a_program() {
    for package in packages().iter().filter(|package| package.folder != "tests") {
        let programs: Vec<_> = package.uses.iter().filter(|used| !used.starts_with("crates/")).collect();
        assert!(programs.is_empty(), "{} uses {programs:?}", package.folder);
    }
}

#[test]
fn every_shared_crate_is_used_by_two_programs() {
    let packages = packages();
    let uses = |package: &Package, shared: &Package| package.uses.contains(&shared.folder);
    for shared in packages.iter().filter(|package| is_shared(package)) {
        let programs = packages.iter().filter(|package| !is_shared(package) && package.folder != "tests" && uses(package, shared));
        assert!(programs.count() >= 2, "{} belongs into the only program that uses it", shared.folder);
    }
}

#[test]
fn rules_of_values_depend_on_no_framework_and_no_crate_that_could() {
    for package in packages().iter().filter(|package| ["crates/values", "crates/rows"].contains(&package.folder.as_str())) {
        let frameworks: Vec<_> = package.dependencies.iter().filter(|name| FRAMEWORKS.contains(&name.as_str())).collect();
        assert!(frameworks.is_empty(), "{} depends on {frameworks:?}", package.folder);
        let crates: Vec<_> = package.uses.iter().filter(|used| *used != "crates/values").collect();
        assert!(crates.is_empty(), "{} uses {crates:?}", package.folder);
    }
}

#[test]
fn the_architecture_document_draws_packages_and_modules_as_they_are() {
    let document = include_str!("../../docs/architecture.md");
    let packages = packages();
    let programs = packages.iter().filter(|package| ["api", "operator"].contains(&package.folder.as_str()));
    let charts = programs.map(|package| (package.folder.as_str(), parse(&package.root).flowchart()));
    for (name, flowchart) in charts.chain([("the packages", flowchart(&packages))]) {
        assert!(
            document.contains(&format!("```mermaid\n{flowchart}\n```")),
            "docs/architecture.md: {name} is not as `make modules` prints it"
        );
    }
}
