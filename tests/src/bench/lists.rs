//! The clients of the starvation benchmark: a closed loop of lists per keep-alive connection, which ignores `Retry-After`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::load::response;

/// Parameters of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The API.
    pub address: SocketAddr,
    /// Keep-alive connections.
    pub connections: usize,
    /// Duration.
    pub seconds: f64,
    /// Paths with queries; connections take them in turn.
    pub paths: Vec<String>,
}

/// Results of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Responses by status. 0: the connection was closed instead.
    pub by_status: BTreeMap<u16, u64>,
    /// Longest time of a response, in milliseconds.
    pub slowest: u64,
}

/// A run in another process.
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(plan: &Plan) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["lists", &serde_json::to_string(plan)?]).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Ok(Self(child.spawn()?))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it failed.
    pub fn finish(self) -> anyhow::Result<Outcome> {
        let output = self.0.wait_with_output()?;
        if !output.status.success() {
            bail!("the clients of lists failed");
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Runs a plan.
///
/// # Errors
/// If the API cannot be reached.
pub async fn generate(plan: Plan) -> anyhow::Result<Outcome> {
    let until = Instant::now() + Duration::from_secs_f64(plan.seconds);
    let clients = (0..plan.connections).map(|number| client(&plan, &plan.paths[number % plan.paths.len()], until));
    let mut sum = Outcome::default();
    for outcome in futures::future::try_join_all(clients).await? {
        outcome.by_status.into_iter().for_each(|(status, count)| *sum.by_status.entry(status).or_default() += count);
        sum.slowest = sum.slowest.max(outcome.slowest);
    }
    Ok(sum)
}

async fn client(plan: &Plan, path: &str, until: Instant) -> anyhow::Result<Outcome> {
    use tokio::io::AsyncWriteExt;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept: */*\r\nuser-agent: bench\r\n\r\n", plan.address);
    let mut buffer = vec![0; 1 << 20];
    let mut outcome = Outcome::default();
    while Instant::now() < until {
        let mut stream = TcpStream::connect(plan.address).await?;
        stream.set_nodelay(true)?;
        while Instant::now() < until {
            let started = Instant::now();
            stream.write_all(request.as_bytes()).await?;
            let Ok(length) = response(&mut stream, &mut buffer).await else {
                *outcome.by_status.entry(0).or_default() += 1;
                break;
            };
            let status = buffer[..length].get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
            *outcome.by_status.entry(status.context("a status")?).or_default() += 1;
            outcome.slowest = outcome.slowest.max(u64::try_from(started.elapsed().as_millis())?);
        }
    }
    Ok(outcome)
}
