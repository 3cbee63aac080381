//! `catalogctl import`: a client of the bulk endpoint, on real-world files.

use std::{path::PathBuf, process::Output};

use catalog_tests::{
    Shop,
    people::{ADA, GRACE, OWNER},
    programs,
    scratch::Scratch,
    tls::Gateway,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A file of the real data, or `None` if it is not available.
fn real(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("CATALOG_TEST_DATA").map(PathBuf::from);
    let directory = directory.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let file = directory.join(name);
    if !file.is_file() {
        println!("skipped: {} is not there; CATALOG_TEST_DATA names the directory", file.display());
        return None;
    }
    Some(file)
}

/// Runs `catalogctl import` as an admin.
pub async fn import(shop: &Shop, file: &std::path::Path, options: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(programs::catalogctl());
    command.arg("import").arg(file).args(options).env_clear().kill_on_drop(true);
    command.env("CATALOG_URL", shop.anyone.base()).env("CATALOG_USERNAME", ADA.0).env("CATALOG_PASSWORD", ADA.2);
    command.output().await.unwrap()
}

/// The output of a command.
pub fn output_text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn count(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM products.products WHERE deleted_at IS NULL").fetch_one(&shop.database).await.unwrap()
}

const IKEA: [&str; 12] = [
    "--delimiter",
    ";",
    "--decimal-comma",
    "--set",
    "currency=SAR",
    "--map",
    "sku=item_id,name=name,categories=category,price=price,url=link,description=short_description",
    "--map",
    "attributes.designer=designer",
    "--map",
    "attributes.depth=depth,attributes.height=height,attributes.width=width",
    "--quiet",
];

#[tokio::test]
async fn the_furniture_file_is_imported_with_merged_categories() {
    let Some(file) = real("ikea.csv") else { return };
    let shop = Shop::builder().setting("CURRENCY", "SAR").start().await;
    let output = import(&shop, &file, &IKEA[..11]).await;
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(output_text(&output).contains("2962") || output_text(&output).contains("2,962"), "{}", output_text(&output));
    assert_eq!(count(&shop).await, 2962);
    let merged: i64 = sqlx::query_scalar("SELECT count(*) FROM products.products WHERE cardinality(categories) > 1")
        .fetch_one(&shop.database)
        .await
        .unwrap();
    assert!(merged > 100, "{merged} products are in several categories");
    let table = shop.anyone.get("/v1/products/by-sku/90420332").await.expect(200).json();
    assert_eq!(table["price"], json!({"amount": "265.00", "currency": "SAR"}));
    assert_eq!(table["name"], "FREKVENS");
    // One summary is mailed to each other admin.
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    let mut to: Vec<_> = shop.inbox().mails().await.into_iter().flat_map(|mail| mail.to).collect();
    to.sort_unstable();
    assert_eq!(to, [GRACE.1, OWNER.1]);
    // The second import changes nothing and sends no mail.
    let output = import(&shop, &file, &IKEA[..11]).await;
    assert!(output.status.success(), "{}", output_text(&output));
    assert_eq!(count(&shop).await, 2962);
    shop.wait_until_idle().await;
    assert_eq!(shop.inbox().mails().await.len(), 2);
}

#[tokio::test]
async fn the_file_of_entries_is_imported_except_for_reported_rows() {
    let Some(file) = real("entries.json") else { return };
    let shop = Shop::start().await;
    let options = ["--sku-from", "url", "--map", "name=title,url=uri,released_on=date", "--set", "price=0"];
    let output = import(&shop, &file, &options).await;
    let entries: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let rows = entries["items"].as_array().unwrap().len();
    let stored = usize::try_from(count(&shop).await).unwrap();
    assert!(stored >= rows - 10 && stored < rows, "{stored} of {rows}\n{}", output_text(&output));
    for (number, entry) in entries["items"].as_array().unwrap().iter().enumerate() {
        if entry["title"].is_null() || entry["uri"].is_null() {
            let row = format!("{}", number + 1);
            assert!(output_text(&output).contains(&row), "row {row} is not named:\n{}", output_text(&output));
        }
    }
    let dated: i64 =
        sqlx::query_scalar("SELECT count(*) FROM products.products WHERE released_on IS NOT NULL").fetch_one(&shop.database).await.unwrap();
    assert!(usize::try_from(dated).unwrap() >= rows - 12, "{dated} of {rows} have a date\n{}", output_text(&output));
}

#[tokio::test]
async fn the_format_is_chosen_by_the_file_extension() {
    let shop = Shop::api().await;
    let directory = Scratch::new(None);
    let files = [
        ("a.csv", "sku,name,price\nA-1,One,1.50\nA-2,Two,2\n"),
        (
            "b.ndjson",
            "{\"sku\":\"B-1\",\"name\":\"One\",\"price\":{\"amount\":\"1\"}}\n{\"sku\":\"B-2\",\"name\":\"Two\",\"price\":{\"amount\":\"2\"}}\n",
        ),
        (
            "c.json",
            "{\"items\":[{\"sku\":\"C-1\",\"name\":\"One\",\"price\":{\"amount\":\"1\"}},{\"sku\":\"C-2\",\"name\":\"Two\",\"price\":{\"amount\":\"2\"}}]}",
        ),
    ];
    for (number, (name, text)) in (1..).zip(files) {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        let output = import(&shop, &file, &[]).await;
        assert!(output.status.success(), "{name}: {}", output_text(&output));
        assert_eq!(count(&shop).await, number * 2, "{name}: {}", output_text(&output));
    }
}

#[tokio::test]
async fn errors_are_reported_and_the_command_fails() {
    let shop = Shop::api().await;
    let directory = Scratch::new(None);
    let file = directory.path().join("rows.csv");
    std::fs::write(&file, "sku,name,price\nA-1,One,1\nA-2,Two,cheap\n").unwrap();
    let output = import(&shop, &file, &[]).await;
    assert!(!output.status.success(), "a rejected row is a failure: {}", output_text(&output));
    assert!(output_text(&output).contains('2') && output_text(&output).contains("price"), "{}", output_text(&output));
    assert_eq!(count(&shop).await, 1);

    std::fs::write(&file, "sku;name;price\nB-1;One;1\nB-2;\"Two;2\n").unwrap();
    let output = import(&shop, &file, &["--delimiter", ";"]).await;
    assert!(output.status.code() == Some(1) && output_text(&output).contains("a cell in line 3 isn't closed"), "{}", output_text(&output));
    assert_eq!(count(&shop).await, 1);

    let missing = import(&shop, &directory.path().join("nothing.csv"), &[]).await;
    assert!(!missing.status.success() && output_text(&missing).contains("nothing.csv"), "{}", output_text(&missing));

    let mut command = std::process::Command::new(programs::catalogctl());
    command.arg("import").arg(&file).env_clear().env("CATALOG_URL", shop.anyone.base());
    let output = command.env("CATALOG_USERNAME", ADA.0).env("CATALOG_PASSWORD", "not her password").output().unwrap();
    assert!(!output.status.success() && !output_text(&output).contains("not her password"), "{}", output_text(&output));
}

/// Imports one row over TLS.
async fn import_over_tls(host: &str, gateway: &Gateway, options: &[&str], environment: &[(&str, &str)]) -> Output {
    let directory = Scratch::new(None);
    let file = directory.path().join("rows.csv");
    std::fs::write(&file, "sku,name,price\nA-1,One,1\n").unwrap();
    let mut command = tokio::process::Command::new(programs::catalogctl());
    command.arg("import").arg(&file).args(options).env_clear().kill_on_drop(true);
    command.env("CATALOG_URL", format!("https://{host}:{}", gateway.port()));
    command.env("CATALOG_USERNAME", ADA.0).env("CATALOG_PASSWORD", ADA.2).envs(environment.iter().copied());
    command.output().await.unwrap()
}

#[tokio::test]
async fn rows_are_sent_over_https_to_a_trusted_shop() {
    let shop = Shop::api().await;
    let gateway = Gateway::start(&shop.anyone.base(), "localhost").await;
    let directory = Scratch::new(None);
    let authority = directory.path().join("authority.pem");
    std::fs::write(&authority, gateway.authority()).unwrap();
    let authority = authority.display().to_string();
    for (options, environment, outcome) in [
        (vec!["--ca-file", &authority], vec![], "1 created"),
        (vec![], vec![("CATALOG_CA_FILE", &*authority)], "1 unchanged"),
        (vec![], vec![("SSL_CERT_FILE", &*authority)], "1 unchanged"),
    ] {
        let output = import_over_tls("localhost", &gateway, &options, &environment).await;
        assert!(output.status.success() && output_text(&output).contains(outcome), "{options:?} {environment:?}: {}", output_text(&output));
        assert!(!output_text(&output).contains("unencrypted"), "{}", output_text(&output));
    }
    assert_eq!(count(&shop).await, 1);
}

#[tokio::test]
async fn an_untrusted_shop_gets_no_password_and_the_reason_is_reported() {
    let shop = Shop::api().await;
    let gateway = Gateway::start(&shop.anyone.base(), "localhost").await;
    let directory = Scratch::new(None);
    let [own, empty] = ["own.pem", "empty.pem"].map(|name| directory.path().join(name).display().to_string());
    std::fs::write(&own, gateway.authority()).unwrap();
    std::fs::write(&empty, "nothing\n").unwrap();
    let other = Gateway::start(&shop.anyone.base(), "localhost").await;
    let reasons = [
        (import_over_tls("localhost", &other, &["--ca-file", &own], &[]).await, "--ca-file or CATALOG_CA_FILE"),
        (import_over_tls("127.0.0.1", &gateway, &["--ca-file", &own], &[]).await, "certificate is for another name"),
        (import_over_tls("localhost", &gateway, &["--ca-file", "/nowhere.pem"], &[]).await, "CATALOG_CA_FILE: cannot read /nowhere.pem"),
        (import_over_tls("localhost", &gateway, &["--ca-file", &empty], &[]).await, "CATALOG_CA_FILE"),
    ];
    for (output, reason) in reasons {
        assert!(output.status.code() == Some(1) && output_text(&output).contains(reason), "{reason}: {}", output_text(&output));
    }
    assert_eq!(count(&shop).await, 0);
}

/// A proxy that connects one client and returns the requested target.
async fn proxy() -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let passing = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).expect("a CONNECT request").to_owned();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut server = TcpStream::connect(&target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        target
    });
    (url, passing)
}

