//! The control-plane suite: what the operator promises, shown against a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

mod autoscaling;
mod faults;
mod heal;
mod honest;
mod installation;
mod installations;
mod keda;
mod last_applied;
mod leader;
mod mail;
mod paths;
mod pods;
mod recover;
mod rejected;
mod reports;
mod rest;
mod rotation;
mod safe;
mod scale;
mod volumes;
mod wakes;
mod watches;
mod wire;
