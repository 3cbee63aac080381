//! Replaced by the suites.

fn main() {}
