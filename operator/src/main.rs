//! `catalog-operator`: one `Catalog` resource becomes a shop on Kubernetes.

use std::process::ExitCode;

use catalog_operator::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run().await
}
