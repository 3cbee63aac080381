//! The control-plane suite: what the operator promises, shown against a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

mod faults;
mod heal;
mod keda;
mod last_applied;
mod leader;
mod paths;
mod recover;
mod refused;
mod rest;
mod safe;
mod volumes;
mod watches;
mod wire;
