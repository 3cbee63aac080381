//! Handlers of a customer's own account.

use axum::{extract::State, http::StatusCode};

use crate::{
    http::{body::MergePatch, clock, problem::Problem, session::session_ended},
    identity::{CustomerAccount, CustomerPatch, Error, Identity, principal::Customer},
};

/// Read your own account
#[utoipa::path(get, path = "/v1/customers/me", tag = "customers",
    responses((status = 200, body = CustomerAccount)), security(("bearer" = ["customer"])))]
pub async fn read_profile(State(identity): State<Identity>, customer: Customer) -> Result<axum::Json<CustomerAccount>, Problem> {
    identity.account(customer.id).await.map(axum::Json).map_err(map_own_account_error)
}

/// Change your own account
///
/// A JSON merge patch (RFC 7396): absent fields keep their values. A new password revokes all sessions, the current one included: sign in
/// again.
#[utoipa::path(patch, path = "/v1/customers/me", tag = "customers",
    request_body(content = CustomerPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, body = CustomerAccount),
        (status = 409, description = "The username or the address is taken"),
    ), security(("bearer" = ["customer"])))]
pub async fn patch_profile(
    State(identity): State<Identity>,
    customer: Customer,
    patch: MergePatch,
) -> Result<axum::Json<CustomerAccount>, Problem> {
    let patch: CustomerPatch = patch.read()?;
    identity.change(customer.id, patch, clock::now()).await.map(axum::Json).map_err(map_own_account_error)
}

/// Delete your own account
///
/// The account is deleted permanently and all sessions end; username and address can be used again. Orders are kept without
/// personal data. Pending orders fail when the shop processes them, confirmed ones when they become due, and both release their stock.
/// Carts release their stock when they expire.
#[utoipa::path(delete, path = "/v1/customers/me", tag = "customers",
    responses((status = 204, description = "Deleted")), security(("bearer" = ["customer"])))]
pub async fn delete_profile(State(identity): State<Identity>, customer: Customer) -> Result<StatusCode, Problem> {
    identity.delete_customer(customer.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Maps [`Error::NotFound`] to 401: the account existed when the token was verified, so it was deleted meanwhile.
fn map_own_account_error(error: Error) -> Problem {
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
    fn a_request_whose_account_is_deleted_meanwhile_gets_401() {
        let status = |problem: Problem| problem.into_response().status();
        assert_eq!(status(map_own_account_error(Error::NotFound(Role::Customer))), StatusCode::UNAUTHORIZED);
        assert_eq!(status(map_own_account_error(Error::Superuser)), StatusCode::FORBIDDEN);
    }
}
