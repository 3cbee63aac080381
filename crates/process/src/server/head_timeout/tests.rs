use std::convert::Infallible;

use axum::{body::Body, response::Response};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::server::{MAX_HEAD, transport::Transport};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

fn limits(max: usize) -> Arc<Limits> {
    Arc::new(Limits::new("test", max, None, Duration::from_secs(30)))
}

fn connection(limits: &Arc<Limits>) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4096);
    let activity = Activity::start(limits.clone());
    let service_activity = activity.clone();
    let service = service_fn(move |_| {
        service_activity.record_request_read();
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from("here"))))
    });
    let mut protocol = http1::Builder::new();
    protocol.timer(HeadTimer(activity.clone())).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD);
    let transport = Transport::new(server, activity.clone(), Duration::from_secs(30), |_| {}).0;
    let connection = protocol.serve_connection(TokioIo::new(transport), service);
    tokio::spawn(TimedConnection::new(connection, activity));
    client
}

/// Returns the seconds until the server closes the connection.
async fn seconds_until_closed(client: &mut DuplexStream) -> u64 {
    let started = Instant::now();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    started.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed_after_the_idle_timeout() {
    assert_eq!(seconds_until_closed(&mut connection(&limits(100))).await, 75);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_if_its_head_is_not_complete_after_the_head_timeout() {
    let mut client = connection(&limits(100));
    let started = Instant::now();
    for byte in REQUEST {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
    }
    client.read_to_end(&mut Vec::new()).await.unwrap();
    assert!((15..=21).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_earlier_while_few_connections_are_free() {
    let limits = limits(4);
    let open: Vec<_> = (0..3).map(|_| limits.admit([192, 0, 2, 1].into()).ok().unwrap()).collect();
    let mut idle = connection(&limits);
    let last = limits.admit([192, 0, 2, 1].into()).ok().unwrap();
    assert!((5..=10).contains(&seconds_until_closed(&mut idle).await));
    drop((open, last));
    assert_eq!(seconds_until_closed(&mut connection(&limits)).await, 75);
}

#[test]
fn the_timer_never_fires_before_the_deadline() {
    let activity = Activity::start(limits(100));
    let timer = HeadTimer(activity.clone());
    for nanos in (0..5_000_000).step_by(99_999) {
        let deadline = activity.started + Duration::from_nanos(nanos);
        drop(timer.sleep_until(deadline.into_std()));
        assert!(activity.after_start(activity.until.load(Ordering::Relaxed)) >= deadline, "{nanos} ns");
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_restarts_after_every_request() {
    let mut client = connection(&limits(100));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(70)).await;
        client.write_all(REQUEST).await.unwrap();
        let mut response = [0; 512];
        let read = client.read(&mut response).await.unwrap();
        assert!(response[..read].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(seconds_until_closed(&mut client).await, 75);
}
