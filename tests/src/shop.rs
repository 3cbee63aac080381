//! The shop of one test, with its own database, streams, inbox and processes.

mod builder;
mod idle;

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::{Deref, DerefMut},
    time::Duration,
};

use async_nats::jetstream;
use sqlx::PgPool;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

pub use self::builder::Builder;
use crate::{
    api::Api,
    inbox::Inbox,
    nats::Nats,
    people::People,
    postgres::Postgres,
    process::{Environment, Process, Role},
    proxy::Proxy,
    wait::{check, eventually},
};

/// A server that all tests share, or that one test may stop.
enum Source<T: 'static> {
    Shared(&'static T),
    Own(T),
}

impl<T> Deref for Source<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Shared(shared) => shared,
            Self::Own(own) => own,
        }
    }
}

impl<T> DerefMut for Source<T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Shared(_) => panic!("this server is shared; request a private one from the builder"),
            Self::Own(own) => own,
        }
    }
}

/// The lock of the suite, held while the shop runs. A second shop of a test takes none.
enum SuiteLock {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Exclusive { _guard: OwnedRwLockWriteGuard<()> },
    None,
}

/// Lists every field of the log lines.
const LOGGING: &str = include_str!("../../docs/logging.md");

/// Proxies between the processes of a shop and its servers. The test itself doesn't use them.
pub struct Network {
    /// In front of PostgreSQL.
    pub postgres: Proxy,
    /// In front of NATS.
    pub nats: Proxy,
}

impl Network {
    async fn start(postgres: &Postgres, nats: &Nats, database: &str, environment: &mut Environment) -> Self {
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let network = Self { postgres: Proxy::start(local(postgres.port())).await, nats: Proxy::start(local(nats.port())).await };
        let postgres = network.postgres.address();
        environment.insert("DATABASE_URL".into(), format!("postgres://postgres@{postgres}/{database}"));
        environment.insert("NATS_URL".into(), format!("nats://{}", network.nats.address()));
        network
    }
}

/// A running shop.
pub struct Shop {
    /// An anonymous client.
    pub anyone: Api,
    /// The superuser.
    pub owner: Api,
    /// An admin.
    pub ada: Api,
    /// Another admin.
    pub grace: Api,
    /// A customer.
    pub carol: Api,
    /// Another customer.
    pub dave: Api,
    /// The accounts of the admins and customers.
    pub people: People,
    /// The shop's database, for state that the API doesn't expose.
    pub database: PgPool,
    name: String,
    // Dropped before the servers.
    processes: Vec<(Role, Process)>,
    environment: Environment,
    inbox: Option<(Process, Inbox)>,
    network: Option<Network>,
    nats: Source<Nats>,
    postgres: Source<Postgres>,
    allow_error_logs: bool,
    _suite_lock: SuiteLock,
}

impl Shop {
    /// Starts a shop with the API, the notifier, the tracker and an inbox.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts a shop with the API alone.
    pub async fn api() -> Self {
        Self::builder().only_api().start().await
    }

