//! Sign-in, refresh and sign-out.

use catalog_tests::{
    Api, Reply, Role, Shop,
    people::{ADA, GRACE, OWNER},
    samples,
};
use serde_json::{Value, json};

async fn login(anyone: &Api, username: &str, password: &str) -> Reply {
    anyone.post("/v1/auth/login", &json!({"username": username, "password": password})).await
}

async fn refresh(anyone: &Api, token: &Value) -> Reply {
    anyone.post("/v1/auth/refresh", &json!({"refresh_token": token})).await
}

async fn signed_in(shop: &Shop) -> (Api, Value) {
    let pair = login(&shop.anyone, ADA.0, ADA.2).await.expect(200).json();
    (shop.anyone.with_token(pair["access_token"].as_str().unwrap()), pair)
}

async fn is_admin(api: &Api) -> bool {
    let reply = api.get("/v1/admins").await;
    if reply.status == 200 {
        return true;
    }
    assert!(kind(&reply, 401).starts_with("token-"), "{}", reply.text());
    false
}

/// The last segment of the problem type, of a response with this status.
fn kind(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status, status, "{}", reply.text());
    reply.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn signing_in_returns_tokens_that_grant_access_to_the_admin_api() {
    let shop = Shop::builder().only_api().setting("AUTH_ACCESS_TOKEN_TTL", "15m").setting("AUTH_REFRESH_TOKEN_TTL", "30d").start().await;
    let reply = login(&shop.anyone, ADA.0, ADA.2).await.expect(200);
    assert!(reply.header("cache-control").contains("no-store"), "a response with tokens must not be stored (RFC 6749, section 5.1)");
    let pair = reply.json();
    let mut fields: Vec<_> = pair.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type"]);
    assert_eq!(pair["token_type"], "Bearer");
    assert_eq!(pair["expires_in"], 15 * 60);
    assert_eq!(pair["refresh_expires_in"], 30 * 86_400);
    assert!(is_admin(&shop.anyone.with_token(pair["access_token"].as_str().unwrap())).await);
    assert!(!is_admin(&shop.anyone).await);
}

#[tokio::test]
async fn a_wrong_username_and_a_wrong_password_get_the_same_response() {
    let mut shop = Shop::api().await;
    let deactivated = json!({"username": "deactivated", "email": "deactivated@shop.test", "password": "a passphrase of mine"});
    let id = shop.owner.post("/v1/admins", &deactivated).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    shop.owner.delete(&format!("/v1/admins/{id}")).await.expect(204);

    let anonymised = |reply: &Reply| {
        let mut problem = reply.json();
        problem["request_id"] = Value::Null;
        let mut headers: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        headers.sort_unstable();
        (reply.status, problem, headers)
    };
    let attempts = [
        ("no-such-user", "whatever it may be"),
        (ADA.0, "not her password"),
        ("deactivated", "a passphrase of mine"),
        (OWNER.0, "not it either"),
    ];
    let mut replies = Vec::new();
    for (username, password) in attempts {
        let reply = login(&shop.anyone, username, password).await.expect(401);
        replies.push(anonymised(&reply));
    }
    for reply in &replies[1..] {
        assert_eq!(reply, &replies[0]);
    }

    // CPU time, which other load does not change; alternating and summed up.
    let mut work = [("no-such-user", 0.0), (ADA.0, 0.0)];
    for _ in 0..10 {
        for (username, spent) in &mut work {
            let before = shop.process(Role::Serve).cpu_seconds();
            login(&shop.anyone, username, "not the password").await.expect(401);
            *spent += shop.process(Role::Serve).cpu_seconds() - before;
        }
    }
    let ratio = work[0].1 / work[1].1;
    assert!((0.5..2.0).contains(&ratio), "seconds of work: {work:?}");
}

#[tokio::test]
async fn a_refresh_returns_new_tokens() {
    let shop = Shop::api().await;
    let (_, first) = signed_in(&shop).await;
    let second = refresh(&shop.anyone, &first["refresh_token"]).await.expect(200).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    assert!(is_admin(&shop.anyone.with_token(second["access_token"].as_str().unwrap())).await);
    let third = refresh(&shop.anyone, &second["refresh_token"]).await.expect(200).json();
    assert_ne!(second["refresh_token"], third["refresh_token"]);
}

