//! The benchmark of orders: the API beside `pgbench` with the same statements, and the expiry of a million carts during orders.

mod carts;
mod statements;

use std::net::SocketAddr;

use anyhow::ensure;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use super::{
    load::{self, Outcome, Plan},
    numbered_products, pgbench,
    run::{POSTGRES, as_f64, run_to_completion},
    table::{grouped, row},
};
use crate::{
    customer_sessions,
    nats::Nats,
    people,
    postgres::Postgres,
    process::{Process, Role, peak_memory},
    scratch::Scratch,
    shared, tokens,
};

/// Products that are ordered.
const PRODUCTS: u64 = 1000;
/// Units in stock of each product: more than the benchmark can sell.
const UNITS: i64 = 1_000_000_000;
/// Number of keep-alive connections, each with its own customer.
const CONNECTIONS: usize = 16;
/// Number of rounds.
const ROUNDS: usize = 5;
/// Seconds of each measurement, after one second of warm-up.
const SECONDS: u64 = 5;
/// Carts that expire at once.
const CARTS: i64 = 1_000_000;
/// Target ratios of orders of one product and of many products.
const TARGETS: (f64, f64) = (0.5, 0.7);

const DATABASE: &str = "bench";

struct Bench {
    postgres: Postgres,
    serve: Process,
    address: SocketAddr,
    pool: PgPool,
    buyers: Vec<String>,
    scratch: Scratch,
    // Dropped in order: after the process.
    _nats: Nats,
}

