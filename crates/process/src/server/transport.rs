//! The stream of a connection, with a write timeout: a client that doesn't read the response is disconnected.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    time::Sleep,
};

use super::{head_timeout::Activity, linger::Linger};

/// Bytes that a client must read within each write timeout. Without this minimum, a client that reads single bytes could keep a response
/// in memory for a very long time.
const MIN_PROGRESS: usize = 16 * 1024;

/// A stream with a write timeout. If the client is still sending when the connection ends, the stream is passed to [`Linger`].
pub struct Transport<S> {
    /// `None` after it was passed to [`Linger`].
    stream: Option<S>,
    activity: Arc<Activity>,
    write_timeout: Duration,
    /// Configures the stream to discard unsent data when it is dropped.
    reset: fn(&S),
    /// Armed while a write is pending.
    write_deadline: Option<Pin<Box<Sleep>>>,
    written: usize,
    linger: Option<oneshot::Sender<S>>,
}

impl<S: Unpin> Transport<S> {
    pub fn new(stream: S, activity: Arc<Activity>, write_timeout: Duration, reset: fn(&S)) -> (Self, Linger<S>) {
        let (sender, receiver) = oneshot::channel();
        let transport =
            Self { stream: Some(stream), activity, write_timeout, reset, write_deadline: None, written: 0, linger: Some(sender) };
        (transport, Linger(receiver))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Starts the write deadline when a write is pending, and ends it after enough progress. Returns an error after the deadline.
    fn check_progress(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match (&written, &mut self.write_deadline) {
            (Poll::Ready(Ok(bytes)), Some(_)) => {
                self.written += bytes;
                if self.written >= MIN_PROGRESS {
                    self.write_deadline = None;
                }
                written
            }
            (Poll::Ready(_), _) => written,
            (Poll::Pending, deadline) => {
                let deadline = deadline.get_or_insert_with(|| {
                    self.written = 0;
                    Box::pin(tokio::time::sleep(self.write_timeout))
                });
                ready!(deadline.as_mut().poll(cx));
                if let Some(stream) = &self.stream {
                    (self.reset)(stream);
                }
                super::limits::count_write_timeout();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client doesn't read the response")))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.record_input();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(cx, buffer);
        self.check_progress(written, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(cx, buffers);
        self.check_progress(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    /// Hyper calls this when all data is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_deadline = None;
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream()?.poll_shutdown(cx))?;
        if self.activity.has_unread_input()
            && let (Some(stream), Some(linger)) = (self.stream.take(), self.linger.take())
        {
            let _ = linger.send(stream);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
