//! The roles of the shop, as child processes: `catalog`, which lies beside this program, and the inbox of this program itself.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use super::{
    directory::DataDirectory,
    ports::{Place, Ports},
    process::{Name, Spec},
};

/// How long a role may take to become ready.
const START_LIMIT: Duration = Duration::from_mins(2);
/// How often readiness is polled.
const RETRY: Duration = Duration::from_millis(50);

/// Settings that `catalogctl dev` sets itself. Those of the shell may belong to another shop and are not passed on.
const MADE_HERE: &[&str] = &[
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DATABASE_READ_URL",
    "DATABASE_READ_URL_FILE",
    "NATS_URL",
    "NATS_CREDS_FILE",
    "NATS_CA_FILE",
    "EVENTS_PREFIX",
    "HTTP_ADDRESS",
    "OPS_ADDRESS",
    "CURRENCY",
    "PUBLIC_URL",
    "AUTH_SIGNING_KEYS_DIR",
    "EXPECT_INSTALLATION",
    "TERMINATION_LOG",
    "SUPERUSER_USERNAME",
    "SUPERUSER_EMAIL",
    "SUPERUSER_PASSWORD",
    "SUPERUSER_PASSWORD_FILE",
    "MAIL_SERVER",
    "MAIL_PORT",
    "MAIL_USERNAME",
    "MAIL_USERNAME_FILE",
    "MAIL_PASSWORD",
    "MAIL_PASSWORD_FILE",
    "MAIL_FROM",
    "MAIL_TLS",
    "SMTP_ADDRESS",
    "INBOX_ADDRESS",
    "INBOX_DIR",
];

/// The programs of the roles.
#[derive(Clone)]
pub struct Binaries {
    catalog: PathBuf,
    catalogctl: PathBuf,
}

impl Binaries {
    /// This program, and `catalog` from the same directory.
    ///
    /// # Errors
    /// If there is no `catalog`.
    pub fn find() -> anyhow::Result<Self> {
        let catalogctl = std::env::current_exe().context("cannot find this program")?;
        let catalog = catalogctl.with_file_name("catalog");
        ensure!(
            catalog.is_file(),
            "{} is missing: `make run` builds it, and an installation puts both programs into one directory",
            catalog.display()
        );
        Ok(Self { catalog, catalogctl })
    }
}

/// The settings of the roles.
pub struct Roles {
    /// What they run.
    pub binaries: Binaries,
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `NATS_URL`.
    pub nats_url: String,
    /// `HTTP_ADDRESS`.
    pub http_address: SocketAddr,
    /// `PUBLIC_URL`.
    pub public_url: String,
    /// `CURRENCY`.
    pub currency: String,
    /// `INBOX_ADDRESS`.
    pub inbox_address: SocketAddr,
    /// Of the superuser.
    pub username: String,
    /// Of the superuser.
    pub email: String,
    /// Of the superuser.
    pub password: SecretString,
    /// Where they listen otherwise.
    pub ports: Ports,
}

impl Roles {
    /// How to run a role.
    pub fn spec(&self, name: Name, directory: &DataDirectory) -> Spec {
        let mut environment: Vec<(&'static str, OsString)> = vec![("PUBLIC_URL", self.public_url.clone().into())];
        let mut set = |name, value: &str| environment.push((name, value.into()));
        if std::env::var_os("LOG_FORMAT").is_none() {
            set("LOG_FORMAT", "text");
        }
        if let Some(port) = self.ops_port(name) {
            set("OPS_ADDRESS", &loopback(port));
        }
        if name != Name::Inbox {
            set("DATABASE_URL", &self.database_url);
            set("NATS_URL", &self.nats_url);
            set("CURRENCY", &self.currency);
        }
        match name {
            Name::Migrate => {
                set("SUPERUSER_USERNAME", &self.username);
                set("SUPERUSER_EMAIL", &self.email);
                set("SUPERUSER_PASSWORD", self.password.expose_secret());
            }
            Name::Serve => {
                set("HTTP_ADDRESS", &self.http_address.to_string());
                environment.push(("AUTH_SIGNING_KEYS_DIR", directory.keys().into()));
            }
            Name::Notifier => {
                set("MAIL_SERVER", "127.0.0.1");
                set("MAIL_PORT", &self.ports.smtp.to_string());
                set("MAIL_TLS", "none");
                set("MAIL_FROM", "Catalog <catalog@example.com>");
            }
            Name::Inbox => {
                set("SMTP_ADDRESS", &loopback(self.ports.smtp));
                set("INBOX_ADDRESS", &self.inbox_address.to_string());
                environment.push(("INBOX_DIR", directory.inbox().into()));
            }
            Name::Dev | Name::Tracker | Name::Fulfiller | Name::Nats | Name::Postgres => {}
        }
        Spec {
            name,
            program: if name == Name::Inbox { &self.binaries.catalogctl } else { &self.binaries.catalog }.clone(),
            arguments: vec![name.as_str().into()],
            environment,
            hidden: MADE_HERE,
            clean: false,
            account: None,
            places: self.places(name),
            lock_file: None,
            shown: |_| true,
        }
    }

    /// Waits until a role is ready.
    ///
    /// # Errors
    /// If it isn't ready within [`START_LIMIT`].
    pub async fn ready(&self, name: Name) -> anyhow::Result<()> {
        let port = self.ops_port(name).with_context(|| format!("{} has no probes", name.as_str()))?;
        let url = format!("http://{}/readyz", loopback(port));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} isn't ready after {} s: see its lines above", name.as_str(), START_LIMIT.as_secs());
            }
            sleep(RETRY).await;
        }
    }

    fn places(&self, name: Name) -> Vec<Place> {
        let given = match name {
            Name::Serve => vec![Place::given("HTTP_ADDRESS", self.http_address)],
            Name::Inbox => vec![Place::given("INBOX_ADDRESS", self.inbox_address), Place::chosen(self.ports.smtp)],
            _ => Vec::new(),
        };
        given.into_iter().chain(self.ops_port(name).map(Place::chosen)).collect()
    }

    fn ops_port(&self, name: Name) -> Option<u16> {
        match name {
            Name::Serve => Some(self.ports.serve),
            Name::Notifier => Some(self.ports.notifier),
            Name::Tracker => Some(self.ports.tracker),
            Name::Fulfiller => Some(self.ports.fulfiller),
            Name::Inbox => Some(self.ports.inbox),
            Name::Dev | Name::Migrate | Name::Nats | Name::Postgres => None,
        }
    }
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
