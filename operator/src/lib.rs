//! `catalog-operator`: one `Catalog` resource becomes a shop on Kubernetes.
//!
//! The core is pure: what was declared ([`crd`]) and what was read ([`observed`]) become a checked
//! plan ([`validate`]), and the plan becomes objects ([`build`]). Nothing in it has a client or a clock.
//!
//! The shell around it reads ([`dereference`], [`live`]), writes ([`apply`]) and reports ([`status`]); [`reconcile`] is the way
//! through all of it, [`controller`] says when, and [`leader`] who.

pub mod apply;
pub mod build;
pub mod cli;
pub mod connection;
pub mod controller;
pub mod crd;
pub mod dereference;
pub mod error;
pub mod installation;
pub mod kinds;
pub mod leader;
pub mod listener;
pub mod live;
pub mod mail;
pub mod metrics;
pub mod observed;
pub mod ops;
pub mod reconcile;
pub mod render;
pub mod run;
pub mod secrets;
pub mod status;
pub mod validate;
