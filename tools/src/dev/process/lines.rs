//! What a child prints, line by line.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::Child,
    task::JoinHandle,
    time::timeout,
};

use super::super::console::Console;
use super::Name;

/// Longer lines are shown in pieces, in bytes.
const MAX_LINE: u64 = 16 * 1024;
/// Lines that are kept for the report of a child that fails.
const KEPT: usize = 10;
/// How long the last lines of a child that has exited may take. A child of its own may hold its output open.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The output of one child.
pub struct Lines {
    kept: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Lines {
    /// Shows every line of a child that `shown` picks, and keeps the last ones, until its output ends.
    pub fn of(child: &mut Child, name: Name, shown: fn(&str) -> bool, console: Console) -> Self {
        let kept = Arc::default();
        let output = child.stdout.take().map(|output| tokio::spawn(show(output, name, shown, console, Arc::clone(&kept))));
        let errors = child.stderr.take().map(|output| tokio::spawn(show(output, name, shown, console, Arc::clone(&kept))));
        Self { kept, readers: output.into_iter().chain(errors).collect() }
    }

    /// The last lines of a child that has exited, indented, with a title; or nothing if it printed nothing.
    pub async fn last(self) -> String {
        let _ = timeout(TIMEOUT, futures::future::join_all(self.readers)).await;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_empty() {
            return String::new();
        }
        kept.iter().rev().fold(String::from(". The end of its log:"), |text, line| text + "\n    " + line)
    }
}

async fn show(output: impl AsyncRead + Unpin, name: Name, shown: fn(&str) -> bool, console: Console, kept: Arc<Mutex<VecDeque<String>>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut output).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                if text.is_empty() {
                    continue;
                }
                if shown(text) {
                    console.line(name, text);
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.truncate(KEPT - 1);
                kept.push_front(text.to_owned());
            }
        }
    }
}
