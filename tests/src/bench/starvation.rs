//! The starvation benchmark: orders while other clients request the two most expensive lists as fast as they can.

use std::net::SocketAddr;

use anyhow::ensure;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use super::{
    lists,
    load::{self, Plan},
    numbered_products,
    run::{POSTGRES, as_f64, run_to_completion},
    table::{grouped, median, row},
};
use crate::{
    customer_sessions,
    nats::Nats,
    people,
    postgres::Postgres,
    process::{Process, Role},
    scratch::Scratch,
    shared, tokens,
};

/// Number of products.
const PRODUCTS: u64 = 200_000;
/// Products that are sold out: so few that a scan in any order rarely finds them, and enough for a page.
const SOLD_OUT: u64 = 100;
/// Units in stock of each other product: more than the benchmark can sell.
const UNITS: i64 = 1_000_000_000;
/// Numbers of list clients: as many as may wait for a connection, and more, of which some are rejected and retry at once.
const CLIENTS: [usize; 2] = [60, 200];
/// The lists that they request.
const LISTS: [&str; 2] = ["/v1/products?in_stock=false&sort=-views", "/v1/products?contains=tab&sort=-price"];
/// Number of keep-alive connections that place orders.
const BUYERS: usize = 4;
/// Number of rounds.
const ROUNDS: usize = 3;
/// Seconds of each measurement of orders, after one second of warm-up.
const SECONDS: f64 = 6.0;
/// Largest ratio of the median latencies, and largest median latency in milliseconds.
const TARGETS: (f64, f64) = (5.0, 250.0);

/// Longest time of a list in milliseconds: up to 1 s of waiting for a connection, 2 s for the statement, and a margin.
const MAX_LIST_TIME: f64 = 4_000.0;

const DATABASE: &str = "bench";

struct Bench {
    _serve: Process,
    address: SocketAddr,
    buyers: Vec<String>,
    // Dropped in order: after the process.
    _nats: Nats,
    _postgres: Postgres,
    _scratch: Scratch,
}

/// Runs the benchmark and prints its results.
///
/// # Errors
/// If a measurement fails, or a target is missed.
pub async fn run() -> anyhow::Result<()> {
    println!("\nsetting up: PostgreSQL, NATS, {} products, {SOLD_OUT} of them sold out", grouped(as_f64(PRODUCTS)));
    let bench = Bench::start().await?;
    // Warm-up: the first orders fill plan caches and create WAL segments.
    bench.orders(SECONDS)?;
    let enough = bench.orders_with_lists(CLIENTS[0])?;
    let too_many = bench.orders_with_lists(CLIENTS[1])?;
    let (ratio, loaded) = (median(&enough.ratio()), median(&enough.loaded_p50));
    ensure!(
        ratio <= TARGETS.0 && loaded <= TARGETS.1,
        "lists delay orders: the median latency is {ratio:.1} times that without lists, {loaded:.1} ms"
    );
    ensure!(too_many.rejected() > 0.0, "no list was rejected: the queue of lists seems to be unbounded");
    for results in [enough, too_many] {
        let slowest = median(&results.slowest_list);
        ensure!(slowest <= MAX_LIST_TIME, "the slowest list took {slowest} ms");
    }
    Ok(())
}

