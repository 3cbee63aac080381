//! What all tests of one process share: the servers, the keys, and a database to clone.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
    thread,
};

use chrono::{TimeDelta, Utc};
use tokio::sync::RwLock;

use crate::{
    api::Api,
    nats::Nats,
    openapi::OpenApi,
    people::{OWNER, People},
    postgres::Postgres,
    process::{Environment, Process, Role},
    programs, tokens,
};

/// The name of the migrated database.
pub const TEMPLATE: &str = "template_shop";

/// Started with the first test, gone with the process.
pub struct Shared {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// nats-server.
    pub nats: Nats,
    /// A directory with one signing key, old enough to sign.
    pub keys: PathBuf,
    /// The people in the template.
    pub people: People,
    /// The OpenAPI document of the binary under test.
    pub contract: Arc<OpenApi>,
    /// Held for reading by tests that run beside others, for writing by one that must be alone.
    pub turn: Arc<RwLock<()>>,
}

impl Shared {
    /// The shared parts, started now if nobody has needed them yet.
    ///
    /// # Panics
    /// If they could not be started, with the reason, in every test.
    pub fn get() -> &'static Self {
        static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            // A thread and a runtime of its own: the runtime of the first test ends with that test.
            let starting = thread::Builder::new().name("shared servers".into()).spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(Self::start())
            });
            starting.expect("a thread can be started").join().ok()
        });
        shared.as_ref().expect("the shared servers could not be started; see the first panic of this run")
    }

    async fn start() -> Self {
        let (postgres, nats) = tokio::join!(Postgres::shared(), Nats::shared());
        let keys = nats.scratch().path().join("keys");
        std::fs::create_dir(&keys).expect("a directory for keys");
        tokens::new_key(&keys, Utc::now() - TimeDelta::days(30), "shared");
        let contract = Arc::new(OpenApi::new(openapi()));
        let mut settings = settings(&postgres.url(TEMPLATE), &nats.url(), "template");
        settings.insert("AUTH_SIGNING_KEYS_DIR".into(), keys.display().to_string());
        let people = prepare(&postgres, &settings).await;
        Self { postgres, nats, keys, people, contract, turn: Arc::default() }
    }
}

/// Makes, migrates and settles the template database on a server.
///
/// # Panics
/// If that fails.
pub async fn prepare(postgres: &Postgres, settings: &Environment) -> People {
    postgres.create_database(TEMPLATE, "template0").await;
    let mut settings = settings.clone();
    settings.insert("DATABASE_URL".into(), postgres.url(TEMPLATE));
    settings.extend(superuser());
    let mut migrate = Process::start(&["migrate"], &settings);
    let status = migrate.ended().await;
    assert!(status.success(), "{}", migrate.story());
    let mut serve = Process::start(&[Role::Serve.command()], &settings);
    serve.ready().await;
    let address = serve.address("HTTP_ADDRESS").await;
    let people = People::settle(&Api::anonymous(&format!("http://{address}"), None)).await;
    serve.terminate();
    let status = serve.ended().await;
    assert!(status.success(), "{}", serve.story());
    people
}

/// The settings of the superuser, for `catalog migrate`.
pub fn superuser() -> Environment {
    let (username, email, password) = OWNER;
    [("SUPERUSER_USERNAME", username), ("SUPERUSER_EMAIL", email), ("SUPERUSER_PASSWORD", password)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The settings all roles get, without keys and mail.
pub fn settings(database_url: &str, nats_url: &str, prefix: &str) -> Environment {
    [
        ("DATABASE_URL", database_url),
        ("DATABASE_MAX_CONNECTIONS", "9"),
        ("NATS_URL", nats_url),
        ("EVENTS_PREFIX", prefix),
        ("HTTP_ADDRESS", "127.0.0.1:0"),
        ("OPS_ADDRESS", "127.0.0.1:0"),
        ("PUBLIC_URL", PUBLIC_URL),
        // Longer than any run of the suite: the template's tokens serve all tests.
        ("AUTH_ACCESS_TOKEN_TTL", "2h"),
        ("ACCESS_LOG_SAMPLE", "1"),
        ("MAIL_SERVER", "127.0.0.1"),
        ("MAIL_PORT", "9"),
        ("MAIL_FROM", "Catalog <catalog@shop.test>"),
        ("MAIL_TLS", "none"),
        ("LOG_FORMAT", "json"),
        ("SHUTDOWN_TIMEOUT", "20s"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Where the shops say they are.
pub const PUBLIC_URL: &str = "http://shop.test";

fn openapi() -> serde_json::Value {
    let output = Command::new(programs::catalog()).arg("openapi").env_clear().output().expect("catalog can be run");
    assert!(output.status.success(), "`catalog openapi` failed:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("`catalog openapi` prints JSON")
}
