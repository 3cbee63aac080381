//! Access tokens: JWTs signed with ES256. No other algorithm is accepted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, Validation};
use thiserror::Error;
use uuid::Uuid;

use super::{
    claims::{Claims, Subject},
    keys::KeyRing,
};

/// The audience of tokens.
const AUDIENCE: &str = "catalog";
/// Tolerated clock skew, in seconds.
const LEEWAY: i64 = 5;

/// Why a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// This service issued the token, and it has expired. The client must refresh it.
    #[error("the token has expired")]
    Expired,
    /// This service did not issue the token, or it was tampered with. The client must sign in.
    #[error("the token is not valid")]
    Invalid,
}

/// Why a token could not be signed.
#[derive(Debug, Error)]
pub enum SigningError {
    /// The key ring is empty.
    #[error("there is no signing key")]
    NoKey,
    /// The key cannot sign.
    #[error("signing failed")]
    Failed(#[from] jsonwebtoken::errors::Error),
}

/// Signs a token that is valid from `now` for `ttl`.
///
/// # Errors
/// If the ring has no key, or the key cannot sign.
pub fn issue(keys: &KeyRing, issuer: &str, subject: Subject, now: DateTime<Utc>, ttl: Duration) -> Result<String, SigningError> {
    let key = keys.signer(now).ok_or(SigningError::NoKey)?;
    let now = now.timestamp();
    let claims = Claims {
        iss: issuer.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: subject.account_id,
        exp: now.saturating_add_unsigned(ttl.as_secs()),
        nbf: now,
        iat: now,
        jti: Uuid::now_v7(),
        role: subject.role,
        sid: subject.session_id,
    };
    let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
    Ok(jsonwebtoken::encode(&header, &claims, &key.signing)?)
}

/// Verifies the signature and every claim of a token.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(keys: &KeyRing, issuer: &str, token: &str, now: DateTime<Utc>) -> Result<Subject, TokenError> {
    let claims = keys.verified.claims(issuer, token, || decode(keys, issuer, token))?;
    let now = now.timestamp();
    if claims.exp.saturating_add(LEEWAY) <= now {
        return Err(TokenError::Expired);
    }
    if claims.nbf.saturating_sub(LEEWAY) > now || claims.iat.saturating_sub(LEEWAY) > now {
        return Err(TokenError::Invalid);
    }
    Ok(Subject { account_id: claims.sub, role: claims.role, session_id: claims.sid })
}

