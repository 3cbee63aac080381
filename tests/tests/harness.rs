//! The servers of the test suites: they restart with their data and end with the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

use std::{path::Path, process::Command};

use catalog_tests::{
    nats::Nats,
    postgres::Postgres,
    wait::{check, eventually},
};
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn postgres_restarts_on_its_port_with_its_data() {
    let mut postgres = Postgres::private().await;
    postgres.create_database("kept", "template0").await;
    postgres.stop().await;
    assert!(PgConnection::connect(&postgres.url("kept")).await.is_err());
    postgres.start().await;
    PgConnection::connect(&postgres.url("kept")).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn nats_restarts_on_its_port_with_its_streams() {
    let mut nats = Nats::private().await;
    let url = nats.url();
    let jetstream = async_nats::jetstream::new(async_nats::connect(&url).await.unwrap());
    let config = async_nats::jetstream::stream::Config { name: "kept".into(), ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    nats.stop().await;
    assert!(async_nats::connect(&url).await.is_err());
    nats.start().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(&url).await.unwrap());
    jetstream.get_stream("kept").await.unwrap();
}

/// Run by the next test in a child process.
#[tokio::test]
#[ignore = "started by tests_that_are_killed_leave_no_server_behind"]
async fn start_servers_and_wait() {
    let (postgres, nats) = tokio::join!(Postgres::shared(), Nats::shared());
    println!("ports {} {}", postgres.port(), nats.url());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn tests_that_are_killed_leave_no_server_behind() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "start_servers_and_wait", "--nocapture"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let ports = lines.map_while(Result::ok).find_map(|line| line.split_once("ports ").map(|(_, rest)| rest.to_owned())).unwrap();
    let (postgres, nats) = ports.split_once(' ').unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{postgres}/postgres");
    PgConnection::connect(&url).await.unwrap().close().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("both servers end, and their directories go", async || {
        check(PgConnection::connect(&url).await.is_err(), || "PostgreSQL runs".to_owned())?;
        check(async_nats::connect(nats).await.is_err(), || "nats-server runs".to_owned())?;
        let left = (0..2).map(|n| std::env::temp_dir().join(format!("catalog-tests-{}-{n}", child.id())));
        let left: Vec<_> = left.filter(|path| Path::new(path).exists()).collect();
        check(left.is_empty(), || format!("{left:?}"))
    })
    .await;
}
