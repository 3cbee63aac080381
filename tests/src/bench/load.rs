//! The load generator: a closed loop of requests per keep-alive connection, on one thread.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Parameters of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Address of the server.
    pub address: SocketAddr,
    /// Keep-alive connections.
    pub connections: usize,
    /// Seconds before the measuring begins.
    pub warm_up: f64,
    /// Seconds of measuring.
    pub measure: f64,
    /// First product number.
    pub first: u64,
    /// Number of products, which are requested at random.
    pub products: u64,
    /// Access tokens of customers that order products instead of reading them; one for each connection.
    #[serde(default)]
    pub buyers: Vec<String>,
}

/// Results of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Expected responses during the measurement.
    pub requests: u64,
    /// Expected responses, warm-up included.
    pub all_requests: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Median latency in microseconds.
    pub p50: u64,
    /// 99th percentile in microseconds.
    pub p99: u64,
}

impl Outcome {
    /// Requests per second.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Latencies are counted by the microsecond up to here.
const SLOWEST: usize = 1_000_000;

struct Seen {
    latencies: Vec<u32>,
    requests: u64,
    all_requests: u64,
}

/// Runs a plan in another process.
///
/// # Errors
/// If that fails.
pub fn run_in_child_process(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut child = Command::new(std::env::current_exe()?);
    let output = child.args(["load", &serde_json::to_string(plan)?]).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the load generator failed");
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a plan.
///
/// # Errors
/// If a connection breaks, or a response is unexpected.
pub async fn generate(plan: Plan) -> anyhow::Result<Outcome> {
    let from = Instant::now() + Duration::from_secs_f64(plan.warm_up);
    let until = from + Duration::from_secs_f64(plan.measure);
    let workers = (0..plan.connections).map(|number| connection(&plan, number as u64, from, until));
    let all = futures::future::try_join_all(workers).await?;
    let mut latencies = vec![0_u64; SLOWEST];
    for seen in &all {
        latencies.iter_mut().zip(&seen.latencies).for_each(|(sum, count)| *sum += u64::from(*count));
    }
    let requests: u64 = all.iter().map(|seen| seen.requests).sum();
    let percentile = |share: u64| {
        let mut left = requests * share / 100;
        latencies.iter().position(|count| left.checked_sub(*count).map(|rest| left = rest).is_none()).unwrap_or(SLOWEST) as u64
    };
    let all_requests = all.iter().map(|seen| seen.all_requests).sum();
    Ok(Outcome { requests, all_requests, seconds: plan.measure, p50: percentile(50), p99: percentile(99) })
}

async fn connection(plan: &Plan, number: u64, from: Instant, until: Instant) -> anyhow::Result<Seen> {
    let mut stream = TcpStream::connect(plan.address).await?;
    stream.set_nodelay(true)?;
    let mut random = SmallRng::seed_from_u64(number + 1);
    let buyer = plan.buyers.get(usize::try_from(number)?);
    let mut request = super::shelf::request(plan.first, plan.address);
    let expected: &[u8] = if buyer.is_some() { b"HTTP/1.1 201 " } else { b"HTTP/1.1 200 " };
    let mut buffer = vec![0; 64 * 1024];
    let mut seen = Seen { latencies: vec![0; SLOWEST], requests: 0, all_requests: 0 };
    loop {
        let product = plan.first + random.random_range(0..plan.products);
        match buyer {
            Some(token) => request = super::shelf::order(product, plan.address, token, rand::random()),
            None => super::shelf::ask_for(&mut request, product),
        }
        let started = Instant::now();
        if started >= until {
            return Ok(seen);
        }
        stream.write_all(&request).await?;
        let length = response(&mut stream, &mut buffer).await?;
        if !buffer.starts_with(expected) {
            bail!("unexpected response {}", String::from_utf8_lossy(&buffer[..length]));
        }
        seen.all_requests += 1;
        if started >= from {
            seen.requests += 1;
            let micros = usize::try_from(started.elapsed().as_micros()).unwrap_or(SLOWEST);
            seen.latencies[micros.min(SLOWEST - 1)] += 1;
        }
    }
}

/// Reads one response into the buffer, and returns its length.
///
/// # Errors
/// If the connection ends before it, or it is longer than the buffer.
pub(super) async fn response(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<usize> {
    let mut filled = 0;
    let mut whole = usize::MAX;
    while filled < whole {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection, or the response is too long");
        }
        filled += read;
        if whole == usize::MAX
            && let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n")
        {
            whole = end + 4 + content_length(&buffer[..end]).context("no content-length")?;
        }
    }
    if filled == whole { Ok(filled) } else { bail!("the response is longer than its content-length") }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let line = head.split(|byte| *byte == b'\n').find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}
