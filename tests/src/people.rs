//! The people of every shop. They are part of the template, signed in, so that no test pays for
//! hashing passwords unless that is what it is about.

use serde_json::{Value, json};

use crate::api::Api;

/// An admin of the template.
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
/// Of an admin.
pub const ADA: (&str, &str, &str) = ("ada", "ada@shop.test", "ada's passphrase 2!");
/// Of another admin.
pub const GRACE: (&str, &str, &str) = ("grace", "grace@shop.test", "grace's passphrase 3!");

/// Everybody.
#[derive(Debug, Clone)]
pub struct People {
    /// The superuser.
    pub owner: Account,
    /// An admin.
    pub ada: Account,
    /// Another admin.
    pub grace: Account,
}

impl People {
    /// Signs the superuser in and makes the other admins.
    pub async fn settle(anyone: &Api) -> Self {
        let (owner, _) = sign_in(anyone, OWNER).await;
        let api = anyone.with_token(&owner);
        let mut accounts = Vec::new();
        for person in [ADA, GRACE] {
            let (username, email, password) = person;
            let body = json!({"username": username, "email": email, "password": password});
            let id = api.post("/v1/admins", &body).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
            let (token, _) = sign_in(anyone, person).await;
            accounts.push(Account { id, username, email, password, token });
        }
        let admins = api.get("/v1/admins").await.expect(200).json();
        let id = admins["items"].as_array().into_iter().flatten().find(|admin| admin["username"] == OWNER.0);
        let id = id.and_then(|admin| admin["id"].as_str()).expect("the superuser is listed").to_owned();
        let (username, email, password) = OWNER;
        let [ada, grace] = accounts.try_into().expect("two accounts");
        Self { owner: Account { id, username, email, password, token: owner }, ada, grace }
    }
}

async fn sign_in(anyone: &Api, (username, _, password): (&str, &str, &str)) -> (String, Value) {
    let reply = anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await.expect(200).json();
    (reply["access_token"].as_str().expect("an access token").to_owned(), reply)
}
