//! Runs the embedded servers in containers of their images, as their pods declare.

use std::{fs, os::unix::fs::chown, path::Path};

use catalog_tests::{
    Process,
    container::Container,
    image::Image,
    nats::free_port,
    process::Environment,
    scratch::Scratch,
    wait::{self, eventually},
};
use nix::unistd::geteuid;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    forwarder::Forwarder,
    pods::{Pod, Rendered},
};

/// A server that runs as its pod declares, except for its port.
pub struct Server {
    image: Image,
    port: u16,
    monitor: Option<u16>,
    // Clients connect through it to PostgreSQL.
    forwarder: Option<Forwarder>,
    overrides: Environment,
    process: Process,
    // PostgreSQL's second container.
    login_roles: Option<Process>,
    // Dropped in order: after the processes that use it.
    scratch: Scratch,
}

impl Server {
    /// Starts PostgreSQL and sets the login roles of its Secret.
    pub async fn postgres(rendered: &Rendered, shop: &str) -> Self {
        let mut server = Self::start(&rendered.pod(&format!("{shop}-postgres")), "postgres", free_port(), None, Environment::new());
        server.start_login_roles(rendered, shop).await;
        server
    }

    /// Starts PostgreSQL as releases without login roles did: clients log in as its superuser.
    pub fn postgres_without_login_roles(rendered: &Rendered, shop: &str, password: &str) -> Self {
        let settings = [("POSTGRES_PASSWORD", password), ("POSTGRES_PASSWORD_FILE", "")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::start(&rendered.pod(&format!("{shop}-postgres")), "postgres", free_port(), None, settings.into())
    }

    /// Starts the container that sets the login roles, and waits until it has done so.
    pub async fn start_login_roles(&mut self, rendered: &Rendered, shop: &str) {
        let pod = rendered.pod(&format!("{shop}-postgres")).with_container("login-roles");
        let (command, args) = pod.words();
        let words: Vec<_> = command.into_iter().chain(args).collect();
        self.login_roles = Some(container_of(&pod, &self.image, &self.scratch, &self.overrides).start_command(&words));
        self.login_roles_set(1).await;
    }

    /// Waits until the login roles were set this many times.
    pub async fn login_roles_set(&mut self, times: usize) {
        let process = self.login_roles.as_mut().expect("the container was started");
        eventually("the login roles are set", async || {
            assert!(self.process.is_running() && process.is_running(), "{}{}", self.process.report(), process.report());
            let story = process.report();
            // The output begins with the text of the script.
            let set = story.lines().filter(|line| line.trim() == "login roles set").count();
            wait::check(set >= times, || story)
        })
        .await;
    }

    /// Writes a key of the mounted Secret, or removes it, as the kubelet does after a change.
    pub fn write_login_role(&self, rendered: &Rendered, shop: &str, key: &str, value: Option<&str>) {
        let pod = rendered.pod(&format!("{shop}-postgres")).with_container("login-roles");
        let volumes = pod.volumes(&self.scratch);
        let (directory, _) = volumes.iter().find(|(_, path)| path.ends_with("login-roles")).expect("the Secret is mounted");
        let file = directory.join(key);
        match value {
            Some(value) => fs::write(file, value).expect("the scratch directory can be written"),
            None => fs::remove_file(file).expect("the key exists"),
        }
    }

    /// Starts nats-server.
    pub fn nats(rendered: &Rendered, shop: &str) -> Self {
        Self::start(&rendered.pod(&format!("{shop}-nats")), "nats", free_port(), Some(free_port()), Environment::new())
    }

    fn start(pod: &Pod<'_>, image: &str, port: u16, monitor: Option<u16>, mut overrides: Environment) -> Self {
        let image = Image::make(image);
        assert!(image.names.contains(&canonical(pod.container().image.as_deref().unwrap_or_default())), "{:?}", image.names);
        let scratch = Scratch::new(None);
        let (command, args) = pod.words();
        let mut words = if command.is_empty() { image.words("Entrypoint") } else { command };
        words.extend(args);
        // PostgreSQL takes its port from the environment, NATS from its arguments.
        let ports = monitor.map(|monitor| ["--port".to_owned(), port.to_string(), "--http_port".to_owned(), monitor.to_string()]);
        words.extend(ports.into_iter().flatten());
        overrides.insert("PGPORT".to_owned(), port.to_string());
        let process = container_of(pod, &image, &scratch, &overrides).start_command(&words);
        let forwarder = monitor.is_none().then(|| Forwarder::start(port));
        Self { image, port, monitor, forwarder, overrides, process, login_roles: None, scratch }
    }

    /// Returns the address of the monitoring endpoint of NATS.
    pub fn monitor(&self) -> Option<String> {
        self.monitor.map(|port| format!("127.0.0.1:{port}"))
    }

    /// Replaces the address in `url` by that of this server.
    pub fn reached_by(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (account, rest) = rest.rsplit_once('@').map_or(("", rest), |(account, rest)| (account, rest));
        let path = rest.find('/').map_or("", |slash| &rest[slash..]);
        let at = if account.is_empty() { "" } else { "@" };
        let port = self.forwarder.as_ref().map_or(self.port, Forwarder::port);
        format!("{scheme}://{account}{at}127.0.0.1:{port}{path}")
    }
}

/// Returns the fully qualified name of an image.
fn canonical(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("docker.io/library/{name}") }
}

fn container_of<'i>(pod: &Pod, image: &'i Image, scratch: &Scratch, overrides: &Environment) -> Container<'i> {
    let user = pod.user();
    let mut container = Container::new(image, user);
    for (name, value) in pod.environment().iter().chain(overrides) {
        container = container.setting(name, value);
    }
    for (directory, path) in pod.volumes(scratch) {
        own(&directory, user);
        container = container.volume(&directory, &path);
    }
    container
}

/// Gives a new directory to the user and group, in place of `fsGroup`.
fn own(directory: &Path, (uid, gid): (u32, u32)) {
    let is_new = fs::metadata(directory).is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) != uid);
    if geteuid().is_root() && is_new {
        chown(directory, Some(uid), Some(gid)).expect("root can change the owner");
    }
}

/// Connects to PostgreSQL as the roles do.
pub async fn connected(server: &Server, url: &str, user: &str, password: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = server.reached_by(url).parse().expect("a URL");
    PgConnection::connect_with(&options.username(user).password(password)).await
}
