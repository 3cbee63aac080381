//! Allocates free ports. Ports of the last run are used again if they are free.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    os::{linux::net::SocketAddrExt, unix::net},
};

use anyhow::Context;
use catalog_process::listener;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::listening_process::find_listening_process;

/// Attempts to find a free random port.
const MAX_ATTEMPTS: usize = 100;

/// Ports of the servers on the loopback interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ports {
    /// PostgreSQL.
    pub postgres: u16,
    /// nats-server.
    pub nats: u16,
    /// SMTP of the inbox.
    pub smtp: u16,
    /// Probes and metrics of `serve`.
    pub serve: u16,
    /// Probes and metrics of `notifier`.
    pub notifier: u16,
    /// Probes and metrics of `tracker`.
    pub tracker: u16,
    /// Probes and metrics of `fulfiller`.
    pub fulfiller: u16,
    /// Probes and metrics of `inbox`.
    pub inbox: u16,
}

impl Ports {
    /// Allocates ports: the ports of `self` if they are free, otherwise the default ports of probes, otherwise random ports. No
    /// other `catalogctl dev` allocates them while the reservation exists, even before the children listen on them.
    ///
    /// # Errors
    /// If this machine has no free port.
    pub fn allocate(self) -> anyhow::Result<(Self, Reservation)> {
        let mut taken = Vec::new();
        let mut reserved = Reservation::default();
        let mut choose = |last: u16, default: u16| -> anyhow::Result<u16> {
            let preferred = [last, default].into_iter().filter(|port| *port != 0 && is_free(loopback(*port)));
            let others = (0..MAX_ATTEMPTS).map_while(|_| find_free_port(&taken).ok());
            let port = preferred.chain(others).find(|port| !taken.contains(port) && reserved.add(*port));
            let port = port.context("this machine has no free port")?;
            taken.push(port);
            Ok(port)
        };
        let ports = Self {
            serve: choose(self.serve, 9090)?,
            notifier: choose(self.notifier, 9091)?,
            tracker: choose(self.tracker, 9092)?,
            fulfiller: choose(self.fulfiller, 9093)?,
            postgres: choose(self.postgres, 0)?,
            nats: choose(self.nats, 0)?,
            smtp: choose(self.smtp, 0)?,
            inbox: choose(self.inbox, 0)?,
        };
        Ok((ports, reserved))
    }
}

/// Reserved ports. Each is an abstract Unix socket named after the port: only one process of the machine can bind a name, and
/// the kernel releases it when that process ends.
#[derive(Default)]
pub struct Reservation(Vec<net::UnixListener>);

impl Reservation {
    /// Returns false if another process has reserved the port.
    fn add(&mut self, port: u16) -> bool {
        let name = net::SocketAddr::from_abstract_name(format!("catalog-dev-port-{port}"));
        let Ok(listener) = name.and_then(|name| net::UnixListener::bind_addr(&name)) else { return false };
        self.0.push(listener);
        true
    }
}

/// The address of a child.
#[derive(Debug, Clone, Copy)]
pub struct ListenAddress {
    pub address: SocketAddr,
    /// The setting that configures the address, or `None` for a port of [`Ports`].
    pub setting: Option<&'static str>,
}

impl ListenAddress {
    /// An address with a port of [`Ports`].
    pub fn automatic(port: u16) -> Self {
        Self { address: loopback(port), setting: None }
    }

    /// An address of a setting.
    pub fn configured(setting: &'static str, address: SocketAddr) -> Self {
        Self { address, setting: Some(setting) }
    }

    /// Describes why the child cannot listen on the address, or returns `None` if it can.
    pub fn find_conflict(self) -> Option<String> {
        find_bind_error(self.address).map(|error| self.describe_conflict(&error, &[]))
    }

