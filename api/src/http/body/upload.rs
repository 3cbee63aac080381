//! A streamed request body with a minimum rate and a maximum duration.
//!
//! As in Apache's `mod_reqtimeout` (`body=60,MinRate=500`), received bytes extend the time that the client has for the next bytes. Only
//! the time in which the server waits for the client counts, because the client cannot send while the server processes received rows.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use humantime::format_duration;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::config::UploadLimits;

/// The reason why an upload was ended. It is the source of an [`io::ErrorKind::TimedOut`] error.
#[derive(Debug, Error)]
enum UploadTimeout {
    #[error("nothing was received for {}", format_duration(*.0))]
    Silent(Duration),
    #[error("the upload was slower than {min_rate} bytes per second, averaged over {}", format_duration(*.window))]
    Slow { min_rate: u32, window: Duration },
    #[error("the upload took longer than {}", format_duration(*.0))]
    Long(Duration),
}

/// An upload in progress.
struct Upload<B> {
    body: B,
    limits: UploadLimits,
    deadline: Instant,
    /// How long the client may take from now.
    allowance: Duration,
    /// Whether a chunk was received since the allowance was last full.
    received: bool,
}

/// Returns the chunks of `body` as they arrive. If the client exceeds a limit, the stream ends with an [`io::ErrorKind::TimedOut`] error
/// that names the limit.
pub fn upload<B, E>(body: B, limits: UploadLimits) -> impl Stream<Item = io::Result<Bytes>>
where
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let deadline = Instant::now() + limits.max_duration;
    let upload = Upload { body, limits, deadline, allowance: limits.window, received: false };
    stream::unfold(Some(upload), async |upload| {
        let mut upload = upload?;
        match upload.next().await {
            Ok(chunk) => Some((chunk?.map_err(io::Error::other), Some(upload))),
            Err(timeout) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, timeout)), None)),
        }
    })
}

impl<B, E> Upload<B>
where
    B: Stream<Item = Result<Bytes, E>> + Unpin,
{
    async fn next(&mut self) -> Result<Option<Result<Bytes, E>>, UploadTimeout> {
        let UploadLimits { min_rate, window, max_duration } = self.limits;
        let started = Instant::now();
        if started >= self.deadline {
            return Err(UploadTimeout::Long(max_duration));
        }
        let end = (started + self.allowance).min(self.deadline);
        let Ok(next) = timeout_at(end, self.body.next()).await else {
            return Err(match () {
                () if end == self.deadline => UploadTimeout::Long(max_duration),
                () if self.received && min_rate > 0 => UploadTimeout::Slow { min_rate, window },
                () => UploadTimeout::Silent(window),
            });
        };
        if let Some(Ok(chunk)) = &next {
            let left = self.allowance.saturating_sub(started.elapsed());
            self.allowance = window.min(left + time_allowed_for(chunk.len(), min_rate, window));
            self.received = self.allowance < window;
        }
        Ok(next)
    }
}

/// Returns the time that `bytes` take at the minimum rate, or the whole window without a minimum rate.
fn time_allowed_for(bytes: usize, min_rate: u32, window: Duration) -> Duration {
    let micros = (bytes as u64).saturating_mul(1_000_000).checked_div(min_rate.into());
    micros.map_or(window, Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::pin_mut;

    use super::*;

    const LIMITS: UploadLimits = UploadLimits { min_rate: 500, window: Duration::from_mins(1), max_duration: Duration::from_hours(1) };

    /// A client that sends `bytes` bytes after every `pause` seconds, `times` times, and then nothing more.
    fn client(bytes: usize, pause: u64, times: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let chunks = stream::iter(0..times).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            Ok(Bytes::from(vec![b'x'; bytes]))
        });
        chunks.chain(stream::pending())
    }

    /// Returns the number of received bytes, the seconds until the upload was ended, and the reason.
    async fn received(chunks: impl Stream<Item = Result<Bytes, Infallible>>, limits: UploadLimits) -> (usize, u64, String) {
        let started = Instant::now();
        let chunks = Box::pin(chunks);
        let upload = upload(chunks, limits);
        pin_mut!(upload);
        let mut bytes = 0;
        while let Some(chunk) = upload.next().await {
            match chunk {
                Ok(chunk) => bytes += chunk.len(),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    assert!(upload.next().await.is_none(), "the stream ends with the error");
                    return (bytes, started.elapsed().as_secs(), error.to_string());
                }
            }
        }
        panic!("the upload ended before its limits");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_without_data_is_ended_after_the_window() {
        let (bytes, seconds, reason) = received(client(0, 0, 0), LIMITS).await;
        assert_eq!((bytes, seconds), (0, 60));
        assert_eq!(reason, "nothing was received for 1m");
        // A large chunk does not extend the time beyond the window.
        let (_, seconds, _) = received(client(10_000_000, 1, 1), LIMITS).await;
        assert_eq!(seconds, 61);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_below_the_minimum_rate_is_ended() {
        // A tenth of the minimum rate: the bytes of each second extend the time by a tenth of a second.
        let (bytes, seconds, reason) = received(client(50, 1, 10_000), LIMITS).await;
        assert!((60..=70).contains(&seconds), "{seconds}");
        assert!(bytes > 0);
        assert_eq!(reason, "the upload was slower than 500 bytes per second, averaged over 1m");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_at_the_minimum_rate_may_pause_and_is_ended_at_the_maximum_duration() {
        for (bytes, pause) in [(500, 1), (25_000, 50)] {
            let (_, seconds, reason) = received(client(bytes, pause, 100_000), LIMITS).await;
            assert_eq!(seconds, 3600);
            assert_eq!(reason, "the upload took longer than 1h");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_minimum_rate_an_upload_is_ended_only_after_a_window_without_data() {
        let limits = UploadLimits { min_rate: 0, ..LIMITS };
        let (bytes, seconds, reason) = received(client(1, 59, 20), limits).await;
        assert_eq!((bytes, seconds), (20, 59 * 20 + 60));
        assert_eq!(reason, "nothing was received for 1m");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_which_the_server_processes_rows_does_not_count() {
        let upload = upload(Box::pin(client(500, 1, 20)), LIMITS);
        pin_mut!(upload);
        for _ in 0..20 {
            assert!(upload.next().await.is_some_and(|chunk| chunk.is_ok()));
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_never_pauses_is_ended_at_the_maximum_duration() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"x")));
        let upload = upload(endless, LIMITS);
        pin_mut!(upload);
        let mut chunks = 0;
        while let Some(Ok(_)) = upload.next().await {
            tokio::time::sleep(Duration::from_secs(10)).await;
            chunks += 1;
        }
        assert_eq!(chunks, 360);
    }
}
