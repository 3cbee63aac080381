//! Checks `spec.auth`.

use std::time::Duration;

use super::{
    check::{Check, Rule, some_text},
    plan::{AuthPlan, Shop, Superuser},
    rotation,
};
use crate::crd::Catalog;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Checks `spec.auth`.
pub fn check(catalog: &Catalog, shop: &Shop, check: &mut Check<'_>) -> Option<AuthPlan> {
    let auth = &catalog.spec.auth;
    let access = duration("accessTokenTTL", &auth.access_token_ttl, MINUTE, 24 * HOUR, check);
    let refresh = duration("refreshTokenTTL", &auth.refresh_token_ttl, MINUTE, 9600 * HOUR, check);
    let rotation = duration("signingKeyRotation", &auth.signing_key_rotation, HOUR, 87600 * HOUR, check);
    Some(AuthPlan {
        access_token_life: access?,
        refresh_token_life: refresh?,
        rotation: rotation?,
        rotate: rotation::requested(catalog, rotation::ROTATE, check),
        signing_keys: shop.named("signing-keys"),
        superuser: superuser(catalog, shop, check),
    })
}

fn duration(field: &str, text: &str, min: Duration, max: Duration, check: &mut Check<'_>) -> Option<Duration> {
    let parsed = humantime::parse_duration(text).ok().filter(|duration| (min..=max).contains(duration));
    if parsed.is_none() {
        let hours = max.as_secs() / HOUR.as_secs();
        check.invalid(&format!("spec.auth.{field}"), format!("use a duration such as 15m or 720h, at most {hours}h"));
    }
    parsed
}

fn superuser(catalog: &Catalog, shop: &Shop, check: &mut Check<'_>) -> Superuser {
    let rules: [(&str, Rule); 3] = [("username", username), ("email", email), ("password", password)];
    if let Some(reference) = &catalog.spec.auth.superuser_secret_ref {
        let path = "spec.auth.superuserSecretRef";
        for (key, valid) in rules {
            check.require_key((&format!("{path}.name"), path), &reference.name, key, valid);
        }
        return Superuser::Referenced(reference.name.clone());
    }
    let name = shop.named("superuser");
    for (key, valid) in rules {
        check.check_generated_key("spec.auth", &name, key, valid);
    }
    Superuser::Generated(name)
}

// The rules that `catalog migrate` checks for accounts, see api/src/identity/rules.rs.

fn username(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
        Ok(())
    } else {
        Err("1 to 64 letters (a to z), digits, '.', '_', '-' or '@'".into())
    }
}

fn email(text: &str) -> Result<(), String> {
    let address = some_text(text).ok().and_then(|()| text.parse::<lettre::Address>().ok());
    if address.is_some() && text.len() <= 254 { Ok(()) } else { Err("an address such as alice@example.com".into()) }
}

fn password(text: &str) -> Result<(), String> {
    if (8..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err("8 to 256 characters without line breaks or other control characters (check for a newline at the end)".into())
    }
}
