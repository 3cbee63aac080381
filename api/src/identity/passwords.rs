//! Hashing of passwords with argon2id. Permits limit the concurrency, so that many sign-ins cannot starve other work.
//!
//! Passwords are hashed in Unicode Normalization Form KC, as NIST SP 800-63B (section 3.1.1.2) recommends, so that a password is
//! the same on every keyboard and system. Older releases hashed passwords without normalisation; if a password differs from its
//! NFKC form, both forms are tried.

mod memory;

use std::{
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash};
use catalog_process::config::Secret;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use self::memory::Memory;

/// Maximum number of passwords that wait for a permit: the work of a few seconds for one core.
const QUEUE: usize = 128;

/// A hash of an unknown password, with the parameters of all hashes, so that verifying it takes the same time.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password could not be hashed or verified.
#[derive(Debug, Error)]
pub enum HashingError {
    /// The queue is full. The client can retry.
    #[error("too many passwords are waiting to be checked")]
    Busy,
    /// The stored hash is invalid, or the system provides no random numbers.
    #[error("hashing a password failed")]
    Failed(#[from] password_hash::Error),
    /// The process is stopping, or the hashing thread panicked.
    #[error("hashing a password was interrupted")]
    Interrupted,
}

/// Hashes a password with a random salt: argon2id, 19 MiB, 2 passes, 1 lane. These are the first choice of the OWASP Password
/// Storage Cheat Sheet and the defaults of the library. Takes tens of milliseconds of a core, so requests use [`Hashing`].
///
/// # Errors
/// If the system provides no random numbers.
pub fn hash(password: &Secret) -> Result<String, password_hash::Error> {
    hash_in(&Memory::default(), password)
}

/// Whether `hash` is a hash of `password`. Takes the same time as [`hash`].
///
/// # Errors
/// If `hash` isn't an argon2 hash.
pub fn verify(password: &Secret, hash: &str) -> Result<bool, password_hash::Error> {
    verify_in(&Memory::default(), password, hash)
}

fn hash_in(memory: &Memory, password: &Secret) -> Result<String, password_hash::Error> {
    let normalized = nfkc(password);
    let password = normalized.as_ref().unwrap_or(password);
    let hash: PasswordHash = memory.hash_password(password.expose_secret().as_bytes())?;
    Ok(hash.to_string())
}

/// Verifies a password. The number of hash computations for a wrong password depends only on the password, so the time does not
/// reveal whether an account exists.
fn verify_in(memory: &Memory, password: &Secret, hash: &str) -> Result<bool, password_hash::Error> {
    let hash = PasswordHash::new(hash)?;
    let matches = |password: &Secret| match memory.verify_password(password.expose_secret().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    };
    match nfkc(password) {
        None => matches(password),
        Some(normalized) => Ok(matches(&normalized)? || matches(password)?),
    }
}

/// Normalises a password to NFKC, or returns `None` if it is normalised already.
fn nfkc(password: &Secret) -> Option<Secret> {
    let text = password.expose_secret();
    let normalized = text.is_ascii() || is_nfkc(text);
    (!normalized).then(|| text.nfkc().collect::<String>().into())
}

/// Returns the length of a password in characters, after normalisation.
#[must_use]
pub fn length(password: &Secret) -> usize {
    password.expose_secret().nfkc().count()
}

/// Hashes passwords in blocking threads, at most one per core, with a bounded queue.
#[derive(Clone)]
pub struct Hashing {
    working: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// Memory of idle workers, at most one per worker.
    memories: Arc<Mutex<Vec<Memory>>>,
}

/// Permission to hash one password. It is released when the work is done, even if the request was aborted.
pub struct Permit {
    memories: Arc<Mutex<Vec<Memory>>>,
    _working: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

impl Default for Hashing {
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, NonZero::get), QUEUE)
    }
}

impl Hashing {
    fn new(workers: usize, queue: usize) -> Self {
        Self { working: Arc::new(Semaphore::new(workers)), admitted: Arc::new(Semaphore::new(workers + queue)), memories: Arc::default() }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`HashingError::Busy`] at once if the queue is full.
    pub async fn acquire(&self) -> Result<Permit, HashingError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| HashingError::Busy)?;
        let working = self.working.clone().acquire_owned().await.map_err(|_| HashingError::Interrupted)?;
        Ok(Permit { memories: self.memories.clone(), _working: working, _admitted: admitted })
    }

    /// Waits for a permit and hashes a password.
    ///
    /// # Errors
    /// See [`HashingError`].
    pub async fn hash(&self, password: Secret) -> Result<String, HashingError> {
        let permit = self.acquire().await?;
        permit.run(move |memory| hash_in(memory, &password)).await
    }
}

