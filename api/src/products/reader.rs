//! Uncached single reads, joined: while one query is under way, ids gather for the next. No timer, so
//! an idle service answers as fast as one query does, and a busy one shares each round trip (a data
//! loader, <https://github.com/graphql/dataloader>).

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::{Error, Product, store};
use crate::config::Currency;

/// Ids in one query, at most.
const MAX_BATCH: usize = 256;
/// Requests waiting, at most; further ones wait to be queued.
const QUEUE: usize = 4096;
/// A query that takes longer counts as an outage: the connection may be dead.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Starts reading. It ends when the last clone is dropped.
    #[must_use]
    pub fn start(pool: &PgPool, currency: Currency) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(answer(queue, pool.clone(), currency));
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

/// One query at a time: two would each find half the requests waiting, and the database's work is per
/// query more than per row (measured: 0.33 of pgbench with two at a time, 0.60 with one).
async fn answer(mut queue: mpsc::Receiver<Request>, pool: PgPool, currency: Currency) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        // Whoever stopped waiting needs no answer.
        batch.retain(|request: &Request| !request.reply.is_closed());
        let mut ids: Vec<Uuid> = batch.iter().map(|request| request.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = timeout(PATIENCE, store::by_ids(&pool, &ids)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Arc::new);
        let found = found.map(|rows| rows.into_iter().map(|row| (row.id, Arc::new(row.into_product(currency)))).collect::<HashMap<_, _>>());
        for request in batch.drain(..) {
            let answer = found.as_ref().map(|products| products.get(&request.id).cloned()).map_err(Arc::clone);
            // A client that hung up meanwhile is no fault.
            let _ = request.reply.send(answer);
        }
    }
}
