//! Forwards connections to PostgreSQL from an address for which it requires a password, on every machine.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

/// The source address. `pg_hba.conf` of the image trusts 127.0.0.1/32 only.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A listener that forwards connections. It stops on drop.
pub struct Forwarder {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Forwarder {
    /// Forwards to a port of this machine.
    pub fn start(to: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("the listener can be non-blocking");
        let port = listener.local_addr().expect("an address").port();
        let listener = TcpListener::from_std(listener).expect("a runtime is running");
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let socket = TcpSocket::new_v4().expect("a socket");
                    socket.bind(SocketAddr::from((SOURCE, 0))).expect("a loopback address");
                    // Until the server listens, clients see a closed connection.
                    let Ok(mut server) = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, to))).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, accepting }
    }

    /// Returns the port of the listener.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
