//! Stores accepted mails in memory and, if configured, in a directory.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use tokio::sync::watch;

use super::message::{self, Delivery, Message};

/// Limits of the mailbox. Beyond them, the oldest mails are deleted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Number of mails.
    pub messages: usize,
    /// Bytes of all mails together.
    pub bytes: usize,
}

pub struct Mailbox {
    limits: Limits,
    directory: Option<PathBuf>,
    state: Mutex<State>,
    arrivals: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    last: u64,
}

impl Mailbox {
    /// Opens a mailbox and loads the mails of the directory, if there is one.
    ///
    /// # Errors
    /// If the directory cannot be created or read.
    pub fn open(directory: Option<PathBuf>, limits: Limits) -> anyhow::Result<Self> {
        let mailbox = Self { limits, directory, state: Mutex::default(), arrivals: watch::Sender::new(0) };
        if let Some(directory) = &mailbox.directory {
            let context = || format!("cannot use INBOX_DIR={}", directory.display());
            fs::create_dir_all(directory).with_context(context)?;
            let mut numbers = list_numbers(directory).with_context(context)?;
            numbers.sort_unstable();
            let mut state = mailbox.state();
            for n in numbers {
                let source = fs::read(file(directory, n)).with_context(context)?;
                state.last = n;
                state.push(Message::parse(n, message::from_file(&source)));
                mailbox.delete_oldest(&mut state);
            }
        }
        Ok(mailbox)
    }

    /// Stores a mail and its file. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written. Then the mail isn't stored.
    pub fn store(&self, delivery: Delivery) -> io::Result<u64> {
        let mut state = self.state();
        let n = state.last + 1;
        if let Some(directory) = &self.directory {
            // Renamed when complete, so that no reader sees a partial mail.
            let unfinished = directory.join(format!("{n}.new"));
            fs::write(&unfinished, message::to_file(&delivery))?;
            fs::rename(unfinished, file(directory, n))?;
        }
        state.last = n;
        state.push(Message::parse(n, delivery));
        self.delete_oldest(&mut state);
        drop(state);
        self.arrivals.send_replace(n);
        Ok(n)
    }

    /// Returns a receiver that changes with every new mail.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Returns the number of mails that match.
    pub fn count(&self, matches: impl Fn(&Message) -> bool) -> usize {
        self.state().messages.iter().filter(|message| matches(message)).count()
    }

    /// Returns the mails that match, oldest first.
    pub fn messages(&self, matches: impl Fn(&Message) -> bool) -> Vec<Message> {
        self.state().messages.iter().filter(|message| matches(message)).cloned().collect()
    }

    /// Returns at most `limit` mails with numbers below `before`, newest first.
    pub fn newest(&self, before: u64, limit: usize) -> Vec<Message> {
        self.state().messages.iter().rev().filter(|message| message.n < before).take(limit).cloned().collect()
    }

    pub fn message(&self, n: u64) -> Option<Message> {
        self.state().messages.iter().find(|message| message.n == n).cloned()
    }

    /// Deletes all mails. Numbering continues.
    pub fn clear(&self) {
        let mut state = self.state();
        while let Some(message) = state.pop() {
            self.remove(message.n);
        }
    }

    fn delete_oldest(&self, state: &mut State) {
        while state.messages.len() > self.limits.messages || state.bytes > self.limits.bytes {
            let Some(message) = state.pop() else { break };
            self.remove(message.n);
        }
    }

    fn remove(&self, n: u64) {
        if let Some(directory) = &self.directory
            && let Err(error) = fs::remove_file(file(directory, n))
        {
            tracing::warn!(n, %error, "mail not deleted");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, message: Message) {
        self.bytes += message.source.len();
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.source.len();
        Some(message)
    }
}

fn file(directory: &Path, n: u64) -> PathBuf {
    directory.join(format!("{n}.eml"))
}

fn list_numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "eml")
            && let Some(n) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            numbers.push(n);
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { messages: 3, bytes: 1000 };

    fn mail(subject: &str) -> Delivery {
        Delivery { from: "shop@example.com".into(), to: vec!["a@example.com".into()], source: format!("Subject: {subject}\r\n\r\n").into() }
    }

    fn subjects(mailbox: &Mailbox) -> Vec<String> {
        mailbox.messages(|_| true).into_iter().filter_map(|message| message.subject).collect()
    }

    #[test]
    fn the_oldest_mails_are_deleted_beyond_the_limits() {
        let mailbox = Mailbox::open(None, LIMITS).unwrap();
        for subject in ["1", "2", "3", "4"] {
            mailbox.store(mail(subject)).unwrap();
        }
        assert_eq!(subjects(&mailbox), ["2", "3", "4"]);
        let large = "x".repeat(980);
        mailbox.store(mail(&large)).unwrap();
        assert_eq!(subjects(&mailbox), [large]);
    }

    #[test]
    fn mails_and_their_numbers_survive_a_restart() {
        let directory = std::env::temp_dir().join(format!("catalog-mailbox-{}", std::process::id()));
        let mailbox = Mailbox::open(Some(directory.clone()), LIMITS).unwrap();
        for subject in ["1", "2", "3", "4"] {
            mailbox.store(mail(subject)).unwrap();
        }
        let mailbox = Mailbox::open(Some(directory.clone()), LIMITS).unwrap();
        assert_eq!(subjects(&mailbox), ["2", "3", "4"]);
        assert_eq!(mailbox.message(4).unwrap().to, ["a@example.com"]);
        assert_eq!(mailbox.store(mail("5")).unwrap(), 5);
        assert_eq!(mailbox.newest(5, 1).first().map(|message| message.n), Some(4));
        mailbox.clear();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        assert_eq!(mailbox.store(mail("6")).unwrap(), 6);
        fs::remove_dir_all(&directory).unwrap();
    }
}
