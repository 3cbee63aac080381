//! The roles of `catalog` become ready with exactly the environment and volumes of the pods that the operator renders.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

mod forwarder;
mod login_roles;
mod pods;
#[path = "../e2e/reader.rs"]
mod reader;
mod scaling;
mod servers;

use catalog_tests::{
    Api, Inbox, Process, container::Container, process::Environment, programs, samples, scratch::Scratch, shared::Shared, wait::eventually,
};
use k8s_openapi::{
    ByteString,
    api::core::v1::{HTTPGetAction, Secret},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;

use pods::{Pod, Rendered};
use servers::Server;

const EMBEDDED: &str = "
apiVersion: catalog.rs/v1alpha1
kind: Catalog
metadata: {name: embedded, namespace: shops, uid: 7c1f}
spec:
  database: {embedded: {storage: 1Gi}}
  messaging: {embedded: {storage: 2Gi}} # the minimum
  mail: {server: inbox, port: 1025, tls: None, from: Shop <shop@example.com>}
  notifier: {autoscaling: {minReplicas: 0, maxReplicas: 5}}
  tracker: {autoscaling: {minReplicas: 1, maxReplicas: 8, lagThreshold: 1000}}
  fulfiller: {autoscaling: {minReplicas: 0, maxReplicas: 5}}
";

const EXTERNAL: &str = "
apiVersion: catalog.rs/v1alpha1
kind: Catalog
metadata: {name: external, namespace: shops, uid: 7c1f}
spec:
  currency: SAR
  database: {external: {secretRef: {name: db}, keys: {uri: url}}}
  messaging: {external: {url: 'nats://nats.example.com:4222', monitoringEndpoint: 'nats.example.com:8222'}}
  mail: {server: mail.example.com, port: 2525, tls: None, from: shop@example.com}
  auth: {accessTokenTTL: 10m, refreshTokenTTL: 48h, superuserSecretRef: {name: boss}}
  api: {replicas: 3, env: [{name: ACCESS_LOG_SAMPLE, value: '7'}]}
  notifier: {autoscaling: {minReplicas: 0, maxReplicas: 5}}
  tracker: {autoscaling: {minReplicas: 1, maxReplicas: 8, lagThreshold: 1000}}
  fulfiller: {autoscaling: {minReplicas: 0, maxReplicas: 5}}
";

/// With certificate authorities and credentials for external servers.
const EXTERNAL_WITH_TLS_AND_CREDENTIALS: &str = "
apiVersion: catalog.rs/v1alpha1
kind: Catalog
metadata: {name: external-tls, namespace: shops, uid: 7c1f}
spec:
  database:
    external:
      {secretRef: {name: db}, host: db.example.com, port: 6432, database: shop, sslMode: VerifyFull, caSecretRef: {name: db, key: ca}}
  messaging:
    external:
      url: 'tls://nats.example.com:4222'
      credentialsSecretRef: {name: nats, key: creds}
      caSecretRef: {name: nats, key: ca}
  mail: {server: mail.example.com, from: shop@example.com, credentialsSecretRef: {name: mail}}
";

/// A credentials file as `nsc` writes it, of a user that no server knows.
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.c2lnbmF0dXJl
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM
------END USER NKEY SEED------
";

fn secret(name: &str, values: &[(&str, &str)]) -> Secret {
    let data = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    secret
}

fn rendered() -> [(&'static str, Rendered); 3] {
    let authority = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap().cert.pem();
    let given = [
        secret(
            "db",
            &[("url", "postgres://them:theirs@db.example.com:6432/shop"), ("username", "u"), ("password", "p"), ("ca", &authority)],
        ),
        secret("nats", &[("creds", CREDENTIALS), ("ca", &authority)]),
        secret("mail", &[("username", "shop"), ("password", "post")]),
        secret("boss", &[("username", "boss"), ("email", "boss@example.com"), ("password", "a password of their own")]),
    ];
    let shops = [("embedded", EMBEDDED), ("external", EXTERNAL), ("external-tls", EXTERNAL_WITH_TLS_AND_CREDENTIALS)];
    shops.map(|(shop, catalog)| (shop, Rendered::of(catalog, &given)))
}

/// Variables that are not settings of `catalog`: the PostgreSQL client and the log filter read them.
const OTHER_VARIABLES: [&str; 5] = ["PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "RUST_LOG"];

/// Each role, and the suffix of its object's name.
const ROLES: [(&str, &str); 5] =
    [("migrate", "-migrate"), ("serve", "-api"), ("notifier", "-notifier"), ("tracker", "-tracker"), ("fulfiller", "-fulfiller")];

/// Returns the output of `catalog ROLE --help`, which names every setting.
fn help(role: &str) -> String {
    let output = std::process::Command::new(programs::catalog()).args([role, "--help"]).env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
}

#[test]
fn each_role_knows_all_settings_of_its_pod() {
    for (shop, rendered) in rendered() {
        for (role, part) in ROLES {
            let pod = rendered.pod(&format!("{shop}{part}"));
            let (command, args) = pod.words();
            assert!(command.is_empty(), "{shop}{part} replaces the entrypoint of the image by {command:?}");
            assert_eq!(args, [role]);
            let help = help(role);
            let part_of_another = |name: &str| {
                let variables = pod.container().env.iter().flatten();
                variables.into_iter().any(|it| it.value.as_ref().is_some_and(|value| value.contains(&format!("$({name})"))))
            };
            for name in pod.environment().keys() {
                let known = OTHER_VARIABLES.contains(&name.as_str()) || part_of_another(name) || words(&help).any(|word| word == name);
                assert!(known, "{shop}{part} sets {name}, which `catalog {role} --help` doesn't name");
            }
        }
    }
}

#[test]
fn addresses_match_the_services_of_the_embedded_servers() {
    let [(shop, rendered), ..] = rendered();
    let services: Vec<_> = rendered.objects.prerequisites.services.iter().collect();
    let is_served = |host: &str, port: u16| {
        let name = host.split('.').next().unwrap();
        services.iter().any(|service| {
            let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
            service.metadata.name.as_deref() == Some(name) && ports.into_iter().any(|open| open.port == i32::from(port))
        })
    };
    for (_, part) in ROLES {
        let environment = rendered.pod(&format!("{shop}{part}")).environment();
        let database: PgConnectOptions = environment["DATABASE_URL"].parse().unwrap();
        assert!(is_served(database.get_host(), database.get_port()), "{}", environment["DATABASE_URL"]);
        let nats: reqwest::Url = environment["NATS_URL"].parse().unwrap();
        assert!(is_served(nats.host_str().unwrap(), nats.port().unwrap_or(4222)), "{nats}");
    }
}

/// Starts a role with the environment of its pod. Only addresses and the paths of volumes differ.
fn start(pod: &Pod, addresses: &Environment, scratch: &Scratch) -> Process {
    let mut environment = pod.environment();
    for (directory, path) in pod.volumes(scratch) {
        for value in environment.values_mut() {
            if let Some(below) = value.strip_prefix(&path) {
                *value = format!("{}{below}", directory.display());
            }
        }
    }
    for (name, value) in addresses {
        // Settings that the pod lacks are not added, except listen addresses.
        if environment.contains_key(name) || name.ends_with("_ADDRESS") {
            environment.insert(name.clone(), value.clone());
        }
    }
    let (_, args) = pod.words();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    Process::start(&args, &environment)
}

/// Returns the path and port of each HTTP probe.
fn probes(pod: &Pod) -> Vec<(String, i32)> {
    let container = pod.container();
    let numbered = |port: &IntOrString| match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            ports
                .into_iter()
                .find(|port| port.name.as_ref() == Some(name))
                .unwrap_or_else(|| panic!("the container has no port {name}"))
                .container_port
        }
    };
    let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe].into_iter().flatten();
    let requests = probes.filter_map(|probe| probe.http_get.as_ref());
    requests.map(|HTTPGetAction { path, port, .. }| (path.clone().unwrap_or_default(), numbered(port))).collect()
}

