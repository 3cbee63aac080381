//! The accounts of every shop. They are created and signed in once, in the template database, so that tests don't hash passwords.

use serde_json::{Value, json};

use crate::api::Api;

/// An account of the template database.
#[derive(Debug, Clone)]
pub struct Account {
    /// Account id.
    pub id: String,
    /// Username.
    pub username: &'static str,
    /// E-mail address.
    pub email: &'static str,
    /// Password.
    pub password: &'static str,
    /// A valid access token.
    pub token: String,
}

/// Username, address and password of the superuser.
pub const OWNER: (&str, &str, &str) = ("owner", "owner@shop.test", "owner's passphrase 1!");
/// Username, address and password of an admin.
pub const ADA: (&str, &str, &str) = ("ada", "ada@shop.test", "ada's passphrase 2!");
/// Username, address and password of another admin.
pub const GRACE: (&str, &str, &str) = ("grace", "grace@shop.test", "grace's passphrase 3!");

/// Username, address and password of a customer.
pub const CAROL: (&str, &str, &str) = ("carol", "carol@customers.test", "carol's passphrase 4!");
/// Username, address and password of another customer.
pub const DAVE: (&str, &str, &str) = ("dave", "dave@customers.test", "dave's passphrase 5!");

/// All accounts of the template database.
#[derive(Debug, Clone)]
pub struct People {
    /// The superuser.
    pub owner: Account,
    /// An admin.
    pub ada: Account,
    /// Another admin.
    pub grace: Account,
    /// A customer.
    pub carol: Account,
    /// Another customer.
    pub dave: Account,
}

impl People {
    /// Signs in as the superuser, creates the other admins, and registers the customers.
    pub async fn create(anyone: &Api) -> Self {
        let (owner, _) = sign_in(anyone, OWNER).await;
        let api = anyone.with_token(&owner);
        let mut accounts = Vec::new();
        for (person, path) in [(ADA, "/v1/admins"), (GRACE, "/v1/admins"), (CAROL, "/v1/customers"), (DAVE, "/v1/customers")] {
            let (username, email, password) = person;
            let body = json!({"username": username, "email": email, "password": password});
            let id = api.post(path, &body).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
            let (token, _) = sign_in(anyone, person).await;
            accounts.push(Account { id, username, email, password, token });
        }
        let admins = api.get("/v1/admins").await.expect(200).json();
        let id = admins["items"].as_array().into_iter().flatten().find(|admin| admin["username"] == OWNER.0);
        let id = id.and_then(|admin| admin["id"].as_str()).expect("the superuser is listed").to_owned();
        let (username, email, password) = OWNER;
        let [ada, grace, carol, dave] = accounts.try_into().expect("four accounts");
        Self { owner: Account { id, username, email, password, token: owner }, ada, grace, carol, dave }
    }
}

async fn sign_in(anyone: &Api, (username, _, password): (&str, &str, &str)) -> (String, Value) {
    let reply = anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await.expect(200).json();
    (reply["access_token"].as_str().expect("an access token").to_owned(), reply)
}

/// Returns an access token of the superuser of a shop at `base`.
pub async fn token_of_owner(base: &str) -> String {
    sign_in(&Api::anonymous(base, None), OWNER).await.0
}