impl Bench {
    async fn start() -> anyhow::Result<Self> {
        let (postgres, nats) = tokio::join!(Postgres::with_settings(&POSTGRES), Nats::private());
        postgres.create_database(DATABASE, "template0").await;
        let scratch = Scratch::new(None);
        let key = tokens::new_key(scratch.path(), Utc::now() - TimeDelta::days(1), "bench");
        let mut settings = shared::settings(&postgres.url(DATABASE), &nats.url(), "bench");
        // Use the defaults instead of the settings for tests.
        for setting in ["ACCESS_LOG_SAMPLE", "DATABASE_MAX_CONNECTIONS"] {
            settings.remove(setting);
        }
        settings.insert("AUTH_SIGNING_KEYS_DIR".into(), scratch.path().display().to_string());
        settings.extend(shared::superuser());
        run_to_completion(&["migrate"], &settings).await?;
        let pool = PgPool::connect(&postgres.url(DATABASE)).await?;
        numbered_products::put(&pool, 1, PRODUCTS).await?;
        sqlx::query(
            "INSERT INTO products.stock (product_id, on_hand) SELECT id, CASE WHEN sku = ANY($1) THEN 0 ELSE $2 END FROM products.products",
        )
        .bind((PRODUCTS - SOLD_OUT + 1..=PRODUCTS).map(|number| format!("B-{number}")).collect::<Vec<_>>())
        .bind(UNITS)
        .execute(&pool)
        .await?;
        sqlx::query("UPDATE products.popularity SET views = ('x' || left(md5(product_id::text), 5))::bit(20)::int").execute(&pool).await?;
        sqlx::raw_sql("VACUUM ANALYZE").execute(&pool).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&pool).await?;
        let mut serve = Process::start(&[Role::Serve.command()], &settings);
        serve.ready().await;
        let address = serve.address("HTTP_ADDRESS").await;
        let owner = people::token_of_owner(&format!("http://{address}")).await;
        let (header, claims) = tokens::read(&owner);
        let buyers = customer_sessions::tokens_of_customers(&pool, &key, &header, &claims, BUYERS).await;
        Ok(Self { _serve: serve, address, buyers, _nats: nats, _postgres: postgres, _scratch: scratch })
    }

    /// Measures orders without and with this many list clients, in turn.
    fn orders_with_lists(&self, clients: usize) -> anyhow::Result<Results> {
        let mut results = Results::default();
        for _ in 0..ROUNDS {
            let quiet = self.orders(SECONDS)?;
            let paths = LISTS.map(str::to_owned).to_vec();
            let plan = lists::Plan { address: self.address, connections: clients, seconds: SECONDS + 2.0, paths };
            let running = lists::Running::start(&plan)?;
            let loaded = self.orders(SECONDS)?;
            results.add(&quiet, &loaded, &running.finish()?, plan.seconds);
        }
        results.print(clients);
        Ok(results)
    }

    fn orders(&self, seconds: f64) -> anyhow::Result<load::Outcome> {
        load::generate_in_child(&Plan {
            address: self.address,
            connections: BUYERS,
            warm_up: 1.0,
            measure: seconds,
            first: 1,
            products: PRODUCTS - SOLD_OUT,
            buyers: self.buyers.clone(),
        })
    }
}

/// One value per round; times in milliseconds.
#[derive(Default)]
struct Results {
    quiet_p50: Vec<f64>,
    quiet_p99: Vec<f64>,
    loaded_p50: Vec<f64>,
    loaded_p99: Vec<f64>,
    slowest_list: Vec<f64>,
    /// Responses per second with status 200, 429, 503 and others.
    lists: [Vec<f64>; 4],
}

impl Results {
    fn add(&mut self, quiet: &load::Outcome, loaded: &load::Outcome, lists: &lists::Outcome, seconds: f64) {
        let millis = |micros: u64| as_f64(micros) / 1000.0;
        self.quiet_p50.push(millis(quiet.p50));
        self.quiet_p99.push(millis(quiet.p99));
        self.loaded_p50.push(millis(loaded.p50));
        self.loaded_p99.push(millis(loaded.p99));
        self.slowest_list.push(as_f64(lists.slowest));
        let mut counts = [0; 4];
        for (status, count) in &lists.by_status {
            counts[[200, 429, 503].iter().position(|known| known == status).unwrap_or(3)] += count;
        }
        self.lists.iter_mut().zip(counts).for_each(|(rates, count)| rates.push(as_f64(count) / seconds));
    }

    fn ratio(&self) -> Vec<f64> {
        self.loaded_p50.iter().zip(&self.quiet_p50).map(|(loaded, quiet)| loaded / quiet).collect()
    }

    /// Returns the rejected lists per second.
    fn rejected(&self) -> f64 {
        median(&self.lists[1]) + median(&self.lists[2])
    }

    fn print(&self, clients: usize) {
        let heads = (1..=ROUNDS).map(|round| format!("{:>10}", format!("round {round}"))).collect::<String>();
        let millis = |number: f64| format!("{number:.2}");
        println!("\n{:<26}{heads}{:>10}", format!("orders, {BUYERS} customers"), "median");
        println!("{}", row("without lists p50, ms", &self.quiet_p50, millis));
        println!("{}", row("without lists p99, ms", &self.quiet_p99, millis));
        println!("{}   target {}", row("with lists p50, ms", &self.loaded_p50, millis), TARGETS.1);
        println!("{}", row("with lists p99, ms", &self.loaded_p99, millis));
        println!("{}   target {}", row("ratio of the medians", &self.ratio(), millis), TARGETS.0);
        println!("\n{clients} clients, lists per second");
        for (status, rates) in ["200", "429", "503", "others"].iter().zip(&self.lists) {
            println!("{}", row(status, rates, grouped));
        }
        println!("{}", row("slowest response, ms", &self.slowest_list, grouped));
    }
}
