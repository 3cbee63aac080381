//! Generates missing Secrets and rotates their content. Callers pass the time and the random number generator.
//!
//! A deleted Secret is generated again; an edited one keeps its edits. No value in a Secret is derived from another one, so that an edit
//! of one value never contradicts the others.

mod database_login;
mod in_use;
mod signing_keys;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::core::ObjectMeta;
use rand::{CryptoRng, Rng, RngExt};

use crate::{
    live::Live,
    metadata::{Component, retainable_metadata},
    observed::Observed,
    validate::{DatabasePlan, MessagingPlan, Plan, Superuser},
};

pub use database_login::{LoginChange, login_to_restore, old_passwords_expire_at, update as update_login};
pub use in_use::{LoginInUse, login_in_use};
pub use signing_keys::{rotate as rotate_signing_keys, unreadable as unreadable_signing_keys};

/// Length of generated passwords: 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// Specification of a generated Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretSpec {
    metadata: ObjectMeta,
    component: Component,
    content: Content,
}

/// The kind of content of a generated Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A key that signs access tokens.
    SigningKeys,
    /// User name, e-mail address and password of the superuser.
    Superuser {
        /// E-mail address of the superuser.
        email: String,
    },
    /// A login role of the database and its password.
    DatabaseLogin,
    /// A password.
    Password,
}

impl SecretSpec {
    /// Returns the name of the Secret.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Generates the Secret.
    #[must_use]
    pub fn generate(&self, now: Timestamp, rng: &mut impl CryptoRng) -> Secret {
        let data = match &self.content {
            Content::SigningKeys => [signing_keys::generate(now, rng)].into(),
            Content::Superuser { email } => {
                [entry("username", "admin"), entry("email", email), entry("password", &generate_password(rng))].into()
            }
            Content::DatabaseLogin => database_login::generate(now, rng),
            Content::Password => [entry("password", &generate_password(rng))].into(),
        };
        Secret { metadata: self.metadata.clone(), data: Some(data), type_: Some("Opaque".into()), ..Secret::default() }
    }
}

/// Returns the specifications of the generated Secrets that don't exist.
#[must_use]
pub fn missing(plan: &Plan, observed: &Observed) -> Vec<SecretSpec> {
    let mut secret_specs = secret_specs(plan);
    secret_specs.retain(|secret_spec| !observed.generated.contains_key(secret_spec.name()));
    secret_specs
}

/// Returns name and completed content of the generated Secrets that lack a value or have a blank one. Those of the signing keys and of the
/// database are completed by [`rotate_signing_keys`] and [`update_login`].
#[must_use]
pub fn completed(plan: &Plan, live: &Live, now: Timestamp, rng: &mut impl CryptoRng) -> Vec<(String, Data)> {
    let mut specs = secret_specs(plan);
    specs.retain(|secret_spec| matches!(secret_spec.content, Content::Superuser { .. } | Content::Password));
    let completed = specs.iter().filter_map(|secret_spec| {
        let data = live.secret(secret_spec.name())?.data.unwrap_or_default();
        let mut generated = secret_spec.generate(now, rng).data?;
        generated.retain(|key, _| data.get(key).is_none_or(|ByteString(value)| value.trim_ascii().is_empty()));
        let completed = data.into_iter().chain(generated.clone()).collect();
        (!generated.is_empty()).then(|| (secret_spec.name().to_owned(), completed))
    });
    completed.collect()
}

/// Returns the names of all generated Secrets and the parts that they belong to.
#[must_use]
pub fn names(plan: &Plan) -> BTreeMap<String, Component> {
    secret_specs(plan).iter().map(|secret_spec| (secret_spec.name().to_owned(), secret_spec.component)).collect()
}

fn secret_specs(plan: &Plan) -> Vec<SecretSpec> {
    let secret_spec = |name: &str, component, content| {
        // Owner and annotations are only set by apply. They can then be removed by an apply that doesn't declare them.
        let metadata = ObjectMeta { owner_references: None, annotations: None, ..retainable_metadata(plan, name.to_owned(), component) };
        SecretSpec { metadata, component, content }
    };
    let mut secret_specs = vec![secret_spec(&plan.auth.signing_keys, Component::Shared, Content::SigningKeys)];
    if let Superuser::Generated(name) = &plan.auth.superuser {
        // The superuser gets notifications, so the address must be one of the shop.
        secret_specs.push(secret_spec(name, Component::Shared, Content::Superuser { email: plan.mail.address.clone() }));
    }
    if let DatabasePlan::Embedded(database) = &plan.database {
        secret_specs.push(secret_spec(&database.password.secret, Component::Postgres, Content::DatabaseLogin));
    }
    if let MessagingPlan::Embedded(messaging) = &plan.messaging {
        secret_specs.push(secret_spec(&messaging.password.secret, Component::Nats, Content::Password));
    }
    secret_specs
}

fn entry(key: &str, value: &str) -> (String, ByteString) {
    (key.to_owned(), ByteString(value.as_bytes().to_vec()))
}