#[tokio::test]
async fn refresh_with_a_used_token_revokes_its_session_and_no_other() {
    let shop = Shop::api().await;
    let (_, stolen) = signed_in(&shop).await;
    let (other, other_pair) = signed_in(&shop).await;
    let fresh = refresh(&shop.anyone, &stolen["refresh_token"]).await.expect(200).json();
    let fresh_api = shop.anyone.with_token(fresh["access_token"].as_str().unwrap());
    assert!(is_admin(&fresh_api).await);

    refresh(&shop.anyone, &stolen["refresh_token"]).await.problem(401, "token-reused");
    refresh(&shop.anyone, &fresh["refresh_token"]).await.problem(401, "token-revoked");
    assert!(!is_admin(&fresh_api).await, "the access token of the revoked session is accepted");

    assert!(is_admin(&other).await, "another session of the same account was revoked too");
    refresh(&shop.anyone, &other_pair["refresh_token"]).await.expect(200);
}

#[tokio::test]
async fn of_concurrent_refreshes_with_one_token_at_most_one_succeeds() {
    let shop = Shop::api().await;
    let (_, pair) = signed_in(&shop).await;
    let replies = futures::future::join_all((0..8).map(|_| refresh(&shop.anyone, &pair["refresh_token"]))).await;
    let succeeded: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert!(succeeded.len() <= 1, "{} requests succeeded with one token", succeeded.len());
    let failed: Vec<_> = replies.iter().filter(|reply| reply.status != 200).map(|reply| kind(reply, 401)).collect();
    // The first reuse revokes the session.
    assert_eq!(failed.iter().filter(|kind| **kind == "token-reused").count(), 1, "{failed:?}");
    assert!(failed.iter().all(|kind| matches!(kind.as_str(), "token-reused" | "token-revoked")), "{failed:?}");
    for reply in succeeded {
        refresh(&shop.anyone, &reply.json()["refresh_token"]).await.problem(401, "token-revoked");
    }
}

#[tokio::test]
async fn each_401_says_what_the_client_must_do() {
    const PLAIN: &str = "Bearer";
    const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";
    let shop = Shop::api().await;
    let api = &shop.anyone;
    let pair = || async { login(api, ADA.0, ADA.2).await.expect(200).json() };
    let access = |pair: &Value| api.with_token(pair["access_token"].as_str().unwrap());

    let expired = pair().await;
    let mut replies = vec![
        ("token-missing", PLAIN, api.get("/v1/admins").await),
        ("token-missing", PLAIN, api.post_empty("/v1/auth/logout").await),
        ("token-invalid", INVALID_TOKEN, api.with_token("nonsense").get("/v1/admins").await),
        ("token-invalid", INVALID_TOKEN, api.get("/v1/admins").header("authorization", "Basic YTpi").await),
        ("token-invalid", PLAIN, refresh(api, &json!("nonsense")).await),
        ("invalid-credentials", PLAIN, login(api, ADA.0, "not her password").await),
        ("invalid-credentials", PLAIN, login(api, "no-such-user", "not her password").await),
    ];
    let used = pair().await;
    refresh(api, &used["refresh_token"]).await.expect(200);
    replies.push(("token-reused", PLAIN, refresh(api, &used["refresh_token"]).await));
    replies.push(("token-revoked", PLAIN, refresh(api, &used["refresh_token"]).await));
    let signed_out = pair().await;
    access(&signed_out).post_empty("/v1/auth/logout").await.expect(204);
    replies.push(("token-revoked", INVALID_TOKEN, access(&signed_out).get("/v1/admins").await));
    sqlx::query("UPDATE identity.refresh_tokens SET expires_at = now() - interval '1 second'").execute(&shop.database).await.unwrap();
    replies.push(("refresh-token-expired", PLAIN, refresh(api, &expired["refresh_token"]).await));
    for (expected, challenge, reply) in replies {
        assert_eq!((kind(&reply, 401).as_str(), reply.header("www-authenticate")), (expected, challenge), "{}", reply.text());
    }
}

#[tokio::test]
async fn unknown_expired_and_foreign_refresh_tokens_are_rejected() {
    let shop = Shop::api().await;
    let (api, pair) = signed_in(&shop).await;
    let elsewhere = Shop::builder().only_api().beside_another().start().await;
    let (_, foreign) = signed_in(&elsewhere).await;
    sqlx::query("UPDATE identity.refresh_tokens SET expires_at = now() - interval '1 second'").execute(&shop.database).await.unwrap();

    let long = json!("x".repeat(5000));
    for token in
        [&json!("nonsense"), &json!(""), &json!("ünïcode"), &long, &pair["access_token"], &foreign["refresh_token"], &pair["refresh_token"]]
    {
        let reply = refresh(&shop.anyone, token).await;
        assert!(matches!(reply.status, 401 | 422), "{token}: {}", reply.text());
        assert!(reply.status == 401 || *token == long || *token == "", "{token}: {}", reply.text());
    }
    let refresh_as_access = shop.anyone.with_token(pair["refresh_token"].as_str().unwrap());
    assert!(!is_admin(&refresh_as_access).await);
    assert!(is_admin(&api).await, "an expired refresh token ended the session");
}