    /// Describes why the address cannot be used, and proposes another port that is not in `excluded`.
    pub fn describe_conflict(self, error: &str, excluded: &[u16]) -> String {
        let Self { address, setting } = self;
        let Some(setting) = setting else {
            return format!("{address} {error}, but was free when it was allocated: start again to allocate another port");
        };
        let flag = setting.to_lowercase().replace('_', "-");
        let other =
            find_free_port(excluded).map(|port| format!(", such as --{flag} {}", SocketAddr::new(address.ip(), port))).unwrap_or_default();
        format!("{setting}={address} {error}: choose another address{other}")
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Returns why no server can listen on an address, worded to follow the address, such as `is in use by nginx`.
pub fn find_bind_error(address: SocketAddr) -> Option<String> {
    let error = listener::bind(address).err()?;
    Some(match (error.kind(), find_listening_process(address)) {
        (ErrorKind::AddrInUse, Some(process)) => format!("is in use by {process}"),
        (ErrorKind::AddrInUse, None) => "is in use".to_owned(),
        _ => format!("cannot be used ({error})"),
    })
}

fn is_free(address: SocketAddr) -> bool {
    listener::bind(address).is_ok()
}

/// Returns a free loopback port that is not in `taken`.
///
/// # Errors
/// If this machine has none.
pub fn find_free_port(taken: &[u16]) -> anyhow::Result<u16> {
    const FIRST: u16 = 15_000;
    // Below the ephemeral ports of outgoing connections: while a server restarts, its own clients could get its port.
    let outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = outgoing.split_whitespace().next().and_then(|low| low.parse().ok()).filter(|low| *low > FIRST).unwrap_or(32_768);
    let mut rng = rand::rng();
    (0..MAX_ATTEMPTS)
        .map(|_| rng.random_range(FIRST..end))
        .find(|port| !taken.contains(port) && is_free(loopback(*port)))
        .context("this machine has no free port")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::*;

    #[test]
    fn a_port_of_the_last_run_that_is_in_use_is_replaced() {
        for index in 0..8 {
            let (first, reserved) = Ports::default().allocate().unwrap();
            drop(reserved);
            let wildcard = if index % 2 == 0 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            // Another test may use the port.
            let Ok(_taken) = TcpListener::bind(SocketAddr::new(wildcard, all(first)[index])) else { continue };
            let (second, _reserved) = first.allocate().unwrap();
            assert_ne!(all(second)[index], all(first)[index], "{first:?}");
        }
    }

    #[test]
    fn a_bind_error_names_the_process_or_the_cause() {
        for wildcard in [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()] {
            let listener = TcpListener::bind(SocketAddr::new(wildcard, 0)).unwrap();
            let error = find_bind_error(loopback(listener.local_addr().unwrap().port())).unwrap();
            let this_process = format!("(process {})", std::process::id());
            assert!(error.starts_with("is in use by ") && error.ends_with(&this_process), "{wildcard}: {error}");
        }
        let error = find_bind_error(([192, 0, 2, 1], 8080).into()).unwrap();
        assert!(error.starts_with("cannot be used (Cannot assign requested address"), "{error}");
    }

    #[test]
    fn shops_that_start_at_the_same_time_allocate_different_ports() {
        let (first, _reserved) = Ports::default().allocate().unwrap();
        let (second, _also_reserved) = first.allocate().unwrap();
        assert!(all(second).iter().all(|port| !all(first).contains(port)), "{first:?} {second:?}");
    }

    #[test]
    fn all_ports_differ() {
        let same = Ports { postgres: 1, nats: 1, smtp: 1, serve: 1, notifier: 1, tracker: 1, fulfiller: 1, inbox: 1 };
        let (ports, _reserved) = same.allocate().unwrap();
        let mut all = all(ports);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    fn all(ports: Ports) -> Vec<u16> {
        vec![ports.postgres, ports.nats, ports.smtp, ports.serve, ports.notifier, ports.tracker, ports.fulfiller, ports.inbox]
    }
}
