//! Settings in two steps, so that all wrong ones are reported at once and not one per start: clap collects the raw text (and writes
//! `--help`), then [`Checker`] turns it into checked values or into a list of errors that each name the setting, its value and what is
//! allowed.

mod check;
mod ops;

pub use check::{Checker, ConfigError, Secret};
pub use ops::{LogArgs, OpsArgs, OpsSettings};
