//! Uncached single reads, joined: a free connection takes a request at once; while all are busy, ids
//! gather for one query. No timer, so an idle service answers as fast as one query does, and a busy
//! one shares each round trip (a data loader, <https://github.com/graphql/dataloader>).

use std::{collections::HashMap, sync::Arc};

use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::{Error, Product, store};
use crate::config::Currency;

/// Ids in one query, at most.
const MAX_BATCH: usize = 256;
/// Requests waiting, at most; further ones wait to be queued.
const QUEUE: usize = 4096;
/// Queries at the same time. Two keep one connection busy while the other's answer is read.
const LANES: usize = 2;

type Answer = Result<Option<Arc<Product>>, Arc<sqlx::Error>>;

struct Request {
    id: Uuid,
    reply: oneshot::Sender<Answer>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    requests: mpsc::Sender<Request>,
}

impl Reader {
    /// Starts the lanes. They end when the last clone is dropped.
    #[must_use]
    pub fn start(pool: &PgPool, currency: Currency) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..LANES {
            tokio::spawn(lane(queue.clone(), pool.clone(), currency));
        }
        Self { requests }
    }

    /// The product, or `None` if there is none.
    ///
    /// # Errors
    /// The error of the query this read was part of.
    pub async fn read(&self, id: Uuid) -> Result<Option<Arc<Product>>, Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::Database(sqlx::Error::WorkerCrashed);
        self.requests.send(Request { id, reply }).await.map_err(|_| gone())?;
        Ok(answer.await.map_err(|_| gone())??)
    }
}

async fn lane(queue: Arc<Mutex<mpsc::Receiver<Request>>>, pool: PgPool, currency: Currency) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.lock().await.recv_many(&mut batch, MAX_BATCH).await > 0 {
        // Whoever stopped waiting needs no answer.
        batch.retain(|request| !request.reply.is_closed());
        let mut ids: Vec<Uuid> = batch.iter().map(|request| request.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = store::by_ids(&pool, &ids).await.map_err(Arc::new);
        let found = found.map(|rows| rows.into_iter().map(|row| (row.id, Arc::new(row.into_product(currency)))).collect::<HashMap<_, _>>());
        for request in batch.drain(..) {
            let answer = found.as_ref().map(|products| products.get(&request.id).cloned()).map_err(Arc::clone);
            // A client that hung up meanwhile is no fault.
            let _ = request.reply.send(answer);
        }
    }
}
