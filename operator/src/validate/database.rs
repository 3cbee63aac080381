//! Checks `spec.database`.

use super::{
    check::{Check, Rule, certificates, some_text},
    plan::{DatabasePlan, EmbeddedDatabasePlan, ExternalDatabasePlan, PostgresAddress, SecretKey, Shop},
    resources, rotation, volume,
};
use crate::crd::{Catalog, EmbeddedDatabase, ExternalDatabase};

/// Login roles of the embedded PostgreSQL. Pods use one of them; a rotation changes to the other one.
pub const LOGIN_ROLES: [&str; 2] = ["catalog_a", "catalog_b"];

/// Checks `spec.database`.
pub fn check(catalog: &Catalog, shop: &Shop, check: &mut Check<'_>) -> Option<DatabasePlan> {
    let database = &catalog.spec.database;
    match (&database.embedded, &database.external) {
        (Some(embedded), None) => self::embedded(catalog, shop, embedded, check).map(DatabasePlan::Embedded),
        (None, Some(external)) => {
            rotation::no_database_password(catalog, check);
            Some(DatabasePlan::External(self::external(external, check)))
        }
        _ => {
            check.invalid("spec.database", "set exactly one of embedded and external");
            None
        }
    }
}

fn embedded(catalog: &Catalog, shop: &Shop, embedded: &EmbeddedDatabase, check: &mut Check<'_>) -> Option<EmbeddedDatabasePlan> {
    let path = "spec.database.embedded";
    let (volume, _) = volume::check(shop, "postgres", path, &embedded.storage, embedded.storage_class_name.as_ref(), check)?;
    let secret = shop.named("postgres");
    // Missing and invalid values of this Secret are not reported: `crate::secrets` generates new ones.
    let login = check.generated_text(&secret, "username").filter(|login| LOGIN_ROLES.contains(login)).unwrap_or(LOGIN_ROLES[0]);
    let login = login.to_owned();
    Some(EmbeddedDatabasePlan {
        volume,
        image: embedded.image.clone(),
        resources: resources::check(&format!("{path}.resources"), embedded.resources.as_ref(), resources::POSTGRES, check),
        password: SecretKey { secret, key: login.clone() },
        login,
        rotate: rotation::requested(catalog, rotation::ROTATE_DATABASE_PASSWORD, check),
        running_connections: check.running_connections(),
    })
}

fn external(external: &ExternalDatabase, check: &mut Check<'_>) -> ExternalDatabasePlan {
    let path = "spec.database.external";
    let (secret, keys) = (&external.secret_ref.name, &external.keys);
    let mut key = |field: &str, key: &str, valid: Rule| {
        check.require_key((&format!("{path}.secretRef.name"), &format!("{path}.keys.{field}")), secret, key, valid)
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
        check.require_key((&format!("{path}.name"), &format!("{path}.key")), &ca.name, &ca.key, certificates)
    });
    let uri_host_is_short =
        matches!(address, PostgresAddress::Uri(_)) && check.referenced_text(secret, &keys.uri).is_some_and(has_short_host);
    ExternalDatabasePlan { address, ssl_mode: external.ssl_mode, ca, uri_host_is_short }
}

/// Whether the host of a URI is a name without a dot, such as that of a Service in the same namespace.
fn has_short_host(uri: &str) -> bool {
    url::Url::parse(uri).is_ok_and(|uri| uri.host_str().is_some_and(|host| !host.contains(['.', ':'])))
}

/// Accepts what `catalog` accepts as `DATABASE_URL`.
fn uri(text: &str) -> Result<(), String> {
    let expected = "a PostgreSQL URI such as postgres://user:password@host:port/name (special characters percent-encoded)";
    let parsed = url::Url::parse(text).ok().filter(|uri| matches!(uri.scheme(), "postgres" | "postgresql"));
    parsed.filter(url::Url::has_host).map(|_| ()).ok_or_else(|| expected.to_owned())
}
