//! Reads the output of a child line by line.

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

/// Longest line, in bytes. Longer ones are split.
const MAX_LINE: u64 = 16 * 1024;
/// Number of last lines in the error of a child that fails.
const KEPT_LINES: usize = 10;
/// Timeout for reading the last lines of a child that has exited, because a grandchild may keep the output open.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The output of one child.
pub struct Lines {
    kept: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Lines {
    /// Prints the lines of a child for which `is_shown` is true, and keeps the last lines.
    pub fn read(child: &mut Child, name: Name, is_shown: fn(&str) -> bool, console: Console) -> Self {
        let kept = Arc::default();
        let output = child.stdout.take().map(|output| tokio::spawn(read_output(output, name, is_shown, console, Arc::clone(&kept))));
        let errors = child.stderr.take().map(|output| tokio::spawn(read_output(output, name, is_shown, console, Arc::clone(&kept))));
        Self { kept, readers: output.into_iter().chain(errors).collect() }
    }

    /// Returns the last lines of a child that has exited, indented and with a title, or an empty text.
    pub async fn last(self) -> String {
        let _ = timeout(TIMEOUT, futures::future::join_all(self.readers)).await;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_empty() {
            return String::new();
        }
        kept.iter().rev().fold(String::from(". The end of its log:"), |text, line| text + "\n    " + line)
    }
}

async fn read_output(
    output: impl AsyncRead + Unpin,
    name: Name,
    is_shown: fn(&str) -> bool,
    console: Console,
    kept: Arc<Mutex<VecDeque<String>>>,
) {
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
                if is_shown(text) {
                    console.log_line(name, text);
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.truncate(KEPT_LINES - 1);
                kept.push_front(text.to_owned());
            }
        }
    }
}
