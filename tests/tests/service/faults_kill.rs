//! Kill -9 of any process in the middle: no committed change goes unheard, no view is counted twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use catalog_tests::{
    Mail, Role, Shop,
    people::{GRACE, OWNER},
    samples::{Created, create_many},
    wait::{eventually, holds},
};
use serde_json::json;

/// Traffic that goes on whatever dies: changes, and reads by anonymous visitors.
struct Traffic {
    stop: Arc<AtomicBool>,
    /// Reads that were asked for, answered or not.
    asked: Arc<AtomicU64>,
    /// Reads that were answered with 200.
    served: Arc<AtomicU64>,
    /// Changes that were confirmed.
    changes: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<Vec<String>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    fn start(shop: &Shop, products: &[Created]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, served, changes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let writers = (0..2).map(|writer| {
            let (ada, stop, products, changes) = (shop.ada.clone(), stop.clone(), products.to_vec(), changes.clone());
            tokio::spawn(async move {
                let mut confirmed = Vec::new();
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("[change {writer}.{number}]");
                    let product = &products[number % products.len()];
                    number += 1;
                    // What was not confirmed may or may not have happened.
                    if let Ok(reply) = ada.patch(&product.path, &json!({"name": name})).attempt().await {
                        assert_eq!(reply.status, 200, "{}", reply.text());
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
            let (asked, served) = (asked.clone(), served.clone());
            tokio::spawn(async move {
                for product in products.iter().cycle().skip(reader) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                    if let Ok(reply) = anyone.get(&product.path).attempt().await {
                        assert_eq!(reply.status, 200, "{}", reply.text());
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let (writers, readers) = (writers.collect(), readers.collect());
        Self { stop, asked, served, changes, writers, readers }
    }

    /// Waits until this much more has been changed and read.
    async fn goes_on(&self) {
        let (changes, served) = (self.changes.load(Ordering::Relaxed) + 8, self.served.load(Ordering::Relaxed) + 40);
        eventually("changes and reads go on", async || {
            let now = (self.changes.load(Ordering::Relaxed), self.served.load(Ordering::Relaxed));
            holds(now.0 >= changes && now.1 >= served, || now)
        })
        .await;
    }

    /// Ends it and gives the confirmed changes, the reads asked for and the reads served.
    async fn end(self) -> (Vec<String>, u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let mut confirmed = Vec::new();
        for writer in self.writers {
            confirmed.extend(writer.await.expect("a writer"));
        }
        for reader in self.readers {
            reader.await.expect("a reader");
        }
        (confirmed, self.asked.load(Ordering::Relaxed), self.served.load(Ordering::Relaxed))
    }
}

async fn counted(shop: &Shop) -> u64 {
    let sum: Option<i64> =
        sqlx::query_scalar("SELECT sum(total)::bigint FROM tracking.product_views").fetch_one(&shop.database).await.unwrap();
    u64::try_from(sum.unwrap_or_default()).unwrap()
}

/// Every confirmed change has reached both other admins; what came twice came under one Message-ID.
fn everybody_heard_of_everything(mails: &[Mail], confirmed: &[String]) {
    for address in [GRACE.1, OWNER.1] {
        // New and old name: the change itself is the one whose new name it is. A later change tells it as old.
        let mut told: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for mail in mails.iter().filter(|mail| mail.is_for(address)) {
            for part in mail.text.split('[').skip(1) {
                if let Some((name, _)) = part.split_once(']') {
                    told.entry(format!("[{name}]")).or_default().insert(&mail.message_id);
                }
            }
        }
        for change in confirmed {
            let heard = told.get(change).map_or(0, BTreeSet::len);
            assert!((1..=2).contains(&heard), "{address} got {heard} different mails about {change} (its own, and the next change's)");
        }
    }
    assert!(mails.iter().all(|mail| !mail.message_id.is_empty()));
}

async fn kill_in_the_middle(roles: &[Role]) -> (Shop, Vec<String>, u64, u64) {
    let mut shop = Shop::builder().troubled().setting("ACCESS_LOG_SAMPLE", "1000").start().await;
    let products = create_many(&shop.ada, "K", 12).await;
    let traffic = Traffic::start(&shop, &products);
    for role in roles {
        traffic.goes_on().await;
        shop.kill(*role);
        shop.open(*role).await;
    }
    traffic.goes_on().await;
    let (confirmed, asked, served) = traffic.end().await;
    for address in [GRACE.1, OWNER.1] {
        shop.inbox().mail_about(address, confirmed.last().unwrap()).await;
    }
    shop.at_rest().await;
    let mails = shop.inbox().mails().await;
    everybody_heard_of_everything(&mails, &confirmed);
    (shop, confirmed, asked, served)
}

#[tokio::test]
async fn killing_the_api_loses_no_confirmed_change_and_counts_no_view_twice() {
    let (shop, _, asked, served) = kill_in_the_middle(&[Role::Serve; 4]).await;
    let counted = counted(&shop).await;
    // A kill takes the views of the batch that was being collected, and nobody knows of the very last reads.
    assert!(counted <= asked, "{counted} views of {asked} reads");
    assert!(counted * 2 > served, "{counted} views of {served} reads: far more than a batch is lost");
}

#[tokio::test]
async fn killing_the_notifier_loses_no_mail() {
    let (shop, _, _, served) = kill_in_the_middle(&[Role::Notifier; 4]).await;
    assert_eq!(counted(&shop).await, served);
}

#[tokio::test]
async fn killing_the_tracker_loses_no_view_and_counts_none_twice() {
    let (shop, _, _, served) = kill_in_the_middle(&[Role::Tracker; 4]).await;
    assert_eq!(counted(&shop).await, served);
}

#[tokio::test]
async fn killing_everything_in_turns_keeps_the_promises() {
    let (shop, _, asked, _) = kill_in_the_middle(&[Role::Notifier, Role::Serve, Role::Tracker, Role::Serve, Role::Notifier]).await;
    assert!(counted(&shop).await <= asked);
}

/// An import that dies half way can be sent again, and what it did was told.
#[tokio::test]
async fn an_import_cut_short_by_the_death_of_the_api_completes_when_sent_again() {
    // Housekeeping, which looks for imports that lost their process, comes round each second then.
    let mut shop = Shop::builder().troubled().setting("DELETED_RETENTION", "4s").start().await;
    let items: Vec<_> = (0..4000).map(|number| catalog_tests::samples::plain(&format!("I-{number:05}"))).collect();
    let body = json!({"items": items});
    let import = tokio::spawn(shop.ada.post("/v1/products/bulk", &body).attempt());
    eventually("some rows are in", async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
        holds(rows > 0 || import.is_finished(), || rows)
    })
    .await;
    shop.kill_and_restart(Role::Serve).await;
    let _ = import.await;
    let result = shop.ada.post("/v1/products/bulk", &body).await.expect(200).json();
    let sum = |fields: &[&str]| fields.iter().map(|field| result[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum(&["created", "unchanged"]), sum(&["failed", "updated"])), (4000, 0), "{result}");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products").fetch_one(&shop.database).await.unwrap();
    assert_eq!(rows, 4000);
    let staged =
        async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM products.import_rows").fetch_one(&shop.database).await.unwrap();
    assert!(staged().await <= 4000);
    sqlx::query("UPDATE products.imports SET progressed_at = progressed_at - interval '2 minutes'").execute(&shop.database).await.unwrap();
    // Both attempts that changed something are told, once to each.
    let expected = if result["created"] == 4000 || result["created"] == 0 { 2 } else { 4 };
    let mails = shop.inbox().at_least(expected).await;
    assert!(mails.iter().all(|mail| mail.mentions("import")), "{mails:#?}");
}
