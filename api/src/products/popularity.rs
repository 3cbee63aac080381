//! View counts for `sort=views`: a copy that is refreshed about every second.

use sqlx::PgConnection;
use uuid::Uuid;

/// Sets the view counts of products. Unknown ids are ignored.
///
/// # Errors
/// Database errors.
pub async fn refresh_popularity(connection: &mut PgConnection, views: &[(Uuid, i64)]) -> Result<(), sqlx::Error> {
    let (ids, views): (Vec<_>, Vec<_>) = views.iter().copied().unzip();
    sqlx::query!(
        "UPDATE products.popularity AS known SET views = counted.views
         FROM UNNEST($1::uuid[], $2::bigint[]) AS counted (product_id, views)
         WHERE known.product_id = counted.product_id AND known.views <> counted.views",
        &ids,
        &views,
    )
    .execute(connection)
    .await?;
    Ok(())
}
