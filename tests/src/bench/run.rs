//! The benchmark of reads. Each round measures bare, cached, pgbench and uncached, so that changes in the speed of the machine
//! affect all four.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
};

use anyhow::{Context, ensure};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use super::{
    bare::Canned,
    load::{Outcome, Plan},
    numbered_products, pgbench,
    table::{grouped, row},
};
use crate::{
    nats::Nats,
    postgres::Postgres,
    process::{Environment, Process, Role, cpu_seconds},
    process_guard,
    scratch::Scratch,
    shared, tokens,
    wait::{check, eventually},
};

/// Products in the catalogue: ten times the size of the cache.
const PRODUCTS: u64 = 200_000;
/// Products that cached reads request.
const HOT: u64 = 100;
/// Number of keep-alive connections.
const CONNECTIONS: usize = 16;
/// Number of rounds.
const ROUNDS: usize = 5;
/// Seconds of each measurement, after one second of warm-up.
const SECONDS: u64 = 5;
/// Target ratios of cached and uncached reads.
const TARGETS: (f64, f64) = (0.8, 0.3);

/// Settings of a production database: durable, with memory for the data.
pub(super) const POSTGRES: [&str; 4] =
    ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=512MB", "max_wal_size=4GB"];

/// The servers under test.
struct Bench {
    postgres: Postgres,
    serve: Process,
    _tracker: Process,
    bare: Bare,
    address: SocketAddr,
    pool: PgPool,
    scratch: Scratch,
    // Dropped in order: after the processes.
    _nats: Nats,
}

/// Runs the benchmark and prints its results.
///
/// # Errors
/// If a measurement fails, or a view is lost.
pub async fn run() -> anyhow::Result<()> {
    println!("setting up: PostgreSQL, NATS, {} products", grouped(as_f64(PRODUCTS)));
    let bench = Bench::start().await?;
    println!(
        "{ROUNDS} rounds of {SECONDS} s each, {CONNECTIONS} connections, everything on {} cores",
        std::thread::available_parallelism()?
    );
    // One view: the response of the bare server was read from the API.
    let mut results = Results { views: 1, ..Results::default() };
    bench.wait_until_counted(1).await;
    for round in 1..=ROUNDS {
        let (bare, bare_cpu) = measure(bench.bare.address, bench.bare.child.id(), 1, HOT)?;
        let (cached, cached_cpu) = bench.catalog(1, HOT).await?;
        let pgbench = pgbench::measure(&bench.postgres, DATABASE, PRODUCTS, CONNECTIONS, SECONDS, bench.scratch.path())?;
        let (uncached, uncached_cpu) = bench.catalog(1, PRODUCTS).await?;
        println!(
            "round {round}: bare {}, cached {}, pgbench {}, uncached {} per second",
            grouped(bare.rate()),
            grouped(cached.rate()),
            grouped(pgbench),
            grouped(uncached.rate())
        );
        results.views += cached.all_requests + uncached.all_requests;
        results.bare.add(&bare, bare_cpu);
        results.cached.add(&cached, cached_cpu);
        results.pgbench.push(pgbench);
        results.uncached.add(&uncached, uncached_cpu);
    }
    results.print();
    let counted = bench.counted().await?;
    ensure!(counted == results.views, "{counted} views counted of {} reads served", results.views);
    println!("\nviews: {} served, {} counted", grouped(as_f64(results.views)), grouped(as_f64(counted)));
    Ok(())
}

const DATABASE: &str = "bench";

impl Bench {
    async fn start() -> anyhow::Result<Self> {
        let (postgres, nats) = tokio::join!(Postgres::with_settings(&POSTGRES), Nats::private());
        postgres.create_database(DATABASE, "template0").await;
        let scratch = Scratch::new(None);
        tokens::new_key(scratch.path(), Utc::now() - TimeDelta::days(1), "bench");
        let mut settings = shared::settings(&postgres.url(DATABASE), &nats.url(), "bench");
        // Use the defaults instead of the settings for tests.
        for setting in ["ACCESS_LOG_SAMPLE", "DATABASE_MAX_CONNECTIONS", "AUTH_ACCESS_TOKEN_TTL"] {
            settings.remove(setting);
        }
        settings.insert("AUTH_SIGNING_KEYS_DIR".into(), scratch.path().display().to_string());
        settings.extend(shared::superuser());
        run_to_completion(&["migrate"], &settings).await?;
        let pool = PgPool::connect(&postgres.url(DATABASE)).await?;
        numbered_products::stock(&pool, PRODUCTS).await?;
        let mut serve = Process::start(&[Role::Serve.command()], &settings);
        let mut tracker = Process::start(&[Role::Tracker.command()], &settings);
        serve.ready().await;
        tracker.ready().await;
        let address = serve.address("HTTP_ADDRESS").await;
        let bare = Bare::start(&canned(address).await?)?;
        Ok(Self { postgres, serve, _tracker: tracker, bare, address, pool, scratch, _nats: nats })
    }

