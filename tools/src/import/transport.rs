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
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Target of a redirect.
    pub location: Option<String>,
    /// Body.
    pub body: Bytes,
}

/// A body in memory.
pub fn whole(bytes: Vec<u8>) -> Body {
    Full::from(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A streamed body.
pub fn pieces(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

impl Transport {
    /// To the API at `base`, which is trusted if its certificate is of one of the system's
    /// authorities (`SSL_CERT_FILE` names others) or of one of `authorities`.
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
                bail!("this machine trusts no certificate authority{why}: name a file of theirs with --ca-file or in SSL_CERT_FILE");
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(connector.wrap_connector(route()));
        Ok(Self { client, base: base.to_owned() })
    }

    /// Sends a POST request and reads the whole response.
    ///
    /// # Errors
    /// If there is no response; says what to check.
    pub async fn post(&self, path: &str, headers: &[(HeaderName, HeaderValue)], body: Body) -> anyhow::Result<Answer> {
        let uri: Uri = format!("{}{path}", self.base).parse().context("the URL is invalid")?;
        let mut request = Request::post(uri).header(header::USER_AGENT, concat!("catalog-import/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = match self.client.request(request.body(body)?).await {
            Ok(answer) => answer,
            Err(error) => match distrust(&error) {
                Some(reason) => bail!("{reason}"),
                None => return Err(error.into()),
            },
        };
        let (head, body) = answer.into_parts();
        let location = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Answer { status: head.status, location, body: body.collect().await?.to_bytes() })
    }
}

/// Connects directly, or through the proxy that the environment names.
fn route() -> BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError> {
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
            tunnel.call(uri).await.map_err(|error| format!("the proxy {host} doesn't connect: {error}").into())
        }
    }))
}

/// What is wrong with the server's certificate, if that is why there is no connection.
fn distrust(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| cause(*error));
    let reason = match causes.find_map(|error| error.downcast_ref::<TlsError>())? {
        // A bad signature: of an authority that only has the name of one that is trusted.
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is not of an authority that this machine trusts: if the shop has an authority of its own, \
             name that one's certificate with --ca-file or CATALOG_CA_FILE"
                .to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate is for another name: give the URL with the name that the certificate is for".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::Other(why)) => format!(
            "its certificate cannot be used ({why}): a server needs one that an authority has signed, and not the authority's own, \
             such as openssl makes when it is asked for a self-signed one; --ca-file or CATALOG_CA_FILE names the authority's"
        ),
        TlsError::InvalidMessage(_) => "what listens there doesn't speak TLS: give the URL with http://, or another port".to_owned(),
        other => format!("no secure connection can be made: {other}"),
    };
    Some(reason)
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // Its source would be the source of what it holds.
        Some(held) => Some(held),
        None => error.source(),
    }
}
