//! The service suite: every endpoint and every promise, from outside, on real parts.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

mod admins;
mod bad_input;
mod bulk;
mod bulk_formats;
mod cache;
mod configuration;
mod customers;
mod document;
mod events;
mod faults_kill;
mod faults_mail;
mod faults_nats;
mod faults_network;
mod faults_postgres;
mod faults_streams;
mod fuzz;
mod idempotency;
mod import;
mod keys;
mod list;
mod mail;
mod operations;
mod patch;
mod products;
mod protocol;
mod reports;
mod sessions;
mod shutdown;
mod stock;
mod strictness;
mod tokens;
mod traffic;
mod views;
mod walk;
