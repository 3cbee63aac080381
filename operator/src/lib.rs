//! `catalog-operator`: a Kubernetes operator that runs a shop for each `Catalog` resource.
//!
//! The core is pure and has neither client nor clock: [`validate`] checks the declared resource ([`crd`]) against the current
//! state ([`observed`]) and makes a plan, from which [`build`] makes objects.
//!
//! The shell reads the current state ([`dereference`], [`live`]), writes objects ([`apply`]) and reports conditions ([`status`]).
//! [`reconcile`] runs these steps, [`controller`] triggers it, and [`leader`] elects the process that may write.

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
pub mod live;
pub mod mail;
pub mod metadata;
pub mod metrics;
pub mod observed;
pub mod ops;
pub mod reconcile;
pub mod render;
pub mod run;
pub mod secrets;
pub mod status;
pub mod validate;
