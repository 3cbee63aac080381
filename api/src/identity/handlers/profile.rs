//! A customer's own account.

use axum::{extract::State, http::StatusCode};

use crate::{
    http::{
        body::MergePatch,
        clock,
        problem::{Document as ProblemDocument, Problem},
        session::session_ended,
    },
    identity::{CustomerAccount, CustomerPatch, Error, Identity, principal::Customer},
};

/// Read your own account
#[utoipa::path(get, path = "/v1/customers/me", tag = "customers", operation_id = "read_profile",
    responses(
        (status = 200, body = CustomerAccount),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn read(State(identity): State<Identity>, customer: Customer) -> Result<axum::Json<CustomerAccount>, Problem> {
    identity.account(customer.id).await.map(axum::Json).map_err(of_own_account)
}

/// Change your own account
///
/// A JSON merge patch (RFC 7396): absent fields stay. A new password ends all sessions, this one included: sign in again.
#[utoipa::path(patch, path = "/v1/customers/me", tag = "customers", operation_id = "patch_profile",
    request_body(content((CustomerPatch = "application/merge-patch+json"), (CustomerPatch = "application/json"))),
    responses(
        (status = 200, body = CustomerAccount),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The username or the address is taken"),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn patch(
    State(identity): State<Identity>,
    customer: Customer,
    patch: MergePatch,
) -> Result<axum::Json<CustomerAccount>, Problem> {
    let patch: CustomerPatch = patch.read()?;
    identity.change(customer.id, patch, clock::now()).await.map(axum::Json).map_err(of_own_account)
}

/// Delete your own account
///
/// The account is deleted permanently and all sessions end; username and address can be used again. Orders are kept without
/// personal data; those that are not fulfilled fail and release their stock. Carts release theirs when they expire.
#[utoipa::path(delete, path = "/v1/customers/me", tag = "customers", operation_id = "delete_profile",
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    ), security(("bearer" = [])))]
pub async fn delete(State(identity): State<Identity>, customer: Customer) -> Result<StatusCode, Problem> {
    identity.delete_customer(customer.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account existed when the token was checked. If it does not now, the token is revoked.
fn of_own_account(error: Error) -> Problem {
    match error {
        Error::NotFound(_) => session_ended("Sign in with another account."),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::identity::claims::Role;

    #[test]
    fn an_account_deleted_during_its_own_request_is_401() {
        let status = |problem: Problem| problem.into_response().status();
        assert_eq!(status(of_own_account(Error::NotFound(Role::Customer))), StatusCode::UNAUTHORIZED);
        assert_eq!(status(of_own_account(Error::Superuser)), StatusCode::FORBIDDEN);
    }
}
