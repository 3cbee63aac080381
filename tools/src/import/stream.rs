//! A file on its way: read and mapped on a thread of its own, a bounded number of rows ahead of the network.

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
    source::{Found, Source},
};

/// Bytes sent at once, about.
const PIECE: usize = 64 * 1024;
/// Pieces ahead of the network.
const AHEAD: usize = 4;

/// The rows of a file as NDJSON, and the task that reads it: it fails as the stream does, and says why.
pub fn rows(source: Source, mapping: Arc<Mapping>) -> (impl Stream<Item = io::Result<Bytes>> + use<>, JoinHandle<anyhow::Result<()>>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let reading = spawn_blocking(move || {
        let bar = progress(&source);
        let mut piece = Vec::with_capacity(2 * PIECE);
        let read = source.read(&mapping, |file| bar.wrap_read(file), &mut |_, found| {
            match found {
                Found::Record(record) => push(&mut piece, &mapping.row(&record)),
                // A row that cannot be read keeps its number: null is rejected like it.
                Found::Unreadable(_) => piece.extend_from_slice(b"null"),
                Found::Blank => {}
            }
            piece.push(b'\n');
            if piece.len() < PIECE {
                return ControlFlow::Continue(());
            }
            let full = std::mem::replace(&mut piece, Vec::with_capacity(2 * PIECE));
            if sender.blocking_send(Ok(full.into())).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // Without an error at its end a part of a file would look whole.
        let last = if read.is_ok() { Ok(piece.into()) } else { Err(io::Error::other("the file cannot be read to its end")) };
        let _ = sender.blocking_send(last);
        bar.finish_and_clear();
        read
    });
    let pieces = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    (pieces, reading)
}

fn push(piece: &mut Vec<u8>, Mapped { row, faults }: &Mapped) {
    let row = if faults.is_empty() { row } else { &Value::Null };
    // Writing a value into memory cannot fail.
    let _ = serde_json::to_writer(piece, row);
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
