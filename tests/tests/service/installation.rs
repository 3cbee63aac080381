//! Installation ids, and databases without a schema.

use std::path::Path;

use catalog_tests::{Process, Role, Shop, eventually, scratch::Scratch, wait::check};
use serde_json::Value;
use sqlx::PgPool;

const ROLES: [Role; 4] = [Role::Serve, Role::Notifier, Role::Tracker, Role::Fulfiller];

/// Like a server with an empty volume.
const DROP_EVERYTHING: &str = r"
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$|^public$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    DROP TABLE _sqlx_migrations;
END $$";

async fn execute(database: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(database).await.unwrap();
}

async fn schemas(database: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_'").fetch_one(database).await.unwrap()
}

async fn installation_id(database: &PgPool) -> String {
    sqlx::query_scalar("SELECT id::text FROM release.installation").fetch_one(database).await.unwrap()
}

fn migration(shop: &Shop, settings: &[(&str, &str)]) -> Process {
    let mut environment = shop.environment().clone();
    environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Process::start(&["migrate"], &environment)
}

async fn migrate(shop: &Shop, settings: &[(&str, &str)]) {
    let mut process = migration(shop, settings);
    assert!(process.ended().await.success(), "{}", process.report());
}

/// `catalog migrate` ends with the exit code of another installation, and reports it where the kubelet reads.
async fn rejected(shop: &Shop, expected: &str) -> String {
    let directory = Scratch::new(None);
    let file = directory.path().join("termination-log");
    let mut process = migration(shop, &[("EXPECT_INSTALLATION", expected), ("TERMINATION_LOG", file.to_str().unwrap())]);
    assert_eq!(process.ended().await.code(), Some(3), "{}", process.report());
    let message = read(&file);
    assert!(process.log().lines().join("\n").contains(&message), "{}", process.report());
    message
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

async fn every_role_answers(shop: &mut Shop, status: u16, part: &str) {
    for role in ROLES {
        eventually("the role knows the state of the schema", async || {
            let (answered, text) = shop.ops(role, "/readyz").await;
            check(answered == status && text.contains(part), || format!("{role}: {answered} {text}"))
        })
        .await;
    }
}

#[tokio::test]
async fn roles_are_not_ready_while_the_database_has_no_schema_or_an_older_one() {
    let mut shop = Shop::builder().roles(&ROLES).allow_error_logs().start().await;
    every_role_answers(&mut shop, 200, "ready").await;

    let database = shop.database.clone();
    execute(&database, "CREATE TABLE newest AS SELECT * FROM _sqlx_migrations ORDER BY version DESC LIMIT 1").await;
    execute(&database, "DELETE FROM _sqlx_migrations WHERE version = (SELECT version FROM newest)").await;
    every_role_answers(&mut shop, 503, "the database is at migration ").await;
    // A schema of a newer release is accepted.
    let newer = "INSERT INTO _sqlx_migrations SELECT * FROM newest; UPDATE newest SET version = version + 10000000000; \
                 INSERT INTO _sqlx_migrations SELECT * FROM newest";
    execute(&database, newer).await;
    every_role_answers(&mut shop, 200, "ready").await;

    execute(&database, DROP_EVERYTHING).await;
    every_role_answers(&mut shop, 503, "catalog migrate: the database has no schema").await;
    migrate(&shop, &[]).await;
    every_role_answers(&mut shop, 200, "ready").await;
    shop.anyone.get("/v1/products").await.expect(200);
}

#[tokio::test]
async fn migrate_reports_the_installation_and_the_newest_migration() {
    let shop = Shop::builder().roles(&[]).start().await;
    let directory = Scratch::new(None);
    let file = directory.path().join("termination-log");
    migrate(&shop, &[("TERMINATION_LOG", file.to_str().unwrap())]).await;
    let report: Value = serde_json::from_str(&read(&file)).unwrap();
    let id = installation_id(&shop.database).await;
    let newest: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&shop.database).await.unwrap();
    assert_eq!(report, serde_json::json!({"installationId": id, "newestMigration": newest}));
    // The id doesn't change, and the expected installation is migrated.
    migrate(&shop, &[("EXPECT_INSTALLATION", &id)]).await;
    assert_eq!(installation_id(&shop.database).await, id);
}

#[tokio::test]
async fn migrate_changes_nothing_in_another_installation_or_an_empty_database() {
    let shop = Shop::builder().roles(&[]).allow_error_logs().start().await;
    let found = installation_id(&shop.database).await;
    let expected = "0b7e1f6c-7a51-4c7b-9c0a-0f3f0f6f6f10";
    let message = rejected(&shop, expected).await;
    assert!(message.contains(&found) && message.contains(expected) && message.contains("restore"), "{message}");

    execute(&shop.database, "ALTER TABLE release.installation DROP COLUMN id").await;
    assert!(rejected(&shop, expected).await.contains("has an older schema without an installation id"));

    execute(&shop.database, DROP_EVERYTHING).await;
    let before = schemas(&shop.database).await;
    let message = rejected(&shop, expected).await;
    assert!(message.contains("has no schema") && message.contains(expected), "{message}");
    assert_eq!(schemas(&shop.database).await, before);
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename = '_sqlx_migrations'").fetch_one(&shop.database).await.unwrap();
    assert_eq!(tables, 0, "nothing was created");

    // Without an expected installation, the database gets a new id.
    migrate(&shop, &[]).await;
    assert_ne!(installation_id(&shop.database).await, found);
}
