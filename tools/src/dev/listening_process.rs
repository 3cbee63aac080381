//! Finds the process that listens on an address.

use std::net::{IpAddr, SocketAddr};

use procfs::{
    net::{self, TcpState},
    process::{self, FDTarget, Process},
};

/// Returns name and id of the process that listens on an address, such as `nginx (process 812)`, or `None` if no process listens
/// or this user may not see the process.
pub fn find_listening_process(address: SocketAddr) -> Option<String> {
    let listeners = [net::tcp(), net::tcp6()].into_iter().flatten().flatten().filter(|entry| entry.state == TcpState::Listen);
    let sockets: Vec<u64> = listeners
        .filter(|entry| entry.local_address.port() == address.port() && overlap(entry.local_address.ip(), address.ip()))
        .map(|entry| entry.inode)
        .collect();
    let process = process::all_processes().ok()?.flatten().find(|process| has_any(process, &sockets))?;
    Some(format!("{} (process {})", process.stat().ok()?.comm, process.pid))
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

fn has_any(process: &Process, sockets: &[u64]) -> bool {
    let Ok(files) = process.fd() else { return false };
    files.flatten().any(|file| matches!(file.target, FDTarget::Socket(inode) if sockets.contains(&inode)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_by_its_address_and_by_a_wildcard() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let this_process = format!("(process {})", std::process::id());
        for address in [address, ([0, 0, 0, 0], address.port()).into()] {
            assert!(find_listening_process(address).unwrap().ends_with(&this_process), "{address}");
        }
        drop(listener);
        assert_eq!(find_listening_process(address), None);
    }
}
