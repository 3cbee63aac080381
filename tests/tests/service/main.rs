//! The service suite: every endpoint and every promise, from outside, on real parts.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]
