//! A whole shop of one test: its own database, events, mail catcher and processes.

mod builder;
mod rest;

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
    wait::{eventually, holds},
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
            Self::Shared(_) => panic!("this server is shared: ask the builder for a private one"),
            Self::Own(own) => own,
        }
    }
}

/// Held while the shop is open.
enum Turn {
    Beside { _others: OwnedRwLockReadGuard<()> },
    Alone { _nobody: OwnedRwLockWriteGuard<()> },
    Guest,
}

/// Lists every field of the log lines.
const LOGGING: &str = include_str!("../../docs/logging.md");

/// Proxies in front of the servers of one shop; the test itself goes past them.
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

/// An open shop.
pub struct Shop {
    /// Nobody in particular.
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
    /// Who they are.
    pub people: People,
    /// The shop's database, to look at what no API shows.
    pub database: PgPool,
    name: String,
    // Before the servers: fields are dropped in order.
    processes: Vec<(Role, Process)>,
    environment: Environment,
    inbox: Option<(Process, Inbox)>,
    network: Option<Network>,
    nats: Source<Nats>,
    postgres: Source<Postgres>,
    troubled: bool,
    _turn: Turn,
}

impl Shop {
    /// A shop with the API, the notifier, the tracker and an inbox.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A shop with the API alone, for what needs no worker.
    pub async fn api() -> Self {
        Self::builder().only_api().start().await
    }

    /// A shop of another kind.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The mail catcher.
    ///
    /// # Panics
    /// In a shop without a notifier.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox.as_ref().expect("a shop with a notifier").1
    }

    /// The network between its roles and their servers.
    ///
    /// # Panics
    /// In a shop that isn't proxied.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("a proxied shop")
    }

    /// The settings its processes get.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What its streams, subjects and consumers start with; also the name of its database.
    pub fn prefix(&self) -> &str {
        &self.name
    }

    /// Its nats-server.
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Its private nats-server, to be stopped and started.
    ///
    /// # Panics
    /// If it isn't private.
    pub fn nats_mut(&mut self) -> &mut Nats {
        &mut self.nats
    }

    /// Its private PostgreSQL, to be stopped and started.
    ///
    /// # Panics
    /// If it isn't private.
    pub fn postgres_mut(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// `JetStream`, to look at streams and consumers, or to break them.
    ///
    /// # Panics
    /// If NATS is away.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.nats.url()).await.expect("NATS is up"))
    }

    /// One of the shop's streams, `changes`, `views` or `dead`, as soon as it is there.
    ///
    /// # Panics
    /// If nobody makes it.
    pub async fn stream(&self, name: &str) -> jetstream::stream::Stream {
        let (jetstream, name) = (self.jetstream().await, format!("{}_{name}", self.name));
        eventually(&format!("the stream {name} is there"), async || jetstream.get_stream(&name).await.map_err(|error| error.to_string()))
            .await
    }

    /// The process of a role: the one started last, if there are many.
    ///
    /// # Panics
    /// If there is none.
    pub fn process(&mut self, role: Role) -> &mut Process {
        let found = self.processes.iter_mut().rev().find(|(of, _)| *of == role);
        &mut found.unwrap_or_else(|| panic!("no {role} runs here")).1
    }

    /// Starts one more process of a role and waits until it is ready. A new API is where everybody
    /// goes from now on.
    ///
    /// # Panics
    /// If it doesn't get ready.
    pub async fn open(&mut self, role: Role) {
        self.launch(role);
        self.settled_in(role).await;
    }

    /// Starts one more process of a role without waiting for it.
    pub fn launch(&mut self, role: Role) {
        let process = Process::role(role, &self.environment);
        self.processes.push((role, process));
    }

    /// Waits until the process of a role is ready.
    ///
    /// # Panics
    /// If it doesn't get ready.
    pub async fn settled_in(&mut self, role: Role) {
        self.process(role).ready().await;
        if role == Role::Serve {
            let address = self.process(role).address("HTTP_ADDRESS").await;
            self.anyone.moved_to(&format!("http://{address}"));
        }
    }

    /// Ends the process of a role as kill -9 does.
    pub fn kill(&mut self, role: Role) {
        self.process(role).kill();
        // Its log stays for the story of a failure.
    }

    /// Kills the process of a role and starts another.
    pub async fn kill_and_restart(&mut self, role: Role) {
        self.kill(role);
        self.open(role).await;
    }

    /// GET on the private listener of a role: status and text.
    ///
    /// # Panics
    /// If it doesn't answer.
    pub async fn ops(&mut self, role: Role, path: &str) -> (u16, String) {
        let address = self.process(role).address("OPS_ADDRESS").await;
        let response = reqwest::get(format!("http://{address}{path}")).await.expect("the private listener answers");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// The sum of all samples of a metric whose line contains each of `labels`; `None` without any.
    pub async fn metric(&mut self, role: Role, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, text) = self.ops(role, "/metrics").await;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let samples = text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).reduce(|sum, sample| sum + sample)
    }

    fn has(&self, role: Role) -> bool {
        self.processes.iter().any(|(of, _)| *of == role)
    }

    /// What anonymous visitors saw of a product so far, as counted.
    ///
    /// # Panics
    /// If the API doesn't tell.
    pub async fn views(&self, id: &str) -> u64 {
        let reply = self.ada.get(&format!("/v1/products/{id}/views")).await.expect(200).json();
        reply["total"].as_u64().expect("a total")
    }

    /// Waits until the views of a product reach a number.
    pub async fn views_reach(&self, id: &str, count: u64) {
        eventually(&format!("{count} views of {id} are counted"), async || {
            let views = self.views(id).await;
            holds(views >= count, || views)
        })
        .await;
        assert_eq!(self.views(id).await, count, "more views are counted than there were");
    }

    /// Every log line of every process so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.processes.iter().flat_map(|(_, process)| process.log().lines()).collect()
    }

    fn check_logs(&self) {
        let People { owner, ada, grace, carol, dave } = &self.people;
        let everybody = [owner, ada, grace, carol, dave];
        for (role, process) in &self.processes {
            for line in process.log().lines() {
                let secret = everybody.iter().any(|person| line.contains(person.password) || line.contains(&person.token));
                assert!(!secret, "{role} logged a secret: {line}");
                assert!(!line.contains("panicked"), "{role} panicked: {line}");
                let entry: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{role} printed what is no log entry: {line}"));
                assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{role}: {line}");
                // Lines of libraries at debug level have fields of their own.
                let is_ours = entry["target"].as_str().is_some_and(|target| target.starts_with("catalog"));
                for field in entry.as_object().into_iter().flatten().map(|(name, _)| name).filter(|_| is_ours) {
                    assert!(LOGGING.contains(&format!("`{field}`")), "docs/logging.md doesn't list {field} of {role}: {line}");
                }
                assert!(self.troubled || !line.contains(r#""level":"ERROR""#), "{role} logged an error: {line}");
            }
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (_, process) in &mut self.processes {
                eprintln!("{}", process.story());
            }
            if let Some((inbox, _)) = &mut self.inbox {
                eprintln!("{}", inbox.story());
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

/// How long the effects of something may take where a test holds the shop to a time.
pub const TWO_SECONDS: Duration = Duration::from_secs(2);
