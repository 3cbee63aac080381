//! The embedded PostgreSQL has the login roles and passwords of its Secret, and applies changes of the Secret.

use catalog_tests::{
    Api, Process, buying,
    container::Container,
    process::Environment,
    scratch::Scratch,
    wait::{self, eventually},
};
use serde_json::json;
use sqlx::PgConnection;

use crate::{
    pods::Rendered,
    reader::Readers,
    rendered,
    servers::{Server, connected},
    start,
};

/// Contains the characters that shells, psql and SQL treat specially.
const PASSWORD: &str = "it's \"new\" \\ :'password' $(x) `y`";

async fn owner_of(conn: &mut PgConnection, table: &str) -> String {
    sqlx::query_scalar("SELECT tableowner FROM pg_tables WHERE tablename = $1").bind(table).fetch_one(conn).await.unwrap()
}

async fn execute(conn: &mut PgConnection, statement: &'static str) {
    sqlx::query(statement).execute(conn).await.unwrap();
}

async fn started_at(conn: &mut PgConnection) -> String {
    sqlx::query_scalar("SELECT pg_postmaster_start_time()::text").fetch_one(conn).await.unwrap()
}

fn embedded() -> Option<(&'static str, Rendered)> {
    let [(shop, rendered), ..] = rendered();
    Container::possible().then_some((shop, rendered))
}

/// Whether the server rejects this password. A server that cannot be reached is not a rejection.
async fn is_rejected(server: &Server, url: &str, user: &str, password: &str) -> bool {
    match connected(server, url, user, password).await {
        // invalid_password and invalid_authorization_specification (PostgreSQL documentation, appendix A).
        Err(sqlx::Error::Database(error)) => error.code().is_some_and(|code| ["28P01", "28000"].contains(&&*code)),
        Ok(_) | Err(_) => false,
    }
}

#[tokio::test]
async fn both_login_roles_act_as_the_owner_and_their_passwords_follow_the_secret_without_a_restart() {
    let Some((shop, rendered)) = embedded() else { return };
    let mut postgres = Server::postgres(&rendered, shop).await;
    let settings = rendered.pod(&format!("{shop}-api")).environment();
    let (url, user, password) = (&settings["DATABASE_URL"], &settings["PGUSER"], &settings["PGPASSWORD"]);
    assert_eq!(user, "catalog_a");
    // The roles may have been set in the temporary server that initialises the data directory.
    let mut first = eventually("the server starts", async || connected(&postgres, url, user, password).await).await;
    let started = started_at(&mut first).await;
    execute(&mut first, "CREATE TABLE of_a (id int)").await;
    assert!(is_rejected(&postgres, url, "catalog_b", "").await, "a role without a password cannot log in");
    assert!(is_rejected(&postgres, url, "catalog", password).await, "the owner has no password");

    postgres.write_login_role(&rendered, shop, "catalog_b", Some(PASSWORD));
    postgres.login_roles_set(2).await;
    let mut second = connected(&postgres, url, "catalog_b", PASSWORD).await.unwrap();
    connected(&postgres, url, user, password).await.unwrap();
    execute(&mut second, "CREATE TABLE of_b (id int)").await;
    execute(&mut first, "ALTER TABLE of_b ADD COLUMN more text").await;
    for table in ["of_a", "of_b"] {
        assert_eq!(owner_of(&mut first, table).await, "catalog", "{table}");
    }

    postgres.write_login_role(&rendered, shop, "catalog_a", None);
    postgres.login_roles_set(3).await;
    assert!(is_rejected(&postgres, url, user, password).await, "the previous password is no longer valid");
    execute(&mut first, "SELECT FROM of_b").await;
    assert_eq!(started_at(&mut second).await, started, "PostgreSQL was restarted");
}

#[tokio::test]
async fn the_volume_of_a_release_without_login_roles_keeps_its_data_and_its_password_until_that_is_removed() {
    let Some((shop, rendered)) = embedded() else { return };
    let mut postgres = Server::postgres_without_login_roles(&rendered, shop, PASSWORD);
    let settings = rendered.pod(&format!("{shop}-api")).environment();
    let (url, user, password) = (&settings["DATABASE_URL"], &settings["PGUSER"], &settings["PGPASSWORD"]);
    let mut before = eventually("the server starts", async || connected(&postgres, url, "catalog", PASSWORD).await).await;
    execute(&mut before, "CREATE TABLE products (id int)").await;

    postgres.write_login_role(&rendered, shop, "password", Some(PASSWORD));
    postgres.start_login_roles(&rendered, shop).await;
    connected(&postgres, url, "catalog", PASSWORD).await.unwrap();
    let mut after = connected(&postgres, url, user, password).await.unwrap();
    execute(&mut after, "ALTER TABLE products ADD COLUMN sku text").await;
    assert_eq!(owner_of(&mut after, "products").await, "catalog");

    postgres.write_login_role(&rendered, shop, "password", None);
    postgres.login_roles_set(2).await;
    assert!(is_rejected(&postgres, url, "catalog", PASSWORD).await, "the password of the older release is no longer valid");
    execute(&mut before, "SELECT sku FROM products").await;
}

