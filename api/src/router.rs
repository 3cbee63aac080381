//! Every route, in one flat list.

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    http::{StatusCode, Uri},
    routing::get,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    http::{
        observe::ObserveLayer,
        openapi::{ApiDocument, complete},
        problem::Problem,
        public_url::PublicUrl,
        read_limit::ReadLimit,
        response_budget::ResponseBudgetLayer,
    },
    identity::{self, Identity},
    orders::{self, Orders},
    products::{self, Catalogue, handlers::bulk::Uploads},
    tracking::{self, Reports},
    views::Views,
};

/// The state of all handlers; each extracts the parts it needs. Cloned for every request, so every part is cheap to clone.
#[derive(Clone, FromRef)]
pub struct App {
    /// Accounts, sessions, keys.
    pub identity: Identity,
    /// Products.
    pub catalogue: Arc<Catalogue>,
    /// Limits and permits of imports.
    pub uploads: Arc<Uploads>,
    /// Carts and orders.
    pub orders: Arc<Orders>,
    /// Views of products that are not stored yet.
    pub views: Views,
    /// Reports of views.
    pub reports: Arc<Reports>,
    /// Limits the anonymous reads of a client.
    pub read_limit: ReadLimit,
    /// The URL at which users reach the API.
    pub public_url: PublicUrl,
}

fn api() -> OpenApiRouter<App> {
    use identity::handlers::{admins, auth, customers, jwks, profile};
    use orders::handlers::{carts, export, place, read as order, transition};
    use products::handlers::{bulk, create, delete, list, patch, read, restore, stock};
    use tracking::handlers as reports;
    let mut api = OpenApiRouter::with_openapi(ApiDocument::openapi())
        .routes(routes!(auth::create_session))
        .routes(routes!(auth::refresh_session))
        .routes(routes!(auth::end_session))
        .routes(routes!(jwks::list_public_keys))
        .routes(routes!(admins::list_admins, admins::create_admin))
        .routes(routes!(admins::read_admin, admins::patch_admin, admins::deactivate_admin))
        .routes(routes!(admins::restore_admin))
        .routes(routes!(customers::list_customers, customers::register_customer))
        .routes(routes!(profile::read_profile, profile::patch_profile, profile::delete_profile))
        .routes(routes!(customers::read_customer, customers::deactivate_customer))
        .routes(routes!(customers::restore_customer))
        .routes(routes!(list::list_products, create::create_product))
        .routes(routes!(bulk::import_products))
        .routes(routes!(read::read_product, patch::patch_product, delete::delete_product))
        .routes(routes!(read::read_product_by_sku))
        .routes(routes!(stock::read_product_stock))
        .routes(routes!(stock::adjust_product_stock))
        .routes(routes!(stock::list_product_stock_movements))
        .routes(routes!(restore::restore_product))
        .routes(routes!(carts::create_cart))
        .routes(routes!(carts::read_cart, carts::delete_cart))
        .routes(routes!(carts::put_cart_item, carts::delete_cart_item))
        .routes(routes!(order::list_orders, place::place_order))
        .routes(routes!(export::export_orders))
        .routes(routes!(order::read_order, transition::patch_order))
        .routes(routes!(transition::cancel_order))
        .routes(routes!(reports::read_product_views))
        .routes(routes!(reports::report_views))
        .routes(routes!(reports::report_top_products));
    complete(api.get_openapi_mut());
    api
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().into_openapi()
}

/// The public API. One in `log_sample` successful reads is logged; `trusted_proxy_hops` proxies are in front; large responses
/// that clients haven't read yet may take `response_budget` bytes.
pub fn router(app: App, log_sample: u64, trusted_proxy_hops: usize, response_budget: usize) -> Router {
    let (routes, document) = api().split_for_parts();
    routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .route("/", get(async || axum::response::Redirect::temporary("/docs/")))
        .fallback(async |uri: Uri| {
            let path: String = uri.path().chars().take(100).collect();
            Problem::not_found(format!("No route matches {path}. See /docs for the API reference."))
        })
        .method_not_allowed_fallback(async || {
            let detail = "The path does not support this method. The Allow header lists the supported ones.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        })
        .layer((ObserveLayer::new(log_sample, trusted_proxy_hops), ResponseBudgetLayer::new(response_budget)))
        .with_state(app)
}
