//! Handler of bulk imports.

use std::{io, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use catalog_rows::{Charset, ReadError};
use futures::Stream;
use serde::Deserialize;
use tokio_util::io::StreamReader;
use utoipa::{IntoParams, ToSchema};

use crate::{
    config::{UploadLimits, UploadSettings},
    http::{
        body::{content_type, require_content_type, unsupported_media_type, upload},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, respond_once},
        problem::{FieldError, Problem},
        query::{self, Query},
        session::{Session, session_ended},
    },
    identity::principal::{Admin, Authentication},
    products::{
        Catalogue,
        import::{self, Format, Import, ImportResult, Permits, RowDocument, RowError},
    },
};

const ROUTE: &str = "POST /v1/products/bulk";
/// `Retry-After` of an admin with too many imports, in seconds.
const RETRY_AFTER: u64 = 5;
/// Attempts of an atomic import, if other transactions contend for its products.
const MAX_ATTEMPTS: usize = 3;

/// Limits and permits of imports through the API.
pub struct Uploads {
    limits: UploadLimits,
    permits: Permits,
}

impl Uploads {
    /// Creates the limits from the settings.
    #[must_use]
    pub fn new(settings: &UploadSettings) -> Self {
        Self { limits: settings.upload, permits: Permits::new(settings.max_per_admin) }
    }
}

/// Query parameters of `POST /v1/products/bulk`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BulkParams {
    /// Import all rows or none: any invalid row rejects all.
    #[serde(default, deserialize_with = "query::flag")]
    atomic: bool,
}

/// The rows as one JSON document.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "schema of the document that the streaming reader accepts")]
pub struct ImportRows {
    /// Rows.
    items: Vec<RowDocument>,
}

/// Import products
///
/// Creates products and updates those whose sku exists; deleted products are not restored. Rows with the same sku are
/// merged: later values win, categories and attributes are combined. Absent fields keep their value; null removes it. The
/// body may have any size, each row up to 1 MiB. Rows are numbered from 1, in CSV after the header. Blank rows (empty
/// lines, and CSV rows with empty cells only) are numbered, skipped and counted in `blank`. If merged rows have different
/// names, the last name is used and reported in `warnings`.
///
/// Slow uploads end with 408: below `IMPORT_MIN_RATE` (500 bytes per second, averaged over `IMPORT_RATE_WINDOW`, 60 s)
/// or after `IMPORT_MAX_DURATION` (1 hour). An admin can have `IMPORT_MAX_PER_ADMIN` (2) concurrent imports; further
/// ones get 429 at once. The session is checked again between the last row and the first write: if the admin was
/// deactivated or signed out meanwhile, nothing is imported. An access token may expire during the upload.
///
/// CSV has a header line with some of the columns `sku`, `name`, `brand`, `description`, `categories` (separated by `|`),
/// `price`, `currency`, `url`, `released_on`, `quantity` and `attributes.<name>`, each at most once, and at most 110 in
/// total. An empty cell counts as absent. The currency defaults to that of the catalogue. Quotes must follow RFC 4180: a
/// quote inside a quoted cell is doubled, only a delimiter or a line end follows a closing quote, and an unquoted cell
/// contains no quote. The first violation ends the import; the error has its line, and nothing is imported.
///
/// The body is UTF-8, or UTF-16 if it starts with a byte order mark. CSV may have another charset if `Content-Type` names
/// it, such as `text/csv; charset=windows-1252`. A body in another encoding is rejected as a whole.
///
/// The other admins get one mail about the whole import. Importing the same rows again changes nothing, so an interrupted
/// import is completed by sending it again. With `atomic=true`, `Idempotency-Key` is accepted as well.
#[utoipa::path(post, path = "/v1/products/bulk", tag = "products",
    params(BulkParams, ("Idempotency-Key" = Option<String>, Header, nullable = false, pattern = "idempotency-key", description = "With atomic=true only: makes retries safe for 24 hours")),
    request_body(content(
        (ImportRows = "application/json"),
        (RowDocument = "application/x-ndjson", example = "{\"sku\": \"BT-100\", \"name\": \"Bar table\", \"price\": {\"amount\": \"265.00\"}}\n{\"sku\": \"BS-200\", \"name\": \"Bar stool\", \"price\": {\"amount\": \"89.00\"}}\n"),
        (String = "text/csv", example = "sku,name,price,categories,attributes.color\nBT-100,Bar table,265.00,Bar furniture|Outdoor,black\n"),
    ), description = "Rows as JSON, newline-delimited JSON (the schema is that of one line; application/ndjson and application/jsonl are accepted as well) or CSV"),
    responses(
        (status = 200, body = ImportResult),
        (status = 400, description = "The body ended early, has invalid quotes or is in another encoding; nothing was imported"),
        (status = 401, description = "Not signed in, or the session ended during the upload; nothing was imported"),
        (status = 408, description = "The upload was too slow or took too long; nothing was imported"),
        (status = 409, description = "The first request with this key is still in progress"),
        (status = 413, description = "A row is longer than 1 MiB"),
        (status = 422, description = "Unknown columns or top-level fields, or an invalid row with atomic=true; nothing was imported"),
        (status = 429, description = "The admin has the maximum number of concurrent imports; nothing was read"),
    ), security(("bearer" = ["admin"])))]
