//! Making an account.

use secrecy::SecretString;
use vocabulary::{Role, UserId};

use super::{AppError, Auth, FieldErrors, Lines};
use crate::domain::{Email, NewPassword, Origin, PersonName, SignUpKey, User};
use crate::store::{NewAccount, StoreError};

/// An account that somebody asks for.
#[derive(Debug)]
pub struct SignUp {
    /// As it was typed.
    pub email: String,
    /// As it was typed.
    pub password: SecretString,
    /// As it was typed.
    pub name: String,
    /// Where it is asked from.
    pub origin: Origin,
    /// The caller's idempotency key; empty = none.
    pub idempotency_key: String,
}

/// The same with fields that keep their rules.
struct Request {
    email: Email,
    password: SecretString,
    name: PersonName,
    key: Option<SignUpKey>,
}

impl<L: Lines> Auth<L> {
    /// Makes an account with the role [`Role::Buyer`]. The same request with the same key answers that account again.
    ///
    /// # Errors
    /// A field breaks its rule, too many asked from there, the address has an account ([`StoreError::EmailTaken`]), or the
    /// key made it with another password or name.
    pub async fn sign_up(&self, asked: SignUp) -> Result<User, AppError> {
        let mut errors = FieldErrors::default();
        let email = errors.check("email", Email::parse(&asked.email));
        let password = errors.check("password", NewPassword::parse(asked.password));
        let name = errors.check("name", PersonName::parse(&asked.name));
        let key = errors.check("idempotencyKey", SignUpKey::parse(&asked.idempotency_key));
        let (Some(email), Some(password), Some(name), Some(key)) = (email, password, name, key) else {
            return Err(AppError::Fields(errors.0));
        };
        self.attempt_sign_up(asked.origin).await?;
        let request = Request {
            email,
            password: password.into_secret(),
            name,
            key,
        };
        if let Some(user) = self.signed_up_before(&request).await? {
            return Ok(user);
        }

        let account = NewAccount {
            user_id: UserId::new(),
            email: request.email.clone(),
            name: request.name.clone(),
            password_hash: self.passwords.hash(request.password.clone()).await?,
            roles: vec![Role::Buyer],
            sign_up_key: request.key.clone(),
        };
        let created_at = match self.store.add_account(&account).await {
            Ok(created_at) => created_at,
            // The same request may have been a moment faster.
            Err(taken @ StoreError::EmailTaken) => {
                return self.signed_up_before(&request).await?.ok_or(taken.into());
            }
            Err(error) => return Err(error.into()),
        };
        metrics::counter!("auth_sign_ups_total").increment(1);
        tracing::info!(user_id = %account.user_id, "signed up");
        Ok(User {
            user_id: account.user_id,
            email: account.email,
            name: account.name,
            roles: account.roles,
            created_at,
        })
    }

    /// What the same request made before. Whether its password is the same is told by the account's own hash: no second
    /// one is kept, which would be easier to guess against.
    async fn signed_up_before(&self, request: &Request) -> Result<Option<User>, AppError> {
        let Some(key) = &request.key else {
            return Ok(None);
        };
        if !self.store.was_signed_up_with(&request.email, key).await? {
            return Ok(None);
        }
        let Some(account) = self.store.account(&request.email).await? else {
            return Ok(None);
        };
        let hash = Some(account.password_hash);
        let same_password = self.passwords.verify(request.password.clone(), hash).await?;
        if same_password && account.user.name == request.name {
            Ok(Some(account.user))
        } else {
            Err(AppError::KeyReused)
        }
    }
}
