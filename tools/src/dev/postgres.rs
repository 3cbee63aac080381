//! The PostgreSQL of the shop.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{
    directory::{self, DataDirectory},
    name::Name,
    ports::ListenAddress,
    process::Spec,
    programs::Postgres,
    system_user::{self, SystemUser},
};

/// Login role and database of the shop.
const SHOP: &str = "catalog";
/// Timeout of the start, which includes recovery after a crash.
const START_TIMEOUT: Duration = Duration::from_mins(5);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Messages that are not printed: they are about clients that connect while the server starts or stops.
const HIDDEN_MESSAGES: [&str; 3] =
    ["terminating connection due to", "the database system is", "Consistent recovery state has not been yet reached"];
/// PostgreSQL manual, appendix A: `duplicate_database`.
const DUPLICATE_DATABASE: &str = "42P04";

/// A PostgreSQL server with its data directory.
pub struct Server {
    postgres: Postgres,
    data: PathBuf,
    user: Option<SystemUser>,
    password: SecretString,
    port: u16,
}

impl Server {
    /// Creates the data directory if it is missing.
    ///
    /// # Errors
    /// If the directory cannot be created.
    pub async fn prepare(postgres: Postgres, directory: &DataDirectory, user: Option<SystemUser>, port: u16) -> anyhow::Result<Self> {
        let data = directory.postgres(postgres.major);
        let password = directory.secret("postgres")?;
        let server = Self { postgres, data, user, password, port };
        if !server.data.exists() {
            server.initialise(directory.root()).await.with_context(|| format!("cannot create a database in {}", server.data.display()))?;
        }
        Ok(server)
    }

    /// Creates the data in a temporary directory, and renames it when it is complete.
    async fn initialise(&self, root: &Path) -> anyhow::Result<()> {
        let unfinished = self.data.with_added_extension("new");
        let password_file = self.data.with_added_extension("password");
        for locale in ["C.UTF-8", "C"] {
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            fs::create_dir(&unfinished)?;
            directory::write(&password_file, self.password.expose_secret().as_bytes(), 0o600)?;
            if let Some(user) = &self.user {
                user.chown(&unfinished)?;
                user.chown(&password_file)?;
            }
            let initialised = self.initdb(&unfinished, &password_file, locale, root).await;
            fs::remove_file(&password_file)?;
            match initialised {
                Ok(()) => return Ok(fs::rename(&unfinished, &self.data)?),
                Err(error) if locale == "C" => return Err(error),
                // Some systems lack C.UTF-8.
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn initdb(&self, data: &Path, password_file: &Path, locale: &str, root: &Path) -> anyhow::Result<()> {
        let mut command = system_user::command(self.postgres.bin.join("initdb"), root, self.user.as_ref());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--pgdata").arg(data).arg("--pwfile").arg(password_file);
        command.args(["--username", SHOP, "--auth=scram-sha-256", "--encoding=UTF8", "--locale", locale]);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Returns the process. It listens only on the loopback interface, without a Unix socket, and logs only fatal errors.
    pub fn spec(&self) -> Spec {
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data.clone().into()];
        let port = format!("port={}", self.port);
        for setting in ["listen_addresses=127.0.0.1", &port, "unix_socket_directories=", "log_min_messages=fatal", "max_connections=200"] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        Spec {
            name: Name::Postgres,
            program: self.postgres.bin.join("postgres"),
            arguments,
            environment: Vec::new(),
            removed_variables: &[],
            clear_environment: true,
            user: self.user.clone(),
            addresses: vec![ListenAddress::automatic(self.port)],
            lock_file: Some(self.data.join("postmaster.pid")),
            is_shown: |line| !HIDDEN_MESSAGES.iter().any(|text| line.contains(text)),
        }
    }

    /// Waits until the server accepts connections, and creates the shop's database.
    ///
    /// # Errors
    /// If the server doesn't accept connections within [`START_TIMEOUT`], or the database cannot be created.
    pub async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(SHOP)
            .password(self.password.expose_secret())
            .database("postgres");
        let deadline = Instant::now() + START_TIMEOUT;
        let mut connection = loop {
            match PgConnection::connect_with(&options).await {
                Ok(connection) => break connection,
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| format!("PostgreSQL isn't ready after {} s", START_TIMEOUT.as_secs()));
                }
                Err(_) => sleep(POLL_INTERVAL).await,
            }
        };
        match sqlx::query("CREATE DATABASE catalog").execute(&mut connection).await {
            Err(error) if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() != Some(DUPLICATE_DATABASE) => {
                return Err(error).context("cannot create the shop's database");
            }
            _ => {}
        }
        connection.close().await?;
        Ok(())
    }

    /// Returns `DATABASE_URL` of the shop.
    pub fn url(&self) -> String {
        format!("postgres://{SHOP}:{}@127.0.0.1:{}/{SHOP}", self.password.expose_secret(), self.port)
    }
}
