//! Checks name, image and currency of a Catalog.

use sha2::{Digest, Sha256};

use super::{
    check::Check,
    plan::{Release, Shop},
};
use crate::crd::{Catalog, Image, MAX_NAME};

/// Maximum length of `EVENTS_PREFIX`.
const MAX_PREFIX: usize = 64;

/// Checks the name of the Catalog.
pub fn check(catalog: &Catalog, check: &mut Check<'_>) -> Shop {
    let metadata = &catalog.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-') && name.chars().all(plain);
    if !is_label || name.len() > MAX_NAME {
        check.invalid(
            "metadata.name",
            format!("start with a letter and use only lower-case letters, digits and '-', at most {MAX_NAME} characters"),
        );
    }
    Shop { name, namespace: metadata.namespace.clone().unwrap_or_else(|| "default".into()), uid: metadata.uid.clone() }
}

/// Returns the tag of the image, which defaults to the release of the operator.
#[must_use]
pub fn version(image: &Image) -> &str {
    image.tag.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"))
}

/// Checks `spec.image`.
pub fn check_image(image: &Image, check: &mut Check<'_>) -> Option<Release> {
    let version = version(image).to_owned();
    for reference in &image.pull_secrets {
        check.require_secret("spec.image.pullSecrets", &reference.name);
    }
    if image.repository.is_empty() || image.repository.contains(char::is_whitespace) {
        check.invalid("spec.image.repository", "use a repository such as registry.example.com/catalog");
        return None;
    }
    Some(Release {
        image: format!("{}:{version}", image.repository),
        version,
        pull_policy: image.pull_policy,
        pull_secrets: image.pull_secrets.iter().map(|reference| reference.name.clone()).collect(),
    })
}

/// Checks the currency against the list that `catalog` uses.
pub fn check_currency(code: &str, check: &mut Check<'_>) -> Option<String> {
    if iso_currency::Currency::from_code(code).is_none() {
        check.invalid("spec.currency", format!("{code} is not in ISO 4217: use a code such as EUR, USD or JPY"));
        return None;
    }
    Some(code.to_owned())
}

/// Returns a prefix that is unique per namespace and name. A Catalog that is created again gets the same one, and so finds its streams.
pub fn events_prefix(shop: &Shop) -> String {
    let digest = Sha256::digest(format!("{}/{}", shop.namespace, shop.name));
    let hash = format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
    let room = MAX_PREFIX - hash.len() - "__".len() - shop.name.len().min(MAX_NAME);
    let namespace: String = shop.namespace.chars().take(room).collect();
    format!("{namespace}_{}_{hash}", shop.name)
}
