//! `catalog healthcheck`: asks this machine's `/readyz`, for containers without a shell.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;

use super::output::print_line;
use crate::config::Checker;

/// An answer that takes longer is none.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Settings of `catalog healthcheck`.
#[derive(Args)]
pub struct HealthcheckArgs {
    /// Where the role to ask listens for probes
    #[arg(long, env = "OPS_ADDRESS", default_value = "[::]:9090", value_name = "ADDRESS:PORT")]
    ops_address: String,
}

/// Runs the role.
///
/// # Errors
/// If the process that listens there isn't ready, or none does.
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

/// A listener on all addresses is reached at 127.0.0.1, also when the machine has no IPv6.
#[must_use]
pub fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    listener
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_the_loopback_one() {
        for (listener, reached) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:1", "127.0.0.1:1"), ("[::1]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
