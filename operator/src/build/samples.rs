//! Plans for tests, validated from the sample Catalogs.

use crate::{
    crd::Catalog,
    observed::{Observed, SecretFacts},
    validate::{Plan, validate},
};

/// Values of the Secrets of the samples, which no output may contain.
pub const VALUES: [&str; 8] = [
    "postgres://shop:S3cretUri@db.example.com/shop",
    "-----BEGIN CERTIFICATE-----\nS3cretCa",
    "-----BEGIN NATS USER JWT-----\nS3cretJwt\n-----BEGIN USER NKEY SEED-----",
    "S3cretName",
    "S3cretPassword",
    "S3cretHeaders",
    "s3cret@example.com",
    "S3cretKey",
];

fn catalog(text: &str) -> Catalog {
    let mut catalog: Catalog = serde_norway::from_str(text).unwrap();
    catalog.metadata.uid = Some("6a1c9a4e-5f0a-4b43-9d3f-3f1f3f6d8f10".into());
    catalog
}

/// Returns a Catalog with only the required fields, in an empty namespace.
pub fn minimal_input() -> (Catalog, Observed) {
    (catalog(include_str!("../../samples/minimal.yaml")), Observed::default())
}

/// Returns a Catalog with all fields, and the Secrets that it references.
pub fn full_input() -> (Catalog, Observed) {
    let [uri, certificate, credentials, name, password, filter, email, key] = VALUES;
    let referenced = [
        ("registry", SecretFacts::from([(".dockerconfigjson", "{}")])),
        ("log-settings", SecretFacts::from([("filter", filter)])),
        ("shop-db", SecretFacts::from([("uri", uri)])),
        ("shop-db-ca", SecretFacts::from([("ca.crt", certificate)])),
        ("nats", SecretFacts::from([("user.creds", credentials), ("ca.crt", certificate)])),
        ("smtp", SecretFacts::from([("username", name), ("password", password)])),
        ("admin", SecretFacts::from([("username", name), ("email", email), ("password", password)])),
    ];
    let generated = [("shop-signing-keys", SecretFacts::from([("20261121T100000Z-aaaaaa.pem", key)]))];
    let named = |secrets: &[(&str, SecretFacts)]| secrets.iter().map(|(name, facts)| ((*name).to_owned(), facts.clone())).collect();
    let observed = Observed { keda: true, referenced: named(&referenced), generated: named(&generated), ..Observed::default() };
    (catalog(include_str!("../../samples/full.yaml")), observed)
}

/// Returns a Catalog with external servers in its own namespace, and with workers that scale to zero.
pub fn short_host_input() -> (Catalog, Observed) {
    let credentials = SecretFacts::from([("username", "shop"), ("password", "S3cretPassword")]);
    let referenced = [("catalog.acid-shop.credentials.postgresql.acid.zalan.do".to_owned(), credentials)].into();
    (catalog(SHORT_HOST), Observed { keda: true, referenced, ..Observed::default() })
}

const SHORT_HOST: &str = "
apiVersion: catalog.rs/v1alpha1
kind: Catalog
metadata: {name: shop, namespace: shops}
spec:
  notifier: {autoscaling: {minReplicas: 0, maxReplicas: 3}}
  fulfiller: {autoscaling: {minReplicas: 0, maxReplicas: 3}}
  database:
    external: {host: acid-shop, secretRef: {name: catalog.acid-shop.credentials.postgresql.acid.zalan.do}}
  messaging:
    external: {url: 'nats://nats:4222', monitoringEndpoint: 'nats:8222'}
  mail: {server: smtp, from: shop@example.com}
";

/// Returns the plan of [`minimal_input`].
pub fn minimal() -> Plan {
    let (catalog, observed) = minimal_input();
    validate(&catalog, &observed).unwrap()
}

/// Returns the plan of [`full_input`].
pub fn full() -> Plan {
    let (catalog, observed) = full_input();
    validate(&catalog, &observed).unwrap()
}
