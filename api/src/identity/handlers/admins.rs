//! Handlers of admins.

use axum::{
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    http::{
        body::{Json, MergePatch},
        clock,
        page::{self, Page, PageParams},
        path::Id,
        problem::Problem,
        public_url::PublicUrl,
        query::Query,
    },
    identity::{AdminAccount, AdminPatch, Identity, NewAdmin, principal::Admin},
};

/// Position of the cursor in a list of admins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    admin: Uuid,
}

/// Names the page in the OpenAPI document.
type AdminPage = Page<AdminAccount>;

/// List admins
///
/// Oldest first, deactivated ones included.
#[utoipa::path(get, path = "/v1/admins", tag = "admins",
    params(PageParams),
    responses((status = 200, body = AdminPage)), security(("bearer" = ["admin"])))]
pub async fn list_admins(
    State(identity): State<Identity>,
    _: Admin,
    uri: Uri,
    Query(params): Query<PageParams>,
) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or_default().get();
    let after = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    let (items, next) = identity.accounts::<AdminAccount>(None, after.map(|position| position.admin), limit).await?;
    Ok(Page { items, next_cursor: next.map(|admin| page::encode_cursor(&Position { admin })) }.respond(&uri))
}

/// Create an admin
#[utoipa::path(post, path = "/v1/admins", tag = "admins",
    request_body = NewAdmin,
    responses(
        (status = 201, body = AdminAccount, headers(("Location" = String))),
        (status = 409, description = "The username or the address is taken"),
    ), security(("bearer" = ["admin"])))]
pub async fn create_admin(
    State(identity): State<Identity>,
    State(public_url): State<PublicUrl>,
    _: Admin,
    Json(new): Json<NewAdmin>,
) -> Result<Response, Problem> {
    let admin: AdminAccount = identity.create(new, clock::now()).await?;
    let location = format!("{}/v1/admins/{}", public_url.0, admin.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(admin)).into_response())
}

/// Read an admin
#[utoipa::path(get, path = "/v1/admins/{id}", tag = "admins",
    params(("id" = Uuid, Path, description = "Admin id")),
    responses((status = 200, body = AdminAccount)), security(("bearer" = ["admin"])))]
pub async fn read_admin(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<axum::Json<AdminAccount>, Problem> {
    Ok(axum::Json(identity.account(id).await?))
}

/// Change an admin
///
/// A JSON merge patch (RFC 7396): absent fields keep their values. A new password revokes all sessions of the admin.
#[utoipa::path(patch, path = "/v1/admins/{id}", tag = "admins",
    params(("id" = Uuid, Path, description = "Admin id")),
    request_body(content = AdminPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, body = AdminAccount),
        (status = 403, description = "Not an admin, or the target is the superuser"),
        (status = 409, description = "The username or the address is taken"),
    ), security(("bearer" = ["admin"])))]
pub async fn patch_admin(
    State(identity): State<Identity>,
    _: Admin,
    Id(id): Id,
    patch: MergePatch,
) -> Result<axum::Json<AdminAccount>, Problem> {
    let patch: AdminPatch = patch.read()?;
    Ok(axum::Json(identity.change(id, patch, clock::now()).await?))
}

/// Deactivate an admin
///
/// The admin can no longer sign in, and all sessions end. The account is kept and can be restored.
#[utoipa::path(delete, path = "/v1/admins/{id}", tag = "admins",
    params(("id" = Uuid, Path, description = "Admin id")),
    responses(
        (status = 204, description = "Deactivated"),
        (status = 403, description = "Not an admin, or the target is the superuser"),
    ), security(("bearer" = ["admin"])))]
pub async fn deactivate_admin(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<StatusCode, Problem> {
    identity.deactivate::<AdminAccount>(id, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a deactivated admin
#[utoipa::path(post, path = "/v1/admins/{id}/restore", tag = "admins",
    params(("id" = Uuid, Path, description = "Admin id")),
    responses(
        (status = 200, body = AdminAccount),
        (status = 403, description = "Not an admin, or the target is the superuser"),
    ), security(("bearer" = ["admin"])))]
pub async fn restore_admin(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<axum::Json<AdminAccount>, Problem> {
    Ok(axum::Json(identity.restore(id, clock::now()).await?))
}
