//! TCP listeners that accept IPv4 and IPv6.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Listens on an address. `[::]` accepts IPv4 as well, whatever the value of `net.ipv6.bindv6only`; on a machine without IPv6
/// it falls back to `0.0.0.0`. The listener is non-blocking, as Tokio needs it.
///
/// # Errors
/// If the address is in use, not of this machine, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let open = |address| Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map(|socket| (socket, address));
    let (socket, address) = match open(address) {
        Err(_) if address.ip().is_unspecified() => open((Ipv4Addr::UNSPECIFIED, address.port()).into())?,
        opened => opened?,
    };
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Listens on an address (IPv4 and IPv6 for `[::]`) and logs it, because port 0 means any port.
///
/// # Errors
/// Names the setting if the address is in use, not of this machine, or not permitted.
pub fn listen(setting: &str, address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let listener =
        bind(address).and_then(tokio::net::TcpListener::from_std).with_context(|| format!("cannot listen on {setting}={address}"))?;
    tracing::info!(setting, address = %listener.local_addr()?, "listening");
    Ok(listener)
}

/// Returns the address to connect to: 127.0.0.1 for a wildcard, also on a machine without IPv6.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpStream};

    use super::*;

    #[test]
    fn the_ipv6_wildcard_accepts_both_families() {
        let listener = bind((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if listener.local_addr().unwrap().is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_port_in_use_on_a_wildcard_is_in_use_on_the_loopback_address() {
        for wildcard in [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()] {
            let listener = bind(SocketAddr::new(wildcard, 0)).unwrap();
            let loopback = (Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()).into();
            assert_eq!(bind(loopback).unwrap_err().kind(), io::ErrorKind::AddrInUse, "{wildcard}");
        }
    }

    #[test]
    fn a_wildcard_is_reached_on_the_loopback_address() {
        for (listener, reached) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:1", "127.0.0.1:1"), ("[::1]:1", "[::1]:1"), ("10.0.0.1:2", "10.0.0.1:2")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
