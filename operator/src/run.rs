//! `catalog-operator run`: leader election, controller, probes and metrics.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use catalog_process::{listener, signal};
use clap::Args;
use kube::{Client, Config, client::ClientBuilder};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    connection::with_timeouts,
    controller,
    leader::{Elector, Leadership, fence},
    metrics::Metrics,
    ops,
};

/// Settings of `catalog-operator run`.
#[derive(Args)]
pub struct RunArgs {
    /// Address of probes and metrics; the IPv6 wildcard includes IPv4
    #[arg(long, env = "OPS_ADDRESS", default_value = "[::]:9090", value_name = "ADDRESS:PORT")]
    ops_address: SocketAddr,
    /// Namespace of the Lease for leader election
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAME")]
    lease_namespace: String,
    /// Unique name of this process in the leader election
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// Deployment of this process, which becomes the owner of the Lease. No other installation leads while it exists
    #[arg(long, env = "DEPLOYMENT_NAME", value_name = "NAME")]
    deployment: Option<String>,
    /// Number of Catalogs that are reconciled concurrently
    #[arg(long, env = "CONCURRENCY", default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    concurrency: u16,
}

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// If no cluster is configured, the address is in use, another installation leads, or a task ends unexpectedly.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let config = Config::infer().await.context("no cluster configured: run in a cluster or set KUBECONFIG")?;
    let config = with_timeouts(config);
    let leadership = Leadership::default();
    let metrics = Metrics::new()?;
    let listener = listener::bind(args.ops_address).with_context(|| format!("cannot listen on OPS_ADDRESS={}", args.ops_address))?;
    let listener = TcpListener::from_std(listener)?;
    tracing::info!(address = %args.ops_address, cluster = %config.cluster_url, "started");

    // The election writes the Lease before it is won, so its client has no fence.
    let unfenced = Client::try_from(config.clone())?;
    let fenced: Client = ClientBuilder::try_from(config)?.with_layer(&fence(leadership.clone())).build();
    let identity = args.identity.unwrap_or_else(|| format!("{}-{:08x}", hostname(), rand::random::<u32>()));
    let elector = Elector::new(unfenced, &args.lease_namespace, identity, leadership.clone())
        .alone_in_cluster(&args.lease_namespace)
        .owned_by(&args.lease_namespace, args.deployment);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut election = tokio::spawn(elector.run(async { drop(stopped.await) }));

    let ended = tokio::select! {
        signalled = signal::wait_for_stop() => signalled.inspect(|()| tracing::info!("stopping")),
        served = ops::serve(listener, metrics.clone(), leadership.clone()) => served.context("the server of probes and metrics ended"),
        () = lead(&leadership, &fenced, &metrics, args.concurrency) => bail!("the controller ended"),
        ended = &mut election => return Err(ended.context("the election ended")?.err().context("the election ended")?.into()),
    };
    // Reconciles are aborted here. The next leader reads the live objects and continues.
    drop(stop);
    election.await.context("the election ended")??;
    tracing::info!("stopped");
    ended
}

/// Runs the controller while this process leads.
async fn lead(leadership: &Leadership, client: &Client, metrics: &Metrics, concurrency: u16) {
    loop {
        leadership.wait_until_won().await;
        metrics.set_leader(true);
        tokio::select! {
            () = controller::run(client.clone(), metrics.clone(), concurrency) => return,
            () = leadership.wait_until_lost() => {}
        }
        metrics.set_leader(false);
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "catalog-operator".into(), |name| name.trim().to_owned())
}