pub async fn import_products(
    State(catalogue): State<Arc<Catalogue>>,
    State(uploads): State<Arc<Uploads>>,
    admin: Admin,
    context: RequestContext,
    Query(params): Query<BulkParams>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let format = format(&headers)?;
    let key = IdempotencyKey::of(&headers, admin.id, ROUTE, b"")?;
    let origin = admin.origin(&context);
    let import = Import { catalogue: &catalogue, permits: &uploads.permits, origin: &origin, clock: clock::now };
    let source = StreamReader::new(Box::pin(upload(request.into_body().into_data_stream(), uploads.limits)));
    let session = &admin.authentication;
    match key {
        _ if params.atomic => import_atomically(&import, session, key, format, source).await,
        None => Ok(axum::Json(import::run(&import, format, source, session.is_active()).await?).into_response()),
        Some(_) => {
            let detail = "Idempotency-Key is accepted only with atomic=true; without it, sending the same rows again changes nothing, so omit the key";
            Err(Problem::bad_parameters(vec![FieldError::parameter("Idempotency-Key", detail)]))
        }
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    const CSV: &str = "text/csv";
    if let Ok((CSV, Some(charset))) = content_type(headers, &[CSV]) {
        return charset.parse().map(Format::Csv).map_err(|()| {
            unsupported_media_type(
                "The charset is unknown. Use a label of the Encoding Standard, such as utf-8, utf-16le, windows-1252 or iso-8859-2, or send UTF-8.",
            )
        });
    }
    let types = ["application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", CSV];
    Ok(match require_content_type(headers, &types)? {
        "application/json" => Format::Json,
        CSV => Format::Csv(Charset::DETECT),
        _ => Format::Ndjson,
    })
}

type Source<S> = StreamReader<S, Bytes>;

/// Runs an atomic import, or returns the stored response of the idempotency key.
async fn import_atomically<S>(
    import: &Import<'_>,
    session: &Authentication,
    key: Option<IdempotencyKey>,
    format: Format,
    source: Source<S>,
) -> Result<Response, Problem>
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let staged = import.stage_atomic(format, source, session.is_active()).await.map_err(atomic_problem)?;
    let key = key.map(|key| key.for_hash(staged.hash()));
    let mut tries = 1..MAX_ATTEMPTS;
    loop {
        let imported = respond_once(import.begin().await?, key.clone(), async |work, reply| {
            let result = import.apply_atomic(work, &staged).await.map_err(atomic_problem)?;
            reply.json(work, StatusCode::OK, Vec::new(), &result).await
        });
        match imported.await {
            Err(problem) if problem.is_retryable() && tries.next().is_some() => {}
            Err(problem) => return Err(problem),
            Ok(response) => {
                staged.clear().await;
                return Ok(response);
            }
        }
    }
}

