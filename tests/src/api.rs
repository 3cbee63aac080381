//! A client of the API. Every response is checked against the OpenAPI document and the rules for all responses.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::openapi::OpenApi;

/// A client, anonymous or with an access token.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    // Shared by all clients of a shop, because a restarted API has another address.
    base: Arc<RwLock<String>>,
    token: Option<Arc<str>>,
    contract: Option<Arc<OpenApi>>,
}

impl Api {
    /// Returns an anonymous client of `base` (scheme, host and port).
    #[must_use]
    pub fn anonymous(base: &str, contract: Option<Arc<OpenApi>>) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client can be built");
        Self { http, base: Arc::new(RwLock::new(base.to_owned())), token: None, contract }
    }

    /// Returns a client of the same shop with an access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// Returns the access token.
    ///
    /// # Panics
    /// If the client is anonymous.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("an authenticated client")
    }

    /// Returns scheme, host and port of the API.
    pub fn base(&self) -> String {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets scheme, host and port of the API for all clients of this shop.
    pub fn set_base(&self, base: &str) {
        base.clone_into(&mut self.base.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns a request with any method.
    pub fn request(&self, method: Method, path: &str) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is visible ASCII"));
        }
        Call { api: self.clone(), method, path: path.to_owned(), headers, body: None }
    }

    /// Returns a GET request.
    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// Returns a HEAD request.
    pub fn head(&self, path: &str) -> Call {
        self.request(Method::HEAD, path)
    }

    /// Returns a DELETE request.
    pub fn delete(&self, path: &str) -> Call {
        self.request(Method::DELETE, path)
    }

    /// Returns a POST request without a body.
    pub fn post_empty(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    /// Returns a POST request with a JSON document.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.request(Method::POST, path).json(body)
    }

    /// Returns a PATCH request with a JSON document.
    pub fn patch(&self, path: &str, body: &Value) -> Call {
        self.request(Method::PATCH, path).json(body)
    }
}

/// A request. Awaiting it sends it.
#[must_use = "a call is sent by awaiting it"]
pub struct Call {
    api: Api,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<reqwest::Body>,
}

impl Call {
    /// Sets a header.
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// Adds another value of a header.
    pub fn header_again(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Sets a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sets a body.
    pub fn body(mut self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.headers.insert("content-type", HeaderValue::from_str(content_type).expect("a content type"));
        self.body = Some(body.into());
        self
    }

    /// Sets a body without a content type.
    pub fn untyped_body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends the request. For tests in which the connection may fail.
    ///
    /// # Errors
    /// If there is no complete response.
    ///
    /// # Panics
    /// If the response breaks a rule for all responses.
    pub async fn attempt(self) -> Result<Reply, reqwest::Error> {
        let url = format!("{}{}", self.api.base(), self.path);
        let mut request = self.api.http.request(self.method.clone(), url).headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?;
        let reply = Reply { call: format!("{} {}", self.method, self.path), status, headers, body };
        reply.assert_common_rules(&self.method);
        if let Some(contract) = &self.api.contract {
            contract.check(&self.method, &self.path, &reply);
        }
        Ok(reply)
    }
}

impl IntoFuture for Call {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let call = format!("{} {}", self.method, self.path);
            self.attempt().await.unwrap_or_else(|error| panic!("{call}: {error:?}"))
        })
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Reply {
    call: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Reply {
    /// Asserts the status and returns the reply.
    ///
    /// # Panics
    /// If the reply has another status.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "many tests check only the status")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.call, self.text());
        self
    }

    /// Parses the body as JSON.
    ///
    /// # Panics
    /// If the body isn't JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.call, self.text()))
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the value of a header, or an empty text if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts the status and the last segment of the type of a problem document, and returns the document.
    ///
    /// # Panics
    /// If they differ.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.call, self.text());
        let problem = self.json();
        let last_segment = problem["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        assert_eq!(last_segment, kind, "{}: {problem}", self.call);
        problem
    }

    /// Returns the pointers and parameters of the errors in a problem document.
    #[track_caller]
    pub fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let at = |error: &Value| error["pointer"].as_str().or(error["parameter"].as_str()).map(str::to_owned);
        errors.iter().map(|error| at(error).unwrap_or_else(|| panic!("an error without a pointer or parameter: {problem}"))).collect()
    }

    #[track_caller]
    fn assert_common_rules(&self, method: &Method) {
        let call = &self.call;
        let shown = || format!("{call}: {} {:?} {}", self.status, self.headers, self.text());
        assert_ne!(self.status, 500, "internal error: {}", shown());
        if !self.headers.contains_key("x-request-id") && matches!(self.status, 400 | 408 | 431) && self.body.is_empty() {
            // The HTTP library rejected a malformed request.
            return;
        }
        assert!(self.headers.contains_key("x-request-id"), "no request id: {}", shown());
        let trace = self.header("traceparent");
        assert!(trace.len() == 55 && trace.starts_with("00-"), "no trace: {}", shown());
        if self.status < 400 || method == Method::HEAD {
            return;
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", shown());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{}", shown());
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{}", shown());
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.trim().is_empty()), "no {field}: {}", shown());
        }
        assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("https://")), "{}", shown());
        for leak in ["sqlx", "panicked", "src/", "postgres://", "SELECT ", "stack backtrace"] {
            assert!(!problem["detail"].as_str().unwrap_or_default().contains(leak), "internal details leak: {}", shown());
        }
        if matches!(self.status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|s| (1..=3600).contains(&s)), "no Retry-After: {}", shown());
        }
        if self.status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer"), "no challenge: {}", shown());
        }
        if self.status == 405 {
            assert!(!self.header("allow").is_empty(), "no Allow: {}", shown());
        }
    }
}
