//! A real nats-server with `JetStream`.

use std::{
    ffi::OsString,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    process_guard::{Server, ServerOptions},
    programs,
    scratch::Scratch,
    wait,
};

/// Streams reserve their maximum size, and every test has its own streams. Little is written.
const MAX_FILE_STORE: &str = "64TB";

/// Returns a port that was free just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("this machine has free ports");
    listener.local_addr().expect("a listener has an address").port()
}

/// A nats-server.
pub struct Nats {
    // Dropped before the directory.
    server: Option<Server>,
    scratch: Scratch,
    port: u16,
    shared: bool,
}

impl Nats {
    /// Starts a server that ends with this process.
    pub async fn shared() -> Self {
        Self::launch(true).await
    }

    /// Starts a server that one test may stop.
    pub async fn private() -> Self {
        Self::launch(false).await
    }

    async fn launch(shared: bool) -> Self {
        let mut nats = Self { server: None, scratch: Scratch::new(None), port: 0, shared };
        // Another process may take the port before the server does.
        for _ in 0..5 {
            nats.port = free_port();
            nats.spawn();
            if nats.wait_until_started().await {
                return nats;
            }
        }
        panic!("nats-server did not start:\n{}", nats.output());
    }

    fn spawn(&mut self) {
        let config = self.scratch.path().join("nats.conf");
        let store = self.scratch.path().join("jetstream");
        let text = format!(
            "listen: 127.0.0.1:{}\njetstream {{ store_dir: \"{}\", max_file_store: {MAX_FILE_STORE} }}\n",
            self.port,
            store.display()
        );
        std::fs::write(&config, text).expect("the directory can be written");
        let args: [OsString; 2] = ["-c".into(), config.into()];
        let options = ServerOptions { directory: self.scratch.path(), signal: "KILL", remove_directory: self.shared, user: None };
        let server = Server::start(&programs::servers().nats_server, &args, &options).expect("nats-server can be started");
        self.server = Some(server);
    }

    async fn wait_until_started(&self) -> bool {
        let server = self.server.as_ref().expect("it was started");
        wait::eventually("nats-server starts or exits", async || {
            if self.sends_info() { Ok(true) } else { wait::check(server.has_ended(), || "neither up nor ended").map(|()| false) }
        })
        .await
    }

    /// Whether the server sends its INFO message. `JetStream` is then ready, because streams are recovered before the port is opened.
    fn sends_info(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let limit = Duration::from_secs(1);
        let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else { return false };
        let mut greeting = [0; 5];
        stream.set_read_timeout(Some(limit)).is_ok() && stream.read_exact(&mut greeting).is_ok() && &greeting == b"INFO "
    }

    /// Returns the port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the server's directory, for files that are removed with it.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Kills the server.
    ///
    /// # Panics
    /// If the server isn't running.
    pub async fn stop(&mut self) {
        let server = self.server.take().expect("nats-server is running");
        server.signal(Signal::SIGKILL);
        wait::eventually("nats-server ends", async || wait::check(server.has_ended(), || "running")).await;
    }

    /// Restarts the server on the same port with the same data.
    ///
    /// # Panics
    /// If the server doesn't start.
    pub async fn start(&mut self) {
        self.spawn();
        assert!(self.wait_until_started().await, "nats-server did not restart:\n{}", self.output());
    }

    /// Returns the output of the server.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("output")).unwrap_or_default()
    }
}
