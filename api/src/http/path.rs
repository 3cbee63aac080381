//! Path parameters: what cannot be an id or a sku names nothing, hence 404.

use axum::{
    extract::{FromRequestParts, Path, RawPathParams},
    http::request::Parts,
};
use uuid::Uuid;

use super::problem::Problem;

/// The `{id}` of the path.
pub struct Id(pub Uuid);

/// The `{sku}` of the path.
pub struct Sku(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Sku {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let sku = Path::<String>::from_request_parts(parts, state).await.ok().filter(|Path(sku)| !sku.contains('\0'));
        sku.map(|Path(sku)| Self(sku)).ok_or_else(|| Problem::not_found("The sku in the path cannot be one, so there is nothing by it."))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let missing = || Problem::not_found("The id in the path is not a UUID, so there is nothing by that id.");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
        params.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok()).map(Self).ok_or_else(missing)
    }
}