/// Generates letters and digits that start with a letter, which need no escaping in a URL and in the configuration of NATS.
fn generate_password(rng: &mut impl Rng) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let first = rng.random_range(0..52);
    let rest = (1..PASSWORD_LENGTH).map(|_| rng.random_range(0..ALPHABET.len())).collect::<Vec<_>>();
    std::iter::once(first).chain(rest).map(|index| char::from(ALPHABET[index])).collect()
}

/// The data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        build::samples,
        kinds::Kind,
        observed::SecretFacts,
        validate::{Reason, validate},
    };

    fn generate_all(plan: &Plan, seed: u64) -> Vec<Secret> {
        let mut rng = StdRng::seed_from_u64(seed);
        missing(plan, &Observed::default()).iter().map(|secret_spec| secret_spec.generate(Timestamp::UNIX_EPOCH, &mut rng)).collect()
    }

    #[test]
    fn only_missing_secrets_are_generated() {
        let plan = samples::minimal();
        let names =
            |observed: &Observed| missing(&plan, observed).iter().map(|secret_spec| secret_spec.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&Observed::default()), ["shop-signing-keys", "shop-superuser", "shop-postgres", "shop-nats"]);
        let generated = [("shop-postgres".to_owned(), SecretFacts::from([("password", "edited-by-hand")]))].into();
        assert_eq!(names(&Observed { generated, ..Observed::default() }), ["shop-signing-keys", "shop-superuser", "shop-nats"]);
        assert_eq!(missing(&samples::full(), &Observed::default()).len(), 1, "the signing keys");
    }

    #[test]
    fn generated_secrets_are_random_and_pass_validation() {
        let (catalog, mut observed) = samples::minimal_input();
        let plan = validate(&catalog, &observed).unwrap();
        assert_ne!(generate_all(&plan, 1), generate_all(&plan, 2));
        assert_eq!(generate_all(&plan, 1), generate_all(&plan, 1));
        observed.generated =
            generate_all(&plan, 1).iter().map(|secret| (secret.metadata.name.clone().unwrap(), SecretFacts::of(secret))).collect();
        let plan = validate(&catalog, &observed).unwrap();
        assert!(missing(&plan, &observed).is_empty());
    }

    #[test]
    fn the_problem_of_an_invalid_value_says_how_to_repair_it() {
        let (catalog, mut observed) = samples::minimal_input();
        observed.generated.insert("shop-nats".into(), SecretFacts::from([("password", "p@ss word")]));
        let problem = validate(&catalog, &observed).unwrap_err().0.remove(0);
        assert_eq!((problem.path.as_str(), problem.reason), ("spec.messaging.embedded", Reason::SecretValueInvalid));
        assert!(problem.message.ends_with("delete the Secret, and the operator generates a new one"), "{problem}");
    }

    #[test]
    fn missing_and_blank_values_are_generated_and_other_values_are_not_changed() {
        let (catalog, mut observed) = samples::minimal_input();
        let plan = validate(&catalog, &observed).unwrap();
        let secret = |name: &str, values: &[(&str, &str)]| {
            let data = values.iter().map(|(key, value)| entry(key, value)).collect();
            let secret =
                Secret { metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }, data: Some(data), ..Secret::default() };
            (Kind::Secret, serde_json::from_value(serde_json::to_value(secret).unwrap()).unwrap())
        };
        let damaged = [secret("shop-nats", &[("note", ""), ("password", " \n")]), secret("shop-superuser", &[("username", "root")])];
        let live = Live::of(damaged);
        let completed = completed(&plan, &live, Timestamp::UNIX_EPOCH, &mut StdRng::seed_from_u64(1));
        let [(superuser, superuser_data), (nats, nats_data)] = &completed[..] else { panic!("{} Secrets", completed.len()) };
        assert_eq!((superuser.as_str(), nats.as_str()), ("shop-superuser", "shop-nats"));
        assert_eq!((superuser_data.len(), &superuser_data["username"], nats_data["note"].0.len()), (3, &entry("", "root").1, 0));
        for (name, data) in &completed {
            let secret = Secret { data: Some(data.clone()), ..Secret::default() };
            observed.generated.insert(name.clone(), SecretFacts::of(&secret));
        }
        validate(&catalog, &observed).unwrap();
    }

    #[test]
    fn a_blank_value_of_a_generated_secret_is_not_a_problem_of_the_spec() {
        let (catalog, mut observed) = samples::minimal_input();
        observed.generated.insert("shop-nats".into(), SecretFacts::default());
        observed.generated.insert("shop-superuser".into(), SecretFacts::from([("password", "")]));
        validate(&catalog, &observed).unwrap();
    }

    #[test]
    fn secrets_are_generated_without_an_owner() {
        let mut plan = samples::minimal();
        assert!(generate_all(&plan, 1).iter().all(|secret| secret.metadata.owner_references.is_none()));
        plan.retain = false;
        assert!(generate_all(&plan, 1).iter().all(|secret| secret.metadata.owner_references.is_none()));
    }
}
