//! A TCP proxy in front of a server that simulates network faults: it can freeze or close its connections.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkState {
    /// Data is forwarded.
    Up,
    /// Connections stay open, but neither data nor their end is forwarded.
    Frozen,
    /// New connections fail, and open ones were closed.
    Down,
}

/// A proxy. It stops on drop.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<NetworkState>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy in front of `server`.
    ///
    /// # Panics
    /// If the proxy cannot listen.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("this machine has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let (state, seen) = watch::channel(NetworkState::Up);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, seen));
        Self { address, state, _connections: tasks }
    }

    /// Returns the address on which the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops forwarding without closing connections.
    pub fn freeze(&self) {
        self.state.send_replace(NetworkState::Frozen);
    }

    /// Closes all connections, and lets new connections fail.
    pub fn disconnect(&self) {
        self.state.send_replace(NetworkState::Down);
    }

    /// Forwards data again.
    pub fn restore(&self) {
        self.state.send_replace(NetworkState::Up);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: watch::Receiver<NetworkState>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(forward(client, server, state.clone()));
    }
}

async fn forward(client: TcpStream, server: SocketAddr, mut state: watch::Receiver<NetworkState>) {
    if *state.borrow() == NetworkState::Down {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let down = async |state: &mut watch::Receiver<NetworkState>| {
        let _ = state.wait_for(|now| *now == NetworkState::Down).await;
    };
    let mut copies = (state.clone(), state.clone());
    tokio::select! {
        () = down(&mut state) => {}
        _ = futures::future::join(copy(from_client, to_server, &mut copies.0), copy(from_server, to_client, &mut copies.1)) => {}
    }
}

/// Copies one direction until its end, while the network is up.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &mut watch::Receiver<NetworkState>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // Data that was read before the freeze is forwarded after it, as on a real network.
        if state.wait_for(|now| *now == NetworkState::Up).await.is_err() {
            return;
        }
        let Ok(count @ 1..) = read else { break };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
