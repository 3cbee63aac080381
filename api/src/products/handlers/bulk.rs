//! Importing many products.

use std::{io, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::Stream;
use serde::Deserialize;
use tokio_util::io::StreamReader;
use utoipa::{IntoParams, ToSchema};

use crate::{
    config::{UploadLimits, UploadSettings},
    http::{
        auth::{Admin, Authentication, session_ended},
        body::{content_type, require_content_type, unsupported_media_type, upload},
        clock,
        context::RequestContext,
        idempotency::{IdempotencyKey, StorableResponse},
        problem::{Document as ProblemDocument, FieldError, Problem},
        query::{self, Query},
    },
    products::{
        Catalogue,
        import::{self, Charset, Format, Import, ImportResult, Permits, RowDocument, RowError, rows::ReadError},
    },
};

const ROUTE: &str = "POST /v1/products/bulk";
/// Seconds until an admin may try again who has too many imports.
const RETRY_AFTER: u64 = 5;
/// Times an import of all or nothing is tried that others are in the way of.
const TRIES: usize = 3;

/// The limits of imports through the API, and the permits of this process.
pub struct Uploads {
    limits: UploadLimits,
    permits: Permits,
}

impl Uploads {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &UploadSettings) -> Self {
        Self { limits: settings.upload, permits: Permits::new(settings.max_per_admin) }
    }
}

/// Query of `POST /v1/products/bulk`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BulkParams {
    /// All or nothing: any row that cannot be imported refuses them all.
    #[serde(default, deserialize_with = "query::flag")]
    atomic: bool,
}

/// Rows as one JSON document.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "documents what the streaming reader takes")]
pub struct BulkItems {
    /// The rows.
    items: Vec<RowDocument>,
}