/// Runs the benchmark and prints its results.
///
/// # Errors
/// If a measurement fails, or a unit is lost.
pub async fn run() -> anyhow::Result<()> {
    println!("\nsetting up: PostgreSQL, NATS, {} products in stock, {CONNECTIONS} customers", grouped(as_f64(PRODUCTS)));
    let bench = Bench::start().await?;
    let (mut hot, mut spread) = (Pair::default(), Pair::default());
    // The first runs are slower because PostgreSQL creates WAL segments.
    bench.pgbench(PRODUCTS).await?;
    bench.orders(PRODUCTS)?;
    for round in 1..=ROUNDS {
        for (pair, products) in [(&mut hot, 1), (&mut spread, PRODUCTS)] {
            bench.vacuum_and_checkpoint().await?;
            pair.limit.push(bench.pgbench(products).await?);
            bench.vacuum_and_checkpoint().await?;
            pair.ours.push(bench.orders(products)?);
        }
        let last = |pair: &Pair| (grouped(pair.limit[round - 1]), grouped(pair.ours[round - 1].rate()));
        let ((hot_limit, hot), (spread_limit, spread)) = (last(&hot), last(&spread));
        println!(
            "round {round}: one product: pgbench {hot_limit}, orders {hot}; spread: pgbench {spread_limit}, orders {spread} per second"
        );
    }
    hot.print("one product", TARGETS.0);
    spread.print("1,000 products", TARGETS.1);
    bench.expire_carts(&spread).await
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
        settings.insert("RUST_LOG".into(), "warn".into());
        settings.extend(shared::superuser());
        run_to_completion(&["migrate"], &settings).await?;
        let pool = PgPool::connect(&postgres.url(DATABASE)).await?;
        numbered_products::stock(&pool, PRODUCTS).await?;
        sqlx::query("INSERT INTO products.stock (product_id, on_hand) SELECT id, $1 FROM products.products")
            .bind(UNITS)
            .execute(&pool)
            .await?;
        settings.insert("RUST_LOG".into(), "info".into());
        let mut serve = Process::start(&[Role::Serve.command()], &settings);
        serve.ready().await;
        let address = serve.address("HTTP_ADDRESS").await;
        let owner = people::token_of_owner(&format!("http://{address}")).await;
        let (header, claims) = tokens::read(&owner);
        let buyers = customer_sessions::tokens_of_customers(&pool, &key, &header, &claims, CONNECTIONS).await;
        Ok(Self { postgres, serve, address, pool, buyers, scratch, _nats: nats })
    }

    /// Vacuums and writes a checkpoint, so that a measurement does not pay for the writes of the one before.
    async fn vacuum_and_checkpoint(&self) -> anyhow::Result<()> {
        sqlx::raw_sql("VACUUM ANALYZE").execute(&self.pool).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&self.pool).await?;
        Ok(())
    }

    async fn pgbench(&self, products: u64) -> anyhow::Result<f64> {
        let sample = statements::Sample::of(&self.pool, self.address, &self.buyers[0]).await?;
        let script = statements::script(&sample, products)?;
        let rate = pgbench::run(&self.postgres, DATABASE, &script, CONNECTIONS, SECONDS, self.scratch.path())?;
        // Otherwise the relay of the API would publish the events that pgbench wrote.
        sqlx::raw_sql("TRUNCATE events.outbox").execute(&self.pool).await?;
        Ok(rate)
    }

    fn orders(&self, products: u64) -> anyhow::Result<Outcome> {
        #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
        let plan = Plan {
            address: self.address,
            connections: CONNECTIONS,
            warm_up: 1.0,
            measure: SECONDS as f64,
            first: 1,
            products,
            buyers: self.buyers.clone(),
        };
        load::generate_in_child(&plan)
    }

    /// Measures orders while a million carts expire at once.
    async fn expire_carts(&self, quiet: &Pair) -> anyhow::Result<()> {
        let before = peak_memory(self.serve.pid());
        println!("\n{} carts expire at once, each with one unit of 1,000 products", grouped(as_f64(CARTS.unsigned_abs())));
        let started = carts::create_expired(&self.pool, CARTS).await?;
        let beside = self.orders(PRODUCTS)?;
        let took = carts::wait_until_deleted(&self.pool, started).await?;
        let (on_hand_less_sold, reserved) = carts::audit_stock(&self.pool).await?;
        ensure!(reserved == 0, "{reserved} units are still reserved");
        let after = peak_memory(self.serve.pid());
        let quietly = quiet.ours.iter().map(Outcome::rate).collect::<Vec<_>>();
        println!("deleted after {:.1} s, {} carts per second during orders", took, grouped(as_f64(CARTS.unsigned_abs()) / took));
        println!(
            "orders during the expiry: {} per second (without: {}), p50 {} µs, p99 {} µs",
            grouped(beside.rate()),
            grouped(super::table::median(&quietly)),
            grouped(as_f64(beside.p50)),
            grouped(as_f64(beside.p99))
        );
        println!("peak memory of the API: {before:.1} MiB before, {after:.1} MiB after");
        ensure!(on_hand_less_sold == 0, "{on_hand_less_sold} units are lost or sold twice");
        Ok(())
    }
}

#[derive(Default)]
struct Pair {
    limit: Vec<f64>,
    ours: Vec<Outcome>,
}

impl Pair {
    fn print(&self, what: &str, target: f64) {
        let heads = (1..=ROUNDS).map(|round| format!("{:>10}", format!("round {round}"))).collect::<String>();
        let ours: Vec<f64> = self.ours.iter().map(Outcome::rate).collect();
        let ratio: Vec<f64> = ours.iter().zip(&self.limit).map(|(ours, limit)| ours / limit).collect();
        let of = |value: fn(&Outcome) -> u64| self.ours.iter().map(|outcome| as_f64(value(outcome))).collect::<Vec<_>>();
        println!("\n{:<26}{heads}{:>10}", format!("orders of {what}"), "median");
        println!("{}", row("pgbench, same statements", &self.limit, grouped));
        println!("{}", row("catalog", &ours, grouped));
        println!("{}   target {target}", row("ratio", &ratio, |number| format!("{number:.2}")));
        println!("{}", row("latency p50, µs", &of(|outcome| outcome.p50), grouped));
        println!("{}", row("latency p99, µs", &of(|outcome| outcome.p99), grouped));
    }
}
