//! Path parameters. An invalid id or sku gets 404.

use axum::{
    extract::{FromRequestParts, Path, RawPathParams},
    http::request::Parts,
};
use catalog_values::text::Text;
use uuid::Uuid;

use super::{ids, problem::Problem};

/// The `{id}` of the path.
pub struct Id(pub Uuid);

/// The `{sku}` of the path, in NFC.
pub struct Sku(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Sku {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let sku = Path::<String>::from_request_parts(parts, state).await.ok().filter(|Path(sku)| !sku.contains('\0'));
        sku.map(|Path(sku)| Self(sku.into_nfc()))
            .ok_or_else(|| Problem::not_found("The path does not contain a valid sku, so no product has it."))
    }
}

/// The `{id}` of a cart and the `{product_id}` of an item.
pub struct ItemOf {
    /// Id of the cart.
    pub id: Uuid,
    /// Id of the product.
    pub product_id: Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let [id] = uuids(parts, state, ["id"]).await?;
        Ok(Self(id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ItemOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let [id, product_id] = uuids(parts, state, ["id", "product_id"]).await?;
        Ok(Self { id, product_id })
    }
}

async fn uuids<S: Send + Sync, const N: usize>(parts: &mut Parts, state: &S, names: [&str; N]) -> Result<[Uuid; N], Problem> {
    let missing = || Problem::not_found("An id in the path is not a UUID, so no resource has it.");
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
    let uuid = |name: &str| ids::parse(params.iter().find(|(given, _)| *given == name)?.1);
    let mut found = [Uuid::nil(); N];
    for (found, name) in found.iter_mut().zip(names) {
        *found = uuid(name).ok_or_else(missing)?;
    }
    Ok(found)
}
