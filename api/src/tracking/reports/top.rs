//! The most viewed products.

use std::time::Duration;

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Range};
use crate::products;

/// How long the database may add up a long range of a large catalogue.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// `query_canceled`, `PostgreSQL` manual, appendix A.
const CANCELED: &str = "57014";

/// A product and its views in a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopProduct {
    /// The product.
    pub product_id: Uuid,
    /// Stock keeping unit; absent once the product is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Display name; absent once the product is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Views, at least 1.
    #[schema(example = 1204, minimum = 1)]
    pub views: i64,
}

/// The `limit` most viewed products, the most viewed first.
///
/// # Errors
/// [`Error::TooSlow`], or if the database refuses.
pub async fn top_products(pool: &PgPool, range: Range, limit: u16) -> Result<Vec<TopProduct>, Error> {
    let most = most_viewed(pool, range, limit).await.map_err(|error| {
        let canceled = error.as_database_error().is_some_and(|error| error.code().is_some_and(|code| code == CANCELED));
        if canceled { Error::TooSlow } else { error.into() }
    })?;
    let ids: Vec<_> = most.iter().map(|(product_id, _)| *product_id).collect();
    let mut names = products::names(pool, &ids).await?;
    let items = most.into_iter().map(|(product_id, views)| {
        let (sku, name) = names.remove(&product_id).map(|name| (name.sku, name.name)).unzip();
        TopProduct { product_id, sku, name, views }
    });
    Ok(items.collect())
}

async fn most_viewed(pool: &PgPool, range: Range, limit: u16) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let timeout = format!("SET LOCAL statement_timeout = {}", TIMEOUT.as_millis());
    sqlx::query(AssertSqlSafe(timeout)).execute(&mut *tx).await?;
    let rows = sqlx::query!(
        r#"SELECT product_id, sum(views)::bigint AS "views!" FROM tracking.hourly_views
           WHERE hour >= $1 AND hour < $2 GROUP BY product_id ORDER BY 2 DESC, product_id LIMIT $3"#,
        range.from,
        range.to,
        i64::from(limit),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row.views)).collect())
}
