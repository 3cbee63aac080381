//! TCP listeners that accept IPv4 and IPv6.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Length of the kernel's queue of connections that are not yet accepted.
const BACKLOG: i32 = 1024;

/// Listens on an address. `[::]` also accepts IPv4, independent of `net.ipv6.bindv6only`, and becomes `0.0.0.0` on a machine
/// without IPv6. The listener is non-blocking, as Tokio requires.
///
/// # Errors
/// If the address is in use, not local, or not permitted.
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
