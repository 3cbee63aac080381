//! The API as the import sees it.

use anyhow::{Context, bail};
use axum::http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    args::Target,
    transport::{self, Answer, Body, Transport},
};
use catalog::config::Secret;

/// A signed-in client.
pub struct Session {
    transport: Transport,
    authorization: HeaderValue,
}

/// What the import did, as the API tells it.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Products created.
    pub created: u64,
    /// Products changed.
    pub updated: u64,
    /// Products already as given.
    pub unchanged: u64,
    /// Rows refused.
    pub failed: u64,
    /// Blank rows; older releases of the API don't count them.
    #[serde(default)]
    pub blank: u64,
    /// Why, for the first of them.
    pub errors: Vec<RowError>,
    /// Rows that were imported with a remark.
    #[serde(default)]
    pub warnings: Vec<RowWarning>,
    /// Warnings beyond those listed.
    #[serde(default)]
    pub more_warnings: u64,
}

/// A remark on one row.
#[derive(Debug, Deserialize)]
pub struct RowWarning {
    /// Which row, its sku and what was done.
    pub detail: String,
}

/// One error of one row.
#[derive(Debug, Deserialize)]
pub struct RowError {
    /// From 1.
    pub row: u64,
    /// None for the row as a whole.
    pub field: Option<String>,
    /// What is wrong.
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
    /// If the API cannot be reached or refuses.
    pub async fn start(target: &Target, password: &Secret) -> anyhow::Result<Self> {
        let transport = Transport::new(&target.url, &target.authorities)?;
        let credentials = json!({"username": target.username, "password": password.expose_secret()});
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let answer = transport.post("/v1/auth/login", &json, transport::whole(credentials.to_string().into())).await;
        let answer = answer.with_context(|| format!("{} cannot be reached", target.url))?;
        if answer.status == StatusCode::UNAUTHORIZED {
            bail!("the username or the password is wrong");
        }
        let tokens: Tokens = read(&answer, "sign in")?.context("the API didn't answer as a Catalog does")?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", tokens.access_token.expose_secret()));
        let mut authorization = authorization.context("the API didn't answer as a Catalog does")?;
        authorization.set_sensitive(true);
        Ok(Self { transport, authorization })
    }

    /// Sends rows as NDJSON.
    ///
    /// # Errors
    /// If the API cannot be reached or refuses them all.
    pub async fn import(&self, rows: Body) -> anyhow::Result<Outcome> {
        let headers =
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")), (header::AUTHORIZATION, self.authorization.clone())];
        let answer = self.transport.post("/v1/products/bulk", &headers, rows).await;
        let answer = answer.context("the connection broke during the import; run it again to complete it")?;
        read(&answer, "import")?.context("the API's answer to the import cannot be read; run it again to complete it")
    }
}

/// What a success says. A refusal is an error of its own.
fn read<T: DeserializeOwned>(answer: &Answer, what: &str) -> anyhow::Result<Result<T, serde_json::Error>> {
    let status = answer.status;
    if status.is_success() {
        return Ok(serde_json::from_slice(&answer.body));
    }
    if let Some(location) = answer.location.as_ref().filter(|_| status.is_redirection()) {
        bail!("cannot {what}: the API sends us on to {location}; give the URL of the API itself");
    }
    let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else { bail!("cannot {what}: the API answered {status}") };
    let mut reasons = problem.detail;
    // A problem with one error has its text as its detail.
    if problem.errors.len() > 1 {
        for error in problem.errors {
            reasons.push_str("\n  ");
            reasons.push_str(&error.detail);
        }
    }
    bail!("cannot {what} ({status}): {reasons}")
}
