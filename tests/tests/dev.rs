//! `catalogctl dev` runs a whole shop and keeps its data.
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
    wait::{self, check},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// Long, because a start creates a database.
const TIMEOUT: Duration = Duration::from_mins(2);

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
        let options = ServerOptions { directory: self.scratch.path(), signal: "TERM", remove_directory: false, user: None };
        let arguments: Vec<_> = self.arguments().into_iter().map(Into::into).collect();
        self.running = Some(Server::start("/usr/bin/env".as_ref(), &arguments, &options).unwrap());
    }

    /// Starts the shop and waits until its addresses are printed.
    async fn start_and_wait(&mut self) {
        self.start();
        self.wait_for_output("To start with an empty shop").await;
        let output = self.output();
        let shown = |label: &str| {
            let line = output.lines().find_map(|line| line.strip_prefix(label)).expect(label);
            line.trim_start().split(' ').next().unwrap().to_owned()
        };
        self.shop = shown("    products ").replace("/products", "");
        self.inbox = shown("    inbox ");
    }

    /// Runs a start that must fail, and returns its exit code and its errors.
    fn fail_to_start(&self) -> (Option<i32>, String) {
        let output = Command::new("/usr/bin/env").args(self.arguments()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn output_file(&self) -> PathBuf {
        self.scratch.path().join("output")
    }

    fn output(&self) -> String {
        fs::read_to_string(self.output_file()).unwrap_or_default()
    }

    async fn wait_for_output(&self, text: &str) {
        wait::within(TIMEOUT, &format!("catalogctl dev prints {text:?}"), async || {
            let output = self.output();
            assert!(output.contains(text) || !self.running.as_ref().unwrap().has_ended(), "it has ended:\n{output}");
            check(output.contains(text), || output)
        })
        .await;
    }

    fn pid(&self, name: &str) -> Option<Pid> {
        let text = fs::read_to_string(self.data().join("run").join(format!("{name}.pid"))).ok()?;
        text.trim().parse().ok().map(Pid::from_raw)
    }

    /// Kills a child, and waits until it is restarted.
    async fn kill_and_wait_for_restart(&self, name: &str) {
        self.signal_and_wait_for_restart(name, Signal::SIGKILL).await;
        assert!(self.output().contains(&format!("{name} was killed by SIGKILL; restarting")), "{}", self.output());
    }

    /// Sends a signal to a child, and waits until it is restarted.
    async fn signal_and_wait_for_restart(&self, name: &str, signal: Signal) {
        let killed = self.pid(name).unwrap();
        kill(killed, signal).unwrap();
        wait::within(TIMEOUT, &format!("{name} is restarted"), async || match self.pid(name) {
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

    /// Waits until the shop responds, and returns the names of all products.
    async fn products(&self) -> Vec<String> {
        let url = format!("{}/products?limit=200&in_stock=any", self.shop);
        let page = wait::within(TIMEOUT, "the shop answers", async || self.get(url.clone()).await).await;
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for `count` mails and returns their subjects. A mail that a killed notifier sent again has the same `Message-ID`
    /// and counts once.
    async fn mails(&self, count: usize) -> Vec<String> {
        let url = format!("{}/api/messages", self.inbox);
        wait::within(TIMEOUT, "mail arrives", async || {
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
        // While a killed PostgreSQL recovers, responses are 503.
        let response = wait::within(TIMEOUT, "sign-in works", async || {
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
        // Stops it in order if it still runs, and kills the children of a killed one.
        self.running = None;
        for name in ["serve", "notifier", "tracker", "fulfiller", "inbox", "nats", "postgres"] {
            if let Some(pid) = self.pid(name) {
                let _ = kill(pid, if name == "postgres" { Signal::SIGQUIT } else { Signal::SIGKILL });
            }
        }
    }
}

#[tokio::test]
async fn the_shop_survives_kills_and_restarts_and_leaves_no_process_running() {
    let mut dev = Dev::at("127.0.0.1:0");
    dev.start_and_wait().await;
    let samples = dev.products().await;
    assert!(samples.len() >= 40 && samples.iter().any(|name| name == "Alder bar table"), "{samples:?}");
    assert_eq!(dev.mails(1).await.len(), 1, "one summary to the other admin");

    let (code, errors) = dev.fail_to_start();
    assert_eq!(code, Some(1));
    assert!(errors.contains("another catalogctl dev (process "), "{errors}");

    for name in ["notifier", "tracker", "fulfiller", "inbox", "serve", "nats", "postgres"] {
        dev.kill_and_wait_for_restart(name).await;
    }
    dev.add_product("KEPT-1").await;
    let mails = dev.mails(2).await;
    assert!(mails[1].contains("Product KEPT-1"), "{mails:?}");
    // PostgreSQL would reject connections and wait for the shop to disconnect.
    dev.signal_and_wait_for_restart("postgres", Signal::SIGTERM).await;
    assert_eq!(dev.products().await.len(), samples.len() + 1);

    let orphan = dev.pid("postgres").unwrap();
    dev.signal(Signal::SIGKILL);
    dev.running = None;
    assert!(kill(orphan, None).is_ok(), "PostgreSQL outlives a killed parent");
    dev.start_and_wait().await;
    assert!(
        dev.output().contains(&format!("stopping postgres (process {orphan}), an orphan of a run that was killed")),
        "{}",
        dev.output()
    );
    assert_eq!(dev.products().await.len(), samples.len() + 1, "no product is lost or loaded twice");
    assert_eq!(dev.mails(2).await.len(), 2);

    let children: Vec<_> =
        ["serve", "notifier", "tracker", "fulfiller", "inbox", "nats", "postgres"].map(|name| dev.pid(name).unwrap()).into();
    dev.signal(Signal::SIGINT);
    dev.wait_for_output("stopping;").await;
    // A service manager signals all processes at once. PostgreSQL must still be the last to stop.
    let _ = kill(dev.pid("postgres").unwrap_or(children[6]), Signal::SIGTERM);
    dev.wait_for_output("stopped").await;
    assert!(!dev.output().contains("postgres is shutting down"), "{}", dev.output());
    wait::eventually("it ends", async || check(dev.running.as_ref().unwrap().has_ended(), || "it runs")).await;
    assert!(children.iter().all(|child| kill(*child, None).is_err()), "no child is left");
    assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_address_that_is_taken_during_the_start_is_reported() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut dev = Dev::at(&address);
    dev.start();
    // Its addresses were free when it started, and the servers start first.
    dev.wait_for_output("nats-server is ").await;
    let _taken = TcpListener::bind(&address).unwrap();
    wait::within(TIMEOUT, "it gives up", async || check(dev.running.as_ref().unwrap().has_ended(), || dev.output())).await;
    let output = dev.output();
    let error = format!("serve exited with code 1 while the shop started: HTTP_ADDRESS={address} is in use by ");
    assert!(output.contains(&error) && output.contains("The end of its log:\n    "), "{output}");
    assert_eq!(output.matches("serve exited").count(), 1, "it is not restarted: {output}");
    assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0);
}

#[tokio::test]
async fn every_address_in_use_is_reported_with_its_process_before_the_start() {
    for wildcard in ["127.0.0.1", "0.0.0.0", "[::]"] {
        let listeners = [(); 2].map(|()| TcpListener::bind(format!("{wildcard}:0")).unwrap());
        let [http, inbox] = listeners.each_ref().map(|listener| format!("127.0.0.1:{}", listener.local_addr().unwrap().port()));
        let mut dev = Dev::at(&http);
        dev.inbox_address.clone_from(&inbox);
        let started = Instant::now();
        let (code, errors) = dev.fail_to_start();
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
async fn a_server_that_exits_during_the_start_fails_it_with_its_last_lines() {
    let mut dev = Dev::at("127.0.0.1:0");
    dev.start_and_wait().await;
    dev.signal(Signal::SIGINT);
    wait::within(TIMEOUT, "it stops", async || check(dev.running.as_ref().unwrap().has_ended(), || dev.output())).await;
    // A JetStream directory that is a file.
    let store = dev.data().join("nats/jetstream");
    fs::remove_dir_all(&store).unwrap();
    fs::write(&store, "").unwrap();
    let started = Instant::now();
    let (code, errors) = dev.fail_to_start();
    assert!(started.elapsed() < Duration::from_secs(30), "{errors}");
    assert_eq!(code, Some(1));
    let (_, report) = errors.split_once("nats exited with code 1 while the shop started").expect(&errors);
    assert!(report.contains("The end of its log:\n    ") && report.to_lowercase().contains("jetstream"), "{errors}");
    assert_eq!(fs::read_dir(dev.data().join("run")).unwrap().count(), 0, "PostgreSQL is stopped");
}
