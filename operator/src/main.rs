//! `catalog-operator`: a Kubernetes operator that runs a shop for each `Catalog` resource.

use std::process::ExitCode;

use catalog_operator::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
