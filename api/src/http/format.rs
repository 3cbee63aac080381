//! JSON or CSV, by content negotiation.

use std::cmp::Reverse;

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Deserialize;
use utoipa::ToSchema;

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/csv`.
    Csv,
}

/// `Content-Type` of CSV, RFC 4180 and RFC 7111.
const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8; header=present");

impl Format {
    /// Returns the format of the parameter, otherwise that of the `Accept` header, otherwise JSON.
    pub fn choose(parameter: Option<Self>, headers: &HeaderMap) -> Self {
        parameter.unwrap_or_else(|| {
            let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
            let ranges: Vec<_> = lines.flat_map(|line| line.split(',')).map(|range| (essence(range), weight(range))).collect();
            let csv = wanted(&ranges, ["text/csv", "text/*", "*/*"]);
            if csv > wanted(&ranges, ["application/json", "application/*", "*/*"]) { Self::Csv } else { Self::Json }
        })
    }
}

/// Returns the weight of a media type: that of the most specific range that matches it (RFC 9110, section 12.5.1). Of two types with
/// the same weight, the one with the more specific range is preferred.
fn wanted(given: &[(String, u16)], ranges: [&str; 3]) -> (u16, Reverse<usize>) {
    let found = ranges.iter().enumerate().find_map(|(distance, range)| {
        let weight = given.iter().find(|(essence, _)| essence == range)?.1;
        Some((weight, Reverse(distance)))
    });
    found.filter(|(weight, _)| *weight > 0).unwrap_or((0, Reverse(ranges.len())))
}

/// Adds `Vary: Accept`, for caches.
pub fn varies(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Returns the headers of a CSV response that browsers save as `name`.
pub fn csv_headers(name: &'static str) -> [(header::HeaderName, HeaderValue); 2] {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).unwrap_or(HeaderValue::from_static("attachment"));
    [(header::CONTENT_TYPE, CSV), (header::CONTENT_DISPOSITION, disposition)]
}

fn essence(range: &str) -> String {
    range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns the weight `q` in thousandths (RFC 9110, section 12.4.2).
fn weight(range: &str) -> u16 {
    let q = range.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix(['q', 'Q'])?.strip_prefix('='));
    let q: f32 = q.map_or(1.0, |q| q.parse().unwrap_or(0.0));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let thousandths = (q.clamp(0.0, 1.0) * 1000.0) as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &'static str) -> Format {
        Format::choose(None, &HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn without_the_parameter_the_accept_header_decides() {
        assert_eq!(Format::choose(None, &HeaderMap::new()), Format::Json);
        for csv in [
            "text/csv",
            "text/csv; header=present, */*",
            "application/json;q=0.5, text/csv;q=0.9",
            "*/*, text/csv",
            "Text/CSV",
            "text/*",
            "application/json;Q=0.1, text/*;q=0.4",
            "application/json;q=0.1, */*",
            "application/json;q=0, */*",
        ] {
            assert_eq!(accepting(csv), Format::Csv, "{csv}");
        }
        for json in [
            "*/*",
            "application/json",
            "text/csv, application/json",
            "text/csv;q=0, text/html",
            "text/csv;q=x",
            "text/html",
            "text/csv;Q=0.1, application/json;q=0.4",
            "text/*, text/csv;q=0.1, application/json;q=0.5",
            "text/*;q=0.9, text/csv;q=0",
        ] {
            assert_eq!(accepting(json), Format::Json, "{json}");
        }
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/csv"))]);
        assert_eq!(Format::choose(Some(Format::Json), &headers), Format::Json);
    }
}
