//! `make bench-operator`: what the operator costs, with one Catalog and with a thousand.

use catalog_tests::bench::operator;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(operator::run())
}
