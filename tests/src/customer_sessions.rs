//! Creates many signed-in customers without hashing passwords: inserts accounts and sessions into the database, and signs tokens
//! with the key of the shop.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{api::Api, shop::Shop, tokens};

/// Creates customers of a shop, each signed in.
///
/// # Panics
/// If the database fails.
pub async fn customers(shop: &Shop, count: usize) -> Vec<Api> {
    let key = tokens::only_key(Path::new(&shop.environment()["AUTH_SIGNING_KEYS_DIR"]));
    let (header, claims) = tokens::read(shop.ada.token());
    let tokens = tokens_of_customers(&shop.database, &key, &header, &claims, count).await;
    tokens.iter().map(|token| shop.anyone.with_token(token)).collect()
}

/// Creates customers with an account and a session each, and signs tokens for them. `header` and `claims` are those of a valid token.
///
/// # Panics
/// If the database fails.
pub async fn tokens_of_customers(database: &PgPool, key: &Path, header: &Value, claims: &Value, count: usize) -> Vec<String> {
    let pairs: Vec<(Uuid, Uuid)> = (0..count).map(|_| (Uuid::now_v7(), Uuid::now_v7())).collect();
    let (accounts, sessions): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    sqlx::query(
        "INSERT INTO identity.accounts (id, role, username, email, password_hash, created_at, updated_at)
         SELECT id, 'customer', 'c' || id, id || '@shop.test', 'none', now(), now() FROM UNNEST($1::uuid[]) AS a (id)",
    )
    .bind(&accounts)
    .execute(database)
    .await
    .expect("accounts");
    sqlx::query("INSERT INTO identity.sessions (id, account_id, created_at) SELECT *, now() FROM UNNEST($1::uuid[], $2::uuid[])")
        .bind(&sessions)
        .bind(&accounts)
        .execute(database)
        .await
        .expect("sessions");
    let token = |(account, session): &(Uuid, Uuid)| {
        let mut claims = claims.clone();
        claims["sub"] = json!(account);
        claims["sid"] = json!(session);
        claims["role"] = json!("customer");
        tokens::sign(key, header, &claims)
    };
    pairs.iter().map(token).collect()
}