async fn assert_probes_succeed(pod: &Pod<'_>, process: &mut Process) {
    process.ready().await;
    let ops = process.address("OPS_ADDRESS").await;
    let probes = probes(pod);
    assert_eq!(probes.len(), 3, "a role has a startup, a liveness and a readiness probe: {probes:?}");
    // The address on a cluster: that of the pod or the default.
    let address = pod.environment().get("OPS_ADDRESS").cloned().unwrap_or_else(|| "[::]:9090".to_owned());
    assert!(help("serve").contains("[default: [::]:9090]"), "the default of OPS_ADDRESS has changed");
    for (path, port) in probes {
        assert!(address.ends_with(&format!(":{port}")), "the probe {path} uses port {port}, but the role listens on {address}");
        let status = reqwest::get(format!("http://{ops}{path}")).await.unwrap().status();
        assert!(status.is_success(), "{path}: {status}");
    }
}

async fn open_inbox() -> (Process, Inbox, Environment) {
    let addresses = ["SMTP_ADDRESS", "INBOX_ADDRESS", "OPS_ADDRESS"].map(|name| (name.to_owned(), "127.0.0.1:0".to_owned()));
    let process = Process::tool(&["inbox"], &addresses.into());
    let (smtp, http) = (process.address("SMTP_ADDRESS").await, process.address("INBOX_ADDRESS").await);
    let mail = [("MAIL_SERVER", smtp.ip().to_string()), ("MAIL_PORT", smtp.port().to_string())];
    (process, Inbox::new(format!("http://{http}")), mail.map(|(name, value)| (name.to_owned(), value)).into())
}