#[tokio::test]
async fn signing_out_ends_only_its_session_and_ends_it_at_once() {
    let shop = Shop::api().await;
    let (here, pair) = signed_in(&shop).await;
    let (there, _) = signed_in(&shop).await;
    here.post_empty("/v1/auth/logout").await.expect(204);
    assert!(!is_admin(&here).await);
    refresh(&shop.anyone, &pair["refresh_token"]).await.problem(401, "token-revoked");
    assert!(is_admin(&there).await);
    shop.anyone.post_empty("/v1/auth/logout").await.problem(401, "token-missing");
}

#[tokio::test]
async fn passwords_and_tokens_are_never_logged_even_if_invalid() {
    let shop = Shop::builder().only_api().setting("RUST_LOG", "debug").start().await;
    let (api, pair) = signed_in(&shop).await;
    login(&shop.anyone, ADA.0, "a-wrong-pass-phrase-9471").await.expect(401);
    login(&shop.anyone, "a-password-typed-as-name-3313", ADA.2).await.expect(401);
    let body = json!({"username": "newcomer", "email": "n@shop.test", "password": "first-pass-phrase-5150"});
    api.post("/v1/admins", &body).await.expect(201);
    shop.anyone.post("/v1/auth/login", &json!({"username": ADA.0, "password": ["array-pass-phrase-1984"]})).await.expect(422);
    refresh(&shop.anyone, &pair["refresh_token"]).await.expect(200);
    shop.anyone.get("/v1/products?token=query-secret-7077").await.expect(400);
    let fields = ["access_token", "refresh_token"].map(|field| pair[field].as_str().unwrap().to_owned());
    let typed = ["a-wrong-pass-phrase-9471", "first-pass-phrase-5150", "array-pass-phrase-1984", ADA.2, "query-secret-7077"];
    for line in shop.log_lines() {
        for secret in fields.iter().map(String::as_str).chain(typed) {
            assert!(!line.contains(secret), "{secret} is in the log: {line}");
        }
    }
}

#[tokio::test]
async fn sign_ins_are_limited_per_client_with_retry_after() {
    let shop = Shop::builder().only_api().setting("AUTH_RATE_PER_CLIENT", "5").start().await;
    for _ in 0..5 {
        let reply = login(&shop.anyone, "no-such-user", "at all, I say").await.expect(401);
        assert!(!reply.header("ratelimit").is_empty(), "{:?}", reply.headers);
    }
    let reply = login(&shop.anyone, ADA.0, ADA.2).await;
    reply.problem(429, "too-many-requests");
    assert!(!reply.header("ratelimit").is_empty(), "{:?}", reply.headers);
    refresh(&shop.anyone, &json!("x")).await.problem(429, "too-many-requests");
    // Reads are still served.
    shop.anyone.get("/v1/products").await.expect(200);
    shop.ada.get("/v1/admins").await.expect(200);
}

#[tokio::test]
async fn failed_sign_ins_are_limited_per_account_without_affecting_others() {
    let shop = Shop::builder().only_api().setting("AUTH_FAILURES_PER_ACCOUNT", "3").start().await;
    for _ in 0..3 {
        login(&shop.anyone, ADA.0, "not her password").await.expect(401);
    }
    login(&shop.anyone, ADA.0, "not her password").await.problem(429, "too-many-requests");
    login(&shop.anyone, GRACE.0, GRACE.2).await.expect(200);
    assert!(is_admin(&shop.ada).await, "existing sessions stay valid");
}

#[tokio::test]
async fn unknown_accounts_are_limited_like_known_ones() {
    let shop = Shop::builder().only_api().setting("AUTH_FAILURES_PER_ACCOUNT", "3").start().await;
    for _ in 0..3 {
        login(&shop.anyone, "no-such-user", "whatever it is").await.expect(401);
    }
    login(&shop.anyone, "no-such-user", "whatever it is").await.problem(429, "too-many-requests");
}

#[tokio::test]
async fn many_sign_ins_do_not_starve_reads() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::plain("calm")).await;
    let storm = futures::future::join_all((0..40).map(|_| login(&shop.anyone, ADA.0, "not her password")));
    let mut storm = std::pin::pin!(storm);
    let reads = async {
        for _ in 0..20 {
            shop.anyone.get(&product.path).await.expect(200);
        }
    };
    // Twenty reads finish before forty logins.
    tokio::select! {
        biased;
        () = reads => {}
        _ = &mut storm => panic!("reads waited for logins"),
    }
    storm.await;
}
