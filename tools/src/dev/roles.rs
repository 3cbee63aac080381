//! The roles of the shop as child processes: `catalog`, from the directory of this program, and the inbox of this program.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use super::{
    directory::DataDirectory,
    name::Name,
    ports::{ListenAddress, Ports},
    process::Spec,
};

const START_TIMEOUT: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Variables that `catalogctl dev` sets itself. They are not inherited, because they may belong to another shop.
const OWN_VARIABLES: &[&str] = &[
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
    /// Finds this program, and `catalog` in the same directory.
    ///
    /// # Errors
    /// If `catalog` is missing.
    pub fn find() -> anyhow::Result<Self> {
        let catalogctl = std::env::current_exe().context("cannot find this program")?;
        let catalog = catalogctl.with_file_name("catalog");
        ensure!(
            catalog.is_file(),
            "{} is missing: build it with `make run`, or install both programs into the same directory",
            catalog.display()
        );
        Ok(Self { catalog, catalogctl })
    }
}

/// The settings of the roles.
pub struct Roles {
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
    /// Username of the superuser.
    pub username: String,
    /// E-mail address of the superuser.
    pub email: String,
    /// Password of the superuser.
    pub password: SecretString,
    pub ports: Ports,
}

impl Roles {
    /// Returns the process of a role.
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
            removed_variables: OWN_VARIABLES,
            clear_environment: false,
            user: None,
            addresses: self.addresses(name),
            lock_file: None,
            is_shown: |_| true,
        }
    }

    /// Waits until a role is ready.
    ///
    /// # Errors
    /// If the role isn't ready within [`START_TIMEOUT`].
    pub async fn wait_until_ready(&self, name: Name) -> anyhow::Result<()> {
        let port = self.ops_port(name).with_context(|| format!("{} has no probes", name.as_str()))?;
        let url = format!("http://{}/readyz", loopback(port));
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} isn't ready after {} s: see its log lines above", name.as_str(), START_TIMEOUT.as_secs());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn addresses(&self, name: Name) -> Vec<ListenAddress> {
        let settings = match name {
            Name::Serve => vec![ListenAddress::configured("HTTP_ADDRESS", self.http_address)],
            Name::Inbox => vec![ListenAddress::configured("INBOX_ADDRESS", self.inbox_address), ListenAddress::automatic(self.ports.smtp)],
            _ => Vec::new(),
        };
        settings.into_iter().chain(self.ops_port(name).map(ListenAddress::automatic)).collect()
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
