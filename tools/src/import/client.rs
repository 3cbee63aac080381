//! Client of the API: sign-in and the bulk endpoint.

use anyhow::{Context, bail};
use axum::http::{HeaderValue, StatusCode, header};
use catalog_process::config::Secret;
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    args::Target,
    transport::{self, Body, Reply, Transport},
};

/// A signed-in client.
pub struct Session {
    transport: Transport,
    authorization: HeaderValue,
}

/// The result of the import, as the API returns it.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Products created.
    pub created: u64,
    /// Products changed.
    pub updated: u64,
    /// Products that already had these values.
    pub unchanged: u64,
    /// Rejected rows.
    pub failed: u64,
    /// Blank rows. Older releases of the API don't return their number.
    #[serde(default)]
    pub blank: u64,
    /// The errors of the first rejected rows.
    pub errors: Vec<RowError>,
    /// Warnings about imported rows.
    #[serde(default)]
    pub warnings: Vec<RowWarning>,
    /// Warnings beyond those listed.
    #[serde(default)]
    pub more_warnings: u64,
}

/// A warning about one row.
#[derive(Debug, Deserialize)]
pub struct RowWarning {
    /// Names the row and its sku, and what was changed.
    pub detail: String,
}

/// One error of one row.
#[derive(Debug, Deserialize)]
pub struct RowError {
    /// Row number, from 1.
    pub row: u64,
    /// `None` if the error concerns the whole row.
    pub field: Option<String>,
    pub detail: String,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: Secret,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    errors: Vec<ProblemError>,
}

#[derive(Deserialize)]
struct ProblemError {
    detail: String,
}

impl Session {
    /// Signs in.
    ///
    /// # Errors
    /// If the API cannot be reached or rejects the credentials.
    pub async fn start(target: &Target, password: &Secret) -> anyhow::Result<Self> {
        let transport = Transport::new(&target.url, &target.authorities)?;
        let credentials = json!({"username": target.username, "password": password.expose_secret()});
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let reply = transport.post("/v1/auth/login", &json, transport::buffered_body(credentials.to_string().into())).await;
        let reply = reply.with_context(|| format!("{} cannot be reached", target.url))?;
        if reply.status == StatusCode::UNAUTHORIZED {
            bail!("the username or the password is wrong");
        }
        let tokens: Tokens = read(&reply, "sign in")?.context("the response is not that of a Catalog API; check the URL")?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", tokens.access_token.expose_secret()));
        let mut authorization = authorization.context("the response is not that of a Catalog API; check the URL")?;
        authorization.set_sensitive(true);
        Ok(Self { transport, authorization })
    }

    /// Sends rows as NDJSON.
    ///
    /// # Errors
    /// If the API cannot be reached or rejects the request.
    pub async fn import(&self, rows: Body) -> anyhow::Result<Outcome> {
        let headers =
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")), (header::AUTHORIZATION, self.authorization.clone())];
        let reply = self.transport.post("/v1/products/bulk", &headers, rows).await;
        let reply = reply.context("the connection broke during the import; run it again to complete it")?;
        read(&reply, "import")?.context("the API's reply to the import cannot be read; run it again to complete it")
    }
}

/// Parses the body of a response. The outer error: the API rejected the request. The inner: the body isn't the expected JSON.
fn read<T: DeserializeOwned>(reply: &Reply, what: &str) -> anyhow::Result<Result<T, serde_json::Error>> {
    let status = reply.status;
    if status.is_success() {
        return Ok(serde_json::from_slice(&reply.body));
    }
    if let Some(location) = reply.location.as_ref().filter(|_| status.is_redirection()) {
        bail!("cannot {what}: the API redirects to {location}; give the URL of the API itself");
    }
    let Ok(problem) = serde_json::from_slice::<Problem>(&reply.body) else { bail!("cannot {what}: the API responded {status}") };
    let mut reasons = problem.detail;
    // With one error, `detail` already repeats its text.
    if problem.errors.len() > 1 {
        for error in problem.errors {
            reasons.push_str("\n  ");
            reasons.push_str(&error.detail);
        }
    }
    bail!("cannot {what} ({status}): {reasons}")
}
