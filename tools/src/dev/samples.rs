//! Creates the second admin and the sample products of a new shop, through the API.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

/// Forty products with whole prices, which are valid in any currency.
const PRODUCTS: &str = include_str!("../../samples/products.csv");
/// Username of the second admin, who gets mail about changes by the first one.
pub const EDITOR: &str = "editor";
const EDITOR_EMAIL: &str = "editor@example.com";

/// A signed-in client of the new shop.
pub struct ShopClient {
    client: Client,
    url: String,
    token: String,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

#[derive(Deserialize)]
struct ImportResult {
    created: u64,
    updated: u64,
    unchanged: u64,
    failed: u64,
}

impl ShopClient {
    /// Signs in.
    ///
    /// # Errors
    /// If the API rejects the credentials or is unavailable.
    pub async fn sign_in(url: String, username: &str, password: &SecretString) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(Duration::from_mins(1)).build()?;
        let body = json!({ "username": username, "password": password.expose_secret() });
        let response = send(client.post(format!("{url}/v1/auth/login")).json(&body)).await.context("cannot sign in")?;
        let Tokens { access_token: token } = response.json().await.context("cannot read the response to the login")?;
        Ok(Self { client, url, token })
    }

    /// Creates the second admin, unless the username exists.
    ///
    /// # Errors
    /// If the API rejects the request or is unavailable.
    pub async fn add_editor(&self, password: &SecretString) -> anyhow::Result<()> {
        let body = json!({ "username": EDITOR, "email": EDITOR_EMAIL, "full_name": "Eddie Editor", "password": password.expose_secret() });
        let request = self.client.post(format!("{}/v1/admins", self.url)).bearer_auth(&self.token).json(&body);
        let response = request.send().await?;
        if response.status() == StatusCode::CONFLICT {
            return Ok(());
        }
        expect_success(response).await.context("cannot create the second admin")?;
        Ok(())
    }

    /// Loads the sample products, and returns their number.
    ///
    /// # Errors
    /// If the API rejects some or is unavailable.
    pub async fn load_products(&self) -> anyhow::Result<u64> {
        let request = self.client.post(format!("{}/v1/products/bulk", self.url)).bearer_auth(&self.token);
        let response =
            send(request.header(header::CONTENT_TYPE, "text/csv").body(PRODUCTS)).await.context("cannot load the sample products")?;
        let imported: ImportResult = response.json().await.context("cannot read the response to the import")?;
        if imported.failed > 0 {
            bail!("{} of the sample products were rejected", imported.failed);
        }
        Ok(imported.created + imported.updated + imported.unchanged)
    }
}

async fn send(request: RequestBuilder) -> anyhow::Result<reqwest::Response> {
    expect_success(request.send().await?).await
}

async fn expect_success(response: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    bail!("the API responded {status}: {}", response.text().await.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_sample_products_are_valid_and_varied() {
        let mut reader = csv::Reader::from_reader(PRODUCTS.as_bytes());
        let columns = reader.headers().unwrap().clone();
        let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
        let (sku, price, quantity) = (column("sku"), column("price"), column("quantity"));
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        let skus: HashSet<_> = rows.iter().map(|row| row[sku].to_owned()).collect();
        assert_eq!(skus.len(), rows.len());
        assert!(rows.len() >= 40);
        assert!(rows.iter().all(|row| row[price].parse::<u32>().is_ok()));
        assert!(rows.iter().any(|row| &row[quantity] == "0"));
        assert!(rows.iter().any(|row| row[quantity].is_empty()));
    }
}