    /// Measures the API, and waits until the views of the measurement are counted.
    async fn catalog(&self, first: u64, products: u64) -> anyhow::Result<(Outcome, f64)> {
        let before = self.counted().await?;
        let (outcome, cpu) = measure(self.address, self.serve.pid(), first, products)?;
        self.wait_until_counted(before + outcome.all_requests).await;
        Ok((outcome, cpu))
    }

    async fn wait_until_counted(&self, views: u64) {
        eventually("the views are counted", async || {
            let counted = self.counted().await.map_err(|error| error.to_string())?;
            check(counted >= views, || format!("{counted} of {views}"))
        })
        .await;
    }

    async fn counted(&self) -> anyhow::Result<u64> {
        let sum: Option<i64> = sqlx::query_scalar("SELECT sum(total)::bigint FROM tracking.product_views").fetch_one(&self.pool).await?;
        Ok(sum.unwrap_or_default().try_into()?)
    }
}

/// The bare server, a child process that ends with this one.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    fn start(canned: &Canned) -> anyhow::Result<Self> {
        let mut child = process_guard::guarded_command(&std::env::current_exe()?)
            .args(["bare", &serde_json::to_string(canned)?])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        process_guard::release(self.child.stdin.take());
    }
}

/// Returns the API's response for a product, without the headers that every server adds. The request counts as a view.
async fn canned(address: SocketAddr) -> anyhow::Result<Canned> {
    let request = String::from_utf8(numbered_products::request(1, address))?;
    let path = request.split(' ').nth(1).context("a path")?;
    let response = reqwest::get(format!("http://{address}{path}")).await?;
    let headers = response.headers().iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "content-length"));
    let headers = headers.map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned()))).collect::<anyhow::Result<_>>()?;
    Ok(Canned { status: response.status().as_u16(), headers, body: response.text().await? })
}

/// Runs the load generator against an address. Returns its outcome, and the CPU seconds of the server per thousand requests.
fn measure(address: SocketAddr, server: u32, first: u64, products: u64) -> anyhow::Result<(Outcome, f64)> {
    #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
    let plan = Plan { address, connections: CONNECTIONS, warm_up: 1.0, measure: SECONDS as f64, first, products, buyers: Vec::new() };
    let before = cpu_seconds(server);
    let outcome = super::load::generate_in_child(&plan)?;
    let spent = cpu_seconds(server) - before;
    let cpu = spent * 1000.0 / as_f64(outcome.all_requests);
    Ok((outcome, cpu))
}

pub(super) async fn run_to_completion(args: &[&str], settings: &Environment) -> anyhow::Result<()> {
    let mut process = Process::start(args, settings);
    let status = process.ended().await;
    ensure!(status.success(), "{}", process.report());
    Ok(())
}

#[derive(Default)]
struct Series {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Series {
    fn add(&mut self, outcome: &Outcome, cpu: f64) {
        self.rates.push(outcome.rate());
        self.cpu.push(cpu);
        self.p50.push(as_f64(outcome.p50));
        self.p99.push(as_f64(outcome.p99));
    }
}

#[derive(Default)]
struct Results {
    bare: Series,
    cached: Series,
    pgbench: Vec<f64>,
    uncached: Series,
    views: u64,
}

impl Results {
    fn print(&self) {
        let rounds = (1..=ROUNDS).map(|round| format!("{:>10}", format!("round {round}"))).collect::<String>();
        println!("\n{:<26}{rounds}{:>10}", "requests per second", "median");
        println!("{}", row("bare axum, same bytes", &self.bare.rates, grouped));
        println!("{}", row("catalog, cached", &self.cached.rates, grouped));
        println!("{}", row("pgbench -M prepared", &self.pgbench, grouped));
        println!("{}", row("catalog, uncached", &self.uncached.rates, grouped));
        let ratio = |ours: &[f64], theirs: &[f64]| ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>();
        let two_digits = |number: f64| format!("{number:.2}");
        println!("\nratio");
        println!("{}   target {}", row("cached / bare", &ratio(&self.cached.rates, &self.bare.rates), two_digits), TARGETS.0);
        println!("{}   target {}", row("uncached / pgbench", &ratio(&self.uncached.rates, &self.pgbench), two_digits), TARGETS.1);
        println!("\nserver's CPU seconds per 1,000 requests");
        for (name, series) in [("bare axum", &self.bare), ("catalog, cached", &self.cached), ("catalog, uncached", &self.uncached)] {
            println!("{}", row(name, &series.cpu, |seconds| format!("{seconds:.4}")));
        }
        println!("\nlatency in microseconds, p50 and p99");
        for (name, series) in [("bare axum", &self.bare), ("catalog, cached", &self.cached), ("catalog, uncached", &self.uncached)] {
            println!("{}", row(name, &series.p50, grouped));
            println!("{}", row("", &series.p99, grouped));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn as_f64(number: u64) -> f64 {
    number as f64
}
