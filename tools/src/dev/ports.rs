//! Free ports, the same ones again where possible.

use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    os::{linux::net::SocketAddrExt, unix::net},
};

use anyhow::Context;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::holder::holder;
use catalog::listener;

/// Random ports that are looked at before this machine counts as full.
const TRIES: usize = 100;

/// Where the servers listen, on the loopback interface.
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
    /// Free ports: these where they are still free, the usual ones for probes, others at random. No other
    /// `catalogctl dev` chooses them while the reservation lives, though the children that listen come later.
    ///
    /// # Errors
    /// If this machine has no free port.
    pub fn refreshed(self) -> anyhow::Result<(Self, Reservation)> {
        let mut taken = Vec::new();
        let mut reserved = Reservation::default();
        let mut choose = |last: u16, usual: u16| -> anyhow::Result<u16> {
            let wanted = [last, usual].into_iter().filter(|port| *port != 0 && is_free(loopback(*port)));
            let others = (0..TRIES).map_while(|_| free(&taken).ok());
            let port = wanted.chain(others).find(|port| !taken.contains(port) && reserved.add(*port));
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

/// Ports that are ours, as long as this lives. Each is an abstract Unix socket named after the port: the kernel
/// gives a name to one process only, whoever it runs as, and takes it back however that process ends.
#[derive(Default)]
pub struct Reservation(Vec<net::UnixListener>);

impl Reservation {
    /// Whether the port could be had.
    fn add(&mut self, port: u16) -> bool {
        let name = net::SocketAddr::from_abstract_name(format!("catalog-dev-port-{port}"));
        let Ok(listener) = name.and_then(|name| net::UnixListener::bind_addr(&name)) else { return false };
        self.0.push(listener);
        true
    }
}

/// Where a child listens.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The address.
    pub address: SocketAddr,
    /// The setting that names it, unless it was chosen here.
    pub setting: Option<&'static str>,
}

impl Place {
    /// A port of [`Ports`].
    pub fn chosen(port: u16) -> Self {
        Self { address: loopback(port), setting: None }
    }

    /// An address that was given.
    pub fn given(setting: &'static str, address: SocketAddr) -> Self {
        Self { address, setting: Some(setting) }
    }

    /// What to do about it, if nothing can listen there.
    pub fn taken(self) -> Option<String> {
        obstacle(self.address).map(|obstacle| self.problem(&obstacle, &[]))
    }

    /// What to do about an address on which nothing can listen. The advice is none of the ports `but`.
    pub fn problem(self, obstacle: &str, but: &[u16]) -> String {
        let Self { address, setting } = self;
        let Some(setting) = setting else {
            return format!("{address}, a port that was free when it was chosen, {obstacle}: start again, and another port is chosen");
        };
        let flag = setting.to_lowercase().replace('_', "-");
        let other = free(but).map(|port| format!(", such as --{flag} {}", SocketAddr::new(address.ip(), port))).unwrap_or_default();
        format!("{setting}={address} {obstacle}: choose another address{other}")
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Why no server can listen on an address now, as the rest of a sentence that begins with the address.
pub fn obstacle(address: SocketAddr) -> Option<String> {
    let error = listener::bind(address).err()?;
    Some(match (error.kind(), holder(address)) {
        (ErrorKind::AddrInUse, Some(holder)) => format!("is in use by {holder}"),
        (ErrorKind::AddrInUse, None) => "is in use".to_owned(),
        _ => format!("cannot be listened on ({error})"),
    })
}

fn is_free(address: SocketAddr) -> bool {
    listener::bind(address).is_ok()
}

/// A free loopback port that is none of `taken`.
///
/// # Errors
/// If this machine has none.
pub fn free(taken: &[u16]) -> anyhow::Result<u16> {
    const FIRST: u16 = 15_000;
    // Not from the range that outgoing connections take their ports from: while a server restarts,
    // the very clients that look for it could take its port.
    let outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = outgoing.split_whitespace().next().and_then(|low| low.parse().ok()).filter(|low| *low > FIRST).unwrap_or(32_768);
    let mut rng = rand::rng();
    (0..TRIES)
        .map(|_| rng.random_range(FIRST..end))
        .find(|port| !taken.contains(port) && is_free(loopback(*port)))
        .context("this machine has no free port")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::*;

    #[test]
    fn a_port_of_the_last_run_that_is_in_use_is_replaced_one_by_one() {
        for index in 0..8 {
            let (first, reserved) = Ports::default().refreshed().unwrap();
            drop(reserved);
            let wildcard = if index % 2 == 0 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            // Another test may be faster.
            let Ok(_taken) = TcpListener::bind(SocketAddr::new(wildcard, all(first)[index])) else { continue };
            let (second, _reserved) = first.refreshed().unwrap();
            assert_ne!(all(second)[index], all(first)[index], "{first:?}");
        }
    }

    #[test]
    fn an_obstacle_names_the_process_or_the_error() {
        for wildcard in [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()] {
            let listener = TcpListener::bind(SocketAddr::new(wildcard, 0)).unwrap();
            let obstacle = obstacle(loopback(listener.local_addr().unwrap().port())).unwrap();
            let ourselves = format!("(process {})", std::process::id());
            assert!(obstacle.starts_with("is in use by ") && obstacle.ends_with(&ourselves), "{wildcard}: {obstacle}");
        }
        let elsewhere = obstacle(([192, 0, 2, 1], 8080).into()).unwrap();
        assert!(elsewhere.starts_with("cannot be listened on (Cannot assign requested address"), "{elsewhere}");
    }

    #[test]
    fn shops_that_start_at_the_same_time_choose_different_ports() {
        let (first, _reserved) = Ports::default().refreshed().unwrap();
        let (second, _also_reserved) = first.refreshed().unwrap();
        assert!(all(second).iter().all(|port| !all(first).contains(port)), "{first:?} {second:?}");
    }

    #[test]
    fn all_ports_differ() {
        let same = Ports { postgres: 1, nats: 1, smtp: 1, serve: 1, notifier: 1, tracker: 1, fulfiller: 1, inbox: 1 };
        let (ports, _reserved) = same.refreshed().unwrap();
        let mut all = all(ports);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    fn all(ports: Ports) -> Vec<u16> {
        vec![ports.postgres, ports.nats, ports.smtp, ports.serve, ports.notifier, ports.tracker, ports.fulfiller, ports.inbox]
    }
}