#[tokio::test]
async fn imports_can_use_a_proxy() {
    let shop = Shop::api().await;
    let gateway = Gateway::start(&shop.anyone.base(), "localhost").await;
    let directory = Scratch::new(None);
    let authority = directory.path().join("authority.pem");
    std::fs::write(&authority, gateway.authority()).unwrap();
    let (url, passing) = proxy().await;
    let environment = [("HTTPS_PROXY", &*url), ("CATALOG_CA_FILE", authority.to_str().unwrap())];
    let output = import_over_tls("localhost", &gateway, &[], &environment).await;
    assert!(output.status.success(), "{}", output_text(&output));
    assert_eq!(passing.await.unwrap(), format!("localhost:{}", gateway.port()));
}

#[tokio::test]
async fn sending_a_password_to_another_machine_in_plain_text_is_warned_of() {
    let directory = Scratch::new(None);
    let file = directory.path().join("rows.csv");
    std::fs::write(&file, "sku,name,price\nA-1,One,1\n").unwrap();
    for (url, warned) in [("http://shop.invalid", true), ("http://127.0.0.1:9", false), ("http://localhost:9", false)] {
        let mut command = tokio::process::Command::new(programs::catalogctl());
        command.arg("import").arg(&file).env_clear().env("CATALOG_URL", url).env("CATALOG_USERNAME", ADA.0).env("CATALOG_PASSWORD", ADA.2);
        let output = command.output().await.unwrap();
        assert_eq!(output_text(&output).contains("unencrypted"), warned, "{url}: {}", output_text(&output));
    }
}

#[tokio::test]
async fn replaced_names_and_errors_that_are_not_listed_are_reported() {
    let shop = Shop::api().await;
    let directory = Scratch::new(None);
    let file = directory.path().join("rows.csv");
    let rows = "sku,name,price\nA,Table,1\nA,Chair,1\n".to_owned() + &"B,Stool,cheap\n".repeat(1003);
    std::fs::write(&file, rows).unwrap();
    let output = import(&shop, &file, &[]).await;
    assert_eq!(output.status.code(), Some(3), "{}", output_text(&output));
    let output_text = output_text(&output);
    assert!(
        output_text.contains("warning: row 2 and row 1 have the sku \"A\" and different names: \"Chair\" replaced \"Table\""),
        "{output_text}"
    );
    assert!(output_text.contains("… and 3 more rows"), "{output_text}");
}