/// Verifies the signature and every claim except the times, so that the result can be cached.
fn decode(keys: &KeyRing, issuer: &str, token: &str) -> Result<Claims, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
    let key = header.kid.and_then(|kid| keys.find(&kid)).ok_or(TokenError::Invalid)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
    // The library would use the system clock; `verify` compares the times with `now`.
    validation.validate_exp = false;
    Ok(jsonwebtoken::decode(token, &key.verifying, &validation).map_err(|_| TokenError::Invalid)?.claims)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::{
        claims::Role,
        keys::ring::tests::{key, ring},
    };

    const ISSUER: &str = "https://shop.example";
    const TTL: Duration = Duration::from_mins(15);
    const SUBJECT: Subject = Subject { account_id: Uuid::from_u128(1), role: Role::Admin, session_id: Uuid::from_u128(2) };

    static KEYS: LazyLock<KeyRing> = LazyLock::new(|| ring(vec![key("a", at(-1000)), key("b", at(-500))]));
    static TOKEN: LazyLock<String> = LazyLock::new(|| issue(&KEYS, ISSUER, SUBJECT, at(0), TTL).unwrap());

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn claims() -> Value {
        let payload = TOKEN.split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    fn signed(header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &KEYS.find("b").unwrap().signing).unwrap()
    }

    fn header() -> Header {
        Header { kid: Some("b".into()), ..Header::new(Algorithm::ES256) }
    }

    #[test]
    fn a_cached_token_is_still_rejected_after_its_expiry_for_another_issuer_and_with_other_keys() {
        assert!(verify(&KEYS, ISSUER, &TOKEN, at(1)).is_ok());
        assert!(matches!(verify(&KEYS, ISSUER, &TOKEN, at(100_000)), Err(TokenError::Expired)));
        assert!(matches!(verify(&KEYS, "https://other.example", &TOKEN, at(1)), Err(TokenError::Invalid)));
        assert!(matches!(verify(&ring(vec![key("z", at(-1000))]), ISSUER, &TOKEN, at(1)), Err(TokenError::Invalid)));
        let mut tampered = TOKEN.clone();
        tampered.replace_range(TOKEN.len() - 2.., if TOKEN.ends_with("AA") { "BB" } else { "AA" });
        assert!(matches!(verify(&KEYS, ISSUER, &tampered, at(1)), Err(TokenError::Invalid)));
        assert!(verify(&KEYS, ISSUER, &TOKEN, at(1)).is_ok());
    }

    #[test]
    fn an_issued_token_is_accepted_until_it_expires() {
        assert_eq!(verify(&KEYS, ISSUER, &TOKEN, at(0)), Ok(SUBJECT));
        assert_eq!(verify(&KEYS, ISSUER, &TOKEN, at(904)), Ok(SUBJECT));
        assert_eq!(verify(&KEYS, ISSUER, &TOKEN, at(905)), Err(TokenError::Expired));
        assert_eq!(verify(&KEYS, ISSUER, &TOKEN, at(-6)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_of_a_removed_key_is_rejected() {
        let token = issue(&ring(vec![key("removed", at(-1000))]), ISSUER, SUBJECT, at(0), TTL).unwrap();
        assert_eq!(verify(&KEYS, ISSUER, &token, at(0)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_signature_by_another_key_with_the_same_id_is_rejected() {
        let token = issue(&ring(vec![key("b", at(-1000))]), ISSUER, SUBJECT, at(0), TTL).unwrap();
        assert_eq!(verify(&KEYS, ISSUER, &token, at(0)), Err(TokenError::Invalid));
    }

    #[test]
    fn every_claim_is_required_and_checked() {
        assert_eq!(verify(&KEYS, ISSUER, &signed(&header(), &claims()), at(0)), Ok(SUBJECT));
        for name in ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "role", "sid"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(verify(&KEYS, ISSUER, &signed(&header(), &without), at(0)), Err(TokenError::Invalid), "{name}");
        }
        let wrong = [
            ("iss", json!("https://evil.example")),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("sub", json!("not-an-id")),
            ("role", json!("superuser")),
            ("exp", json!("tomorrow")),
            ("exp", json!(-1.5)),
            ("nbf", json!(1_800_000_100)),
            ("iat", json!(1_800_000_100)),
        ];
        for (name, value) in wrong {
            let mut changed = claims();
            changed[name] = value.clone();
            assert_eq!(verify(&KEYS, ISSUER, &signed(&header(), &changed), at(0)), Err(TokenError::Invalid), "{name}={value}");
        }
    }

    #[test]
    fn no_other_algorithm_is_accepted() {
        let (_, payload) = TOKEN.split_once('.').unwrap();
        let payload = payload.split('.').next().unwrap();
        for header in [json!({"alg": "none", "kid": "b"}), json!({"alg": "HS256", "kid": "b"}), json!({"alg": "ES384", "kid": "b"})] {
            let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
            for signature in ["", TOKEN.rsplit('.').next().unwrap()] {
                assert_eq!(verify(&KEYS, ISSUER, &format!("{header}.{payload}.{signature}"), at(0)), Err(TokenError::Invalid));
            }
        }
        // Algorithm confusion: an HMAC with the public key as its secret.
        let public_key = KEYS.find("b").unwrap().verifying.try_get_as_bytes().unwrap();
        let secret = jsonwebtoken::EncodingKey::from_secret(public_key);
        let confused = Header { kid: Some("b".into()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&confused, &claims(), &secret).unwrap();
        assert_eq!(verify(&KEYS, ISSUER, &token, at(0)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_without_a_key_id_is_rejected() {
        let token = signed(&Header::new(Algorithm::ES256), &claims());
        assert_eq!(verify(&KEYS, ISSUER, &token, at(0)), Err(TokenError::Invalid));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_token_with_any_changed_character_is_rejected(position in any::<prop::sample::Index>(), replacement in "[A-Za-z0-9_.-]") {
            let position = position.index(TOKEN.len());
            let mut tampered = TOKEN.clone();
            tampered.replace_range(position..=position, &replacement);
            prop_assume!(tampered != *TOKEN);
            prop_assert_eq!(verify(&KEYS, ISSUER, &tampered, at(0)), Err(TokenError::Invalid));
        }

        #[test]
        fn any_other_text_is_rejected_without_a_panic(text in ".{0,200}") {
            prop_assert_eq!(verify(&KEYS, ISSUER, &text, at(0)), Err(TokenError::Invalid));
        }
    }
}
