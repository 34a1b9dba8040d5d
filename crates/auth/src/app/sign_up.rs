//! Making an account.

use secrecy::SecretString;
use vocabulary::{Role, UserId};

use super::{AppError, Auth, FieldErrors, Lines};
use crate::domain::{Email, NewPassword, Origin, PersonName, User};
use crate::store::NewAccount;

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
}

impl<L: Lines> Auth<L> {
    /// Makes an account with the role [`Role::Buyer`].
    ///
    /// # Errors
    /// A field breaks its rule, too many asked from there, or the address has an account ([`crate::store::StoreError::EmailTaken`]).
    pub async fn sign_up(&self, asked: SignUp) -> Result<User, AppError> {
        let mut errors = FieldErrors::default();
        let email = errors.check("email", Email::parse(&asked.email));
        let password = errors.check("password", NewPassword::parse(asked.password));
        let name = errors.check("name", PersonName::parse(&asked.name));
        let (Some(email), Some(password), Some(name)) = (email, password, name) else {
            return Err(AppError::Fields(errors.0));
        };
        self.attempt_sign_up(asked.origin).await?;

        let account = NewAccount {
            user_id: UserId::new(),
            email,
            name,
            password_hash: self.passwords.hash(password.into_secret()).await?,
            roles: vec![Role::Buyer],
        };
        let created_at = self.store.add_account(&account).await?;
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
}