/// Creates a database for this shop on the shared servers of the suite, and returns their addresses.
async fn shared_servers(shop: &str) -> Environment {
    let servers = tokio::task::spawn_blocking(Shared::get).await.unwrap();
    servers.postgres.create_database(shop, "template0").await;
    [("DATABASE_URL".to_owned(), servers.postgres.url(shop)), ("NATS_URL".to_owned(), servers.nats.url())].into()
}

async fn assert_roles_work_together(shop: &str, rendered: &Rendered, servers: Environment) {
    let scratch = Scratch::new(None);
    let (_mail_server, inbox, mut addresses) = open_inbox().await;
    let local = [("HTTP_ADDRESS", "127.0.0.1:0"), ("OPS_ADDRESS", "127.0.0.1:0")];
    addresses.extend(local.map(|(name, value)| (name.to_owned(), value.to_owned())));
    addresses.extend(servers.clone());

    let migration = rendered.pod(&format!("{shop}-migrate"));
    let mut migrate = start(&migration, &addresses, &scratch);
    assert!(migrate.ended().await.success(), "{}", migrate.report());
    let mut running = Vec::new();
    for part in ["-api", "-notifier", "-tracker", "-fulfiller"] {
        let pod = rendered.pod(&format!("{shop}{part}"));
        let mut process = start(&pod, &addresses, &scratch);
        assert_probes_succeed(&pod, &mut process).await;
        running.push(process);
    }

    // Roles with different prefixes, currencies or keys would also be ready.
    let base = format!("http://{}", running[0].address("HTTP_ADDRESS").await);
    let anyone = Api::anonymous(&base, None);
    let settings = migration.environment();
    let body = json!({"username": settings["SUPERUSER_USERNAME"], "password": settings["SUPERUSER_PASSWORD"]});
    let session = anyone.post("/v1/auth/login", &body).await.expect(200).json();
    let admin = anyone.with_token(session["access_token"].as_str().unwrap());
    let body = json!({"username": "ada", "email": "ada@example.com", "password": "ada's passphrase"});
    admin.post("/v1/admins", &body).await.expect(201);
    let mut product = samples::plain("drift-1");
    product["price"]["currency"] = json!(settings["CURRENCY"]);
    let product = samples::create(&admin, &product).await;
    inbox.mail_about("ada@example.com", "drift-1").await;
    anyone.get(&product.path).await.expect(200);
    eventually("the view is counted", async || {
        let views = admin.get(&product.at("views")).await.expect(200).json();
        if views["total"] == 1 { Ok(()) } else { Err(views) }
    })
    .await;
    scaling::assert_triggers_work(rendered, &servers).await;
}

#[tokio::test]
async fn an_embedded_shop_works_with_the_settings_of_its_pods() {
    let [(shop, rendered), ..] = rendered();
    if !Container::possible() {
        return assert_roles_work_together(shop, &rendered, shared_servers(shop).await).await;
    }
    // The servers also run as rendered: images, users, arguments, volumes, passwords.
    let (postgres, nats) = (Server::postgres(&rendered, shop).await, Server::nats(&rendered, shop));
    let settings = rendered.pod(&format!("{shop}-api")).environment();
    let reached = [("DATABASE_URL", &postgres), ("NATS_URL", &nats)];
    let servers = reached.map(|(name, server)| (name.to_owned(), server.reached_by(&settings[name])));
    let mut servers = Environment::from(servers);
    servers.insert("NATS_MONITOR".to_owned(), nats.monitor().expect("NATS has a monitoring port"));
    assert_roles_work_together(shop, &rendered, servers).await;
}

#[tokio::test]
async fn a_shop_on_external_servers_works_with_the_settings_of_its_pods() {
    let [_, (shop, rendered), _] = rendered();
    assert_roles_work_together(shop, &rendered, shared_servers(shop).await).await;
}
