//! Report of the most viewed products.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Range};
use crate::{database, products};

/// A product and its views in a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopProduct {
    /// Product id.
    pub product_id: Uuid,
    /// Sku; absent if the product was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Name; absent if the product was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Views, at least 1.
    #[schema(example = 1204, minimum = 1)]
    pub views: i64,
}

/// Reads the `limit` most viewed products, most viewed first.
///
/// # Errors
/// [`Error::TooSlow`], or database errors.
pub async fn read_top_products(conn: &mut PgConnection, range: Range, limit: u16) -> Result<Vec<TopProduct>, Error> {
    let most = most_viewed(&mut *conn, range, limit).await;
    let most = most.map_err(|error| if database::is_statement_timeout(&error) { Error::TooSlow } else { error.into() })?;
    let ids: Vec<_> = most.iter().map(|(product_id, _)| *product_id).collect();
    let mut names = products::read_names(conn, &ids).await?;
    let items = most.into_iter().map(|(product_id, views)| {
        let (sku, name) = names.remove(&product_id).map(|name| (name.sku, name.name)).unzip();
        TopProduct { product_id, sku, name, views }
    });
    Ok(items.collect())
}

async fn most_viewed(conn: &mut PgConnection, range: Range, limit: u16) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT product_id, sum(views)::bigint AS "views!" FROM tracking.hourly_views
           WHERE hour >= $1 AND hour < $2 GROUP BY product_id ORDER BY 2 DESC, product_id LIMIT $3"#,
        range.from,
        range.to,
        i64::from(limit),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row.views)).collect())
}