/// A running API and a client of it.
struct Shop {
    process: Process,
    anyone: Api,
}

impl Shop {
    /// Runs the rendered migration, and then starts the rendered pod of the API.
    async fn roll_out(shop: &str, rendered: &Rendered, addresses: &Environment, scratch: &Scratch) -> Self {
        let mut migrate = start(&rendered.pod(&format!("{shop}-migrate")), addresses, scratch);
        assert!(migrate.ended().await.success(), "{}", migrate.report());
        let mut process = start(&rendered.pod(&format!("{shop}-api")), addresses, scratch);
        process.ready().await;
        let anyone = Api::anonymous(&format!("http://{}", process.address("HTTP_ADDRESS").await), None);
        Self { process, anyone }
    }

    async fn sign_in(&self, username: &str, password: &str) -> Api {
        let session = self.anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await.expect(200).json();
        self.anyone.with_token(session["access_token"].as_str().unwrap())
    }

    /// Sends more requests at once than the pool may have connections, so that it opens all of them.
    async fn burst(&self, path: &str) {
        let reads = (0..40).map(|_| {
            let (anyone, path) = (Api::anonymous(&self.anyone.base(), None), path.to_owned());
            tokio::spawn(async move { anyone.get(&path).await.status })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap(), 200);
        }
    }

    async fn stop(mut self) {
        self.process.terminate();
        assert!(self.process.ended().await.success(), "{}", self.process.report());
    }
}

async fn assert_all_served(readers: Readers) {
    eventually("more than 50 reads succeed", async || wait::check(readers.served() > 50, || readers.served())).await;
    let (served, failures) = readers.stop().await;
    assert_eq!(failures, Vec::<String>::new(), "of {served} reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_a_password_rotation() {
    let Some((shop, rendered)) = embedded() else { return };
    let (mut postgres, nats) = (Server::postgres(&rendered, shop).await, Server::nats(&rendered, shop));
    let settings = rendered.pod(&format!("{shop}-api")).environment();
    let mut addresses: Environment = [("DATABASE_URL", &postgres), ("NATS_URL", &nats)]
        .map(|(name, server)| (name.to_owned(), server.reached_by(&settings[name])))
        .into();
    addresses.extend(["HTTP_ADDRESS", "OPS_ADDRESS"].map(|name| (name.to_owned(), "127.0.0.1:0".to_owned())));
    let scratch = Scratch::new(None);
    let before = Shop::roll_out(shop, &rendered, &addresses, &scratch).await;
    let superuser = rendered.pod(&format!("{shop}-migrate")).environment();
    let admin = before.sign_in(&superuser["SUPERUSER_USERNAME"], &superuser["SUPERUSER_PASSWORD"]).await;
    let product = buying::stocked(&admin, "sold", 1_000).await;
    let (username, password) = ("carol", "a passphrase of carol");
    let account = json!({"username": username, "email": "carol@example.com", "password": password});
    before.anyone.post("/v1/customers", &account).await.expect(201);
    let customer = before.sign_in(username, password).await;
    let by_sku = "/v1/products/by-sku/sold".to_owned();
    let paths = [by_sku.clone(), product.at("stock")];
    let readers = Readers::start(&before.anyone, 2, &paths);

    let rotated = rendered.with_rotated_password();
    let api = rotated.pod(&format!("{shop}-api")).environment();
    assert_eq!(api["PGUSER"], "catalog_b");
    postgres.write_login_role(&rendered, shop, "catalog_b", Some(&api["PGPASSWORD"]));
    postgres.login_roles_set(2).await;
    // The pods from before the rotation open new connections.
    before.burst(&by_sku).await;
    buying::order(&customer, &[(&product, 1)]).await.expect(201);
    let after = Shop::roll_out(shop, &rotated, &addresses, &scratch).await;
    let readers_after = Readers::start(&after.anyone, 2, &paths);
    before.burst(&by_sku).await;
    buying::order(&customer, &[(&product, 1)]).await.expect(201);
    let customer_after = Api::anonymous(&after.anyone.base(), None).with_token(customer.token());
    buying::order(&customer_after, &[(&product, 1)]).await.expect(201);
    assert_all_served(readers).await;
    before.stop().await;

    postgres.write_login_role(&rendered, shop, "catalog_a", None);
    postgres.login_roles_set(3).await;
    after.burst(&by_sku).await;
    buying::order(&customer_after, &[(&product, 1)]).await.expect(201);
    assert_all_served(readers_after).await;
    let mut conn = connected(&postgres, &api["DATABASE_URL"], "catalog_b", &api["PGPASSWORD"]).await.unwrap();
    let owners: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
            .fetch_all(&mut conn)
            .await
            .unwrap();
    assert_eq!(owners, ["catalog"]);
    after.stop().await;
}
