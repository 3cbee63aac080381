//! Certificates and kubeconfigs of a control plane.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::json;

/// The user name of operators. RBAC and the audit log refer to it.
pub const OPERATOR: &str = "operator";

/// The certificate files of kube-apiserver, and the certificates of its clients.
pub struct Certificates {
    /// The certificate of the authority, PEM.
    pub authority: PathBuf,
    /// The server's certificate for 127.0.0.1.
    pub server: PathBuf,
    /// The server's key.
    pub server_key: PathBuf,
    /// The key that signs service account tokens.
    pub token_key: PathBuf,
    /// The public key of `token_key`.
    pub token_public_key: PathBuf,
    authority_pem: String,
    admin: (String, String),
    operator: (String, String),
}

impl Certificates {
    /// Creates the certificates and writes the server's files to `directory`.
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

    /// Returns the administrator's kubeconfig for a server on `port`.
    pub fn admin(&self, port: u16) -> String {
        self.kubeconfig(port, &self.admin)
    }

    /// Returns an operator's kubeconfig for a server on `port`.
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

/// Creates a client certificate and its key. Members of the group `system:masters` have all permissions.
fn client(name: &str, group: Option<&str>, authority: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    signed(&params, authority)
}

/// Creates a key and a certificate for it; returns both as PEM, the certificate first.
fn signed(params: &CertificateParams, authority: &CertifiedIssuer<'_, KeyPair>) -> (String, String) {
    let key = key();
    let certificate = params.signed_by(&key, authority).expect("a certificate can be signed");
    (certificate.pem(), key.serialize_pem())
}
