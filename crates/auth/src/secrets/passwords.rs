//! Password hashes: Argon2id, off the async threads, and never more at once than the machine has strength for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

// OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many hashes may be made at once, and how many may wait for that.
#[derive(Debug, Clone, Copy)]
pub struct HashLimits {
    /// Hashes at once; each takes a core and 19 MiB.
    pub concurrency: usize,
    /// Hashes that wait; more are refused at once.
    pub queue: usize,
    /// How long one waits before it is refused.
    pub wait: Duration,
}

/// A hash in the PHC string format. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(argon2::PasswordHash);

impl PasswordHash {
    /// Reads a hash as the store keeps it.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, argon2::password_hash::phc::Error> {
        argon2::PasswordHash::new(text).map(Self)
    }
}

/// As the store keeps it.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash { .. }")
    }
}

/// A password could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many hashes wait already: come again.
    #[error("too many passwords are being hashed")]
    Busy,
    /// A fault of ours.
    #[error("the password could not be hashed")]
    Hash(#[from] HashError),
    /// The thread died.
    #[error("the hashing thread died")]
    Died(#[from] JoinError),
}

/// Hashes and verifies passwords. Clones share the limits.
#[derive(Debug, Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Verified where there is no account, so that the answer takes as long.
    stand_in: PasswordHash,
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    wait: Duration,
    verifications: Arc<AtomicU64>,
}

impl Passwords {
    /// With these limits.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(limits: HashLimits) -> Result<Self, HashError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stand_in = PasswordHash(argon2.hash_password(b"nobody has this password")?);
        Ok(Self {
            argon2,
            stand_in,
            places: Arc::new(Semaphore::new(limits.concurrency + limits.queue)),
            running: Arc::new(Semaphore::new(limits.concurrency)),
            wait: limits.wait,
            verifications: Arc::default(),
        })
    }

    /// The hash of a password, with a salt of its own.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when too many wait.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, PasswordError> {
        let argon2 = self.argon2.clone();
        self.run("hash", move || {
            Ok(PasswordHash(
                argon2.hash_password(password.expose_secret().as_bytes())?,
            ))
        })
        .await
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash the answer is no, after as much work.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when too many wait.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.stand_in.clone());
        let (argon2, verifications) = (self.argon2.clone(), Arc::clone(&self.verifications));
        let matches = self.run("verify", move || {
            verifications.fetch_add(1, Ordering::Relaxed);
            match argon2.verify_password(password.expose_secret().as_bytes(), &hash.0) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.into()),
            }
        });
        Ok(matches.await? && exists)
    }

    /// How many passwords were verified since the start, stand-ins included.
    #[must_use]
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permits = self.permits().await.inspect_err(|_| {
            metrics::counter!("auth_password_hashes_shed_total").increment(1);
        })?;
        tokio::task::spawn_blocking(move || {
            // Held by the thread: a caller that goes away does not end the work.
            let _permits = permits;
            let started = Instant::now();
            let done = work();
            metrics::histogram!("auth_password_hash_seconds", "what" => what).record(started.elapsed());
            done
        })
        .await?
    }

    async fn permits(&self) -> Result<[OwnedSemaphorePermit; 2], PasswordError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| PasswordError::Busy)?;
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.running).acquire_owned());
        match turn.await {
            Ok(Ok(turn)) => Ok([place, turn]),
            _ => Err(PasswordError::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(concurrency: usize, queue: usize, wait: Duration) -> Passwords {
        Passwords::new(HashLimits {
            concurrency,
            queue,
            wait,
        })
        .unwrap()
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_verified_by_its_hash_and_no_other_is() {
        let passwords = passwords(1, 4, Duration::from_secs(60));
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        let kept = PasswordHash::parse(&hash.to_string()).unwrap();
        assert!(
            hash.to_string().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(
            passwords
                .verify(secret("correct horse"), Some(kept.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(secret("wrong horse"), Some(kept)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_logs_in_with_the_password_of_the_stand_in() {
        let passwords = passwords(1, 4, Duration::from_secs(60));
        assert!(
            !passwords
                .verify(secret("nobody has this password"), None)
                .await
                .unwrap()
        );
        assert_eq!(passwords.verifications(), 1);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_long_wait_in_the_end() {
        let busy = passwords(1, 1, Duration::from_millis(20));
        let running = busy.permits().await.unwrap();
        let (waiting, beyond) = tokio::join!(busy.verify(secret("x"), None), busy.verify(secret("x"), None));
        assert!(matches!(waiting, Err(PasswordError::Busy)));
        assert!(matches!(beyond, Err(PasswordError::Busy)));
        assert_eq!(busy.verifications(), 0);
        drop(running);
        assert!(busy.verify(secret("x"), None).await.is_ok());
    }
}
