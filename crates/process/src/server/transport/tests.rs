use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};

use super::*;
use crate::server::limits::Limits;

const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

fn transport() -> (DuplexStream, Transport<DuplexStream>) {
    let (client, server) = tokio::io::duplex(1024);
    let activity = Activity::start(Arc::new(Limits::new("test", 1, None, WRITE_TIMEOUT)));
    (client, Transport::new(server, activity, WRITE_TIMEOUT, |_| {}).0)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_disconnected_after_the_write_timeout() {
    let (_client, mut transport) = transport();
    let started = Instant::now();
    let error = transport.write_all(&vec![0; 64 * 1024]).await.unwrap_err();
    assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_single_bytes_slowly_is_disconnected_after_the_write_timeout() {
    let (mut client, mut transport) = transport();
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
async fn a_client_that_reads_1_kib_per_second_gets_the_complete_response() {
    let (mut client, mut transport) = transport();
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
