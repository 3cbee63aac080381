//! HTTP requests, with or without TLS, directly or through the proxy of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

use std::{error::Error as StdError, io, sync::Arc};

use anyhow::{Context, bail};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header, uri::Authority};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Request, body::Frame};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioIo},
};
use rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore, crypto::ring, pki_types::CertificateDer};
use tokio::net::TcpStream;
use tower::{Service, util::BoxCloneSyncService};

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

type BoxError = Box<dyn StdError + Send + Sync>;
type Connector = HttpsConnector<BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>>;

/// An API at one address.
pub struct Transport {
    client: Client<Connector, Body>,
    base: String,
}

/// A response.
pub struct Reply {
    pub status: StatusCode,
    /// Target of a redirect.
    pub location: Option<String>,
    pub body: Bytes,
}

/// A body in memory.
pub fn buffered_body(bytes: Vec<u8>) -> Body {
    Full::from(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A streamed body.
pub fn streamed_body(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

impl Transport {
    /// Returns a client of the API at `base`. It trusts the certificate authorities of the system (or of `SSL_CERT_FILE`) and
    /// `authorities`.
    ///
    /// # Errors
    /// If TLS is needed and no certificate authority is trusted.
    pub fn new(base: &str, authorities: &[CertificateDer<'static>]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        if base.starts_with("https:") {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs.into_iter().chain(authorities.iter().cloned()));
            if roots.is_empty() {
                let why: String = system.errors.iter().map(|error| format!("; {error}")).collect();
                bail!("no certificate authority is trusted{why}: set --ca-file or SSL_CERT_FILE to a file of certificates");
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.wrap_connector(tcp_connector()));
        Ok(Self { client, base: base.to_owned() })
    }

    /// Sends a POST request and reads the whole response.
    ///
    /// # Errors
    /// If there is no response. TLS errors say what to check.
    pub async fn post(&self, path: &str, headers: &[(HeaderName, HeaderValue)], body: Body) -> anyhow::Result<Reply> {
        let uri: Uri = format!("{}{path}", self.base).parse().context("the URL is invalid")?;
        let mut request = Request::post(uri).header(header::USER_AGENT, concat!("catalog-import/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = match self.client.request(request.body(body)?).await {
            Ok(reply) => reply,
            Err(error) => match describe_tls_error(&error) {
                Some(reason) => bail!("{reason}"),
                None => return Err(error.into()),
            },
        };
        let (head, body) = reply.into_parts();
        let location = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Reply { status: head.status, location, body: body.collect().await?.to_bytes() })
    }
}

/// Connects directly, or through the proxy that the environment names.
fn tcp_connector() -> BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError> {
    let proxies = Arc::new(Matcher::from_env());
    let mut direct = HttpConnector::new();
    direct.enforce_http(false);
    BoxCloneSyncService::new(tower::service_fn(move |uri: Uri| {
        let (proxies, mut direct) = (proxies.clone(), direct.clone());
        async move {
            let Some(proxy) = proxies.intercept(&uri) else { return direct.call(uri).await.map_err(BoxError::from) };
            let mut tunnel = Tunnel::new(proxy.uri().clone(), direct);
            if let Some(credentials) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(credentials.clone());
            }
            let host = proxy.uri().authority().map(Authority::to_string).unwrap_or_default();
            tunnel.call(uri).await.map_err(|error| format!("the proxy {host} cannot connect: {error}").into())
        }
    }))
}

/// Describes a TLS error, if there is one among the causes.
fn describe_tls_error(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| cause(*error));
    let reason = match causes.find_map(|error| error.downcast_ref::<TlsError>())? {
        // BadSignature: another authority with the same name has signed it.
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is not signed by a trusted authority: if the shop has its own certificate authority, \
             set --ca-file or CATALOG_CA_FILE to the authority's certificate"
                .to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate is for another name: use the name of the certificate in the URL".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::Other(why)) => format!(
            "its certificate cannot be used ({why}): a server needs a certificate that an authority has signed, not a self-signed \
             certificate of an authority; set --ca-file or CATALOG_CA_FILE to the authority's certificate"
        ),
        TlsError::InvalidMessage(_) => "the server doesn't use TLS: use http:// or another port in the URL".to_owned(),
        other => format!("the TLS handshake failed: {other}"),
    };
    Some(reason)
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // `source` of an io::Error skips the error that it wraps.
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
