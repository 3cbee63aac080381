//! Lets a client read the response if it is still sending when the server closes the connection.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::oneshot,
    time::timeout,
};

/// After the last response of a connection, further input is read and discarded up to these limits. Closing a socket with
/// unread input resets the connection, and the client may lose the response (nginx: `lingering_close`).
const LINGER_BYTES: u64 = 16 * 1024 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// Receives the stream of a connection that closes while the client may still be sending. The other memory of the connection,
/// such as its read buffer, is then already freed.
pub struct Linger<S>(pub oneshot::Receiver<S>);

impl<S: AsyncRead + Unpin> Linger<S> {
    /// Discards further input, if there may be any. Call it when the connection has ended.
    pub async fn discard(mut self) {
        if let Ok(stream) = self.0.try_recv() {
            let _ = timeout(LINGER_TIMEOUT, tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
        time::Instant,
    };

    use super::*;
    use crate::server::{head_timeout::Activity, limits::Limits, transport::Transport};

    fn transport() -> (DuplexStream, Transport<DuplexStream>, Linger<DuplexStream>, Arc<Activity>) {
        let (client, server) = tokio::io::duplex(1024);
        let activity = Activity::start(Arc::new(Limits::new("test", 1, None, Duration::from_secs(30))));
        let (transport, linger) = Transport::new(server, activity.clone(), Duration::from_secs(30), |_| {});
        (client, transport, linger, activity)
    }

    #[tokio::test(start_paused = true)]
    async fn closing_reads_the_input_that_the_client_is_still_sending() {
        let (mut client, mut transport, linger, activity) = transport();
        activity.input();
        let sent = tokio::spawn(async move {
            client.write_all(&vec![0; 300 * 1024]).await.unwrap();
            assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0, "the end was sent first");
        });
        transport.shutdown().await.unwrap();
        drop(transport);
        linger.discard().await;
        sent.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_no_longer_than_its_timeout_and_not_at_all_without_input() {
        let started = Instant::now();
        let (_client, mut closed, linger, _) = transport();
        closed.shutdown().await.unwrap();
        linger.discard().await;
        assert_eq!(started.elapsed().as_secs(), 0);
        let (_client, mut transport, linger, activity) = transport();
        activity.input();
        transport.shutdown().await.unwrap();
        linger.discard().await;
        assert_eq!(started.elapsed(), LINGER_TIMEOUT);
    }
}