impl Permit {
    /// Whether `hash` is a hash of `password`. Without a hash, returns false after the same time.
    ///
    /// # Errors
    /// See [`HashingError`].
    pub async fn verify(self, password: Secret, hash: Option<String>) -> Result<bool, HashingError> {
        self.run(move |memory| match hash {
            Some(hash) => verify_in(memory, &password, &hash),
            None => verify_in(memory, &password, DUMMY_HASH).map(|_| false),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&Memory) -> Result<T, password_hash::Error> + Send + 'static,
    ) -> Result<T, HashingError> {
        let request = Span::current();
        let work = move || {
            let _entered = request.entered();
            // Moves the whole permit into the closure, so that it is held until the work is done.
            let permit = self;
            let memory = permit.memories.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let result = work(&memory);
            // Returned before the permit is released; otherwise the next permit would allocate memory.
            permit.memories.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            result
        };
        Ok(tokio::task::spawn_blocking(work).await.map_err(|_| HashingError::Interrupted)??)
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, password_hash::phc::Output};

    use super::*;

    #[test]
    fn hashes_are_salted_argon2id_with_19_mib_2_passes_and_1_lane() {
        let password = Secret::from("correct horse");
        let (one, other) = (hash(&password).unwrap(), hash(&password).unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other);
        assert!(verify(&password, &one).unwrap());
        assert!(!verify(&Secret::from("wrong horse"), &one).unwrap());
        // The library verifies the hash with its own memory.
        assert!(Argon2::default().verify_password(b"correct horse", one.as_str()).is_ok());
    }

    #[test]
    fn the_dummy_hash_has_the_parameters_of_all_hashes() {
        let (real, dummy) = (hash(&Secret::from("x")).unwrap(), PasswordHash::new(DUMMY_HASH).unwrap());
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!((real.algorithm, real.version, &real.params), (dummy.algorithm, dummy.version, &dummy.params));
        let lengths = |hash: &PasswordHash| (hash.salt.as_ref().map(|s| s.len()), hash.hash.as_ref().map(Output::len));
        assert_eq!(lengths(&real), lengths(&dummy));
    }

    #[test]
    fn a_password_is_the_same_in_every_unicode_form() {
        // Composed and decomposed, full-width and ligature: keyboards and systems encode the same characters differently.
        for (chosen, typed) in
            [("Pässwörter", "Pa\u{308}sswo\u{308}rter"), ("passwort１２３", "passwort123"), ("ﬁsh and chips", "fish and chips")]
        {
            let (chosen, typed) = (Secret::from(chosen), Secret::from(typed));
            for (hashed, given) in [(&chosen, &typed), (&typed, &chosen), (&chosen, &chosen)] {
                assert!(verify(given, &hash(hashed).unwrap()).unwrap());
            }
            assert!(!verify(&Secret::from("another"), &hash(&chosen).unwrap()).unwrap());
            assert_eq!(length(&chosen), length(&typed));
        }
    }

    #[test]
    fn hashes_of_passwords_without_normalisation_still_verify() {
        for old in ["Pa\u{308}sswo\u{308}rter", "passwort１２３", "Passwörter", "password"] {
            let stored: PasswordHash = Argon2::default().hash_password(old.as_bytes()).unwrap();
            assert!(verify(&Secret::from(old), &stored.to_string()).unwrap(), "{old}");
        }
    }

    #[tokio::test]
    async fn without_a_hash_every_password_is_wrong() {
        let permit = Hashing::new(1, 0).acquire().await.unwrap();
        assert!(!permit.verify(Secret::from("anything"), None).await.unwrap());
    }

    #[tokio::test]
    async fn permits_reuse_memory_without_affecting_results() {
        let hashing = Hashing::new(1, 0);
        let (one, other) = (Secret::from("correct horse"), Secret::from("battery staple"));
        let hash = hashing.hash(one.clone()).await.unwrap();
        hashing.hash(other.clone()).await.unwrap();
        assert_eq!(hashing.memories.lock().unwrap().len(), 1);
        for (password, right) in [(one, true), (other, false)] {
            assert_eq!(hashing.acquire().await.unwrap().verify(password.clone(), Some(hash.clone())).await.unwrap(), right);
            assert_eq!(verify(&password, &hash).unwrap(), right);
        }
    }

    #[tokio::test]
    async fn a_permit_is_held_until_its_work_is_done_even_if_the_request_is_aborted() {
        let hashing = Hashing::new(1, 0);
        let (finish, finished) = std::sync::mpsc::channel();
        let permit = hashing.acquire().await.unwrap();
        let mut work = Box::pin(permit.run(move |_| {
            finished.recv().unwrap();
            Ok(())
        }));
        assert!(futures::poll!(&mut work).is_pending());
        drop(work);
        assert!(matches!(hashing.acquire().await, Err(HashingError::Busy)));
        finish.send(()).unwrap();
        let _ended = hashing.working.acquire().await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_rejects_at_once_and_accepts_again_when_a_permit_is_released() {
        let hashing = Hashing::new(1, 1);
        let first = hashing.acquire().await.unwrap();
        let mut second = Box::pin(hashing.acquire());
        assert!(futures::poll!(&mut second).is_pending());
        assert!(matches!(hashing.acquire().await, Err(HashingError::Busy)));
        drop(first);
        drop(second.await.unwrap());
        hashing.acquire().await.unwrap();
    }

    #[tokio::test]
    async fn a_broken_stored_hash_is_an_error_not_a_wrong_password() {
        let permit = Hashing::default().acquire().await.unwrap();
        assert!(matches!(permit.verify(Secret::from("x"), Some("plain".into())).await, Err(HashingError::Failed(_))));
    }
}
