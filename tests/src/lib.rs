//! Library of the test suites: they start real PostgreSQL, nats-server, SMTP and `catalog` processes, which end with the test
//! process, even if it is killed.
//!
//! A test starts a [`Shop`], sends requests as one of its accounts, and waits for effects with [`eventually`]. To test that an
//! action has no effect, a test performs it, then an action with an effect, and waits for the latter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "in a test, a panic is the report of a failure"
)]

pub mod api;
pub mod bench;
pub mod buying;
pub mod container;
pub mod control_plane;
pub mod customer_sessions;
pub mod image;
pub mod inbox;
pub mod log;
pub mod modules;
pub mod nats;
pub mod openapi;
pub mod people;
pub mod postgres;
pub mod process;
pub mod process_guard;
pub mod programs;
pub mod proxy;
pub mod raw;
pub mod samples;
pub mod schema;
pub mod scratch;
pub mod shared;
pub mod shop;
pub mod tls;
pub mod tokens;
pub mod wait;

pub use api::{Api, Reply};
pub use inbox::{Inbox, Mail};
pub use process::{Process, Role};
pub use shop::{Builder, Shop};
pub use wait::eventually;
