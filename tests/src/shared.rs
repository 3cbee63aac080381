//! The servers, the keys and the template database that all tests of one process share.

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

/// What all tests of one process share. The first test starts the servers, which end with the process.
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
    /// Held for reading by tests that run concurrently, and for writing by a test that must run alone.
    pub suite_lock: Arc<RwLock<()>>,
}

impl Shared {
    /// Returns the shared servers. The first call starts them.
    ///
    /// # Panics
    /// In every test, if the servers could not be started.
    pub fn get() -> &'static Self {
        static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            // Uses another runtime, because the runtime of the first test ends with that test.
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
        Self { postgres, nats, keys, people, contract, suite_lock: Arc::default() }
    }
}

/// Creates and migrates the template database, with its accounts.
///
/// # Panics
/// If a step fails.
pub async fn prepare(postgres: &Postgres, settings: &Environment) -> People {
    postgres.create_database(TEMPLATE, "template0").await;
    let mut settings = settings.clone();
    settings.insert("DATABASE_URL".into(), postgres.url(TEMPLATE));
    settings.extend(superuser());
    let mut migrate = Process::start(&["migrate"], &settings);
    let status = migrate.ended().await;
    assert!(status.success(), "{}", migrate.report());
    let mut serve = Process::start(&[Role::Serve.command()], &settings);
    serve.ready().await;
    let address = serve.address("HTTP_ADDRESS").await;
    let people = People::create(&Api::anonymous(&format!("http://{address}"), None)).await;
    serve.terminate();
    let status = serve.ended().await;
    assert!(status.success(), "{}", serve.report());
    people
}

/// Returns the settings of the superuser, for `catalog migrate`.
pub fn superuser() -> Environment {
    let (username, email, password) = OWNER;
    [("SUPERUSER_USERNAME", username), ("SUPERUSER_EMAIL", email), ("SUPERUSER_PASSWORD", password)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Returns the settings of all roles, without keys and mail.
pub fn settings(database_url: &str, nats_url: &str, prefix: &str) -> Environment {
    [
        ("DATABASE_URL", database_url),
        ("DATABASE_MAX_CONNECTIONS", "9"),
        ("NATS_URL", nats_url),
        ("EVENTS_PREFIX", prefix),
        ("HTTP_ADDRESS", "127.0.0.1:0"),
        ("OPS_ADDRESS", "127.0.0.1:0"),
        ("PUBLIC_URL", PUBLIC_URL),
        // Longer than any run of the suite, because all tests use the tokens of the template.
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

/// `PUBLIC_URL` of all shops.
pub const PUBLIC_URL: &str = "http://shop.test";

fn openapi() -> serde_json::Value {
    let output = Command::new(programs::catalog()).arg("openapi").env_clear().output().expect("catalog can be run");
    assert!(output.status.success(), "`catalog openapi` failed:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("`catalog openapi` prints JSON")
}
