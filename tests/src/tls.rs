//! A gateway that terminates TLS in front of a shop, with its own certificate authority.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

/// A TLS listener that forwards to the shop. It stops on drop.
pub struct Gateway {
    address: SocketAddr,
    authority: String,
    passing: JoinHandle<()>,
}

impl Gateway {
    /// Starts a gateway in front of `base` (scheme, host and port), with a certificate for `name`.
    ///
    /// # Panics
    /// If the gateway cannot listen.
    pub async fn start(base: &str, name: &str) -> Self {
        let (authority, config) = certified(name);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let behind = base.trim_start_matches("http://").to_owned();
        let passing = tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    // A client that doesn't trust the certificate closes the connection.
                    let Ok(mut outside) = acceptor.accept(outside).await else { return };
                    let mut inside = TcpStream::connect(behind).await.expect("the shop listens");
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { address, authority, passing }
    }

    /// Returns the port of the gateway.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the certificate of the gateway's certificate authority, in PEM form.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

fn certified(name: &str) -> (String, ServerConfig) {
    let key = || KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate can be signed");
    let own = key();
    let certificate = CertificateParams::new([name.to_owned()]).and_then(|params| params.signed_by(&own, &authority));
    let chain = vec![certificate.expect("a certificate can be signed").der().clone()];
    let private = PrivateKeyDer::Pkcs8(own.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
    (authority.pem(), config.expect("a certificate and its key"))
}
