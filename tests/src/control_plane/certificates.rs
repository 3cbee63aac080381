//! The certificates of one control plane.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::json;

/// The name of operators that run as programs, to tell their calls from others.
pub const OPERATOR: &str = "operator";

/// Files for kube-apiserver, and what its clients need.
pub struct Certificates {
    /// The authority of all of them, PEM.
    pub authority: PathBuf,
    /// The server's certificate for 127.0.0.1.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// The key that signs tokens of service accounts.
    pub token_key: PathBuf,
    /// Its public half.
    pub token_public_key: PathBuf,
    authority_pem: String,
    admin: (String, String),
    operator: (String, String),
}

impl Certificates {
    /// Makes them in a directory.
    ///
    /// # Panics
    /// If the directory cannot be written.
    pub fn make(directory: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "control plane of a test");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate can be signed");

        let mut server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("valid names");
        server.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let (server, server_key) = signed(&server, &authority);

        let (admin, operator) = (client("admin", Some("system:masters"), &authority), client(OPERATOR, None, &authority));

        let tokens = key();
        let write = |name: &str, content: &str| {
            let path = directory.join(name);
            fs::write(&path, content).expect("the directory can be written");
            path
        };
        Self {
            authority: write("authority.crt", &authority.pem()),
            server: write("server.crt", &server),
            server_key: write("server.key", &server_key),
            token_key: write("tokens.key", &tokens.serialize_pem()),
            token_public_key: write("tokens.pub", &tokens.public_key_pem()),
            authority_pem: authority.pem(),
            admin,
            operator,
        }
    }

    /// A kubeconfig for the administrator of the server on this port.
    pub fn admin(&self, port: u16) -> String {
        self.kubeconfig(port, &self.admin)
    }

    /// A kubeconfig for an operator.
    pub fn operator(&self, port: u16) -> String {
        self.kubeconfig(port, &self.operator)
    }

    fn kubeconfig(&self, port: u16, (certificate, key): &(String, String)) -> String {
        let server = format!("https://127.0.0.1:{port}");
        let encoded = |pem: &str| BASE64_STANDARD.encode(pem);
        // JSON is YAML.
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": encoded(&self.authority_pem)}}],
            "users": [{"name": "user", "user": {
                "client-certificate-data": encoded(certificate),
                "client-key-data": encoded(key),
            }}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
            "current-context": "test",
        })
        .to_string()
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// Somebody; `system:masters` may do everything.
fn client(name: &str, group: Option<&str>, authority: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    signed(&params, authority)
}

/// A certificate and its key, PEM.
fn signed(params: &CertificateParams, authority: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let key = key();
    let certificate = params.signed_by(&key, authority).expect("a certificate can be signed");
    (certificate.pem(), key.serialize_pem())
}
