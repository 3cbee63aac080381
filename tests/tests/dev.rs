//! `catalogctl dev`: the whole shop by one command, on data that stays.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

use std::{
    collections::HashSet,
    fs,
    net::TcpListener,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use catalog_tests::{
    nats::free_port,
    process_guard::{Server, ServerOptions},
    programs,
    scratch::Scratch,
    wait::{self, holds},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// It makes a database, and may have to wait for its turn on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A data directory, and the `catalogctl dev` that may be running in it.
struct Dev {
    scratch: Scratch,
    http: String,
    inbox_address: String,
    shop: String,
    inbox: String,
    running: Option<Server>,
}

impl Dev {
    fn at(http: &str) -> Self {
        Self {
            scratch: Scratch::new(None),
            http: http.into(),
            inbox_address: "127.0.0.1:0".into(),
            shop: String::new(),
            inbox: String::new(),
            running: None,
        }
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    fn arguments(&self) -> Vec<String> {
        let own_nats = programs::servers().nats_server.parent().unwrap().display();
        let profile = std::env::var("LLVM_PROFILE_FILE").map(|file| format!("LLVM_PROFILE_FILE={file}"));
        let mut arguments = vec!["-i".to_owned(), format!("PATH={own_nats}:{}", std::env::var("PATH").unwrap())];
        arguments.extend(profile);
        arguments.extend([programs::catalogctl().display().to_string(), "dev".into()]);
        arguments.extend(["--data-dir".into(), self.data().display().to_string()]);
        arguments.extend(["--http-address".into(), self.http.clone(), "--inbox-address".into(), self.inbox_address.clone()]);
        arguments
    }

    fn start(&mut self) {
        let _ = fs::remove_file(self.output_file());
        let keeping = ServerOptions { directory: self.scratch.path(), signal: "TERM", remove_directory: false, user: None };
        let arguments: Vec<_> = self.arguments().into_iter().map(Into::into).collect();
        self.running = Some(Server::start("/usr/bin/env".as_ref(), &arguments, &keeping).unwrap());
    }

    /// Starts it, and waits until it has told all there is to tell of the open shop.
    async fn open(&mut self) {
        self.start();
        self.says("To start with an empty shop").await;
        let output = self.output();
        let shown = |label: &str| {
            let line = output.lines().find_map(|line| line.strip_prefix(label)).expect(label);
            line.trim_start().split(' ').next().unwrap().to_owned()
        };
        self.shop = shown("    products ").replace("/products", "");
        self.inbox = shown("    inbox ");
    }

    /// Starts one that is to end by itself, and gives its exit code and what it says.
    fn refused(&self) -> (Option<i32>, String) {
        let output = Command::new("/usr/bin/env").args(self.arguments()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn output_file(&self) -> PathBuf {
        self.scratch.path().join("output")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.output_file()).unwrap_or_default()
    }

    async fn says(&self, text: &str) {
        wait::within(PATIENCE, &format!("catalogctl dev says {text:?}"), async || {
            let output = self.output();
            assert!(output.contains(text) || !self.running.as_ref().unwrap().has_ended(), "it has ended:\n{output}");
            holds(output.contains(text), || output)
        })
        .await;
    }

    fn pid(&self, name: &str) -> Option<Pid> {
        let text = fs::read_to_string(self.data().join("run").join(format!("{name}.pid"))).ok()?;
        text.trim().parse().ok().map(Pid::from_raw)
    }

    /// Kills a child, and waits until another one has taken its place.
    async fn survives_the_death_of(&self, name: &str) {
        self.replaces(name, Signal::SIGKILL).await;
        assert!(self.output().contains(&format!("{name} was killed by SIGKILL; restarting")), "{}", self.output());
    }

    /// Sends a signal to a child, and waits until another one has taken its place.
    async fn replaces(&self, name: &str, signal: Signal) {
        let killed = self.pid(name).unwrap();
        kill(killed, signal).unwrap();
        wait::within(PATIENCE, &format!("{name} comes back"), async || match self.pid(name) {
            Some(pid) if pid != killed => Ok(()),
            other => Err(other),
        })
        .await;
    }

    async fn get(&self, url: String) -> Result<Value, String> {
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.text().await.map_err(|error| error.to_string())?;
        if status.is_success() { serde_json::from_str(&body).map_err(|error| error.to_string()) } else { Err(body) }
    }

    /// The names of all products, once the shop answers.
    async fn products(&self) -> Vec<String> {
        let url = format!("{}/products?limit=200&in_stock=any", self.shop);
        let page = wait::within(PATIENCE, "the shop answers", async || self.get(url.clone()).await).await;
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The subjects in the inbox, once there are `count` mails. One that a killed notifier sent again
    /// has the same `Message-ID`, and counts once.
    async fn mails(&self, count: usize) -> Vec<String> {
        let url = format!("{}/api/messages", self.inbox);
        wait::within(PATIENCE, "mail arrives", async || {
            let mails = self.get(url.clone()).await?;
            let mut seen = HashSet::new();
            let once = mails.as_array().unwrap().iter().filter(|mail| seen.insert(mail["message_id"].to_string()));
            let subjects: Vec<_> = once.map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect();
            if subjects.len() >= count { Ok(subjects) } else { Err(mails.to_string()) }
        })
        .await
    }

    async fn add_product(&self, sku: &str) {
        let base = &self.shop;
        let password = fs::read_to_string(self.data().join("secrets/superuser-password")).unwrap();
        let client = reqwest::Client::new();
        let login = client.post(format!("{base}/auth/login")).json(&json!({"username": "admin", "password": password}));
        // A PostgreSQL that was killed recovers first; until then there is a 503.
        let response = wait::within(PATIENCE, "sign-in works", async || {
            let response = login.try_clone().unwrap().send().await.map_err(|error| error.to_string())?;
            response.error_for_status().map_err(|error| error.to_string())
        });
        let tokens: Value = response.await.json().await.unwrap();
        let product = json!({"sku": sku, "name": format!("Product {sku}"), "price": {"amount": "5", "currency": "EUR"}});
        let create = client.post(format!("{base}/products")).bearer_auth(tokens["access_token"].as_str().unwrap()).json(&product);
        create.send().await.unwrap().error_for_status().unwrap();
    }

    fn signal(&self, signal: Signal) {
        self.running.as_ref().unwrap().signal(signal);
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // In order, if it still runs; by force, if it was killed and its children live on.
        self.running = None;
        for name in ["serve", "notifier", "tracker", "fulfiller", "inbox", "nats", "postgres"] {
            if let Some(pid) = self.pid(name) {
                let _ = kill(pid, if name == "postgres" { Signal::SIGQUIT } else { Signal::SIGKILL });
            }
        }
    }
}

#[tokio::test]
async fn the_shop_survives_kills_and_restarts_and_leaves_nothing_behind() {
    let mut dev = Dev::at("127.0.0.1:0");
    dev.open().await;
    let samples = dev.products().await;
    assert!(samples.len() >= 40 && samples.iter().any(|name| name == "Alder bar table"), "{samples:?}");
    assert_eq!(dev.mails(1).await.len(), 1, "one summary to the other admin");

    let (code, said) = dev.refused();
    assert_eq!(code, Some(1));
    assert!(said.contains("another catalogctl dev (process "), "{said}");

    for name in ["notifier", "tracker", "fulfiller", "inbox", "serve", "nats", "postgres"] {
        dev.survives_the_death_of(name).await;
    }
    dev.add_product("KEPT-1").await;
    let mails = dev.mails(2).await;
    assert!(mails[1].contains("Product KEPT-1"), "{mails:?}");
    // By itself it would wait for the shop to leave, and let nobody in meanwhile.
    dev.replaces("postgres", Signal::SIGTERM).await;
    assert_eq!(dev.products().await.len(), samples.len() + 1);

    let orphan = dev.pid("postgres").unwrap();
    dev.signal(Signal::SIGKILL);
    dev.running = None;
    assert!(kill(orphan, None).is_ok(), "PostgreSQL outlives a killed parent");
    dev.open().await;
    assert!(
        dev.output().contains(&format!("stopping postgres (process {orphan}), an orphan of a run that was killed")),
        "{}",
        dev.output()
    );
    assert_eq!(dev.products().await.len(), samples.len() + 1, "nothing is lost, and nothing is loaded twice");
    assert_eq!(dev.mails(2).await.len(), 2);

    let children: Vec<_> =
        ["serve", "notifier", "tracker", "fulfiller", "inbox", "nats", "postgres"].map(|name| dev.pid(name).unwrap()).into();
    dev.signal(Signal::SIGINT);
    dev.says("stopping;").await;
    // A service manager asks all at once. It still is the last to go.
    let _ = kill(dev.pid("postgres").unwrap_or(children[6]), Signal::SIGTERM);
    dev.says("stopped").await;
    assert!(!dev.output().contains("postgres is shutting down"), "{}", dev.output());
    wait::eventually("it ends", async || holds(dev.running.as_ref().unwrap().has_ended(), || "it runs")).await;
    assert!(children.iter().all(|child| kill(*child, None).is_err()), "no child is left");
    assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_address_that_is_taken_meanwhile_is_named_at_once() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut dev = Dev::at(&address);
    dev.start();
    // Its addresses were free, and the servers come first.
    dev.says("nats-server is ").await;
    let _taken = TcpListener::bind(&address).unwrap();
    wait::within(PATIENCE, "it gives up", async || holds(dev.running.as_ref().unwrap().has_ended(), || dev.output())).await;
    let output = dev.output();
    let error = format!("serve exited with code 1 while the shop started: HTTP_ADDRESS={address} is in use by ");
    assert!(output.contains(&error) && output.contains("The end of its log:\n    "), "{output}");
    assert_eq!(output.matches("serve exited").count(), 1, "it is not started again: {output}");
    assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0);
}

#[tokio::test]
async fn every_address_in_use_is_named_with_its_process_before_anything_is_started() {
    for wildcard in ["127.0.0.1", "0.0.0.0", "[::]"] {
        let listeners = [(); 2].map(|()| TcpListener::bind(format!("{wildcard}:0")).unwrap());
        let [http, inbox] = listeners.each_ref().map(|listener| format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
        let mut dev = Dev::at(&http);
        dev.inbox_address.clone_from(&inbox);
        let started = Instant::now();
        let (code, errors) = dev.refused();
        assert!(started.elapsed() < Duration::from_secs(10), "{errors}");
        assert_eq!(code, Some(1));
        let holder = format!("(process {})", std::process::id());
        for (setting, flag, address) in [("HTTP_ADDRESS", "--http-address", http), ("INBOX_ADDRESS", "--inbox-address", inbox)] {
            let line = errors.lines().find(|line| line.contains(&format!("{setting}={address} is in use by "))).expect(&errors);
            assert!(line.contains(&holder) && line.contains(&format!("{flag} 127.0.0.1:")), "{line}");
        }
        assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0);
        assert!(!errors.contains("nats-server is "), "{errors}");
    }
}

#[tokio::test]
async fn a_server_that_exits_during_the_start_ends_it_at_once_with_its_last_lines() {
    let mut dev = Dev::at("127.0.0.1:0");
    dev.open().await;
    dev.signal(Signal::SIGINT);
    wait::within(PATIENCE, "it stops", async || holds(dev.running.as_ref().unwrap().has_ended(), || dev.output())).await;
    // A JetStream directory that is a file.
    let store = dev.data().join("nats/jetstream");
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "").unwrap();
    let started = Instant::now();
    let (code, errors) = dev.refused();
    assert!(started.elapsed() < Duration::from_secs(30), "{errors}");
    assert_eq!(code, Some(1));
    let (_, report) = errors.split_once("nats exited with code 1 while the shop started").expect(&errors);
    assert!(report.contains("The end of its log:\n    ") && report.to_lowercase().contains("jetstream"), "{errors}");
    assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0, "PostgreSQL is stopped");
}
