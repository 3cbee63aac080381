//! `catalog healthcheck`: requests `/readyz` of the role on this machine, for containers without a shell.

use std::time::Duration;

use anyhow::{Context, bail};
use catalog_process::{config::Checker, listener::reachable, output::print_line};
use clap::Args;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of `catalog healthcheck`.
#[derive(Args)]
pub struct HealthcheckArgs {
    /// Address on which the role listens for probes
    #[arg(long, env = "OPS_ADDRESS", default_value = "[::]:9090", value_name = "ADDRESS:PORT")]
    ops_address: String,
}

/// Runs the role.
///
/// # Errors
/// If no process listens on the address, or it isn't ready.
pub async fn run(args: HealthcheckArgs) -> anyhow::Result<()> {
    let mut check = Checker::default();
    let address = check.value("OPS_ADDRESS", &args.ops_address, "an address and port such as [::]:9090 or 127.0.0.1:9090", |_| true);
    let address = reachable(check.finish(address)?);
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let answer = client.get(format!("http://{address}/readyz")).send().await.with_context(|| format!("no answer from {address}"))?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{}", text.trim());
    }
    Ok(print_line(text.trim())?)
}
