//! `catalog-operator`.

fn main() {}
