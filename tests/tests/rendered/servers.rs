//! The embedded servers, in containers of our images, as their pods say.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    os::unix::fs::chown,
    path::Path,
};

use catalog_tests::{
    Process,
    container::{self, Container},
    image::Image,
    nats::free_port,
    process::Environment,
    scratch::Scratch,
    wait::eventually,
};
use nix::unistd::geteuid;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::pods::{Pod, Rendered};

/// A server that runs as its pod says, but on a port of its own.
pub struct Server<'a> {
    pod: Pod<'a>,
    image: Image,
    port: u16,
    monitor: Option<u16>,
    overrides: Environment,
    process: Process,
    // After the process that uses it: fields are dropped in order.
    scratch: Scratch,
}

impl<'a> Server<'a> {
    /// PostgreSQL, with the password that its `postStart` hook has set.
    pub async fn postgres(rendered: &'a Rendered, shop: &str) -> Self {
        let mut server = Self::start(rendered.pod(&format!("{shop}-postgres")), "postgres", free_port(), None);
        server.run_hook().await;
        server
    }

    /// nats-server.
    pub fn nats(rendered: &'a Rendered, shop: &str) -> Self {
        Self::start(rendered.pod(&format!("{shop}-nats")), "nats", free_port(), Some(free_port()))
    }

    fn start(pod: Pod<'a>, image: &str, port: u16, monitor: Option<u16>) -> Self {
        let image = Image::make(image);
        assert!(image.names.contains(&canonical(pod.container().image.as_deref().unwrap_or_default())), "{:?}", image.names);
        let scratch = Scratch::new(None);
        let (command, args) = pod.words();
        let mut words = if command.is_empty() { image.words("Entrypoint") } else { command };
        words.extend(args);
        // PostgreSQL takes its port from the environment, NATS from its arguments.
        let ports = monitor.map(|monitor| ["--port".to_owned(), port.to_string(), "--http_port".to_owned(), monitor.to_string()]);
        words.extend(ports.into_iter().flatten());
        let overrides = Environment::from([("PGPORT".to_owned(), port.to_string())]);
        let process = container_of(&pod, &image, &scratch, &overrides).start_command(&words);
        Self { pod, image, port, monitor, overrides, process, scratch }
    }

    /// Runs the `postStart` hook until it succeeds.
    async fn run_hook(&mut self) {
        let hook = self.pod.container().lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref()?.exec.as_ref());
        let command = hook.and_then(|hook| hook.command.clone()).expect("a postStart hook");
        eventually("the postStart hook succeeds", async || {
            assert!(self.process.is_running(), "{}", self.process.story());
            let mut hook = container_of(&self.pod, &self.image, &self.scratch, &self.overrides).start_command(&command);
            if hook.ended().await.success() { Ok(()) } else { Err(hook.story()) }
        })
        .await;
    }

    /// A new pod on the same volumes, after a value in a Secret was changed.
    pub async fn replaced_with(&mut self, name: &str, value: &str) {
        container::kill(&mut self.process).await;
        self.overrides.insert(name.to_owned(), value.to_owned());
        let (_, args) = self.pod.words();
        let words: Vec<_> = self.image.words("Entrypoint").into_iter().chain(args).collect();
        self.process = container_of(&self.pod, &self.image, &self.scratch, &self.overrides).start_command(&words);
        self.run_hook().await;
    }

    /// Where NATS shows what it does.
    pub fn monitor(&self) -> Option<String> {
        self.monitor.map(|port| format!("127.0.0.1:{port}"))
    }

    /// `url` with our address instead of that in the cluster. Not the loopback one, if there is another:
    /// PostgreSQL lets everybody in who comes from there.
    pub fn reached_by(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (account, rest) = rest.rsplit_once('@').expect("an account");
        let path = rest.find('/').map_or("", |slash| &rest[slash..]);
        format!("{scheme}://{account}@{}:{}{path}", own_address(), self.port)
    }
}

/// Whether PostgreSQL asks nobody for a password, because this machine has no other address.
pub fn reached_by_loopback_alone() -> bool {
    own_address() == Ipv4Addr::LOCALHOST
}

/// The address of this machine that others would see, if there are others.
fn own_address() -> Ipv4Addr {
    // Nothing is sent: connecting only chooses the way. TEST-NET-1 (RFC 5737) is nobody's.
    let chosen = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(("192.0.2.1", 9)).map(|()| socket));
    match chosen.and_then(|socket| socket.local_addr()).map(|address| address.ip()) {
        Ok(std::net::IpAddr::V4(address)) => address,
        _ => Ipv4Addr::LOCALHOST,
    }
}

/// The full name of an image, as containerd keeps it.
fn canonical(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("docker.io/library/{name}") }
}

fn container_of<'i>(pod: &Pod, image: &'i Image, scratch: &Scratch, overrides: &Environment) -> Container<'i> {
    let user = pod.user();
    let mut container = Container::of(image, user);
    for (name, value) in pod.environment().iter().chain(overrides) {
        container = container.setting(name, value);
    }
    for (directory, path) in pod.volumes(scratch) {
        own(&directory, user);
        container = container.volume(&directory, &path);
    }
    container
}

/// What `fsGroup` does. Files of the server are its own already.
fn own(directory: &Path, (uid, gid): (u32, u32)) {
    let is_new = fs::metadata(directory).is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) != uid);
    if geteuid().is_root() && is_new {
        chown(directory, Some(uid), Some(gid)).expect("root can give a directory away");
    }
}

/// Connects to PostgreSQL as a role would.
pub async fn connected(server: &Server<'_>, url: &str, password: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = server.reached_by(url).parse().expect("a URL");
    PgConnection::connect_with(&options.password(password)).await
}
