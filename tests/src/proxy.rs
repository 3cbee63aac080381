//! A network that can fail: a TCP proxy in front of a server, which cuts or freezes its connections.

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

/// What the network does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Everything passes.
    Fair,
    /// Connections stay open, and nothing passes: neither data nor their end.
    Frozen,
    /// Connections are refused; those there were are closed.
    Down,
}

/// A proxy. It ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Starts one in front of `server`, in fair weather.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("this machine has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let (weather, seen) = watch::channel(Weather::Fair);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, seen));
        Self { address, weather, _connections: tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing pass from now on, without closing anything.
    pub fn freeze(&self) {
        self.weather.send_replace(Weather::Frozen);
    }

    /// Closes everything and refuses what is new.
    pub fn cut(&self) {
        self.weather.send_replace(Weather::Down);
    }

    /// Lets everything pass again.
    pub fn mend(&self) {
        self.weather.send_replace(Weather::Fair);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(carry(client, server, weather.clone()));
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Down {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let down = async |weather: &mut watch::Receiver<Weather>| {
        let _ = weather.wait_for(|now| *now == Weather::Down).await;
    };
    let mut copies = (weather.clone(), weather.clone());
    tokio::select! {
        () = down(&mut weather) => {}
        _ = futures::future::join(copy(from_client, to_server, &mut copies.0), copy(from_server, to_client, &mut copies.1)) => {}
    }
}

/// Copies one direction until its end, while the weather is fair.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: &mut watch::Receiver<Weather>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // What was read while it froze arrives after the thaw, as on a real network.
        if weather.wait_for(|now| *now == Weather::Fair).await.is_err() {
            return;
        }
        let Ok(count @ 1..) = read else { break };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
