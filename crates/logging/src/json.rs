//! The JSON format of log lines. The fields of an event and of all spans around it are at the top level, so that
//! `jq 'select(.request_id == "…")'` finds all lines of a request.

use std::io::Write;

use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use tracing::{Event, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    Layer,
    fmt::{
        MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
    registry::LookupSpan,
};

use crate::fields::Fields;

/// A layer that writes every event as one line.
pub struct JsonLayer<W> {
    writer: W,
}

impl<W> JsonLayer<W> {
    /// Creates a layer that writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }
}

impl<S, W> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields(Vec::with_capacity(attributes.metadata().fields().len()));
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Vec::with_capacity(512);
        if write_line(&mut line, event, &context).is_ok() {
            line.push(b'\n');
            // If the line cannot be written, an error message cannot be written either.
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
        }
    }
}

fn write_line<S>(line: &mut Vec<u8>, event: &Event<'_>, context: &Context<'_, S>) -> Result<(), serde_json::Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let normalized = event.normalized_metadata();
    let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let mut event_fields = Fields::default();
    event.record(&mut event_fields);

    let mut serializer = serde_json::Serializer::new(line);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", &timestamp)?;
    map.serialize_entry("level", metadata.level().as_str())?;
    let message = event_fields.0.iter().find(|(name, _)| *name == "message");
    map.serialize_entry("message", message.map_or(&Value::Null, |(_, value)| value))?;
    map.serialize_entry("target", metadata.target())?;
    let mut written = vec!["timestamp", "level", "message", "target"];
    let mut add = |fields: &Fields| {
        for (name, value) in &fields.0 {
            // Each name occurs once. Fields of the event override those of spans, and inner spans override outer ones.
            if !written.contains(name) {
                written.push(name);
                map.serialize_entry(name, value)?;
            }
        }
        Ok::<_, serde_json::Error>(())
    };
    add(&event_fields)?;
    for span in context.event_scope(event).into_iter().flatten() {
        if let Some(fields) = span.extensions().get::<Fields>() {
            add(fields)?;
        }
    }
    map.end()
}

#[cfg(test)]
mod tests;
