//! Polls the pods of notifiers, and publishes the report of a Catalog as soon as its pods have answered.

use std::{future::pending, time::Duration};

use axum::body::{Body, to_bytes};
use catalog_logging::Chain;
use futures::{
    Stream, StreamExt,
    future::join_all,
    stream::{self, FuturesUnordered},
};
use http::Uri;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::runtime::reflector::ObjectRef;
use tokio::time::{Instant, sleep_until, timeout};

use super::{MailReport, MailReports, NotifierPod, parse, schedule::CatalogKey, select_worst};
use crate::crd::GuardedCatalog;

/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of a request. A pod checks all its dependencies at once before it responds, for up to two seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a response, in bytes.
const MAX_RESPONSE: usize = 16 * 1024;
/// Maximum number of Catalogs whose pods are polled at the same time.
const CONCURRENCY: usize = 64;

type Client = HttpClient<HttpConnector, Body>;

impl MailReports {
    /// Stream of Catalogs whose report changed. Pods are polled only while the stream is consumed.
    pub fn changes(&self) -> impl Stream<Item = ObjectRef<GuardedCatalog>> + Send + 'static {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = HttpClient::builder(TokioExecutor::new()).build(connector);
        stream::unfold((self.clone(), FuturesUnordered::new()), move |(reports, mut in_flight)| {
            let client = client.clone();
            async move {
                loop {
                    let due = reports.schedule().start(Instant::now(), CONCURRENCY - in_flight.len());
                    in_flight.extend(due.into_iter().map(|(key, pods)| poll(client.clone(), key, pods)));
                    let next = reports.schedule().next_due().filter(|_| in_flight.len() < CONCURRENCY);
                    tokio::select! {
                        Some((key, pods, report)) = in_flight.next() => {
                            if reports.schedule().finish(&key, &pods, report, Instant::now()) {
                                let (namespace, name) = key;
                                return Some((ObjectRef::new(&name).within(&namespace), (reports, in_flight)));
                            }
                        }
                        () = reports.0.added.notified() => {}
                        () = async { if let Some(next) = next { sleep_until(next).await } else { pending().await } } => {}
                    }
                }
            }
        })
    }
}

async fn poll(client: Client, key: CatalogKey, pods: Vec<NotifierPod>) -> (CatalogKey, Vec<NotifierPod>, MailReport) {
    let reports = join_all(pods.iter().map(|pod| poll_pod(&client, pod))).await;
    (key, pods, select_worst(reports))
}

async fn poll_pod(client: &Client, pod: &NotifierPod) -> MailReport {
    let error = match timeout(RESPONSE_TIMEOUT, read(client, pod)).await {
        Ok(Ok(text)) => match parse(&text) {
            Some(MailReport::Unavailable(reply)) if !pod.mail_server.is_empty() => {
                return MailReport::Unavailable(format!("mail server {}: {reply}", pod.mail_server));
            }
            Some(report) => return report,
            None => "its report has no line about the mail server".to_owned(),
        },
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("no response within {} s", RESPONSE_TIMEOUT.as_secs()),
    };
    MailReport::PollFailed(format!("Pod {} at {}: {error}", pod.name, pod.address))
}

async fn read(client: &Client, pod: &NotifierPod) -> anyhow::Result<String> {
    let uri: Uri = format!("http://{}/readyz?verbose", pod.address).parse()?;
    let response = client.get(uri).await.map_err(|error| anyhow::anyhow!("{}", Chain(&error)))?;
    let body = to_bytes(Body::new(response.into_body()), MAX_RESPONSE).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        pin::pin,
        sync::{Arc, Mutex},
    };

    use axum::{Router, routing::get};
    use tokio::net::TcpListener;

    use super::*;
    use crate::mail::schedule::Schedule;

    fn pod(listener: &TcpListener) -> NotifierPod {
        NotifierPod { name: "notifier".into(), address: listener.local_addr().unwrap(), mail_server: "smtp.example.com:25".into() }
    }

    async fn names(changes: &mut (impl Stream<Item = ObjectRef<GuardedCatalog>> + Unpin), number: usize) -> BTreeSet<String> {
        let names = changes.take(number).map(|catalog| catalog.name).collect();
        timeout(Duration::from_secs(2), names)
            .await
            .expect("reports are published while the notifier of a different Catalog is unresponsive")
    }

    #[tokio::test]
    async fn an_unresponsive_notifier_does_not_delay_the_reports_of_other_catalogs() {
        let reports = MailReports::default();
        *reports.schedule() = Schedule::with_interval(Duration::from_millis(100));
        // The kernel accepts connections to it, and no request is answered.
        let unresponsive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (unresponsive_pods, answering) = (vec![pod(&unresponsive)], vec![pod(&listener)]);
        let line = Arc::new(Mutex::new("[+] mail server: ok"));
        let current = line.clone();
        let router = Router::new().route("/readyz", get(async move || *current.lock().unwrap()));
        tokio::spawn(async { axum::serve(listener, router).await });
        assert_eq!(reports.follow("shops", "a", unresponsive_pods.clone()), MailReport::NotPolled);
        for name in ["b", "c"] {
            assert_eq!(reports.follow("shops", name, answering.clone()), MailReport::NotPolled);
        }
        let mut changes = pin!(reports.changes());
        let expected = BTreeSet::from(["b".to_owned(), "c".to_owned()]);
        assert_eq!(names(&mut changes, 2).await, expected);
        *line.lock().unwrap() = "[-] mail server: permanent error (535): no";
        assert_eq!(names(&mut changes, 2).await, expected, "the next poll isn't delayed either");
        let failing = MailReport::Unavailable("mail server smtp.example.com:25: permanent error (535): no".into());
        assert_eq!(reports.follow("shops", "b", answering.clone()), failing);
        assert_eq!(reports.follow("shops", "a", unresponsive_pods.clone()), MailReport::NotPolled);
        // The pods of one Catalog are polled together: unresponsive ones delay its report by one timeout.
        let pods = [unresponsive_pods.clone(), unresponsive_pods, answering].concat();
        assert_eq!(reports.follow("shops", "a", pods.clone()), MailReport::NotPolled);
        let change = timeout(RESPONSE_TIMEOUT + Duration::from_secs(2), changes.next()).await.expect("within one timeout");
        assert_eq!((change.unwrap().name.as_str(), reports.follow("shops", "a", pods)), ("a", failing));
    }
}
