//! Changes and reads during faults, and checks of their effects.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use catalog_tests::{
    Mail, Shop,
    people::{GRACE, OWNER},
    samples::Created,
    wait::{check, eventually},
};
use serde_json::json;

/// Traffic during faults: changes, and anonymous reads.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    /// Reads that were sent, with and without a response.
    sent: Arc<AtomicU64>,
    /// Reads with status 200.
    served: Arc<AtomicU64>,
    /// Changes that were confirmed.
    changes: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<Vec<String>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    pub fn start(shop: &Shop, products: &[Created]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sent, served, changes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let writers = (0..2).map(|writer| {
            let (ada, stop, products, changes) = (shop.ada.clone(), stop.clone(), products.to_vec(), changes.clone());
            tokio::spawn(async move {
                let mut confirmed = Vec::new();
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("[change {writer}.{number}]");
                    let product = &products[number % products.len()];
                    number += 1;
                    // A change without a response may have been committed.
                    if let Ok(reply) = ada.patch(&product.path, &json!({"name": name})).attempt().await {
                        if reply.status != 200 {
                            assert_eq!(reply.status, 503, "{}", reply.text());
                            tokio::task::yield_now().await;
                            continue;
                        }
                        confirmed.push(name);
                        changes.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
                confirmed
            })
        });
        let readers = (0..4).map(|reader| {
            let (anyone, stop, products) = (shop.anyone.clone(), stop.clone(), products.to_vec());
            let (sent, served) = (sent.clone(), served.clone());
            tokio::spawn(async move {
                for product in products.iter().cycle().skip(reader) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    if let Ok(reply) = anyone.get(&product.path).attempt().await {
                        assert!(matches!(reply.status, 200 | 503), "{}", reply.text());
                        served.fetch_add(u64::from(reply.status == 200), Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let (writers, readers) = (writers.collect(), readers.collect());
        Self { stop, sent, served, changes, writers, readers }
    }

    /// Waits until more changes are confirmed and more reads are served.
    pub async fn wait_for_progress(&self) {
        let (changes, served) = (self.changes.load(Ordering::Relaxed) + 8, self.served.load(Ordering::Relaxed) + 40);
        eventually("more changes are confirmed and more reads are served", async || {
            let now = (self.changes.load(Ordering::Relaxed), self.served.load(Ordering::Relaxed));
            check(now.0 >= changes && now.1 >= served, || now)
        })
        .await;
    }

    /// Ends the traffic and returns the confirmed changes, the number of reads sent, and the number of reads served.
    pub async fn end(self) -> (Vec<String>, u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let mut confirmed = Vec::new();
        for writer in self.writers {
            confirmed.extend(writer.await.expect("a writer"));
        }
        for reader in self.readers {
            reader.await.expect("a reader");
        }
        (confirmed, self.sent.load(Ordering::Relaxed), self.served.load(Ordering::Relaxed))
    }
}

pub async fn counted(shop: &Shop) -> u64 {
    let sum: Option<i64> =
        sqlx::query_scalar("SELECT sum(total)::bigint FROM tracking.product_views").fetch_one(&shop.database).await.unwrap();
    u64::try_from(sum.unwrap_or_default()).unwrap()
}

/// Asserts that every served view is counted once, also when no messages are in flight any more.
pub async fn assert_every_view_is_counted_once(shop: &Shop, served: u64) {
    eventually("every view is counted", async || {
        let counted = counted(shop).await;
        check(counted >= served, || (counted, served))
    })
    .await;
    shop.wait_until_idle().await;
    assert_eq!(counted(shop).await, served);
}

/// Asserts that both other admins got a mail about every confirmed change, and that repeated mails have the same Message-ID.
pub fn assert_every_admin_was_notified_of_every_change(mails: &[Mail], confirmed: &[String]) {
    for address in [GRACE.1, OWNER.1] {
        // A mail has the old and the new name. The next change has this name as the old one.
        let mut sent: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for mail in mails.iter().filter(|mail| mail.is_for(address)) {
            for part in mail.text.split('[').skip(1) {
                if let Some((name, _)) = part.split_once(']') {
                    sent.entry(format!("[{name}]")).or_default().insert(&mail.message_id);
                }
            }
        }
        for change in confirmed {
            let count = sent.get(change).map_or(0, BTreeSet::len);
            assert!((1..=2).contains(&count), "{address} got {count} different mails about {change} (its own, and the next change's)");
        }
    }
    assert!(mails.iter().all(|mail| !mail.message_id.is_empty()));
}