/// The problem of an atomic import, which commits no rows if it fails.
fn atomic_problem(error: import::Error) -> Problem {
    match error {
        import::Error::Contended => {
            Problem::retryable("The products are being modified by other requests. Nothing was imported; send the same rows again.")
        }
        import::Error::RowsLost => {
            Problem::unavailable("The database was restarted during the import. Nothing was imported; send the same rows again.")
        }
        error => error.into(),
    }
}

impl From<import::Error> for Problem {
    fn from(error: import::Error) -> Self {
        match error {
            import::Error::Read(error) => error.into(),
            import::Error::Rejected(result) => rejected(result),
            import::Error::Busy => Self::unavailable("Too many uploads are in progress. Nothing was imported; retry shortly."),
            import::Error::TooManyImportsOfAdmin { max } => {
                let imports = if max == 1 { "import" } else { "imports" };
                let detail =
                    format!("You have {max} {imports} in progress, which is the limit. Nothing was imported; retry when one has ended.");
                Self::too_many(detail, RETRY_AFTER)
            }
            import::Error::SessionEnded => session_ended("Nothing was imported; sign in and send the rows again."),
            import::Error::Contended => Self::retryable(
                "The products are being modified by other requests. Committed rows stay; send the same rows again to complete the import.",
            ),
            import::Error::RowsLost => Self::unavailable(
                "The database was restarted during the import. Committed rows stay; send the same rows again to complete the import.",
            ),
            import::Error::Database(error) => error.into(),
            import::Error::Reader(error) => Self::internal(&error),
            import::Error::Staged(error) => Self::internal(&error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Malformed { .. } | ReadError::Quotes { .. } => Self::malformed(format!("In {error}. Nothing was imported.")),
            ReadError::Encoding(error) => Self::malformed(format!(
                "The encoding of the body is wrong: {error}. Send UTF-8, UTF-16 with a byte order mark, or CSV with its charset \
                 in Content-Type, such as text/csv; charset=windows-1252. Nothing was imported."
            )),
            ReadError::Shape(fault) => Self::invalid(vec![FieldError::body(fault.pointer, fault.detail)]),
            ReadError::Columns(errors) => {
                let known = "allowed columns: sku, name, brand, description, categories, price, currency, url, released_on, quantity, attributes.<name>";
                Self::invalid(errors.into_iter().map(|error| FieldError::body("", format!("{error}; {known}"))).collect())
            }
            error @ ReadError::TooLarge { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                format!("In the body, {error}. Nothing was imported."),
            ),
            ReadError::Interrupted(error) if error.kind() == io::ErrorKind::TimedOut => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "The request took too long",
                format!("The upload was ended: {error}. Nothing was imported; send fewer rows at a time, or over a faster connection."),
            ),
            ReadError::Interrupted(_) | ReadError::Stopped => {
                Self::malformed("The body ended before its declared length. Nothing was imported; send it again.")
            }
        }
    }
}

/// Response to an atomic import with invalid rows.
fn rejected(ImportResult { failed, errors, more_errors, .. }: ImportResult) -> Problem {
    let listed = errors.len();
    let problem = Problem::invalid(errors.into_iter().map(field_error).collect());
    if listed < 2 {
        return problem;
    }
    let rows = if failed == 1 { "1 row is".to_owned() } else { format!("{failed} rows are") };
    let see = if more_errors == 0 {
        "see errors".to_owned()
    } else {
        format!("errors lists the first {listed}, and there are {more_errors} more")
    };
    problem.with_detail(format!("{rows} invalid, so nothing was imported; {see}.")).with_more_errors(more_errors)
}

fn field_error(RowError { row, pointer, detail, .. }: RowError) -> FieldError {
    FieldError::body(format!("/items/{}{pointer}", row - 1), format!("row {row}: {detail}"))
}
