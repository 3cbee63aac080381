//! Checks `spec.messaging`.

use super::{
    check::{Check, Rule, certificates},
    plan::{EmbeddedMessagingPlan, ExternalMessagingPlan, MessagingPlan, NatsServers, Shop},
    resources, volume,
};
use crate::crd::{EmbeddedMessaging, ExternalMessaging, Messaging, SecretKeyRef};

/// Checks `spec.messaging`.
pub fn check(shop: &Shop, messaging: &Messaging, check: &mut Check<'_>) -> Option<MessagingPlan> {
    match (&messaging.embedded, &messaging.external) {
        (Some(embedded), None) => self::embedded(shop, embedded, check).map(MessagingPlan::Embedded),
        (None, Some(external)) => self::external(external, check).map(MessagingPlan::External),
        _ => {
            check.invalid("spec.messaging", "set exactly one of embedded and external");
            None
        }
    }
}

fn embedded(shop: &Shop, embedded: &EmbeddedMessaging, check: &mut Check<'_>) -> Option<EmbeddedMessagingPlan> {
    let path = "spec.messaging.embedded";
    let (volume, bytes) = volume::check(shop, "nats", path, &embedded.storage, embedded.storage_class_name.as_ref(), check)?;
    Some(EmbeddedMessagingPlan {
        volume,
        // The file system takes up some of the volume.
        stream_bytes: bytes / 10 * 9,
        image: embedded.image.clone(),
        resources: resources::check(&format!("{path}.resources"), embedded.resources.as_ref(), resources::NATS, check),
        password: check.check_generated_key(path, &shop.named("nats"), "password", nats_password),
    })
}

fn external(external: &ExternalMessaging, check: &mut Check<'_>) -> Option<ExternalMessagingPlan> {
    let path = "spec.messaging.external";
    let mut key = |field: &str, reference: &SecretKeyRef, valid: Rule| {
        let path = format!("{path}.{field}");
        check.require_key((&format!("{path}.name"), &format!("{path}.key")), &reference.name, &reference.key, valid)
    };
    let credentials = external.credentials_secret_ref.as_ref().map(|reference| key("credentialsSecretRef", reference, credentials_file));
    let ca = external.ca_secret_ref.as_ref().map(|reference| key("caSecretRef", reference, certificates));
    let servers = match (&external.url, &external.url_secret_ref) {
        (Some(url), None) => NatsServers::Plain(url.clone()),
        (None, Some(reference)) => NatsServers::Secret(key("urlSecretRef", reference, servers)),
        _ => {
            check.invalid(path, "set exactly one of url and urlSecretRef");
            return None;
        }
    };
    if let NatsServers::Plain(url) = &servers
        && let Err(expected) = self::servers(url)
    {
        check.invalid(&format!("{path}.url"), format!("use {expected}"));
    }
    Some(ExternalMessagingPlan {
        servers,
        credentials,
        ca,
        monitoring_endpoint: external.monitoring_endpoint.clone(),
        account: external.account.clone(),
    })
}

/// Accepts what `catalog` accepts as `NATS_URL`.
fn servers(text: &str) -> Result<(), String> {
    let is_server = |server: &str| {
        let server = server.trim();
        let parsed = if server.contains("://") { url::Url::parse(server) } else { url::Url::parse(&format!("nats://{server}")) };
        parsed.is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.has_host())
    };
    if text.split(',').all(is_server) { Ok(()) } else { Err("nats://host:port or tls://host:port, separated by commas".into()) }
}

/// Accepts the format of `nsc generate creds`.
fn credentials_file(text: &str) -> Result<(), String> {
    if text.contains("-----BEGIN NATS USER JWT-----") && text.contains("SEED-----") {
        Ok(())
    } else {
        Err("a NATS credentials file (JWT and nkey seed)".into())
    }
}

/// The password is part of a URL, and NATS reads it from a variable like a value of its configuration file. Letters and digits that
/// start with a letter need no escaping in either.
fn nats_password(text: &str) -> Result<(), String> {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    if plain && text.len() >= 8 { Ok(()) } else { Err("8 or more letters and digits, starting with a letter".into()) }
}
