//! Delays the close of a connection on which the client is still sending, so that the client can read the response.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::oneshot,
    time::timeout,
};

/// After the last response of a connection, input is read and discarded up to these limits. Closing a socket with unread input would
/// reset the connection, and the client may lose the response (nginx: `lingering_close`).
const LINGER_BYTES: u64 = 16 * 1024 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// Receives the stream of a connection that ends while the client may still be sending. The other memory of the connection, such as its
/// read buffer, is freed by then.
pub struct Linger<S>(pub oneshot::Receiver<S>);

impl<S: AsyncRead + Unpin> Linger<S> {
    /// Reads and discards further input, if the client may still be sending. Call it when the connection has ended.
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
    async fn input_after_the_response_is_read_and_discarded() {
        let (mut client, mut transport, linger, activity) = transport();
        activity.record_input();
        let sent = tokio::spawn(async move {
            client.write_all(&vec![0; 300 * 1024]).await.unwrap();
            assert_eq!(client.read_to_end(&mut Vec::new()).await.unwrap(), 0, "nothing is sent but the end of the stream");
        });
        transport.shutdown().await.unwrap();
        drop(transport);
        linger.discard().await;
        sent.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_linger_ends_after_its_timeout_and_at_once_without_unread_input() {
        let started = Instant::now();
        let (_client, mut closed, linger, _) = transport();
        closed.shutdown().await.unwrap();
        linger.discard().await;
        assert_eq!(started.elapsed().as_secs(), 0);
        let (_client, mut transport, linger, activity) = transport();
        activity.record_input();
        transport.shutdown().await.unwrap();
        linger.discard().await;
        assert_eq!(started.elapsed(), LINGER_TIMEOUT);
    }
}
