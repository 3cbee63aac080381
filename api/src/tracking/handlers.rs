//! Views and reports over HTTP, for admins.

mod top_products;
mod views;

use std::sync::Arc;

use axum::extract::State;
pub use top_products::*;
pub use views::*;

use super::{
    reports::{self, Reports},
    totals::{self, Total},
};
use crate::{
    http::{
        auth::Admin,
        clock,
        path::Id,
        problem::{Document as ProblemDocument, FieldError, Problem},
    },
    products,
};

impl From<reports::Error> for Problem {
    fn from(error: reports::Error) -> Self {
        let parameter = |name: &str, detail: String| Self::bad_parameters(vec![FieldError::parameter(name, detail)]);
        match error {
            reports::Error::UnknownZone(_) => {
                parameter("tz", "tz is the name of a time zone in the IANA database, such as Europe/Berlin; UTC without it".into())
            }
            reports::Error::EmptyRange => parameter("from", "from is before to; a day given as to counts to its end".into()),
            reports::Error::RangeTooLong => parameter("from", format!("a report covers at most {} days", reports::MAX_DAYS)),
            reports::Error::TooSlow => Self::unavailable("Adding up takes too long. Ask for a shorter range."),
            reports::Error::Busy(busy) => busy.into(),
            reports::Error::Database(error) => error.into(),
        }
    }
}

/// Read how often a product was viewed
///
/// One view is one successful read by somebody who isn't signed in. The count follows within seconds.
#[utoipa::path(get, path = "/v1/products/{id}/views", tag = "reports", operation_id = "read_product_views",
    params(("id" = Uuid, Path, description = "Product id")),
    responses(
        (status = 200, body = Total),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn read_views(State(reports): State<Arc<Reports>>, _: Admin, Id(id): Id) -> Result<axum::Json<Total>, Problem> {
    let pool = &reports.database.primary;
    if !products::exists(pool, id).await? {
        return Err(Problem::not_found("There is no product here. It may have been deleted."));
    }
    Ok(axum::Json(totals::total(pool, id, clock::now()).await?))
}
