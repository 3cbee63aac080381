//! Prints which packages, and which modules of each, use which, as the flowcharts of docs/architecture.md.
#![allow(clippy::print_stdout, reason = "a report for people")]

use catalog_tests::modules::{flowchart, packages, parse};

fn main() {
    let packages = packages();
    println!("packages\n\n{}\n", flowchart(&packages));
    for package in packages.iter().filter(|package| package.folder != "tests") {
        println!("{}\n\n{}\n", package.folder, parse(&package.root).flowchart());
    }
}
