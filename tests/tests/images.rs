//! The container images: their contents, and their programs in containers as on a cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "in a test, a panic is the report of a failure")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use catalog_tests::{
    container::{self, Container},
    image::{self, Image},
    nats::free_port,
    programs,
    scratch::Scratch,
    wait::eventually,
};
use nix::unistd::geteuid;
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// The users of our images and of PostgreSQL's image.
const NONROOT: (u32, u32) = (65532, 65532);
const POSTGRES: (u32, u32) = (999, 999);

fn own() -> [(&'static str, Vec<&'static str>); 3] {
    [
        ("catalog", vec!["8080/tcp", "9090/tcp"]),
        ("catalogctl", vec!["1025/tcp", "8025/tcp", "9090/tcp"]),
        ("catalog-operator", vec!["9090/tcp"]),
    ]
}

#[test]
fn own_images_have_one_program_and_an_unprivileged_user() {
    for (name, ports) in own() {
        let image = Image::make(name);
        assert_eq!(image.names, [format!("docker.io/library/{name}:{}", env!("CARGO_PKG_VERSION"))]);
        assert_eq!(image.config["User"], "65532:65532");
        assert_eq!(image.words("Entrypoint"), [format!("/usr/local/bin/{name}")]);
        let exposed: Vec<_> = image.config["ExposedPorts"].as_object().unwrap().keys().collect();
        assert_eq!(exposed, ports);
        let labels = &image.config["Labels"];
        assert_eq!(labels["org.opencontainers.image.title"], name);
        assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(labels["org.opencontainers.image.licenses"], env!("CARGO_PKG_LICENSE"));
        // The only executable files are the program, its libraries and their loader.
        let executable = |path: &PathBuf| {
            let metadata = fs::symlink_metadata(image.root().join(path.strip_prefix("/").unwrap())).unwrap();
            metadata.is_file() && metadata.mode() & 0o111 != 0
        };
        let programs: Vec<_> = image.files().into_iter().filter(executable).filter(|path| !is_library(path)).collect();
        assert_eq!(programs, [Path::new("/usr/local/bin").join(name)]);
        let passwd = fs::read_to_string(image.root().join("etc/passwd")).unwrap();
        assert!(passwd.contains("nonroot:x:65532:65532:"), "{passwd}");
    }
}

#[test]
fn the_context_of_docker_has_every_package_and_the_script_that_makes_the_images() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let context = Scratch::new(None);
    let mut patterns = include_str!("../../.dockerignore").lines();
    assert_eq!(patterns.next(), Some("*"), "only what the other patterns name is copied");
    for pattern in patterns {
        let entry = pattern.strip_prefix('!').expect("the other patterns have exceptions");
        let copied = Command::new("cp").arg("--recursive").arg(root.join(entry)).arg(context.path()).status().unwrap();
        assert!(copied.success(), "{entry} exists");
    }
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(context.path())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let script = "deploy/images/make";
    assert!(include_str!("../../Dockerfile").contains(script) && context.path().join(script).exists());
}

#[test]
fn the_dockerfile_builds_the_same_images() {
    let dockerfile = include_str!("../../Dockerfile").replace(" \\\n     ", "");
    // Stages in order: the build, what is common, the operator, the tools, and the shop.
    let stages: Vec<_> = dockerfile.split("\nFROM ").collect();
    for ((name, _), stage) in own().into_iter().zip([stages[5], stages[4], stages[3]]) {
        let image = Image::make(name);
        let says = |line: &str| [stages[2], stage].iter().any(|stage| stage.lines().any(|said| said.contains(line)));
        let json = |words: &[String]| serde_json::to_string(words).unwrap();
        assert!(says(&format!("ENTRYPOINT {}", json(&image.words("Entrypoint")))), "{name}");
        assert!(says(&format!("CMD {}", json(&image.words("Cmd")))), "{name}");
        assert!(says(&format!("USER {}", image.config["User"].as_str().unwrap())), "{name}");
        assert!(says(&format!("WORKDIR {}", image.config["WorkingDir"].as_str().unwrap())), "{name}");
        for (label, value) in image.config["Labels"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            assert!(says(&format!("{label}={value}")) || says(&format!("{label}=\"{value}\"")), "{name}: {label}={value}");
        }
        for (setting, value) in image.environment() {
            assert!(says(&format!("{setting}={value}")), "{name}: {setting}={value}");
        }
        for port in image.config["ExposedPorts"].as_object().unwrap().keys() {
            let port = port.trim_end_matches("/tcp");
            assert!(stage.lines().any(|line| line.starts_with("EXPOSE ") && line.split(' ').any(|word| word == port)), "{name}: {port}");
        }
    }
}

fn is_library(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
}

