//! `make bench-operator`: API requests, latency and memory of the operator with one Catalog and with a thousand.

use catalog_tests::bench::operator;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(operator::run())
}
