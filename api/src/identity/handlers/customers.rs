//! Handlers for the registration of customers, and for admins who manage customers.

use axum::{
    extract::State,
    http::{StatusCode, Uri, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::auth_allowance::AuthAllowance;
use crate::{
    http::{
        body::Json,
        clock,
        page::{self, Limit, Page},
        path::Id,
        problem::{FieldError, Problem},
        public_url::PublicUrl,
        query::Query,
    },
    identity::{CustomerAccount, Identity, NewCustomer, principal::Admin, rules},
};

/// Parameters of the list of customers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only the customer with this address, in any case.
    #[param(max_length = 254, format = "email")]
    email: Option<String>,
    /// Items per page.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 2048, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// Position of the cursor in a list of customers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    customer: Uuid,
}

/// Register as a customer
///
/// Then sign in: POST /v1/auth/login.
#[utoipa::path(post, path = "/v1/customers", tag = "customers",
    request_body = NewCustomer,
    responses(
        (status = 201, body = CustomerAccount, headers(
            ("Location" = String),
            ("RateLimit" = String, description = "The client's remaining allowance"),
            ("RateLimit-Policy" = String, description = "The client's allowance"))),
        (status = 409, description = "The username or the address is taken"),
        (status = 429, description = "Too many requests of this client"),
    ))]
pub async fn register_customer(
    State(identity): State<Identity>,
    State(public_url): State<PublicUrl>,
    allowance: AuthAllowance,
    body: Result<Json<NewCustomer>, Problem>,
) -> Response {
    allowance.respond(
        async {
            let Json(new) = body?;
            let customer: CustomerAccount = identity.create(new, clock::now()).await?;
            let location = format!("{}/v1/customers/me", public_url.0);
            Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(customer)))
        }
        .await,
    )
}

/// Names the page in the OpenAPI document.
type CustomerPage = Page<CustomerAccount>;

/// List customers
///
/// Oldest first, deactivated ones included.
#[utoipa::path(get, path = "/v1/customers", tag = "customers",
    params(ListParams),
    responses((status = 200, body = CustomerPage)), security(("bearer" = ["admin"])))]
pub async fn list_customers(
    State(identity): State<Identity>,
    _: Admin,
    uri: Uri,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let email = params.email.as_deref();
    if let Some(error) = email.and_then(|email| rules::email(email, &()).err()) {
        return Err(Problem::bad_parameters(vec![FieldError::parameter("email", error.message())]));
    }
    let limit = params.limit.unwrap_or_default().get();
    let after = params.cursor.as_deref().map(page::decode_cursor::<Position>).transpose()?;
    let (items, next) = identity.accounts::<CustomerAccount>(email, after.map(|position| position.customer), limit).await?;
    Ok(Page { items, next_cursor: next.map(|customer| page::encode_cursor(&Position { customer })) }.respond(&uri))
}

/// Read a customer
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = Uuid, Path, description = "Customer id")),
    responses((status = 200, body = CustomerAccount)), security(("bearer" = ["admin"])))]
pub async fn read_customer(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<axum::Json<CustomerAccount>, Problem> {
    Ok(axum::Json(identity.account(id).await?))
}

/// Deactivate a customer
///
/// The customer can no longer sign in, and all sessions end. The account is kept and can be restored. Pending
/// orders fail when the shop processes them, confirmed ones when they become due, and both release their stock. Restoring the account
/// does not restore them.
#[utoipa::path(delete, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = Uuid, Path, description = "Customer id")),
    responses((status = 204, description = "Deactivated")), security(("bearer" = ["admin"])))]
pub async fn deactivate_customer(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<StatusCode, Problem> {
    identity.deactivate::<CustomerAccount>(id, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restore a deactivated customer
#[utoipa::path(post, path = "/v1/customers/{id}/restore", tag = "customers",
    params(("id" = Uuid, Path, description = "Customer id")),
    responses((status = 200, body = CustomerAccount)), security(("bearer" = ["admin"])))]
pub async fn restore_customer(State(identity): State<Identity>, _: Admin, Id(id): Id) -> Result<axum::Json<CustomerAccount>, Problem> {
    Ok(axum::Json(identity.restore(id, clock::now()).await?))
}
