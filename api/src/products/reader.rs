//! Batched reads of single products. While one query is in flight, further ids are collected for the next, without a
//! timer: an idle service answers after one query, and a busy one shares round trips (a data loader,
//! <https://github.com/graphql/dataloader>).

use std::{collections::HashMap, sync::Arc, time::Duration};

use catalog_values::Currency;
use sqlx::PgPool;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::{Error, Product, store};

/// Maximum number of ids per query.
const MAX_BATCH: usize = 256;
/// Capacity of the queue. Further requests wait to be queued.
const QUEUE: usize = 4096;
/// Timeout of a query. A longer one is treated as an outage, because the connection may be dead.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

type ReadResult = Result<Option<Arc<Product>>, Arc<sqlx::Error>>;

struct Request {
    id: Uuid,
    reply: oneshot::Sender<ReadResult>,
}

/// Handle of the reader task. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    requests: mpsc::Sender<Request>,
}

impl Reader {
    /// Starts the task. It ends when the last handle is dropped.
    #[must_use]
    pub fn start(pool: &PgPool, currency: Currency) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(serve_requests(queue, pool.clone(), currency));
        Self { requests }
    }

    /// Reads a product; `None` if it does not exist.
    ///
    /// # Errors
    /// The error of the query that included this id.
    pub async fn read(&self, id: Uuid) -> Result<Option<Arc<Product>>, Error> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Database(sqlx::Error::WorkerCrashed);
        self.requests.send(Request { id, reply }).await.map_err(|_| stopped())?;
        Ok(answer.await.map_err(|_| stopped())??)
    }
}

/// Runs one query at a time. Two in parallel would each get half of the waiting ids, and the cost of the database is per
/// query more than per row (measured: 0.33 of pgbench with two in parallel, 0.60 with one).
async fn serve_requests(mut queue: mpsc::Receiver<Request>, pool: PgPool, currency: Currency) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        // The client has disconnected.
        batch.retain(|request: &Request| !request.reply.is_closed());
        let mut ids: Vec<Uuid> = batch.iter().map(|request| request.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let found =
            timeout(QUERY_TIMEOUT, store::read_by_ids(&pool, &ids)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Arc::new);
        let found = found.map(|rows| rows.into_iter().map(|row| (row.id, Arc::new(row.into_product(currency)))).collect::<HashMap<_, _>>());
        for request in batch.drain(..) {
            let answer = found.as_ref().map(|products| products.get(&request.id).cloned()).map_err(Arc::clone);
            // The client may have disconnected meanwhile.
            let _ = request.reply.send(answer);
        }
    }
}
