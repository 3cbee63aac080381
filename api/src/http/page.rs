//! Keyset pages: limits, opaque cursors and the `Link` header.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type, schema::SchemaType},
};

use super::{
    body,
    problem::{FieldError, Problem},
};

/// Number of items per page without `limit`.
pub const DEFAULT_LIMIT: u16 = 50;
/// Maximum number of items per page.
pub const MAX_LIMIT: u16 = 200;
/// Maximum length of a cursor, in characters. A cursor with the longest possible name has about 1300.
const MAX_CURSOR: usize = 2048;

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Written by hand, because the schema that utoipa derives would repeat the schema of the items.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).description(Some("The items."));
        let next_cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Pass it as `cursor` to get the next page; null on the last one."));
        let page = ObjectBuilder::new().description(Some("One page of a list."));
        page.property("items", items).required("items").property("next_cursor", next_cursor).into()
    }
}

/// `ProductPage` is a page of `ListedProduct`, `OrderPage` one of `Order`.
impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name().trim_start_matches("Listed")).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<T: Serialize> Page<T> {
    /// Converts the page to a response to `uri`, with `Link: rel="next"` unless it is the last page.
    pub fn respond(self, uri: &Uri) -> Response {
        let mut body = match serde_json::to_vec(&self) {
            Ok(body) => body,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        // Growing by doubling leaves spare capacity, and a slow client may keep the body in memory for long.
        body.shrink_to_fit();
        let mut response = ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response();
        if let Some(link) = self.next_cursor.as_ref().and_then(|cursor| next_link(uri, cursor)) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let kept = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).filter(|(name, _)| name != "cursor");
    let query = query.extend_pairs(kept).append_pair("cursor", cursor).finish();
    HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", uri.path())).ok()
}

/// The parameters of lists without filters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Items per page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    pub cursor: Option<String>,
}

/// `limit` of a query: how many items a page holds, from 1 to [`MAX_LIMIT`].
#[derive(Debug, Clone, Copy)]
pub struct Limit(u16);

impl Limit {
    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = text.bytes().all(|c| c.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| plain && (1..=MAX_LIMIT).contains(limit));
        limit.map(Self).ok_or_else(|| de::Error::custom(format!("must be a whole number from 1 to {MAX_LIMIT}")))
    }
}

/// Encodes a position as an opaque cursor.
pub fn encode_cursor<T: Serialize>(position: &T) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// Decodes a cursor.
///
/// # Errors
/// 400 for a cursor that this kind of list did not issue.
pub fn decode_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    // Parsed as strictly as bodies: a forged cursor may have values that the database cannot store.
    if cursor.len() > MAX_CURSOR {
        return Err(bad_cursor());
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad_cursor())?;
    body::parse_internal(&bytes).ok_or_else(bad_cursor)
}

/// 400 for a cursor that this list did not issue.
pub fn bad_cursor() -> Problem {
    let detail = "cursor was not issued by this list; start again without it, and use the same sort and filters for all pages";
    Problem::bad_parameters(vec![FieldError::parameter("cursor", detail)])
}
