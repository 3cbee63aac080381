//! `catalog openapi`: prints the OpenAPI document of the API.

/// Prints the OpenAPI document.
///
/// # Errors
/// If it cannot be written.
pub fn run() -> anyhow::Result<()> {
    Ok(catalog_process::output::print_line(&document()?)?)
}

fn document() -> anyhow::Result<String> {
    Ok(crate::router::openapi().to_pretty_json()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_current() {
        let committed = include_str!("../../openapi.json");
        let current = super::document().unwrap();
        assert!(committed.trim_end() == current.trim_end(), "api/openapi.json is stale: run `make generate` and read the difference");
    }
}
