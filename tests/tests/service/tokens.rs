//! Access tokens: their claims, their verification, and which are rejected.

use catalog_tests::{
    Shop, samples,
    shared::{PUBLIC_URL, Shared},
    tokens,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};
use serde_json::{Value, json};

#[tokio::test]
async fn any_client_can_verify_a_token_with_the_published_keys() {
    let shop = Shop::api().await;
    let reply = shop.anyone.get("/.well-known/jwks.json").await.expect(200);
    assert!(reply.header("cache-control").contains("max-age="), "the keys are cacheable: {:?}", reply.headers);
    let keys = reply.json();
    for key in keys["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none(), "a private key is published");
        assert_eq!((&key["kty"], &key["crv"], &key["alg"], &key["use"]), (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig")));
    }
    let set: JwkSet = serde_json::from_value(keys).unwrap();
    let (header, claims) = tokens::read(shop.ada.token());
    let jwk = set.find(header["kid"].as_str().unwrap()).expect("the key that signed is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[PUBLIC_URL]);
    validation.set_audience(&[claims["aud"].as_str().unwrap()]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    let verified = decode::<Value>(shop.ada.token(), &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap();
    assert_eq!(verified.claims["sub"], shop.people.ada.id);
    assert_eq!(verified.claims["role"], "admin");
    assert!(verified.claims["jti"].is_string());
    for private in ["password", "email", "hash"] {
        assert!(!verified.claims.to_string().contains(private), "{}", verified.claims);
    }
}

#[tokio::test]
async fn forged_and_expired_tokens_are_rejected_by_every_operation() {
    let shop = Shop::api().await;
    let product = samples::create(&shop.ada, &samples::plain("guarded")).await;
    let key = tokens::only_key(&Shared::get().keys);
    let (header, claims) = tokens::read(shop.ada.token());
    let now = chrono::Utc::now().timestamp();
    let with = |field: &str, value: Value| {
        let mut changed = claims.clone();
        changed[field] = value;
        changed
    };
    let without = |field: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(field);
        changed
    };
    // The test can sign: a token with the right key and claims is accepted.
    let same = shop.anyone.with_token(&tokens::sign(&key, &header, &claims));
    same.get("/v1/admins").await.expect(200);

    let mut forged = vec![
        ("expired", tokens::sign(&key, &header, &with("exp", json!(now - 3600)))),
        ("not valid yet", tokens::sign(&key, &header, &with("nbf", json!(now + 3600)))),
        ("of another issuer", tokens::sign(&key, &header, &with("iss", json!("http://evil.test")))),
        ("for another audience", tokens::sign(&key, &header, &with("aud", json!("another")))),
        ("of an unknown account", tokens::sign(&key, &header, &with("sub", json!(uuid::Uuid::now_v7())))),
        ("with a subject that is no id", tokens::sign(&key, &header, &with("sub", json!("ada")))),
        ("with an unknown role", tokens::sign(&key, &header, &with("role", json!("emperor")))),
        ("with an unknown key", tokens::sign(&key, &json!({"kid": "20200101T000000Z-other", "typ": header["typ"]}), &claims)),
        ("without a key id", tokens::sign(&key, &json!({"typ": header["typ"]}), &claims)),
        ("not signed, alg none", tokens::forge(&json!({"alg": "none", "typ": "JWT"}), &claims, b"")),
        ("not signed, alg None, our key", tokens::forge(&json!({"alg": "None", "kid": header["kid"]}), &claims, b"")),
        ("not signed", tokens::forge(&header, &claims, b"")),
        ("signed with zeros", tokens::forge(&header, &claims, &[0; 64])),
        ("no token", "nonsense".to_owned()),
        ("half a token", shop.ada.token().rsplit_once('.').unwrap().0.to_owned()),
    ];
    for field in ["exp", "nbf", "iss", "aud", "sub", "jti", "role"] {
        forged.push(("without a claim", tokens::sign(&key, &header, &without(field))));
    }
    // Another key with the id of ours, and the public key used as an HMAC secret.
    let directory = catalog_tests::scratch::Scratch::new(None);
    let theirs = tokens::new_key(directory.path(), chrono::Utc::now(), "theirs");
    forged.push(("signed with another key", tokens::sign(&theirs, &header, &claims)));
    let public = shop.anyone.get("/.well-known/jwks.json").await.expect(200).text();
    let hmac = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    let hs256 = jsonwebtoken::Header { kid: header["kid"].as_str().map(str::to_owned), ..jsonwebtoken::Header::new(Algorithm::HS256) };
    forged.push(("signed with the public key", jsonwebtoken::encode(&hs256, &claims, &hmac).unwrap()));
    // Every part with one character changed.
    for part in 0..3 {
        let mut parts: Vec<_> = shop.ada.token().split('.').map(str::to_owned).collect();
        let middle = parts[part].len() / 2;
        let other = if parts[part].as_bytes()[middle] == b'A' { "B" } else { "A" };
        parts[part].replace_range(middle..=middle, other);
        forged.push(("tampered with", parts.join(".")));
    }

    for (what, token) in &forged {
        let api = shop.anyone.with_token(token);
        let reply = api.get("/v1/admins").await;
        let kind = match *what {
            "expired" => "token-expired",
            "of an unknown account" => "token-revoked",
            _ => "token-invalid",
        };
        reply.problem(401, kind);
        assert_eq!(reply.header("www-authenticate"), "Bearer error=\"invalid_token\"", "a token {what}: {token}");
        if *what == "of an unknown account" {
            // The signature is valid, and public reads don't query the account.
            continue;
        }
        // An invalid token on a public read is 401, not anonymous.
        assert_eq!(api.get(&product.path).await.status, 401, "a token {what} may read");
        assert_eq!(api.get("/v1/products").await.status, 401, "a token {what} may list");
        assert_eq!(api.delete(&product.path).await.status, 401, "a token {what} may delete");
    }
    assert_eq!(shop.views(&product.id).await, 0);
}

#[tokio::test]
async fn other_authentication_schemes_are_rejected() {
    let shop = Shop::api().await;
    let token = shop.ada.token();
    for header in ["Basic YWRhOmFkYQ==", "Bearer", "Bearer ", &format!("Token {token}"), token, "Bearer a b"] {
        let reply = shop.anyone.get("/v1/products").header("authorization", header).await;
        assert_eq!(reply.status, 401, "{header}");
    }
    // The scheme's name has no case (RFC 9110, section 11.1).
    shop.anyone.get("/v1/admins").header("authorization", format!("bearer {token}")).await.expect(200);
}
