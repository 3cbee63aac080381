//! Where the data lives.

use super::{
    check::{Check, Rule, certificates, some_text},
    plan::{DatabasePlan, EmbeddedDatabasePlan, ExternalDatabasePlan, PostgresAddress, Shop},
    resources, volume,
};
use crate::crd::{Database, EmbeddedDatabase, ExternalDatabase};

/// The database.
pub fn check(shop: &Shop, database: &Database, check: &mut Check<'_>) -> Option<DatabasePlan> {
    match (&database.embedded, &database.external) {
        (Some(embedded), None) => self::embedded(shop, embedded, check).map(DatabasePlan::Embedded),
        (None, Some(external)) => Some(DatabasePlan::External(self::external(external, check))),
        _ => {
            check.invalid("spec.database", "give exactly one of embedded and external");
            None
        }
    }
}

fn embedded(shop: &Shop, embedded: &EmbeddedDatabase, check: &mut Check<'_>) -> Option<EmbeddedDatabasePlan> {
    let path = "spec.database.embedded";
    let (volume, _) = volume::check(shop, "postgres", path, &embedded.storage, embedded.storage_class_name.as_ref(), check)?;
    Some(EmbeddedDatabasePlan {
        volume,
        image: embedded.image.clone(),
        resources: resources::check(&format!("{path}.resources"), embedded.resources.as_ref(), resources::POSTGRES, check),
        password: check.generated_key(path, &shop.named("postgres"), "password", some_text),
        running_connections: check.running_connections(),
    })
}

fn external(external: &ExternalDatabase, check: &mut Check<'_>) -> ExternalDatabasePlan {
    let path = "spec.database.external";
    let (secret, keys) = (&external.secret_ref.name, &external.keys);
    let mut key = |field: &str, key: &str, valid: Rule| {
        check.key((&format!("{path}.secretRef.name"), &format!("{path}.keys.{field}")), secret, key, valid)
    };
    let address = match &external.host {
        None => PostgresAddress::Uri(key("uri", &keys.uri, uri)),
        Some(host) => PostgresAddress::Parts {
            host: host.clone(),
            port: external.port.unwrap_or(5432),
            database: external.database.clone().unwrap_or_else(|| "catalog".into()),
            username: key("username", &keys.username, some_text),
            password: key("password", &keys.password, some_text),
        },
    };
    let ca = external.ca_secret_ref.as_ref().map(|ca| {
        let path = format!("{path}.caSecretRef");
        check.key((&format!("{path}.name"), &format!("{path}.key")), &ca.name, &ca.key, certificates)
    });
    let uri_host_is_short = matches!(address, PostgresAddress::Uri(_)) && check.text(secret, &keys.uri).is_some_and(has_short_host);
    ExternalDatabasePlan { address, ssl_mode: external.ssl_mode, ca, uri_host_is_short }
}

/// Whether the host of a URI is a name of one label, such as that of a Service in the same namespace.
fn has_short_host(uri: &str) -> bool {
    url::Url::parse(uri).is_ok_and(|uri| uri.host_str().is_some_and(|host| !host.contains(['.', ':'])))
}

/// What `catalog` takes as `DATABASE_URL`.
fn uri(text: &str) -> Result<(), String> {
    let wanted = "a PostgreSQL URI such as postgres://user:password@host:port/name (special characters percent-encoded)";
    let parsed = url::Url::parse(text).ok().filter(|uri| matches!(uri.scheme(), "postgres" | "postgresql"));
    parsed.filter(url::Url::has_host).map(|_| ()).ok_or_else(|| wanted.to_owned())
}
