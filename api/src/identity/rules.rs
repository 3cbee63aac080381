//! Rules for the fields of accounts. Each error says which values are allowed.

#![allow(clippy::trivially_copy_pass_by_ref, reason = "garde passes the context, here (), by reference")]

use catalog_process::config::Secret;
use catalog_values::characters;
use secrecy::ExposeSecret;

use super::passwords;

/// Maximum length of a username, in characters.
pub const MAX_USERNAME: usize = 64;
/// Maximum length of a password, in characters after normalisation.
pub const MAX_PASSWORD: usize = 256;
/// Maximum length of an e-mail address, in characters (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const MAX_EMAIL: usize = 254;
/// Maximum length of a name, in characters.
const MAX_FULL_NAME: usize = 200;
/// Minimum length of a password, in characters after normalisation.
const MIN_PASSWORD: usize = 8;

fn reject(why: impl AsRef<str>) -> garde::Result {
    Err(garde::Error::new(why.as_ref()))
}

/// Checks a new `username`. It must be ASCII, because ASCII text has only one Unicode form.
pub fn username(username: &str, (): &()) -> garde::Result {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if !(1..=MAX_USERNAME).contains(&username.len()) || !username.chars().all(allowed) {
        return reject(format!("username must be 1 to {MAX_USERNAME} letters (a to z), digits, '.', '_', '-' or '@'"));
    }
    Ok(())
}

/// Checks an `email`. The mail transport must accept the address as well.
pub fn email(email: &str, (): &()) -> garde::Result {
    let sendable = email.parse::<lettre::Address>().is_ok();
    if email.len() > MAX_EMAIL || !sendable || garde::rules::email::parse_email(email).is_err() {
        return reject(format!("email must be an address such as alice@example.com, at most {MAX_EMAIL} characters"));
    }
    Ok(())
}

/// Checks a `full_name`.
pub fn full_name(name: &str, (): &()) -> garde::Result {
    if name.chars().count() > MAX_FULL_NAME || !characters::is_plain_line(name) {
        return reject(format!(
            "full_name must be 1 to {MAX_FULL_NAME} characters on one line, some of them visible, and none that reorder text"
        ));
    }
    Ok(())
}

/// Checks a new `password`.
pub fn new_password(password: &Secret, (): &()) -> garde::Result {
    let control = password.expose_secret().chars().any(char::is_control);
    if control || !(MIN_PASSWORD..=MAX_PASSWORD).contains(&passwords::length(password)) {
        return reject(format!("password must be {MIN_PASSWORD} to {MAX_PASSWORD} characters without control characters"));
    }
    Ok(())
}

/// Checks the `username` of a sign-in: any that an account can have.
pub fn known_username(username: &str, (): &()) -> garde::Result {
    if (1..=MAX_USERNAME).contains(&username.chars().count()) {
        Ok(())
    } else {
        reject(format!("username must be 1 to {MAX_USERNAME} characters"))
    }
}

/// Checks the `password` of a sign-in: any that an account can have, also from releases that did not normalise passwords.
pub fn known_password(password: &Secret, (): &()) -> garde::Result {
    let lengths = [password.expose_secret().chars().count(), passwords::length(password)];
    if lengths.iter().any(|length| (1..=MAX_PASSWORD).contains(length)) {
        Ok(())
    } else {
        reject(format!("password must be 1 to {MAX_PASSWORD} characters"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    #[test]
    fn usernames_are_short_and_plain() {
        for good in ["a", "alice", "Alice.B-2_x@shop", &"x".repeat(64)] {
            assert!(username(good, &()).is_ok(), "{good}");
        }
        for bad in ["", "a b", "älice", "a\0", "a\n", "a/b", &"x".repeat(65)] {
            assert!(username(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mail_can_be_sent_to_every_allowed_address() {
        for good in ["a@b.example", "first.last+tag@sub.example.com", "root@localhost"] {
            assert!(email(good, &()).is_ok(), "{good}");
        }
        let long = format!("a@{}.example", vec!["b".repeat(60); 5].join("."));
        for bad in ["", "a", "a@", "@b", "a b@c.example", "a@b.example\r\nBcc: x@y.example", "a\0@b.example", "a@b..example", &long] {
            assert!(email(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_one_line() {
        assert!(full_name("Ada Ünal", &()).is_ok());
        for bad in ["", "  ", "a\nb", "a\0b", &"x".repeat(201)] {
            assert!(full_name(bad, &()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_length_of_a_password_is_counted_in_characters_not_bytes(text in "\\PC{0,300}") {
            let length = text.nfkc().count();
            let control = text.chars().any(char::is_control);
            prop_assert_eq!(new_password(&Secret::from(text), &()).is_ok(), (8..=256).contains(&length) && !control);
        }

        #[test]
        fn every_allowed_username_and_password_can_be_used_to_sign_in(name in "[a-zA-Z0-9._@-]{0,80}", word in "\\PC{0,300}") {
            let word = Secret::from(word);
            prop_assert!(username(&name, &()).is_err() || known_username(&name, &()).is_ok());
            prop_assert!(new_password(&word, &()).is_err() || known_password(&word, &()).is_ok());
        }
    }
}