#[test]
fn own_images_trust_public_certificate_authorities_only() {
    let image = Image::make("catalog");
    let bundle = fs::read_to_string(image.root().join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    let count = bundle.matches("-----BEGIN CERTIFICATE-----").count();
    assert!(count > 50, "{count} authorities");
    for added in fs::read_dir("/usr/local/share/ca-certificates").into_iter().flatten().flatten() {
        let Ok(added) = fs::read_to_string(added.path()) else { continue };
        let line = added.lines().nth(5).unwrap_or("-----BEGIN NOTHING-----");
        let only_here = !Path::new("/usr/share/ca-certificates/mozilla").is_dir();
        assert!(only_here || !bundle.contains(line), "an authority that was added to this machine is in the image");
    }
}

#[tokio::test]
async fn own_images_run_on_a_read_only_root() {
    if !Container::possible() {
        return;
    }
    for (name, _) in own() {
        let image = Image::make(name);
        let mut inside = Container::new(&image, NONROOT).start(&["--help"]);
        let status = inside.ended().await;
        assert!(status.success(), "{}", inside.report());
        let outside = Command::new(programs::beside(name)).arg("--help").env("COLUMNS", "100").output().unwrap();
        assert_eq!(inside.log().lines().first().map(String::as_str), String::from_utf8_lossy(&outside.stdout).lines().next());
    }
}

#[tokio::test]
async fn the_inbox_runs_in_its_image() {
    if !Container::possible() {
        return;
    }
    let image = Image::make("catalogctl");
    let addresses = ["OPS_ADDRESS", "SMTP_ADDRESS", "INBOX_ADDRESS"];
    let inbox = addresses.iter().fold(Container::new(&image, NONROOT), |inbox, name| inbox.setting(name, "127.0.0.1:0"));
    inbox.setting("LOG_FORMAT", "json").start(&[]).ready().await;
}

#[test]
fn images_are_reproducible() {
    for name in ["catalog", "nats"] {
        assert_eq!(Image::make(name).digest, Image::make(name).digest, "{name}");
    }
}

#[test]
fn an_image_over_its_size_limit_is_rejected() {
    let out = Scratch::new(None);
    let output = image::make(out.path(), &["--limit", "1", "catalog"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("catalog is ") && said.contains(" MB, over the limit of 1 MB"), "{said}");
    assert!(!out.path().join("catalog.tar").exists());
}

/// A volume as a cluster provides it, writable for the group of the pod.
fn volumes(user: (u32, u32)) -> [(Scratch, &'static str); 3] {
    ["/var/lib/postgresql", "/var/run/postgresql", "/tmp"].map(|path| {
        let scratch = Scratch::new(None);
        if geteuid().is_root() {
            chown(scratch.path(), Some(user.0), Some(user.1)).unwrap();
        }
        (scratch, path)
    })
}

fn postgres<'a>(image: &'a Image, user: (u32, u32), volumes: &[(Scratch, &str)], port: u16) -> Container<'a> {
    let container = Container::new(image, user).setting("PGPORT", port.to_string());
    // Without these arguments it trusts local connections, and the test connects locally.
    let container = container.setting("POSTGRES_INITDB_ARGS", "--auth-host='scram-sha-256' --data-checksums");
    let container = container.setting("POSTGRES_USER", "shop").setting("POSTGRES_DB", "the shop");
    volumes.iter().fold(container, |container, (scratch, path)| container.volume(scratch.path(), path))
}

#[tokio::test]
async fn postgres_creates_its_database_once_and_restarts_with_it() {
    if !Container::possible() {
        return;
    }
    let image = Image::make("postgres");
    assert_eq!(image.names[0], "docker.io/library/postgres:18");
    assert_eq!(image.config["Volumes"], json!({"/var/lib/postgresql": {}}));
    // The user of the official image, and another one.
    for user in [POSTGRES, (12345, 0)] {
        let (volumes, port) = (volumes(user), free_port());
        let url = |password: &str| format!("postgres://shop:{password}@127.0.0.1:{port}/the%20shop");
        let mut first = postgres(&image, user, &volumes, port).setting("POSTGRES_PASSWORD", "it's one").start(&[]);
        let mut connection = connected(&url("it's%20one"), &mut first).await;
        sqlx::raw_sql("CREATE EXTENSION pg_trgm; CREATE TABLE kept AS SELECT 1 AS one").execute(&mut connection).await.unwrap();
        container::kill(&mut first).await;
        // Another password in the environment changes nothing once there is data …
        let again = postgres(&image, user, &volumes, port).setting("POSTGRES_PASSWORD", "another");
        let mut again = again.start(&["postgres", "-c", "log_line_prefix=it's %p "]);
        let mut connection = connected(&url("it's%20one"), &mut again).await;
        let one: i32 = sqlx::query_scalar("SELECT one FROM kept").fetch_one(&mut connection).await.unwrap();
        assert_eq!(one, 1);
        let rule = "SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all' AND database = '{all}'";
        let everybody: String = sqlx::query_scalar(rule).fetch_one(&mut connection).await.unwrap();
        assert_eq!(everybody, "scram-sha-256");
        // … but over the local socket it can be set, in the pod, by a shell.
        let psql = r#"printf '%s\n' '\getenv password NEW' 'ALTER ROLE shop PASSWORD :'"'password'" | psql -v ON_ERROR_STOP=1 -U shop -d postgres"#;
        let setting = postgres(&image, user, &volumes, port).setting("NEW", "two");
        let mut setting = setting.start_command(&["sh", "-c", psql].map(str::to_owned));
        assert!(setting.ended().await.success(), "{}", setting.report());
        connected(&url("two"), &mut again).await;
        assert!(PgConnection::connect(&url("it's%20one")).await.is_err(), "the old password still works");
    }
}

async fn connected(url: &str, server: &mut catalog_tests::Process) -> PgConnection {
    eventually("PostgreSQL lets us in", async || {
        assert!(server.is_running(), "{}", server.report());
        PgConnection::connect(url).await
    })
    .await
}

#[tokio::test]
async fn postgres_repeats_an_interrupted_creation_of_its_database() {
    if !Container::possible() {
        return;
    }
    let image = Image::make("postgres");
    let (volumes, port, given) = (volumes(POSTGRES), free_port(), Scratch::new(None));
    fs::write(given.path().join("password"), "secret\n").unwrap();
    fs::write(given.path().join("1.sql"), "CREATE TABLE by_sql ();").unwrap();
    fs::write(given.path().join("2.sh"), "sql --dbname \"$POSTGRES_DB\" --command 'CREATE TABLE by_sh ()'").unwrap();
    let server = || {
        let server = postgres(&image, POSTGRES, &volumes, port).setting("POSTGRES_PASSWORD_FILE", "/docker-entrypoint-initdb.d/password");
        server.volume(given.path(), "/docker-entrypoint-initdb.d")
    };
    let mut cut_short = server().start(&[]);
    eventually("initdb has begun", async || {
        let begun = volumes[0].0.path().join("18/docker.unfinished/PG_VERSION").exists();
        if begun { Ok(()) } else { Err(cut_short.report()) }
    })
    .await;
    container::kill(&mut cut_short).await;
    let mut whole = server().start(&[]);
    let mut connection = connected(&format!("postgres://shop:secret@127.0.0.1:{port}/the%20shop"), &mut whole).await;
    // Scripts of users have run as well.
    let made: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(made, ["by_sh", "by_sql"], "{}", whole.report());
}

#[tokio::test]
async fn postgres_requires_a_password_for_a_new_database() {
    if !Container::possible() {
        return;
    }
    let image = Image::make("postgres");
    let volumes = volumes(POSTGRES);
    let mut server = postgres(&image, POSTGRES, &volumes, free_port()).start(&[]);
    assert!(!server.ended().await.success());
    assert!(server.report().contains("set POSTGRES_PASSWORD"), "{}", server.report());
    let both = postgres(&image, POSTGRES, &volumes, free_port()).setting("POSTGRES_PASSWORD", "a").setting("POSTGRES_PASSWORD_FILE", "/b");
    let mut both = both.start(&[]);
    assert!(!both.ended().await.success());
    assert!(both.report().contains("give one of them"), "{}", both.report());
}

#[tokio::test]
async fn nats_uses_its_configuration_and_keeps_streams_on_its_volume() {
    if !Container::possible() {
        return;
    }
    let image = Image::make("nats");
    assert_eq!(image.names[0], "docker.io/library/nats:2");
    assert_eq!(image.words("Entrypoint"), ["/nats-server"]);
    let (config, store, port) = (Scratch::new(None), Scratch::new(None), free_port());
    if geteuid().is_root() {
        chown(store.path(), Some(1000), Some(1000)).unwrap();
    }
    let text = format!("port: {port}\njetstream {{ store_dir: /data, sync_interval: always }}\nauthorization {{ token: $NATS_TOKEN }}\n");
    fs::write(config.path().join("nats.conf"), text).unwrap();
    let container = Container::new(&image, (1000, 1000)).volume(config.path(), "/etc/nats").volume(store.path(), "/data");
    let mut server = container.setting("NATS_TOKEN", "sesame").start(&["--config", "/etc/nats/nats.conf"]);
    let address = format!("nats://127.0.0.1:{port}");
    let client = eventually("NATS lets us in", async || {
        assert!(server.is_running(), "{}", server.report());
        async_nats::ConnectOptions::with_token("sesame".into()).connect(&address).await
    })
    .await;
    let stream = async_nats::jetstream::stream::Config { name: "kept".into(), ..Default::default() };
    async_nats::jetstream::new(client).create_stream(stream).await.unwrap();
    assert!(store.path().join("jetstream").is_dir());
    assert!(async_nats::connect(&address).await.is_err(), "without the token");
}
