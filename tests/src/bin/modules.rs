//! Prints which modules of each crate use which, as the flowcharts of docs/architecture.md.
#![allow(clippy::print_stdout, reason = "a report for people")]

use catalog_tests::modules::{CRATES, parse};

fn main() {
    for (name, root) in CRATES {
        println!("{name}\n\n{}\n", parse(root).flowchart());
    }
}
