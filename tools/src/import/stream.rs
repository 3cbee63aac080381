//! Streams a file: a thread reads and maps rows into a bounded buffer of chunks.

use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    mapping::{Mapped, Mapping},
    source::{ParsedRow, Source},
};

/// Approximate size of a chunk, in bytes.
const CHUNK_SIZE: usize = 64 * 1024;
/// Chunks that are read ahead of the network.
const BUFFERED_CHUNKS: usize = 4;

/// Returns the rows of a file as NDJSON, and the task that reads it. If the stream fails, the task returns the cause.
pub fn rows(source: Source, mapping: Arc<Mapping>) -> (impl Stream<Item = io::Result<Bytes>> + use<>, JoinHandle<anyhow::Result<()>>) {
    let (sender, receiver) = mpsc::channel(BUFFERED_CHUNKS);
    let reading = spawn_blocking(move || {
        let bar = progress(&source);
        let mut chunk = Vec::with_capacity(2 * CHUNK_SIZE);
        let read = source.read(&mapping, |file| bar.wrap_read(file), &mut |_, found| {
            match found {
                ParsedRow::Record(record) => push(&mut chunk, &mapping.row(&record)),
                // The API rejects null, and the following rows keep their numbers.
                ParsedRow::Unreadable(_) => chunk.extend_from_slice(b"null"),
                ParsedRow::Blank => {}
            }
            chunk.push(b'\n');
            if chunk.len() < CHUNK_SIZE {
                return ControlFlow::Continue(());
            }
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(2 * CHUNK_SIZE));
            if sender.blocking_send(Ok(full.into())).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // Without an error at the end, a part of a file would be imported as if it were complete.
        let last = if read.is_ok() { Ok(chunk.into()) } else { Err(io::Error::other("the file cannot be read to its end")) };
        let _ = sender.blocking_send(last);
        bar.finish_and_clear();
        read
    });
    let chunks = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    (chunks, reading)
}

fn push(chunk: &mut Vec<u8>, Mapped { row, faults }: &Mapped) {
    let row = if faults.is_empty() { row } else { &Value::Null };
    // Writing a value into memory cannot fail.
    let _ = serde_json::to_writer(chunk, row);
}

fn progress(source: &Source) -> ProgressBar {
    let length = std::fs::metadata(&source.path).map_or(0, |metadata| metadata.len());
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::with_draw_target(Some(length), target);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
