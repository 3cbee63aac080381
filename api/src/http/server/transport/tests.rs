use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};

use super::*;
use crate::http::server::limits::Limits;

const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

fn transport() -> (DuplexStream, Transport<DuplexStream>, Arc<Activity>) {
    let (client, server) = tokio::io::duplex(1024);
    let activity = Activity::start(Arc::new(Limits::new("test", 1, None, WRITE_TIMEOUT)));
    (client, Transport::new(server, activity.clone(), WRITE_TIMEOUT, |_| {}), activity)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off_after_the_write_timeout() {
    let (_client, mut transport, _) = transport();
    let started = Instant::now();
    let error = transport.write_all(&vec![0; 64 * 1024]).await.unwrap_err();
    assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_byte_now_and_then_is_cut_off_too() {
    let (mut client, mut transport, _) = transport();
    tokio::spawn(async move {
        while client.read_u8().await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let started = Instant::now();
    assert!(transport.write_all(&vec![0; 64 * 1024]).await.is_err());
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_but_steadily_gets_everything() {
    let (mut client, mut transport, _) = transport();
    let read = tokio::spawn(async move {
        let mut read = 0;
        while client.read_exact(&mut [0; 1024]).await.is_ok() {
            read += 1024;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        read
    });
    for _ in 0..4 {
        transport.write_all(&vec![0; 64 * 1024]).await.unwrap();
        transport.flush().await.unwrap();
        tokio::time::sleep(Duration::from_mins(5)).await;
    }
    drop(transport);
    assert_eq!(read.await.unwrap(), 4 * 64 * 1024);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_what_the_client_is_still_sending() {
    let (mut client, mut transport, activity) = transport();
    activity.input();
    let sent = tokio::spawn(async move {
        client.write_all(&vec![0; 300 * 1024]).await.unwrap();
        assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0, "the end was sent first");
    });
    transport.shutdown().await.unwrap();
    drop(transport);
    sent.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_waits_no_longer_than_its_timeout_and_not_at_all_without_input() {
    let (_client, mut transport, activity) = transport();
    let started = Instant::now();
    transport.shutdown().await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 0);
    activity.input();
    transport.shutdown().await.unwrap();
    assert_eq!(started.elapsed(), LINGER_TIMEOUT);
}
