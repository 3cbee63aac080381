//! What a child prints, line by line.

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    task::JoinHandle,
};

use super::super::console::Console;
use super::Name;

/// Longer lines are shown in pieces.
const MAX_LINE: u64 = 16 * 1024;

/// Shows every line of `output` that `shown` picks, until it ends.
pub fn show(output: impl AsyncRead + Unpin + Send + 'static, name: Name, shown: fn(&str) -> bool, console: Console) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut output).take(MAX_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line);
                    let text = text.trim_end();
                    if !text.is_empty() && shown(text) {
                        console.line(name, text);
                    }
                }
            }
        }
    })
}
