//! The bytes of a connection: a client that doesn't read is cut off, and one that is still sending when the connection
//! closes gets to read the response first.

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
    time::Sleep,
};

use super::head_timeout::Activity;

/// Bytes that a client must take within each write timeout. Without it, one byte now and then would keep a response in memory.
const MIN_PROGRESS: usize = 16 * 1024;
/// After the response that ends a connection, what the client is still sending is read and discarded up to these limits.
/// Closing a socket with unread input resets the connection, and the client may lose the response (nginx: `lingering_close`).
const LINGER_BYTES: usize = 16 * 1024 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream with a write timeout and a lingering close.
pub struct Transport<S> {
    stream: S,
    activity: Arc<Activity>,
    write_timeout: Duration,
    /// Makes the stream discard what is unsent when it is dropped.
    reset: fn(&S),
    /// Armed while a write is pending.
    write_deadline: Option<Pin<Box<Sleep>>>,
    written: usize,
    closing: Option<Linger>,
}

struct Linger {
    deadline: Pin<Box<Sleep>>,
    read: usize,
}

impl<S> Transport<S> {
    pub fn new(stream: S, activity: Arc<Activity>, write_timeout: Duration, reset: fn(&S)) -> Self {
        Self { stream, activity, write_timeout, reset, write_deadline: None, written: 0, closing: None }
    }

    fn progress(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
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
                (self.reset)(&self.stream);
                super::limits::write_timed_out();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client doesn't read the response")))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.input();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.progress(written, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.progress(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when all that there is to write has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_deadline = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.activity.has_unread_input() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.closing.get_or_insert_with(|| Linger { deadline: Box::pin(tokio::time::sleep(LINGER_TIMEOUT)), read: 0 });
        let mut discarded = [0; 8192];
        while linger.read < LINGER_BYTES {
            if linger.deadline.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buffer = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => linger.read += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
