//! `catalog dev`: the whole shop with one command, on data that stays.

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use catalog_tests::{
    Api, Inbox, Process, eventually,
    process::Environment,
    programs,
    scratch::Scratch,
    wait::{PATIENCE, holds},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

const PASSWORD: &str = "a passphrase for dev 7!";

/// A running `catalog dev`.
struct Dev {
    process: Process,
    anyone: Api,
    admin: Api,
    inbox: Inbox,
}

fn settings(directory: &Path) -> Environment {
    let servers = programs::servers();
    // The servers that the suite uses are those that are found first.
    let nats = servers.nats_server.parent().unwrap().display();
    let path = format!("{nats}:{}:{}", servers.postgres_bin.display(), std::env::var("PATH").unwrap_or_default());
    [
        ("CATALOG_DATA_DIR", directory.display().to_string()),
        ("HTTP_ADDRESS", "127.0.0.1:0".into()),
        ("INBOX_ADDRESS", "127.0.0.1:0".into()),
        ("SUPERUSER_PASSWORD", PASSWORD.into()),
        ("HOME", directory.display().to_string()),
        ("PATH", path),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

async fn open(directory: &Path) -> Dev {
    let process = Process::start(&["dev"], &settings(directory));
    let after = |label: &'static str| {
        move |line: &str| line.trim().strip_prefix(label)?.split_whitespace().next().filter(|word| word.starts_with("http://")).map(str::to_owned)
    };
    let products = process.line("it prints where the products are", after("products ")).await;
    let inbox = process.line("it prints where the inbox is", after("inbox ")).await;
    let anyone = Api::anonymous(products.trim_end_matches("/v1/products"), None);
    let login = json!({"username": "admin", "password": PASSWORD});
    let pair = anyone.post("/v1/auth/login", &login).await.expect(200).json();
    let admin = anyone.with_token(pair["access_token"].as_str().unwrap());
    Dev { process, anyone, admin, inbox: Inbox::new(inbox) }
}

/// The roles that run below `directory`, by name.
fn roles(directory: &Path) -> BTreeMap<String, i32> {
    let files = fs::read_dir(directory.join("run")).into_iter().flatten().filter_map(Result::ok);
    let pid = |path: &Path| Some((path.file_stem()?.to_str()?.to_owned(), fs::read_to_string(path).ok()?.trim().parse().ok()?));
    files.filter_map(|file| pid(&file.path())).collect()
}

fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn one_command_opens_a_shop_whose_parts_come_back_and_whose_data_stays() {
    let directory = Scratch::new(None);
    let root = directory.path().join("data");
    let mut dev = open(&root).await;

    // Sample products, whose changes are mailed to the other admin, and whose views are counted.
    let list = dev.anyone.get("/v1/products?limit=200").await.expect(200).json();
    let product = list["items"][0].clone();
    assert!(list["items"].as_array().unwrap().len() >= 10, "sample products: {list}");
    let path = format!("/v1/products/{}", product["id"].as_str().unwrap());
    dev.admin.patch(&path, &json!({"name": "Renamed in dev"})).await.expect(200);
    eventually("the other admin gets a mail", async || {
        let mails = dev.inbox.mails().await;
        holds(mails.iter().any(|mail| mail.mentions("Renamed in dev")), || mails)
    })
    .await;
    dev.anyone.get(&path).await.expect(200);
    eventually("the view is counted", async || {
        let views = dev.admin.get(&format!("{path}/views")).await.expect(200).json();
        holds(views["total"] == 1, || views)
    })
    .await;

    // Each role can be killed, and comes back.
    let before = roles(&root);
    for role in ["serve", "notifier", "tracker", "inbox"] {
        let pid = *before.get(role).unwrap_or_else(|| panic!("no {role} in {before:?}"));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        eventually(&format!("{role} comes back"), async || {
            let now = roles(&root).get(role).copied();
            holds(now.is_some_and(|now| now != pid && runs(now)), || now)
        })
        .await;
    }
    eventually("the API answers again", async || {
        let reply = dev.anyone.get(&path).attempt().await.map_err(|error| error.to_string())?;
        holds(reply.status == 200, || reply.text())
    })
    .await;

    // Ctrl-C ends all, in order.
    let running = roles(&root);
    dev.process.signal(Signal::SIGINT);
    let status = dev.process.ended().await;
    assert_eq!(status.code(), Some(0), "{}", dev.process.story());
    let left: Vec<_> = running.iter().filter(|(_, pid)| runs(**pid)).collect();
    assert!(left.is_empty(), "still running: {left:?}\n{}", dev.process.story());

    // The second start keeps everything, and brings no samples again.
    let started = Instant::now();
    let dev = open(&root).await;
    assert!(started.elapsed() < PATIENCE, "the second start took {:?}", started.elapsed());
    let kept = dev.anyone.get(&path).await.expect(200).json();
    assert_eq!(kept["name"], "Renamed in dev");
    let again = dev.anyone.get("/v1/products?limit=200").await.expect(200).json();
    assert_eq!(again["items"].as_array().unwrap().len(), list["items"].as_array().unwrap().len());
}
