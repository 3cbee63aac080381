//! Fields of spans and events as JSON values.

use std::fmt::{self, Debug};

use serde_json::Value;
use tracing::field::{Field, Visit};

/// Fields in the order in which they were recorded.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub Vec<(&'static str, Value)>);

impl Fields {
    /// Adds a field, or replaces the value of a field that was recorded before.
    fn set(&mut self, field: &Field, value: Value) {
        match self.0.iter_mut().find(|(name, _)| *name == field.name()) {
            Some((_, old)) => *old = value,
            None => self.0.push((field.name(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, crate::Chain(value).to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // These fields are the metadata of records of the `log` crate. The line has them already.
        if !field.name().starts_with("log.") {
            self.set(field, fmt::format(format_args!("{value:?}")).into());
        }
    }
}
