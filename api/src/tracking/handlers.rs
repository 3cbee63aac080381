//! HTTP handlers of views and reports, for admins, and the problem documents of their errors.

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
        clock,
        path::Id,
        problem::{FieldError, Problem},
    },
    identity::principal::Admin,
    products,
};

impl From<reports::Error> for Problem {
    fn from(error: reports::Error) -> Self {
        let parameter = |name: &str, detail: String| Self::bad_parameters(vec![FieldError::parameter(name, detail)]);
        match error {
            reports::Error::UnknownZone(_) => {
                parameter("tz", "tz must be the name of an IANA time zone such as Europe/Berlin; omit it for UTC".into())
            }
            reports::Error::EmptyRange => parameter("from", "from must be before to; a day in to includes its end".into()),
            reports::Error::RangeTooLong => parameter("from", format!("a report must not cover more than {} days", reports::MAX_DAYS)),
            reports::Error::TooSlow => Self::unavailable("The report takes too long. Request a shorter range."),
            reports::Error::Busy(busy) => busy.into(),
            reports::Error::Database(error) => error.into(),
        }
    }
}

/// Read the view count of a product
///
/// Each successful read by an anonymous client is one view. It is counted within seconds.
#[utoipa::path(get, path = "/v1/products/{id}/views", tag = "reports",
    params(("id" = Uuid, Path, description = "Product id")),
    responses((status = 200, body = Total)), security(("bearer" = ["admin"])))]
pub async fn read_product_views(State(reports): State<Arc<Reports>>, _: Admin, Id(id): Id) -> Result<axum::Json<Total>, Problem> {
    let pool = &reports.database.primary;
    if !products::exists(pool, id).await? {
        return Err(Problem::not_found("The product does not exist. It may have been deleted."));
    }
    Ok(axum::Json(totals::read_total(pool, id, clock::now()).await?))
}