/// Import products
///
/// Creates products and updates those whose sku exists; a deleted product is never revived. Rows of
/// one sku are merged: what a later row gives wins, categories and attributes are united. Fields a
/// row doesn't give stay as they are, null removes. The body may be of any size, each row up to 1 MiB.
/// Rows are numbered from 1 after the header of CSV. Empty lines and rows of CSV without anything in their cells
/// have a number as well; they are skipped and counted as `blank`. When merged rows
/// have different names, the name of the last one is taken, and `warnings` says so.
///
/// A slow upload is ended with 408: below `IMPORT_MIN_RATE` (500 bytes per second, averaged over
/// `IMPORT_RATE_WINDOW`, 60 s) or after `IMPORT_MAX_DURATION` (1 hour). One admin may have
/// `IMPORT_MAX_PER_ADMIN` (2) imports in progress; another gets 429 at once. The session is checked again after
/// the last row and before the first write: if the admin was deactivated or signed out meanwhile, nothing is
/// imported. An access token that expires during the upload doesn't matter.
///
/// CSV has a header line with some of the columns `sku`, `name`, `brand`, `description`, `categories`
/// (separated by `|`), `price`, `currency`, `url`, `released_on`, `quantity` and `attributes.<name>`, each once and at
/// most 110 in all; an empty cell is not given. A missing currency is the catalogue's. Quotes are those of RFC 4180: a
/// quote inside a quoted cell is doubled, only a delimiter or a line end follows a closing quote, and a cell that is not
/// quoted contains no quote. At the first violation reading ends with its line number, and nothing is imported.
///
/// The body is in UTF-8, or in UTF-16 if it starts with a byte order mark. CSV may have another charset if `Content-Type`
/// names it, such as `text/csv; charset=windows-1252`. A body in another encoding is rejected as a whole.
///
/// The other admins get one mail for the import as a whole. Sending the same rows again changes
/// nothing, so an import that was cut short is completed by sending it again; with `atomic=true`
/// also `Idempotency-Key` is taken.
#[utoipa::path(post, path = "/v1/products/bulk", tag = "products", operation_id = "import_products",
    params(BulkParams, ("Idempotency-Key" = Option<String>, Header, nullable = false, pattern = r#"^("[!#-~]{1,255}"|[!#-~]{1,255})$"#, description = "1 to 255 visible ASCII characters without quotes, all of it in quotes or not. With atomic=true only: makes retries safe for 24 hours")),
    request_body(content(
        (BulkItems = "application/json"),
        (RowDocument = "application/x-ndjson"),
        (RowDocument = "application/ndjson"),
        (RowDocument = "application/jsonl"),
        (String = "text/csv", example = "sku,name,price,categories,attributes.color\n90420332,Bar table,265.00,Bar furniture|Outdoor,black\n"),
    ), description = "Rows as JSON, newline-delimited JSON (under any of its three names; the schema is that of one line) or CSV"),
    responses(
        (status = 200, body = ImportResult),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "Not readable to its end, wrong quotes in CSV, or another encoding: nothing was imported"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json", description = "Not signed in, or the session ended during the upload: nothing was imported"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, body = ProblemDocument, content_type = "application/problem+json", description = "The upload was too slow or took too long: nothing was imported"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The first request with this key is still running",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "A row is longer than 1 MiB"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "Unknown columns or top-level fields, or a wrong row with atomic=true: nothing was imported"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "The admin has too many imports in progress: nothing was read",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn bulk(
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
        _ if params.atomic => whole(&import, session, key, format, source).await,
        None => Ok(axum::Json(import::run(&import, format, source, session.is_valid()).await?).into_response()),
        Some(_) => {
            let detail = "bulk takes it only with atomic=true; otherwise send the same rows again, which changes nothing twice";
            Err(Problem::bad_parameters(vec![FieldError::parameter("Idempotency-Key", detail)]))
        }
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    const CSV: &str = "text/csv";
    if let Ok((CSV, Some(charset))) = content_type(headers, &[CSV]) {
        return charset.parse().map(Format::Csv).map_err(|()| {
            unsupported_media_type(
                "Name a charset of the Encoding Standard, such as utf-8, utf-16le, windows-1252 or iso-8859-2, or send UTF-8.",
            )
        });
    }
    let types = ["application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", CSV];
    Ok(match require_content_type(headers, &types)? {
        "application/json" => Format::Json,
        CSV => Format::Csv(Charset::BY_MARK),
        _ => Format::Ndjson,
    })
}

type Source<S> = StreamReader<S, Bytes>;

/// All or nothing, with the stored response if this was asked before.
async fn whole<S>(
    import: &Import<'_>,
    session: &Authentication,
    key: Option<IdempotencyKey>,
    format: Format,
    source: Source<S>,
) -> Result<Response, Problem>
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let staged = import.stage_whole(format, source, session.is_valid()).await?;
    let key = key.map(|key| key.for_hash(staged.hash()));
    let mut tries = 1..TRIES;
    loop {
        let now = clock::now();
        let mut tx = import.catalogue.database.primary.begin().await?;
        if let Some(key) = &key
            && let Some(stored) = key.claim(&mut tx, now).await?
        {
            return Ok(stored.into());
        }
        let (result, touched) = match import.apply_whole(&mut tx, &staged).await {
            Err(import::Error::Contended) if tries.next().is_some() => continue,
            applied => applied?,
        };
        let response =
            StorableResponse { status: StatusCode::OK, headers: Vec::new(), body: serde_json::to_vec(&result).unwrap_or_default() };
        if let Some(key) = &key {
            key.store(&mut tx, &response, now).await?;
        }
        tx.commit().await?;
        import.committed(staged, touched).await?;
        return Ok(response.into());
    }
}

impl From<import::Error> for Problem {
    fn from(error: import::Error) -> Self {
        match error {
            import::Error::Read(error) => error.into(),
            import::Error::Rejected(result) => rejected(result),
            import::Error::Busy => Self::unavailable("Too many uploads are in progress. Nothing was imported; retry shortly."),
            import::Error::TooManyOfAdmin { max } => {
                let imports = if max == 1 { "import" } else { "imports" };
                let detail =
                    format!("You have {max} {imports} in progress, which is the limit. Nothing was imported; retry when one has ended.");
                Self::too_many(detail, RETRY_AFTER)
            }
            import::Error::SessionEnded => session_ended("Nothing was imported; sign in and send the rows again."),
            import::Error::Contended => Self::unavailable(
                "Others are changing the same products at the same time. Send the import again: what is already imported is left as it is.",
            ),
            import::Error::RowsLost => {
                Self::unavailable("The database was restarted during the import. Send it again: what is already imported is left as it is.")
            }
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
            ReadError::Columns(complaints) => {
                let known = "the columns are sku, name, brand, description, categories, price, currency, url, released_on, quantity and attributes.<name>";
                Self::invalid(complaints.into_iter().map(|complaint| FieldError::body("", format!("{complaint}; {known}"))).collect())
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
                Self::malformed("The body could not be read to its end. Nothing was imported.")
            }
        }
    }
}

/// All or nothing was asked for, and some rows are invalid.
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
