//! Settings: all invalid ones are reported at once by name, and secrets are never printed.

use catalog_tests::{Process, process::Environment, programs, scratch::Scratch};

fn environment(settings: &[(&str, &str)]) -> Environment {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn rejected(role: &str, settings: &[(&str, &str)]) -> String {
    let mut process = Process::start(&[role], &environment(settings));
    let status = process.ended().await;
    let log = process.log().lines().join("\n");
    assert!(!status.success(), "{role} started:\n{log}");
    log
}

#[tokio::test]
async fn all_invalid_settings_are_reported_at_once_with_their_names() {
    let log = rejected(
        "serve",
        &[
            ("DATABASE_URL", "mysql://user:hunter2-secret@db/x"),
            ("DATABASE_MAX_CONNECTIONS", "many"),
            ("NATS_URL", "nats://user:nats-secret@:::"),
            ("EVENTS_PREFIX", "with.dots and spaces"),
            ("HTTP_ADDRESS", "everywhere"),
            ("OPS_ADDRESS", "127.0.0.1"),
            ("CURRENCY", "euros"),
            ("PUBLIC_URL", "shop"),
            ("AUTH_SIGNING_KEYS_DIR", "/nowhere/at/all"),
            ("AUTH_ACCESS_TOKEN_TTL", "1"),
            ("AUTH_REFRESH_TOKEN_TTL", "forever"),
            ("VIEWS_FLUSH_INTERVAL", "0s"),
            ("VIEWS_BUFFER_LIMIT", "-1"),
            ("DELETED_RETENTION", "0s"),
            ("ACCESS_LOG_SAMPLE", "0"),
            ("IMPORT_MIN_RATE", "-1"),
            ("IMPORT_RATE_WINDOW", "0s"),
            ("IMPORT_MAX_DURATION", "1d"),
            ("IMPORT_MAX_PER_ADMIN", "0"),
            ("SHUTDOWN_TIMEOUT", "2d"),
        ],
    )
    .await;
    for name in [
        "DATABASE_URL",
        "DATABASE_MAX_CONNECTIONS",
        "NATS_URL",
        "EVENTS_PREFIX",
        "HTTP_ADDRESS",
        "OPS_ADDRESS",
        "CURRENCY",
        "PUBLIC_URL",
        "AUTH_SIGNING_KEYS_DIR",
        "AUTH_ACCESS_TOKEN_TTL",
        "AUTH_REFRESH_TOKEN_TTL",
        "VIEWS_FLUSH_INTERVAL",
        "VIEWS_BUFFER_LIMIT",
        "DELETED_RETENTION",
        "ACCESS_LOG_SAMPLE",
        "IMPORT_MIN_RATE",
        "IMPORT_RATE_WINDOW",
        "IMPORT_MAX_DURATION",
        "IMPORT_MAX_PER_ADMIN",
        "SHUTDOWN_TIMEOUT",
    ] {
        assert!(log.contains(name), "{name} is not reported:\n{log}");
    }
    for given in ["many", "euros", "everywhere", "forever"] {
        assert!(log.contains(given), "the error doesn't quote the value {given}:\n{log}");
    }
    for secret in ["hunter2-secret", "nats-secret"] {
        assert!(!log.contains(secret), "{secret} is shown:\n{log}");
    }
}

#[tokio::test]
async fn missing_settings_are_reported_by_every_role() {
    for (role, names) in [
        ("serve", &["DATABASE_URL", "AUTH_SIGNING_KEYS_DIR"][..]),
        ("notifier", &["DATABASE_URL", "MAIL_SERVER", "MAIL_FROM"]),
        ("tracker", &["DATABASE_URL"]),
        ("fulfiller", &["DATABASE_URL"]),
        ("migrate", &["DATABASE_URL"]),
    ] {
        let log = rejected(role, &[("NATS_URL", "nats://127.0.0.1:9")]).await;
        for name in names {
            assert!(log.contains(name), "{role} doesn't report that {name} is missing:\n{log}");
        }
    }
}

#[tokio::test]
async fn settings_that_belong_together_are_required_together() {
    let log = rejected("migrate", &[("DATABASE_URL", "postgres://x@127.0.0.1:9/x"), ("SUPERUSER_USERNAME", "boss")]).await;
    assert!(log.contains("SUPERUSER_PASSWORD") && log.contains("SUPERUSER_EMAIL"), "{log}");
    let mail = [
        ("DATABASE_URL", "postgres://x@127.0.0.1:9/x"),
        ("MAIL_SERVER", "m"),
        ("MAIL_FROM", "a@b.test"),
        ("MAIL_USERNAME", "u"),
        ("MAIL_TLS", "perhaps"),
        ("MAIL_PORT", "0"),
    ];
    let log = rejected("notifier", &mail).await;
    for name in ["MAIL_PASSWORD", "MAIL_TLS", "MAIL_PORT"] {
        assert!(log.contains(name), "{name}: {log}");
    }
}

#[tokio::test]
async fn secrets_can_be_read_from_files_but_not_set_twice() {
    let directory = Scratch::new(None);
    let file = directory.path().join("url");
    std::fs::write(&file, "mysql://u:file-secret@db/x\n").unwrap();
    let path = file.display().to_string();
    let log = rejected("tracker", &[("DATABASE_URL_FILE", &path)]).await;
    assert!(log.contains("DATABASE_URL") && !log.contains("file-secret"), "{log}");
    let log = rejected("tracker", &[("DATABASE_URL_FILE", &path), ("DATABASE_URL", "postgres://x@y/z")]).await;
    assert!(log.contains("DATABASE_URL_FILE") && log.contains("not both"), "{log}");
    let log = rejected("tracker", &[("DATABASE_URL_FILE", "/nowhere")]).await;
    assert!(log.contains("DATABASE_URL_FILE") && log.contains("/nowhere"), "{log}");
}

#[test]
fn help_lists_every_setting_of_a_role_and_shows_no_secret() {
    for (role, names) in [
        (
            "serve",
            &[
                "DATABASE_URL",
                "NATS_URL",
                "EVENTS_PREFIX",
                "HTTP_ADDRESS",
                "OPS_ADDRESS",
                "CURRENCY",
                "PUBLIC_URL",
                "AUTH_SIGNING_KEYS_DIR",
                "VIEWS_FLUSH_INTERVAL",
                "DELETED_RETENTION",
                "ACCESS_LOG_SAMPLE",
                "SHUTDOWN_TIMEOUT",
                "LOG_FORMAT",
                "RUST_LOG",
            ][..],
        ),
        (
            "notifier",
            &[
                "DATABASE_URL",
                "NATS_URL",
                "MAIL_SERVER",
                "MAIL_PORT",
                "MAIL_USERNAME",
                "MAIL_PASSWORD",
                "MAIL_FROM",
                "MAIL_TLS",
                "OPS_ADDRESS",
            ],
        ),
        ("tracker", &["DATABASE_URL", "NATS_URL", "OPS_ADDRESS"]),
        ("fulfiller", &["DATABASE_URL", "NATS_URL", "CURRENCY", "PUBLIC_URL", "FULFILMENT_DELAY", "OPS_ADDRESS"]),
        (
            "migrate",
            &["DATABASE_URL", "SUPERUSER_USERNAME", "SUPERUSER_EMAIL", "SUPERUSER_PASSWORD", "EXPECT_INSTALLATION", "TERMINATION_LOG"],
        ),
    ] {
        let output = std::process::Command::new(programs::catalog())
            .args([role, "--help"])
            .env_clear()
            .env("DATABASE_URL", "postgres://u:help-secret@db/x")
            .env("SUPERUSER_PASSWORD", "help-secret")
            .env("MAIL_PASSWORD", "help-secret")
            .env("NATS_URL", "nats://u:help-secret@nats")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for name in names {
            assert!(help.contains(name), "{role} --help does not list {name}:\n{help}");
        }
        assert!(!help.contains("help-secret"), "{role} --help shows a secret:\n{help}");
    }
}

#[tokio::test]
async fn interactive_commands_log_text_also_into_a_pipe() {
    let mut import = Process::tool(&["import", "rows.csv"], &environment(&[("CATALOG_URL", "shop")]));
    assert_eq!(import.ended().await.code(), Some(1));
    let lines = import.log().lines();
    assert!(lines.len() > 2 && lines.iter().any(|line| line.trim_start().starts_with("CATALOG_URL must be")), "{lines:#?}");
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_the_name_of_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let log = rejected("tracker", &[("DATABASE_URL", "postgres://x@127.0.0.1:9/x"), ("OPS_ADDRESS", &address)]).await;
    assert!(log.contains("OPS_ADDRESS") && log.contains(&address), "{log}");
}
