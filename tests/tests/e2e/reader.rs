//! Clients that read continuously and count failures.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use catalog_tests::Api;
use tokio::task::JoinHandle;

/// Concurrent readers with keep-alive connections.
pub struct Readers {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    readers: Vec<JoinHandle<Vec<String>>>,
}

impl Readers {
    /// Starts `clients` readers, which read these paths in turn.
    pub fn start(anyone: &Api, clients: usize, paths: &[String]) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let readers = (0..clients).map(|client| {
            let anyone = Api::anonymous(&anyone.base(), None);
            let (stop, served, paths) = (stop.clone(), served.clone(), paths.to_vec());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                for path in paths.iter().cycle().skip(client) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match anyone.get(path).attempt().await {
                        Ok(reply) if reply.status == 200 => drop(served.fetch_add(1, Ordering::Relaxed)),
                        Ok(reply) => failures.push(format!("{}: {}", reply.status, reply.text())),
                        Err(error) => failures.push(format!("{error:?}")),
                    }
                    tokio::task::yield_now().await;
                }
                failures
            })
        });
        Self { readers: readers.collect(), stop, served }
    }

    /// The number of successful reads so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Stops the readers. Returns the number of successful reads, and the failures.
    pub async fn stop(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for reader in self.readers {
            failures.extend(reader.await.unwrap());
        }
        (self.served.load(Ordering::Relaxed), failures)
    }
}
