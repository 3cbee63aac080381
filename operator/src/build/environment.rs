//! Environment variables of the roles. `catalog <role> --help` lists them.
//!
//! Secret values are references, never literals.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::files::{self, Files};
use crate::{
    crd,
    validate::{DatabasePlan, MessagingPlan, NatsServers, Plan, PostgresAddress, SecretKey, WorkerRole},
};

/// Name and owner of the embedded database, and user of the embedded NATS.
pub const ACCOUNT: &str = "catalog";
/// Port of the public API.
pub const HTTP_PORT: i32 = 8080;
/// Port of probes and metrics.
pub const OPS_PORT: i32 = 9090;
/// `SHUTDOWN_TIMEOUT`, in seconds.
pub const SHUTDOWN_SECONDS: i64 = 30;

/// Builds a variable with a literal value.
pub fn plain(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}

/// Builds a variable with a value from a Secret.
pub fn secret(name: &str, from: &SecretKey) -> EnvVar {
    let selector = SecretKeySelector { name: from.secret.clone(), key: from.key.clone(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.into(), value: None, value_from: Some(source) }
}

/// Builds the variables of the database connection. Besides `DATABASE_URL` these are variables of libpq (PostgreSQL manual, section
/// 34.15): a password in `PGPASSWORD` needs no percent-encoding, which Kubernetes could not do.
pub fn database(plan: &Plan, files: &mut Files) -> Vec<EnvVar> {
    match &plan.database {
        DatabasePlan::Embedded(database) => {
            let host = format!("{}.{}.svc", plan.shop.named("postgres"), plan.shop.namespace);
            let url = format!("postgres://{host}:5432/{ACCOUNT}?sslmode=disable");
            vec![plain("DATABASE_URL", url), plain("PGUSER", &database.login), secret("PGPASSWORD", &database.password)]
        }
        DatabasePlan::External(database) => {
            let mut variables = match &database.address {
                PostgresAddress::Uri(uri) => vec![secret("DATABASE_URL", uri)],
                PostgresAddress::Parts { host, port, database, username, password } => {
                    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                    let url = format!("postgres://{host}:{port}/{database}");
                    vec![plain("DATABASE_URL", url), secret("PGUSER", username), secret("PGPASSWORD", password)]
                }
            };
            variables.extend(database.ssl_mode.map(|mode| plain("PGSSLMODE", mode.as_str())));
            variables.extend(database.ca.as_ref().map(|ca| plain("PGSSLROOTCERT", files.mount("database-ca", ca, "ca.crt"))));
            variables
        }
    }
}

/// Builds the variables of the NATS connection, and mounts the files that they name.
pub fn events(plan: &Plan, files: &mut Files) -> Vec<EnvVar> {
    let mut variables = match &plan.messaging {
        MessagingPlan::Embedded(messaging) => {
            let host = format!("{}.{}.svc", plan.shop.named("nats"), plan.shop.namespace);
            // The kubelet expands the variable. The password consists of letters and digits and needs no encoding.
            let url = format!("nats://{ACCOUNT}:$(NATS_PASSWORD)@{host}:4222");
            vec![secret("NATS_PASSWORD", &messaging.password), plain("NATS_URL", url)]
        }
        MessagingPlan::External(messaging) => {
            let servers = match &messaging.servers {
                NatsServers::Plain(url) => plain("NATS_URL", url),
                NatsServers::Secret(key) => secret("NATS_URL", key),
            };
            let credentials = messaging.credentials.as_ref();
            let credentials = credentials.map(|key| plain("NATS_CREDS_FILE", files.mount("nats-credentials", key, "user.creds")));
            let ca = messaging.ca.as_ref().map(|key| plain("NATS_CA_FILE", files.mount("nats-ca", key, "ca.crt")));
            std::iter::once(servers).chain(credentials).chain(ca).collect()
        }
    };
    variables.push(plain("EVENTS_PREFIX", &plan.events_prefix));
    variables
}

/// Builds the variables of the API besides those of database and NATS.
pub fn api(plan: &Plan) -> Vec<EnvVar> {
    let duration = |duration| humantime::format_duration(duration).to_string();
    vec![
        plain("HTTP_ADDRESS", format!("[::]:{HTTP_PORT}")),
        plain("PUBLIC_URL", &plan.public_url),
        plain("CURRENCY", &plan.currency),
        plain("AUTH_SIGNING_KEYS_DIR", files::SIGNING_KEYS),
        plain("AUTH_ACCESS_TOKEN_TTL", duration(plan.auth.access_token_life)),
        plain("AUTH_REFRESH_TOKEN_TTL", duration(plan.auth.refresh_token_life)),
    ]
}

/// Builds the variables of a worker besides those of database and NATS.
pub fn worker(plan: &Plan, role: WorkerRole) -> Vec<EnvVar> {
    match role {
        WorkerRole::Notifier => mail(plan),
        WorkerRole::Tracker => Vec::new(),
        WorkerRole::Fulfiller => vec![plain("PUBLIC_URL", &plan.public_url), plain("CURRENCY", &plan.currency)],
    }
}

/// Builds the variables of the mail server, and the base URL of links in mails.
fn mail(plan: &Plan) -> Vec<EnvVar> {
    let mail = &plan.mail;
    let mut variables = vec![
        plain("PUBLIC_URL", &plan.public_url),
        plain("MAIL_SERVER", &mail.server),
        plain("MAIL_PORT", mail.port.to_string()),
        plain("MAIL_TLS", mail.tls.as_str()),
        plain("MAIL_FROM", escape_expansions(&mail.from)),
    ];
    if let Some((username, password)) = &mail.credentials {
        variables.extend([secret("MAIL_USERNAME", username), secret("MAIL_PASSWORD", password)]);
    }
    variables
}

/// Builds the variables of the migration besides those of database and NATS.
pub fn migration(plan: &Plan) -> Vec<EnvVar> {
    let superuser = |name, key: &str| secret(name, &SecretKey { secret: plan.auth.superuser.secret().to_owned(), key: key.to_owned() });
    vec![
        plain("CURRENCY", &plan.currency),
        superuser("SUPERUSER_USERNAME", "username"),
        superuser("SUPERUSER_EMAIL", "email"),
        superuser("SUPERUSER_PASSWORD", "password"),
    ]
}

/// Builds the variables of probes, metrics and shutdown.
pub fn operations() -> Vec<EnvVar> {
    vec![plain("OPS_ADDRESS", format!("[::]:{OPS_PORT}")), plain("SHUTDOWN_TIMEOUT", format!("{SHUTDOWN_SECONDS}s"))]
}

/// Builds the additional variables of the spec.
pub fn additional(declared: &[crd::EnvVar]) -> Vec<EnvVar> {
    let variable = |variable: &crd::EnvVar| match &variable.value_from {
        Some(from) => {
            let crd::SecretKeyRef { name, key } = from.secret_key_ref.clone();
            secret(&variable.name, &SecretKey { secret: name, key })
        }
        None => plain(&variable.name, escape_expansions(variable.value.as_deref().unwrap_or_default())),
    };
    declared.iter().map(variable).collect()
}

/// Escapes `$(NAME)`, which the kubelet would expand.
fn escape_expansions(text: &str) -> String {
    text.replace("$(", "$$(")
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    fn value<'a>(variables: &'a [EnvVar], name: &str) -> Option<&'a str> {
        variables.iter().find(|variable| variable.name == name)?.value.as_deref()
    }

    #[test]
    fn pods_reach_the_embedded_servers_by_their_services() {
        let plan = samples::minimal();
        let variables = [database(&plan, &mut Files::default()), events(&plan, &mut Files::default())].concat();
        assert_eq!(value(&variables, "DATABASE_URL"), Some("postgres://shop-postgres.shops.svc:5432/catalog?sslmode=disable"));
        assert_eq!(value(&variables, "NATS_URL"), Some("nats://catalog:$(NATS_PASSWORD)@shop-nats.shops.svc:4222"));
        let position = |name| variables.iter().position(|variable| variable.name == name);
        assert!(position("NATS_PASSWORD") < position("NATS_URL"), "the kubelet only expands variables that are defined earlier");
    }

    #[test]
    fn the_url_of_a_database_without_a_uri_has_no_password() {
        let mut plan = samples::full();
        let key = |key: &str| SecretKey { secret: "db".into(), key: key.into() };
        if let DatabasePlan::External(external) = &mut plan.database {
            external.address = PostgresAddress::Parts {
                host: "2001:db8::1".into(),
                port: 5433,
                database: "shop".into(),
                username: key("username"),
                password: key("password"),
            };
        }
        let mut files = Files::default();
        let variables = database(&plan, &mut files);
        assert_eq!(value(&variables, "DATABASE_URL"), Some("postgres://[2001:db8::1]:5433/shop"));
        assert_eq!(value(&variables, "PGSSLMODE"), Some("verify-full"));
        assert_eq!(value(&variables, "PGSSLROOTCERT"), Some("/etc/catalog/database-ca/ca.crt"));
        assert!(variables.iter().any(|variable| variable.name == "PGPASSWORD" && variable.value.is_none()));
    }

    #[test]
    fn only_the_notifier_gets_the_mail_server() {
        let plan = samples::full();
        let names = |role| worker(&plan, role).into_iter().map(|variable| variable.name).collect::<Vec<_>>();
        assert!(names(WorkerRole::Notifier).contains(&"MAIL_PASSWORD".to_owned()));
        assert!(names(WorkerRole::Tracker).is_empty());
        assert_eq!(names(WorkerRole::Fulfiller), ["PUBLIC_URL", "CURRENCY"]);
    }

    #[test]
    fn references_in_additional_variables_are_not_expanded() {
        let declared = [crd::EnvVar { name: "RUST_LOG".into(), value: Some("$(NATS_PASSWORD)".into()), value_from: None }];
        assert_eq!(value(&additional(&declared), "RUST_LOG"), Some("$$(NATS_PASSWORD)"));
    }
}
