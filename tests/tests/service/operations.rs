//! Probes, metrics and the other commands of the binary.

use std::process::Stdio;

use catalog_tests::{
    Api, Process, Role, Shop, eventually,
    nats::free_port,
    people::{ADA, OWNER},
    process::Environment,
    programs,
    samples::{self, create},
    shared,
    wait::check,
};
use serde_json::{Value, json};

#[tokio::test]
async fn every_role_answers_its_probes() {
    let mut shop = Shop::start().await;
    for role in [Role::Serve, Role::Notifier, Role::Tracker] {
        assert_eq!(shop.ops(role, "/livez").await.0, 200, "{role}");
        assert_eq!(shop.ops(role, "/readyz").await.0, 200, "{role}");
        let (status, verbose) = shop.ops(role, "/readyz?verbose").await;
        assert_eq!(status, 200, "{role}");
        for dependency in ["postgresql: ok", "nats: ok"] {
            assert!(verbose.contains(dependency), "{role}: {verbose}");
        }
        assert_eq!(shop.ops(role, "/v1/products").await.0, 404, "the private listener serves only probes and metrics");
    }
}

#[tokio::test]
async fn the_default_addresses_answer_on_ipv4_and_ipv6() {
    let help = std::process::Command::new(programs::catalog()).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("[default: [::]:8080]") && help.contains("[default: [::]:9090]"), "{help}");
    let shop = Shop::builder().roles(&[]).start().await;
    let mut settings = shop.environment().clone();
    for setting in ["HTTP_ADDRESS", "OPS_ADDRESS"] {
        settings.insert(setting.into(), "[::]:0".into());
    }
    let mut serve = Process::start(&["serve"], &settings);
    serve.ready().await;
    for (setting, path) in [("HTTP_ADDRESS", "/v1/products"), ("OPS_ADDRESS", "/livez")] {
        let port = serve.address(setting).await.port();
        for host in ["127.0.0.1", "[::1]"] {
            let response = reqwest::get(format!("http://{host}:{port}{path}")).await.unwrap();
            assert_eq!(response.status(), 200, "{setting} at {host}");
        }
    }
}

