//! Admins.

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
        problem::{Document as ProblemDocument, Problem},
        public_url::PublicUrl,
        query::Query,
    },
    identity::{AdminAccount, AdminPatch, Identity, NewAdmin, principal::Admin},
};

/// Where a page of admins ends.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    admin: Uuid,
}

/// List admins
///
/// Oldest first, deactivated ones included.
#[utoipa::path(get, path = "/v1/admins", tag = "admins", operation_id = "list_admins",
    params(PageParams),
    responses(
        (status = 200, body = Page<AdminAccount>, headers(("Link" = String, description = "rel=\"next\", unless this is the last page"))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn list(State(identity): State<Identity>, _: Admin, uri: Uri, Query(params): Query<PageParams>) -> Result<Response, Problem> {
    let limit = params.limit.unwrap_or_default().get();
    let after = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    let (items, next) = identity.accounts::<AdminAccount>(None, after.map(|position| position.admin), limit).await?;
    Ok(Page { items, next_cursor: next.map(|admin| page::encode_cursor(&Position { admin })) }.respond(&uri))
}

/// Create an admin
#[utoipa::path(post, path = "/v1/admins", tag = "admins", operation_id = "create_admin",
    request_body = NewAdmin,
    responses(
        (status = 201, body = AdminAccount, headers(("Location" = String))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The username or the address is taken"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn create(
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
#[utoipa::path(get, path = "/v1/admins/{id}", tag = "admins", operation_id = "read_admin",
    params(("id" = Uuid, Path, description = "Admin id")),
    responses(
        (status = 200, body = AdminAccount),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn read(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<axum::Json<AdminAccount>, Problem> {
    Ok(axum::Json(identity.account(id).await?))
}

/// Change an admin
///
/// A JSON merge patch (RFC 7396): absent fields stay. A new password ends all of the admin's sessions.
#[utoipa::path(patch, path = "/v1/admins/{id}", tag = "admins", operation_id = "patch_admin",
    params(("id" = Uuid, Path, description = "Admin id")),
    request_body(content((AdminPatch = "application/merge-patch+json"), (AdminPatch = "application/json"))),
    responses(
        (status = 200, body = AdminAccount),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not an admin, or the target is the superuser"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The username or the address is taken"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn patch(State(identity): State<Identity>, _: Admin, Id(id): Id, patch: MergePatch) -> Result<axum::Json<AdminAccount>, Problem> {
    let patch: AdminPatch = patch.read()?;
    Ok(axum::Json(identity.change(id, patch, clock::now()).await?))
}

/// Deactivate an admin
///
/// The admin can no longer sign in, and all sessions end. The account is kept and can be restored.
#[utoipa::path(delete, path = "/v1/admins/{id}", tag = "admins", operation_id = "deactivate_admin",
    params(("id" = Uuid, Path, description = "Admin id")),
    responses(
        (status = 204, description = "Deactivated"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not an admin, or the target is the superuser"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn deactivate(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<StatusCode, Problem> {
    identity.deactivate::<AdminAccount>(id, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a deactivated admin
#[utoipa::path(post, path = "/v1/admins/{id}/restore", tag = "admins", operation_id = "restore_admin",
    params(("id" = Uuid, Path, description = "Admin id")),
    responses(
        (status = 200, body = AdminAccount),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json", description = "Not an admin, or the target is the superuser"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn restore(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<axum::Json<AdminAccount>, Problem> {
    Ok(axum::Json(identity.restore(id, clock::now()).await?))
}
