//! The load generator: a closed loop of requests on each keep-alive connection, on one thread.

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

/// The load to generate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Address of the server.
    pub address: SocketAddr,
    /// Number of keep-alive connections.
    pub connections: usize,
    /// Seconds before the measurement.
    pub warm_up: f64,
    /// Seconds of the measurement.
    pub measure: f64,
    /// Number of the first product.
    pub first: u64,
    /// Number of products, from which each request takes a random one.
    pub products: u64,
    /// Access tokens, one per connection. With a token, a connection orders products instead of reading them.
    #[serde(default)]
    pub buyers: Vec<String>,
}

/// The result of a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Successful requests of the measurement.
    pub requests: u64,
    /// Successful requests of warm-up and measurement.
    pub all_requests: u64,
    /// Seconds of the measurement.
    pub seconds: f64,
    /// Median latency in microseconds.
    pub p50: u64,
    /// 99th percentile of the latency in microseconds.
    pub p99: u64,
}

impl Outcome {
    /// Returns the requests per second.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Longest latency in microseconds that is counted exactly.
const MAX_LATENCY: usize = 1_000_000;

struct Counts {
    latencies: Vec<u32>,
    requests: u64,
    all_requests: u64,
}

/// Generates the load of a plan in a child process.
///
/// # Errors
/// If the child process fails.
pub fn generate_in_child(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut child = Command::new(std::env::current_exe()?);
    let output = child.args(["load", &serde_json::to_string(plan)?]).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the load generator failed");
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Generates the load of a plan.
///
/// # Errors
/// If a connection fails, or a response has an unexpected status.
pub async fn generate(plan: Plan) -> anyhow::Result<Outcome> {
    let from = Instant::now() + Duration::from_secs_f64(plan.warm_up);
    let until = from + Duration::from_secs_f64(plan.measure);
    let workers = (0..plan.connections).map(|number| connection(&plan, number as u64, from, until));
    let all = futures::future::try_join_all(workers).await?;
    let mut latencies = vec![0_u64; MAX_LATENCY];
    for seen in &all {
        latencies.iter_mut().zip(&seen.latencies).for_each(|(sum, count)| *sum += u64::from(*count));
    }
    let requests: u64 = all.iter().map(|seen| seen.requests).sum();
    let percentile = |share: u64| {
        let mut left = requests * share / 100;
        latencies.iter().position(|count| left.checked_sub(*count).map(|rest| left = rest).is_none()).unwrap_or(MAX_LATENCY) as u64
    };
    let all_requests = all.iter().map(|seen| seen.all_requests).sum();
    Ok(Outcome { requests, all_requests, seconds: plan.measure, p50: percentile(50), p99: percentile(99) })
}

async fn connection(plan: &Plan, number: u64, from: Instant, until: Instant) -> anyhow::Result<Counts> {
    let mut stream = TcpStream::connect(plan.address).await?;
    stream.set_nodelay(true)?;
    let mut random = SmallRng::seed_from_u64(number + 1);
    let buyer = plan.buyers.get(usize::try_from(number)?);
    let mut request = super::numbered_products::request(plan.first, plan.address);
    let expected: &[u8] = if buyer.is_some() { b"HTTP/1.1 201 " } else { b"HTTP/1.1 200 " };
    let mut buffer = vec![0; 64 * 1024];
    let mut seen = Counts { latencies: vec![0; MAX_LATENCY], requests: 0, all_requests: 0 };
    loop {
        let product = plan.first + random.random_range(0..plan.products);
        match buyer {
            Some(token) => request = super::numbered_products::order(product, plan.address, token, rand::random()),
            None => super::numbered_products::set_product(&mut request, product),
        }
        let started = Instant::now();
        if started >= until {
            return Ok(seen);
        }
        stream.write_all(&request).await?;
        let length = response(&mut stream, &mut buffer).await?;
        if !buffer.starts_with(expected) {
            bail!("unexpected response: {}", String::from_utf8_lossy(&buffer[..length]));
        }
        seen.all_requests += 1;
        if started >= from {
            seen.requests += 1;
            let micros = usize::try_from(started.elapsed().as_micros()).unwrap_or(MAX_LATENCY);
            seen.latencies[micros.min(MAX_LATENCY - 1)] += 1;
        }
    }
}

/// Reads one response into the buffer and returns its length.
///
/// # Errors
/// If the connection ends before the response is complete, or the response is longer than the buffer.
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
