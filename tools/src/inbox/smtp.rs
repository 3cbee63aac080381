//! The SMTP server (RFC 5321). The state machine is that of the `mailin` crate; this file has the connections and their limits.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use mailin::{Action, Handler, Response, Session, SessionBuilder, response};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    chaos::{Chaos, Mode},
    mailbox::Mailbox,
    message::Delivery,
};

/// Largest mail, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Concurrent connections. Further ones get 421.
const MAX_CONNECTIONS: usize = 200;
/// Recipients of one mail (RFC 5321, 4.5.3.1.8, asks for at least 100).
const MAX_RECIPIENTS: usize = 100;
/// Bytes of one line. RFC 5321 allows 1000; longer ones are accepted up to this.
const MAX_LINE: u64 = 256 * 1024;
/// Idle timeout of a connection (RFC 5321, 4.5.3.2.7).
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Delay after a connection could not be accepted for lack of file descriptors or memory.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

const NAME: &str = "inbox";

/// Accepts mail until `stop`.
///
/// # Errors
/// None: errors of a connection end that connection.
pub async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>, chaos: Arc<Chaos>, stop: CancellationToken) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        let permit = Arc::clone(&permits).try_acquire_owned();
        let connection = Connection { mailbox: Arc::clone(&mailbox), chaos: Arc::clone(&chaos), peer, transaction: Arc::default() };
        let stop = stop.clone();
        connections.spawn(async move {
            if let Err(error) = connection.run(stream, permit.is_err(), stop).await {
                tracing::debug!(%peer, error = format!("{error:#}"), "connection lost");
            }
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

struct Connection {
    mailbox: Arc<Mailbox>,
    chaos: Arc<Chaos>,
    peer: SocketAddr,
    transaction: Arc<Mutex<Transaction>>,
}

impl Connection {
    async fn run(self, stream: TcpStream, full: bool, stop: CancellationToken) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        if full || self.chaos.take(Mode::Busy) {
            return send(&mut writer, &response::NO_SERVICE).await;
        }
        let mut session = self.session();
        send(&mut writer, &session.greeting()).await?;
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut reader).take(MAX_LINE);
            let read = tokio::select! {
                () = stop.cancelled() => return send(&mut writer, &response::NO_SERVICE).await,
                read = tokio::time::timeout(IDLE_TIMEOUT, limited.read_until(b'\n', &mut line)) => read.context("idle timeout")??,
            };
            if read == 0 {
                return Ok(());
            }
            if !line.ends_with(b"\n") {
                return send(&mut writer, &Response::custom(421, "Line too long, closing connection".into())).await;
            }
            let mut reply = session.process(&line);
            let finished = lock(&self.transaction).finished.take();
            if let Some(finished) = finished {
                let Some(stored) = self.store(finished).await else { return Ok(()) };
                reply = stored;
            }
            match reply.action {
                Action::NoReply => {}
                Action::Close => return send(&mut writer, &reply).await,
                Action::Reply | Action::UpgradeTls => send(&mut writer, &reply).await?,
            }
        }
    }

    /// Stores the mail and returns the reply, or `None` if the connection must be closed without one.
    async fn store(&self, finished: Finished) -> Option<Response> {
        let Finished::Complete(delivery) = finished else { return Some(response::NO_STORAGE) };
        let mailbox = Arc::clone(&self.mailbox);
        let stored = tokio::task::spawn_blocking(move || mailbox.store(delivery)).await;
        match stored.map_err(io::Error::other).flatten() {
            Ok(n) => {
                tracing::debug!(n, peer = %self.peer, "mail stored");
                (!self.chaos.take(Mode::Drop)).then_some(response::OK)
            }
            Err(error) => {
                tracing::error!(%error, "mail not stored");
                Some(response::INTERNAL_ERROR)
            }
        }
    }

    fn session(&self) -> Session<Envelope> {
        let envelope = Envelope { transaction: Arc::clone(&self.transaction), chaos: Arc::clone(&self.chaos) };
        SessionBuilder::new(NAME).build(self.peer.ip(), envelope)
    }
}

async fn send(writer: &mut OwnedWriteHalf, response: &Response) -> anyhow::Result<()> {
    writer.write_all(&response.buffer()?).await?;
    Ok(())
}

/// The mail being received. Shared, because mailin gives no access to its handler.
#[derive(Default)]
struct Transaction {
    recipients: usize,
    delivery: Delivery,
    too_large: bool,
    finished: Option<Finished>,
}

enum Finished {
    Complete(Delivery),
    TooLarge,
}

struct Envelope {
    transaction: Arc<Mutex<Transaction>>,
    chaos: Arc<Chaos>,
}

fn lock(transaction: &Mutex<Transaction>) -> MutexGuard<'_, Transaction> {
    transaction.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handler for Envelope {
    fn mail(&mut self, _ip: IpAddr, _domain: &str, _from: &str) -> Response {
        *lock(&self.transaction) = Transaction::default();
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        if to.starts_with("refuse") || self.chaos.take(Mode::Reject) {
            return response::NO_MAILBOX;
        }
        if to.starts_with("busy") || self.chaos.take(Mode::Defer) {
            return Response::custom(451, "Mailbox busy, try again later".into());
        }
        let mut transaction = lock(&self.transaction);
        if transaction.recipients == MAX_RECIPIENTS {
            return Response::custom(452, "Too many recipients".into());
        }
        transaction.recipients += 1;
        response::OK
    }

    fn data_start(&mut self, _domain: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        lock(&self.transaction).delivery = Delivery { from: from.to_owned(), to: to.to_vec(), source: Vec::new() };
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        let mut transaction = lock(&self.transaction);
        // An error here would send a reply in the middle of the mail, so a mail that is too large is rejected at its end.
        if transaction.too_large || transaction.delivery.source.len() + line.len() > MAX_MESSAGE {
            transaction.too_large = true;
            transaction.delivery.source = Vec::new();
        } else {
            transaction.delivery.source.extend_from_slice(line);
        }
        Ok(())
    }

    /// Always accepts, because after a rejection mailin would read commands as mail. [`Connection::store`] returns the reply.
    fn data_end(&mut self) -> Response {
        let mut transaction = lock(&self.transaction);
        let received = std::mem::take(&mut *transaction);
        let finished = if received.too_large { Finished::TooLarge } else { Finished::Complete(received.delivery) };
        transaction.finished = Some(finished);
        response::OK
    }
}

#[cfg(test)]
mod tests;