#[tokio::test]
async fn durations_are_measured_by_route_and_never_by_id() {
    let mut shop = Shop::api().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for _ in 0..3 {
        shop.anyone.get(&product.path).await.expect(200);
    }
    shop.anyone.get("/v1/products/by-sku/absent").await.expect(404);
    shop.anyone.get("/nothing/at/all").await.expect(404);
    let count = "http_request_duration_seconds_count";
    let read = [r#"method="GET""#, r#"route="/v1/products/{id}""#, r#"status="200""#];
    assert_eq!(shop.metric(Role::Serve, count, &read).await, Some(3.0));
    assert_eq!(shop.metric(Role::Serve, count, &[r#"route="/v1/products/by-sku/{sku}""#, r#"status="404""#]).await, Some(1.0));
    let (_, metrics) = shop.ops(Role::Serve, "/metrics").await;
    assert!(!metrics.contains(&product.id) && !metrics.contains("/nothing"), "labels must be bounded:\n{metrics}");
}

#[tokio::test]
async fn successful_reads_are_sampled_in_the_log_and_other_requests_are_not() {
    let shop = Shop::builder().only_api().setting("ACCESS_LOG_SAMPLE", "10").start().await;
    for number in 0..5 {
        create(&shop.ada, &samples::plain(&format!("T-{number}"))).await;
    }
    for _ in 0..100 {
        shop.anyone.get("/v1/products").await.expect(200);
    }
    for _ in 0..7 {
        shop.anyone.get("/v1/products?limit=0").await.expect(400);
    }
    let last = shop.anyone.get("/nothing").header("x-request-id", "the-last-one").await.expect(404);
    assert_eq!(last.header("x-request-id"), "the-last-one");
    let entries = eventually("the last request is logged", async || {
        let entries: Vec<Value> = shop.log_lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        check(entries.iter().any(|entry| entry["request_id"] == "the-last-one"), || "not yet").map(|()| entries)
    })
    .await;
    let count = |method: &str, status: u16| entries.iter().filter(|entry| entry["method"] == method && entry["status"] == status).count();
    assert_eq!((count("POST", 201), count("GET", 400), count("GET", 200)), (5, 7, 10));
}

#[tokio::test]
async fn events_mails_and_views_have_metrics() {
    let mut shop = Shop::start().await;
    let product = create(&shop.ada, &samples::plain("T-1")).await;
    for _ in 0..7 {
        shop.anyone.get(&product.path).await.expect(200);
    }
    shop.views_reach(&product.id, 7).await;
    shop.inbox().at_least(2).await;
    shop.wait_until_idle().await;
    let wanted = [
        (Role::Serve, vec![("outbox", None), ("outbox", Some("age")), ("views_published", None), ("views_dropped", None)]),
        (Role::Notifier, vec![("deliveries", None), ("lag", None)]),
        (Role::Tracker, vec![("views_counted", None), ("lag", None)]),
    ];
    for (role, names) in wanted {
        let (_, metrics) = shop.ops(role, "/metrics").await;
        let helped: Vec<_> = metrics.lines().filter(|line| line.starts_with("# HELP ")).collect();
        for (name, also) in names {
            let found = helped.iter().any(|line| line.contains(name) && also.is_none_or(|also| line.contains(also)));
            assert!(found, "{role} has no metric {name} {also:?}: {helped:#?}");
        }
    }
    let sample = async |shop: &mut Shop, role: Role, part: &str| {
        let (_, metrics) = shop.ops(role, "/metrics").await;
        let lines = metrics.lines().filter(|line| !line.starts_with('#') && line.contains(part));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    assert!((sample(&mut shop, Role::Serve, "views_published").await - 7.0).abs() < 0.1);
    assert!((sample(&mut shop, Role::Tracker, "views_counted").await - 7.0).abs() < 0.1);
    assert!(sample(&mut shop, Role::Serve, "views_dropped").await < 0.1);
    assert!((sample(&mut shop, Role::Notifier, "outcome=\"sent\"").await - 2.0).abs() < 0.1);
}

#[tokio::test]
async fn a_role_waits_for_its_dependencies_and_reports_it() {
    let shop = Shop::builder().roles(&[]).private_nats().allow_error_logs().start().await;
    let mut settings = shop.environment().clone();
    settings.insert("DATABASE_URL".into(), format!("postgres://postgres@127.0.0.1:{}/{}", free_port(), shop.prefix()));
    for role in [Role::Serve, Role::Notifier, Role::Tracker] {
        let mut process = Process::role(role, &settings);
        let ops = process.address("OPS_ADDRESS").await;
        let probe = async |path: &str| {
            let response = reqwest::get(format!("http://{ops}{path}")).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        eventually("it reports what it waits for", async || {
            let (status, text) = probe("/readyz").await;
            check(status == 503 && text.to_lowercase().contains("waiting for") && text.to_lowercase().contains("database"), || text)
        })
        .await;
        assert_eq!(probe("/livez").await.0, 200, "{role} is not live while it waits");
        assert!(probe("/readyz?verbose").await.1.contains("[-] postgresql"), "{role}");
        process.terminate();
        let status = process.ended().await;
        assert!(status.success(), "{role} did not stop while it waited: {}", process.report());
    }
}

#[tokio::test]
async fn a_role_waits_for_the_migration_of_its_database() {
    let shop = Shop::builder().roles(&[]).private_postgres().allow_error_logs().start().await;
    let empty = format!("{}_empty", shop.prefix());
    let url = sqlx::query_scalar::<_, i32>("SELECT inet_server_port()").fetch_one(&shop.database).await.unwrap();
    let mut settings = shop.environment().clone();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {empty}"))).execute(&shop.database).await.unwrap();
    settings.insert("DATABASE_URL".into(), format!("postgres://postgres@127.0.0.1:{url}/{empty}"));
    let mut serve = Process::start(&["serve"], &settings);
    let ops = serve.address("OPS_ADDRESS").await;
    eventually("it waits", async || {
        let response = reqwest::get(format!("http://{ops}/readyz")).await.unwrap();
        check(response.status() == 503, || "ready without tables")
    })
    .await;
    settings.extend(shared::superuser());
    let mut migrate = Process::start(&["migrate"], &settings);
    assert!(migrate.ended().await.success(), "{}", migrate.report());
    serve.ready().await;
    let http = serve.address("HTTP_ADDRESS").await;
    let login = Api::anonymous(&format!("http://{http}"), None).post("/v1/auth/login", &json!({"username": OWNER.0, "password": OWNER.2}));
    login.await.expect(200);
    // Repeated and concurrent migrations change nothing.
    let mut again: Vec<_> = (0..3).map(|_| Process::start(&["migrate"], &settings)).collect();
    for migrate in &mut again {
        assert!(migrate.ended().await.success(), "{}", migrate.report());
    }
}

#[tokio::test]
async fn migrate_applies_a_changed_superuser_password_and_ends_its_sessions() {
    let shop = Shop::api().await;
    let login = async |password: &str| shop.anyone.post("/v1/auth/login", &json!({"username": OWNER.0, "password": password})).await.status;
    let migrate = async |password: &str| {
        let mut settings = shop.environment().clone();
        settings.extend(shared::superuser());
        settings.insert("SUPERUSER_PASSWORD".into(), password.into());
        let mut process = Process::start(&["migrate"], &settings);
        assert!(process.ended().await.success(), "{}", process.report());
        assert!(!process.log().lines().join("\n").contains(password));
    };
    migrate(OWNER.2).await;
    shop.owner.get("/v1/admins").await.expect(200);
    migrate("another passphrase 9!").await;
    shop.owner.get("/v1/admins").await.problem(401, "token-revoked");
    assert_eq!((login(OWNER.2).await, login("another passphrase 9!").await), (401, 200));
}

#[tokio::test]
async fn the_currency_is_fixed_once_products_exist() {
    let shop = Shop::builder().only_api().allow_error_logs().start().await;
    create(&shop.ada, &samples::plain("T-1")).await;
    let mut settings = shop.environment().clone();
    settings.insert("CURRENCY".into(), "USD".into());
    let mut migrate = Process::start(&["migrate"], &settings);
    let status = migrate.ended().await;
    let log = migrate.log().lines().join("\n");
    assert!(!status.success() && log.contains("EUR") && log.contains("USD"), "{}", migrate.report());
}

#[tokio::test]
async fn a_database_of_an_incompatible_release_is_rejected() {
    let shop = Shop::builder().roles(&[]).allow_error_logs().start().await;
    sqlx::query("UPDATE release.installation SET min_compatible = '99.0.0', migrated_by = '99.1.0'").execute(&shop.database).await.unwrap();
    let mut migrate = Process::start(&["migrate"], shop.environment());
    let status = migrate.ended().await;
    let log = migrate.log().lines().join("\n");
    assert!(!status.success() && log.contains("99.0.0"), "{log}");
    // A database of a newer release that supports this one is accepted.
    sqlx::query("UPDATE release.installation SET min_compatible = '0.1.0'").execute(&shop.database).await.unwrap();
    let mut migrate = Process::start(&["migrate"], shop.environment());
    assert!(migrate.ended().await.success(), "{}", migrate.report());
}

#[tokio::test]
async fn a_command_whose_output_pipe_is_closed_ends_without_an_error() {
    let shop = Shop::api().await;
    for args in [&["openapi"][..], &["admin", "list"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = tokio::process::Command::new(programs::catalog());
        let output = command.args(args).env_clear().envs(shop.environment()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{args:?} {:?}: {said}", output.status);
    }
}

#[tokio::test]
async fn the_exit_status_of_healthcheck_is_that_of_readiness() {
    let mut shop = Shop::api().await;
    let ops = shop.process(Role::Serve).address("OPS_ADDRESS").await;
    let is_healthy = async |address: String| {
        let settings: Environment = [("OPS_ADDRESS".to_owned(), address)].into();
        Process::start(&["healthcheck"], &settings).ended().await.success()
    };
    assert!(is_healthy(ops.to_string()).await);
    assert!(!is_healthy(format!("127.0.0.1:{}", free_port())).await);
}

#[tokio::test]
async fn an_admins_password_can_be_set_from_the_command_line() {
    let shop = Shop::api().await;
    let password = catalog_tests::scratch::Scratch::new(None);
    let file = password.path().join("password");
    std::fs::write(&file, "a passphrase from a file\n").unwrap();
    let mut settings = shop.environment().clone();
    settings.insert("PASSWORD_FILE".into(), file.display().to_string());
    let mut process = Process::start(&["admin", "set-password", ADA.0], &settings);
    assert!(process.ended().await.success(), "{}", process.report());
    shop.ada.get("/v1/admins").await.problem(401, "token-revoked");
    let login = async |password: &str| shop.anyone.post("/v1/auth/login", &json!({"username": ADA.0, "password": password})).await.status;
    assert_eq!((login(ADA.2).await, login("a passphrase from a file").await), (401, 200));
}
