//! The pages and the JSON API.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /`, `GET /messages/{n}` | pages |
//! | `GET /messages/{n}/source` | the mail as it was received |
//! | `GET /api/messages` | `[{n, from, to, subject, message_id, date, text}]`, oldest first; `to` filters by recipient, `after` by number; with `count`, waits at most `wait_ms` milliseconds for that many mails |
//! | `DELETE /api/messages` | deletes all |
//! | `GET, POST /api/chaos` | `{mode, times?}`, see [`super::chaos`] |

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    chaos::{Chaos, Setting},
    mailbox::Mailbox,
    message::Message,
    page,
};

/// Mails per page.
const PAGE: usize = 100;
/// Longest wait for mails, in milliseconds.
const MAX_WAIT: u64 = 120_000;
/// The pages show untrusted mail, so they may not load or run anything.
const POLICY: (header::HeaderName, &str) = (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'");

/// Serves until `stop`.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>, chaos: Arc<Chaos>, stop: CancellationToken) -> anyhow::Result<()> {
    let mail = Router::new()
        .route("/", get(list_page))
        .route("/messages/{n}", get(message_page))
        .route("/messages/{n}/source", get(source))
        .route("/api/messages", get(list).delete(clear))
        .with_state(Inbox { mailbox, stop: stop.clone() });
    let faults = Router::new().route("/api/chaos", get(setting).post(set)).with_state(chaos);
    axum::serve(listener, mail.merge(faults)).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

#[derive(Clone)]
struct Inbox {
    mailbox: Arc<Mailbox>,
    stop: CancellationToken,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesQuery {
    to: Option<String>,
    #[serde(default)]
    after: u64,
    count: Option<usize>,
    #[serde(default)]
    wait_ms: u64,
}

async fn list(State(inbox): State<Inbox>, Query(query): Query<MessagesQuery>) -> Json<Vec<Message>> {
    let count = query.count.unwrap_or(0);
    let matches = |message: &Message| message.n > query.after && query.to.as_ref().is_none_or(|to| message.to.contains(to));
    // Subscribed before the first count, so that no arrival is missed.
    let mut arrivals = inbox.mailbox.arrivals();
    let enough = async {
        loop {
            if inbox.mailbox.count(matches) >= count || arrivals.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = inbox.stop.cancelled() => {}
        _ = timeout(Duration::from_millis(query.wait_ms.min(MAX_WAIT)), enough) => {}
    }
    Json(inbox.mailbox.messages(matches))
}

async fn clear(State(inbox): State<Inbox>) -> StatusCode {
    inbox.mailbox.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct PageQuery {
    before: Option<u64>,
}

async fn list_page(State(inbox): State<Inbox>, Query(query): Query<PageQuery>) -> Response {
    let shown = inbox.mailbox.newest(query.before.unwrap_or(u64::MAX), PAGE);
    html(page::list(&shown, inbox.mailbox.count(|_| true), shown.len() == PAGE))
}

async fn message_page(State(inbox): State<Inbox>, Path(n): Path<u64>) -> Response {
    match inbox.mailbox.message(n) {
        Some(message) => html(page::message(&message)),
        None => (StatusCode::NOT_FOUND, "mail not found\n").into_response(),
    }
}

async fn source(State(inbox): State<Inbox>, Path(n): Path<u64>) -> Response {
    match inbox.mailbox.message(n) {
        Some(message) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), NO_SNIFF], message.source).into_response(),
        None => (StatusCode::NOT_FOUND, "mail not found\n").into_response(),
    }
}

const NO_SNIFF: (header::HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

async fn setting(State(chaos): State<Arc<Chaos>>) -> Json<Setting> {
    Json(chaos.setting())
}

async fn set(State(chaos): State<Arc<Chaos>>, Json(setting): Json<Setting>) -> Json<Setting> {
    chaos.set(setting);
    tracing::info!(mode = ?setting.mode, times = setting.times, "fault injection changed");
    Json(setting)
}

fn html(page: Result<String, minijinja::Error>) -> Response {
    match page {
        Ok(page) => ([POLICY], Html(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, "page not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
