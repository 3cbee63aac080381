//! The API as the import sees it.

use anyhow::{Context, bail};
use reqwest::{Body, Client, Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::args::Target;
use crate::config::Secret;

/// A signed-in client.
pub struct Session {
    http: Client,
    url: String,
    token: Secret,
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
    /// Why, for the first of them.
    pub errors: Vec<RowError>,
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
        let http = Client::builder().user_agent(concat!("catalog-import/", env!("CARGO_PKG_VERSION"))).build()?;
        let credentials = json!({"username": target.username, "password": password.expose_secret()});
        let answer = http.post(format!("{}/v1/auth/login", target.url)).json(&credentials).send().await;
        let answer = answer.with_context(|| format!("{} cannot be reached", target.url))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            bail!("the username or the password is wrong");
        }
        let tokens: Tokens = expect_ok(answer, "sign in").await?.json().await.context("the API didn't answer as a Catalog does")?;
        Ok(Self { http, url: target.url.clone(), token: tokens.access_token })
    }

    /// Sends rows as NDJSON.
    ///
    /// # Errors
    /// If the API cannot be reached or refuses them all.
    pub async fn import(&self, rows: Body) -> anyhow::Result<Outcome> {
        let request = self.http.post(format!("{}/v1/products/bulk", self.url)).bearer_auth(self.token.expose_secret());
        let answer = request.header(header::CONTENT_TYPE, "application/x-ndjson").body(rows).send().await;
        let answer = answer.context("the connection broke during the import; run it again to complete it")?;
        expect_ok(answer, "import")
            .await?
            .json()
            .await
            .context("the API's answer to the import cannot be read; run it again to complete it")
    }
}

async fn expect_ok(answer: Response, what: &str) -> anyhow::Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let Ok(problem) = serde_json::from_str::<Problem>(&text) else { bail!("cannot {what}: the API answered {status}") };
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