    /// Returns a builder for other shops.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the inbox.
    ///
    /// # Panics
    /// In a shop without a notifier.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox.as_ref().expect("a shop with a notifier").1
    }

    /// Returns the proxies between the shop's processes and its servers.
    ///
    /// # Panics
    /// In a shop that isn't proxied.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("a proxied shop")
    }

    /// Returns the settings of the shop's processes.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the prefix of the shop's streams and subjects, which is also the name of its database.
    pub fn prefix(&self) -> &str {
        &self.name
    }

    /// Returns the shop's nats-server.
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Returns the private nats-server of the shop, to stop and start it.
    ///
    /// # Panics
    /// If the shop uses the shared nats-server.
    pub fn nats_mut(&mut self) -> &mut Nats {
        &mut self.nats
    }

    /// Returns the private PostgreSQL of the shop, to stop and start it.
    ///
    /// # Panics
    /// If the shop uses the shared PostgreSQL.
    pub fn postgres_mut(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// Returns `JetStream`, to inspect or break streams and consumers.
    ///
    /// # Panics
    /// If NATS is unavailable.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.nats.url()).await.expect("NATS is up"))
    }

    /// Waits until one of the shop's streams, `changes`, `views` or `dead`, exists, and returns it.
    ///
    /// # Panics
    /// If it isn't created in time.
    pub async fn stream(&self, name: &str) -> jetstream::stream::Stream {
        let (jetstream, name) = (self.jetstream().await, format!("{}_{name}", self.name));
        eventually(&format!("the stream {name} exists"), async || jetstream.get_stream(&name).await.map_err(|error| error.to_string()))
            .await
    }

    /// Returns the process of a role that was started last.
    ///
    /// # Panics
    /// If there is none.
    pub fn process(&mut self, role: Role) -> &mut Process {
        let found = self.processes.iter_mut().rev().find(|(of, _)| *of == role);
        &mut found.unwrap_or_else(|| panic!("no {role} runs here")).1
    }

    /// Starts another process of a role and waits until it is ready. All clients use the last API that was started.
    ///
    /// # Panics
    /// If it isn't ready in time.
    pub async fn start_role(&mut self, role: Role) {
        self.launch(role);
        self.wait_until_ready(role).await;
    }

    /// Starts another process of a role without waiting for it.
    pub fn launch(&mut self, role: Role) {
        let process = Process::role(role, &self.environment);
        self.processes.push((role, process));
    }

    /// Waits until the process of a role is ready.
    ///
    /// # Panics
    /// If it isn't ready in time.
    pub async fn wait_until_ready(&mut self, role: Role) {
        self.process(role).ready().await;
        if role == Role::Serve {
            let address = self.process(role).address("HTTP_ADDRESS").await;
            self.anyone.set_base(&format!("http://{address}"));
        }
    }

    /// Kills the process of a role. The log is kept for the report of a failure.
    pub fn kill(&mut self, role: Role) {
        self.process(role).kill();
    }

    /// Kills the process of a role and starts another.
    pub async fn kill_and_restart(&mut self, role: Role) {
        self.kill(role);
        self.start_role(role).await;
    }

    /// Sends GET to the private listener of a role, and returns status and text.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn ops(&mut self, role: Role, path: &str) -> (u16, String) {
        let address = self.process(role).address("OPS_ADDRESS").await;
        let response = reqwest::get(format!("http://{address}{path}")).await.expect("the private listener responds");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// Returns the sum of the samples of a metric whose line contains each of `labels`, or `None` if there are no samples.
    pub async fn metric(&mut self, role: Role, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, text) = self.ops(role, "/metrics").await;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let samples = text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).reduce(|sum, sample| sum + sample)
    }

    fn has(&self, role: Role) -> bool {
        self.processes.iter().any(|(of, _)| *of == role)
    }

    /// Returns the counted views of a product.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn views(&self, id: &str) -> u64 {
        let reply = self.ada.get(&format!("/v1/products/{id}/views")).await.expect(200).json();
        reply["total"].as_u64().expect("a total")
    }

    /// Waits until the views of a product reach a number.
    pub async fn views_reach(&self, id: &str, count: u64) {
        eventually(&format!("{count} views of {id} are counted"), async || {
            let views = self.views(id).await;
            check(views >= count, || views)
        })
        .await;
        assert_eq!(self.views(id).await, count, "more views are counted than there were");
    }

    /// Returns all log lines of all processes.
    pub fn log_lines(&self) -> Vec<String> {
        self.processes.iter().flat_map(|(_, process)| process.log().lines()).collect()
    }

    fn check_logs(&self) {
        let People { owner, ada, grace, carol, dave } = &self.people;
        let accounts = [owner, ada, grace, carol, dave];
        for (role, process) in &self.processes {
            for line in process.log().lines() {
                let secret = accounts.iter().any(|person| line.contains(person.password) || line.contains(&person.token));
                assert!(!secret, "{role} logged a secret: {line}");
                assert!(!line.contains("panicked"), "{role} panicked: {line}");
                let entry: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{role} printed a line that is not a log entry: {line}"));
                assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{role}: {line}");
                // Lines of libraries at debug level have fields of their own.
                let is_ours = entry["target"].as_str().is_some_and(|target| target.starts_with("catalog"));
                for field in entry.as_object().into_iter().flatten().map(|(name, _)| name).filter(|_| is_ours) {
                    assert!(LOGGING.contains(&format!("`{field}`")), "docs/logging.md doesn't list {field} of {role}: {line}");
                }
                assert!(self.allow_error_logs || !line.contains(r#""level":"ERROR""#), "{role} logged an error: {line}");
            }
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (_, process) in &mut self.processes {
                eprintln!("{}", process.report());
            }
            if let Some((inbox, _)) = &mut self.inbox {
                eprintln!("{}", inbox.report());
            }
            return;
        }
        for (_, process) in &mut self.processes {
            process.kill();
        }
        if let Source::Shared(postgres) = &self.postgres {
            postgres.forget_database(&self.name);
        }
        self.check_logs();
    }
}

/// Upper bound for measured delays.
pub const MAX_DELAY: Duration = Duration::from_secs(2);
