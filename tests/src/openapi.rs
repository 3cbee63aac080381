//! Checks responses against the OpenAPI document.

use reqwest::Method;
use serde_json::Value;

use crate::{api::Reply, schema::Schemas};

/// A parsed OpenAPI document.
pub struct OpenApi {
    document: Value,
    schemas: Schemas,
}

impl OpenApi {
    /// Reads the document.
    ///
    /// # Panics
    /// If the document has no paths.
    pub fn new(document: Value) -> Self {
        assert!(document["paths"].as_object().is_some_and(|paths| !paths.is_empty()), "an OpenAPI document without paths");
        Self { schemas: Schemas::new(&document), document }
    }

    /// Returns the whole document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Returns the response that an operation documents for a status. A reference to a shared response is resolved.
    ///
    /// # Panics
    /// If the reference cannot be resolved.
    pub fn response<'a>(&'a self, operation: &'a Value, status: &str) -> &'a Value {
        let response = &operation["responses"][status];
        response["$ref"].as_str().map_or(response, |reference| {
            self.document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} is not in the document"))
        })
    }

    /// Returns the errors of a value against a schema of the document.
    pub fn validation_errors(&self, schema: &Value, value: &Value) -> Vec<String> {
        self.schemas.validation_errors(schema, value)
    }

    /// Returns the path template of a request path. Literal segments are preferred to parameters.
    pub fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap_or_default();
        let given: Vec<_> = path.split('/').collect();
        let templates = self.document["paths"].as_object()?.keys();
        let fits = |template: &&String| {
            let parts: Vec<_> = template.split('/').collect();
            parts.len() == given.len()
                && parts.iter().zip(&given).all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()))
        };
        templates.filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    /// Checks that status and body of the reply are documented for the operation.
    ///
    /// # Panics
    /// If they are not documented.
    #[track_caller]
    pub fn check(&self, method: &Method, path: &str, reply: &Reply) {
        if path.starts_with("/docs") || path == "/openapi.json" {
            // These paths are not operations of the API.
            return;
        }
        let Some(template) = self.template(path) else {
            // An undocumented path must not exist.
            assert!(
                matches!(reply.status, 400 | 401 | 403 | 404 | 405 | 414),
                "{method} {path} is undocumented, but responds with {}",
                reply.status
            );
            return;
        };
        // A HEAD request has the responses of GET.
        let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
        let operation = &self.document["paths"][template][&method];
        if operation.is_null() {
            assert!(matches!(reply.status, 405 | 200 | 204), "{method} {template} is undocumented, but responds with {}", reply.status);
            return;
        }
        let status = reply.status.to_string();
        let documented = self.response(operation, &status);
        assert!(
            !documented.is_null(),
            "{method} {template} answers {status}, which is not documented (there are {:?}): {}",
            operation["responses"].as_object().map(|responses| responses.keys().collect::<Vec<_>>()),
            reply.text()
        );
        let content = &documented["content"];
        if reply.body.is_empty() || content.is_null() {
            assert!(reply.body.is_empty() || method == "head", "{method} {template} {status} has an undocumented body: {}", reply.text());
            return;
        }
        let essence = reply.header("content-type").split(';').next().unwrap_or_default().trim().to_owned();
        let schema = &content[&essence]["schema"];
        assert!(!schema.is_null(), "{method} {template} {status} is {essence}, which is not documented");
        if essence.ends_with("json") {
            let errors = self.schemas.validation_errors(schema, &reply.json());
            assert!(errors.is_empty(), "{method} {template} {status} is not as documented: {errors:#?}\n{}", reply.text());
        }
    }
}
