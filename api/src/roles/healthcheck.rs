//! `catalog healthcheck`: requests `/readyz` of the role on this machine, for containers without a shell.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;

use super::output::print_line;
use crate::config::Checker;

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

/// Returns the address to connect to: 127.0.0.1 for a wildcard, also on a machine without IPv6.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_reached_on_the_loopback_address() {
        for (listener, reached) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:1", "127.0.0.1:1"), ("[::1]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
