//! What the suites stand on: real PostgreSQL, nats-server, SMTP and `catalog` processes, started by
//! the suite, owned by one test each, and gone when the test process ends, however it ends.
//!
//! A test starts a [`Shop`], talks to it over HTTP as one of its people, and waits for effects
//! with [`eventually`]. What must not happen is shown by a marker: do the silent thing, then a loud
//! one, and see only the loud one arrive.
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
pub mod concurrent_clients;
pub mod container;
pub mod control_plane;
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
