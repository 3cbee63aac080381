//! The control-plane suite: tests of the operator on a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

mod autoscaling;
mod call_recorder;
mod complete;
mod degraded;
mod drift;
mod faults;
mod generated_secrets;
mod idle;
mod installation;
mod installations;
mod keda;
mod large_spec;
mod last_applied;
mod leader;
mod lease_rejected;
mod mail;
mod pods;
mod recovery;
mod rejected;
mod rejected_rollout;
mod reports;
mod retention;
mod reverted;
mod rotation;
mod scale;
mod volumes;
mod watch_faults;
mod watches;
