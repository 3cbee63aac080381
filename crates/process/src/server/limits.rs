//! Limits of connections, in total and per client.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics;

/// Maximum number of concurrently rejected connections that get a response with a body. Further ones get one without a body, or none.
const MAX_REJECTIONS: usize = 128;
/// Seconds after which a rejected client may retry.
pub const RETRY_AFTER: u64 = 2;

static OPEN: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "registered once, with a constant name")]
    register_int_gauge_vec!("http_connections", "Open connections", &["listener"]).expect("a metric of this name is registered once")
});
static REJECTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "registered once, with a constant name")]
    register_int_counter_vec!(
        "http_connections_rejected_total",
        "Connections rejected by the limit that was reached: total or client",
        &["listener", "limit"]
    )
    .expect("a metric of this name is registered once")
});
static WRITE_TIMEOUTS: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::register_counter("http_write_timeouts_total", "Connections closed because the client didn't read the response")
});

/// Counts a connection that was closed because its client didn't read the response.
pub fn count_write_timeout() {
    WRITE_TIMEOUTS.inc();
}

/// The limits of a listener, and its open connections.
pub struct Limits {
    /// How long a client may take to read 16 KiB of a response.
    pub write_timeout: Duration,
    max: usize,
    max_per_client: Option<usize>,
    free: Arc<Semaphore>,
    clients: Mutex<HashMap<IpAddr, usize>>,
    rejections: Arc<Semaphore>,
    open: IntGauge,
    rejected: [IntCounter; 2],
}

/// The rejection of a connection.
pub struct Rejection {
    pub limit: ConnectionLimit,
    /// `None` if too many other connections are being rejected.
    pub slot: Option<OwnedSemaphorePermit>,
}

/// The limit that a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// The limit of all connections.
    Total,
    /// The limit of the connections of one client.
    Client,
}

/// Builds the response to the first request of a rejected connection from the limit, the headers of the request and the address of the
/// client.
pub type RespondToRejected = fn(ConnectionLimit, &HeaderMap, SocketAddr) -> Response;

/// Permission for one open connection. Dropping it allows another connection.
pub struct Permit {
    limits: Arc<Limits>,
    client: Option<IpAddr>,
    _free: OwnedSemaphorePermit,
}

impl Limits {
    /// `listener` is a label of metrics. Without `max_per_client`, one address may use all connections, as a proxy may need.
    #[must_use]
    pub fn new(listener: &str, max: usize, max_per_client: Option<usize>, write_timeout: Duration) -> Self {
        LazyLock::force(&WRITE_TIMEOUTS);
        Self {
            write_timeout,
            max,
            max_per_client,
            free: Arc::new(Semaphore::new(max)),
            clients: Mutex::default(),
            rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
            open: OPEN.with_label_values(&[listener]),
            rejected: ["total", "client"].map(|limit| REJECTED.with_label_values(&[listener, limit])),
        }
    }

    /// Admits a connection, or returns a rejection with the limit that it would exceed. Does not wait.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Rejection> {
        let Ok(free) = self.free.clone().try_acquire_owned() else { return Err(self.reject(ConnectionLimit::Total)) };
        let client = self.max_per_client.map(|max| (client_key(address), max));
        if let Some((client, max)) = client {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let connections = clients.entry(client).or_default();
            if *connections >= max {
                return Err(self.reject(ConnectionLimit::Client));
            }
            *connections += 1;
        }
        self.open.inc();
        Ok(Permit { limits: self.clone(), client: client.map(|(client, _)| client), _free: free })
    }

    fn reject(&self, limit: ConnectionLimit) -> Rejection {
        self.rejected[usize::from(limit == ConnectionLimit::Client)].inc();
        Rejection { limit, slot: self.rejections.clone().try_acquire_owned().ok() }
    }

    /// Returns whether less than a quarter of the connections is free.
    pub(super) fn connections_are_scarce(&self) -> bool {
        self.free.available_permits() < self.max.div_ceil(4)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.open.dec();
        let Some(client) = self.client else { return };
        let mut clients = self.limits.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut connections) = clients.entry(client) {
            *connections.get_mut() -= 1;
            if *connections.get() == 0 {
                connections.remove();
            }
        }
    }
}

/// Responds with a status and `Retry-After` only.
#[must_use]
pub fn respond_without_body(limit: ConnectionLimit, _: &HeaderMap, _: SocketAddr) -> Response {
    let status = match limit {
        ConnectionLimit::Total => StatusCode::SERVICE_UNAVAILABLE,
        ConnectionLimit::Client => StatusCode::TOO_MANY_REQUESTS,
    };
    (status, [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER))]).into_response()
}

/// Key of a client: its IPv4 address, or its IPv6 /64 network, which usually belongs to one customer of a provider.
#[must_use]
pub fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: usize, max_per_client: Option<usize>) -> Arc<Limits> {
        Arc::new(Limits::new("test", max, max_per_client, Duration::from_secs(30)))
    }

    fn admit(limits: &Arc<Limits>, address: &str) -> Result<Permit, ConnectionLimit> {
        limits.admit(address.parse().unwrap()).map_err(|rejection| rejection.limit)
    }

    #[test]
    fn after_a_connection_is_closed_another_is_admitted() {
        let limits = limits(2, None);
        let first = admit(&limits, "192.0.2.1").ok().unwrap();
        let _second = admit(&limits, "192.0.2.1").ok().unwrap();
        assert_eq!(admit(&limits, "192.0.2.2").err(), Some(ConnectionLimit::Total));
        drop(first);
        assert!(admit(&limits, "192.0.2.2").is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client_and_the_entry_of_a_client_without_connections_is_removed() {
        let limits = limits(10, Some(2));
        let permits = [admit(&limits, "2001:db8::1").ok().unwrap(), admit(&limits, "2001:db8::2:1").ok().unwrap()];
        assert_eq!(admit(&limits, "2001:db8::3").err(), Some(ConnectionLimit::Client));
        assert!(admit(&limits, "2001:db8:0:1::3").is_ok());
        drop(permits);
        assert!(limits.clients.lock().unwrap().is_empty());
        assert_eq!(limits.free.available_permits(), 10);
    }

    #[test]
    fn rejections_beyond_the_limit_have_no_body() {
        let limits = limits(1, None);
        let _open = admit(&limits, "192.0.2.1").ok().unwrap();
        let reject = || limits.admit("192.0.2.2".parse().unwrap()).err().unwrap();
        let slots: Vec<_> = (0..MAX_REJECTIONS).map(|_| reject().slot.unwrap()).collect();
        assert!(reject().slot.is_none());
        drop(slots);
        assert!(reject().slot.is_some());
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let same = |a: &str, b: &str| client_key(a.parse().unwrap()) == client_key(b.parse().unwrap());
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
