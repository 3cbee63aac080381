//! A real PostgreSQL server. It runs without `fsync`, so it is fast, but its data does not survive a crash of the machine.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    nats::free_port,
    process_guard::{Server, ServerOptions},
    programs,
    scratch::Scratch,
    wait,
};

/// Settings besides the port. Without `fsync`, commits survive a crash of any process, but not a power failure. Statistics and
/// replication are not tested.
const SETTINGS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=400",
    "shared_buffers=128MB",
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "jit=off",
    "max_wal_size=4GB",
    "timezone=Pacific/Kiritimati",
    "log_timezone=UTC",
];

/// A PostgreSQL server.
pub struct Postgres {
    server: Option<Server>,
    scratch: Scratch,
    port: u16,
    shared: bool,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a server that ends with this process.
    pub async fn shared() -> Self {
        Self::launch(true, SETTINGS.map(str::to_owned).to_vec()).await
    }

    /// Starts a server that one test may stop.
    pub async fn private() -> Self {
        Self::launch(false, SETTINGS.map(str::to_owned).to_vec()).await
    }

    /// Starts a server with other settings, for benchmarks.
    pub async fn with_settings(settings: &[&str]) -> Self {
        Self::launch(false, settings.iter().map(|&setting| setting.to_owned()).collect()).await
    }

    async fn launch(shared: bool, settings: Vec<String>) -> Self {
        let scratch = Scratch::new(programs::servers().postgres_user());
        let mut postgres = Self { server: None, scratch, port: 0, shared, settings };
        postgres.initialise();
        for _ in 0..5 {
            postgres.port = free_port();
            postgres.spawn();
            if postgres.wait_until_started().await {
                return postgres;
            }
        }
        panic!("PostgreSQL did not start:\n{}", postgres.output());
    }

    fn initialise(&self) {
        let programs = programs::servers();
        let mut command = Command::new(programs.postgres("initdb"));
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]);
        command.arg(self.scratch.path().join("data")).current_dir(self.scratch.path()).stdin(Stdio::null());
        if let Some(user) = programs.postgres_user() {
            command.uid(user.uid).gid(user.gid);
        }
        let output = command.output().expect("initdb can be run");
        assert!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    fn spawn(&mut self) {
        let programs = programs::servers();
        let mut args: Vec<OsString> = vec!["-D".into(), self.scratch.path().join("data").into(), "-p".into(), self.port.to_string().into()];
        args.extend(self.settings.iter().flat_map(|setting| ["-c".into(), setting.into()]));
        let user = programs.postgres_user();
        let options = ServerOptions { directory: self.scratch.path(), signal: "QUIT", remove_directory: self.shared, user };
        self.server = Some(Server::start(&programs.postgres("postgres"), &args, &options).expect("PostgreSQL can be started"));
    }

    async fn wait_until_started(&self) -> bool {
        let server = self.server.as_ref().expect("it was started");
        wait::eventually("PostgreSQL starts or exits", async || match PgConnection::connect(&self.url("postgres")).await {
            Ok(connection) => connection.close().await.map(|()| true),
            Err(_) if server.has_ended() => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    /// Returns the URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates a database. If `template` is not empty, the database is a copy of it.
    ///
    /// # Panics
    /// If PostgreSQL fails.
    pub async fn create_database(&self, name: &str, template: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("PostgreSQL is running");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.expect("a database can be created");
        connection.close().await.expect("the connection can be closed");
    }

    /// Removes a database that a test has used, without waiting for it.
    pub fn forget_database(&self, name: &str) {
        let mut command = Command::new(programs::servers().postgres("dropdb"));
        let port = self.port.to_string();
        command.args(["--force", "--if-exists", "--host=127.0.0.1", "--username=postgres", "--port", &port, name]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        std::thread::spawn(move || command.status());
    }

    /// Kills the server, to simulate a crash.
    ///
    /// # Panics
    /// If the server isn't running.
    pub async fn stop(&mut self) {
        let server = self.server.take().expect("PostgreSQL is running");
        server.signal(Signal::SIGQUIT);
        wait::eventually("PostgreSQL ends", async || wait::check(server.has_ended(), || "running")).await;
    }

    /// Restarts the server on the same port with the same data.
    ///
    /// # Panics
    /// If the server doesn't start.
    pub async fn start(&mut self) {
        self.spawn();
        assert!(self.wait_until_started().await, "PostgreSQL did not restart:\n{}", self.output());
    }

    /// Returns the output of the server.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("output")).unwrap_or_default()
    }
}
