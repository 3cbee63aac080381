//! Collects the output of a child process.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;
use tokio::sync::Notify;

use crate::wait::DEFAULT_TIMEOUT;

/// Lines that a process wrote. Cheap to clone.
#[derive(Clone, Default)]
pub struct Log(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lines: Mutex<Vec<String>>,
    streams: AtomicUsize,
    more: Notify,
}

impl Log {
    /// Starts a thread that collects a stream until its end.
    pub fn collect(&self, stream: impl Read + Send + 'static) {
        let log = self.clone();
        log.0.streams.fetch_add(1, Ordering::AcqRel);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                log.lock().push(String::from_utf8_lossy(&line).into_owned());
                log.0.more.notify_waiters();
            }
            log.0.streams.fetch_sub(1, Ordering::AcqRel);
            log.0.more.notify_waiters();
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Returns the lines so far that are JSON.
    pub fn entries(&self) -> Vec<Value> {
        self.lock().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until all streams have ended. If the process has a running child, the streams stay open after the process has ended.
    pub async fn complete(&self) {
        let end = async {
            loop {
                let more = self.0.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if self.0.streams.load(Ordering::Acquire) == 0 {
                    return;
                }
                more.await;
            }
        };
        let _ = tokio::time::timeout(DEFAULT_TIMEOUT, end).await;
    }

    /// Waits for the first entry for which `pick` returns a value, and returns the value.
    ///
    /// # Panics
    /// If no such entry is written in time, or the process ends first. The message has the log.
    pub async fn find<T>(&self, what: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
        let search = async {
            loop {
                let more = self.0.more.notified();
                tokio::pin!(more);
                // Registered before the search, so that no line is missed between search and wait.
                more.as_mut().enable();
                let ended = self.0.streams.load(Ordering::Acquire) == 0;
                if let Some(found) = self.entries().iter().find_map(&pick) {
                    return Some(found);
                }
                if ended {
                    return None;
                }
                more.await;
            }
        };
        match tokio::time::timeout(DEFAULT_TIMEOUT, search).await {
            Ok(Some(found)) => found,
            _ => panic!("not in the log: {what}:\n{}", self.lines().join("\n")),
        }
    }
}
