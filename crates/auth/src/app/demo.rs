//! The two accounts of a demonstration.

use secrecy::SecretString;
use vocabulary::{Role, UserId, demo};

use super::{AppError, FieldErrors};
use crate::domain::{Email, PersonName};
use crate::secrets::Passwords;
use crate::store::{NewAccount, Store, StoreError};

const ACCOUNTS: [(UserId, &str, &str, &[Role]); 2] = [
    (demo::BUYER_ID, demo::BUYER_EMAIL, "Demo Buyer", &[Role::Buyer]),
    (
        demo::ORGANISER_ID,
        demo::ORGANISER_EMAIL,
        "Demo Organiser",
        &[Role::Buyer, Role::Organiser],
    ),
];

/// Makes the demonstration's accounts where they are missing. Run again, it changes nothing.
///
/// # Errors
/// The store is away.
pub async fn seed_demo(store: &Store, passwords: &Passwords) -> Result<(), AppError> {
    for (user_id, email, name, roles) in ACCOUNTS {
        let mut errors = FieldErrors::default();
        let email = errors.check("email", Email::parse(email));
        let name = errors.check("name", PersonName::parse(name));
        let (Some(email), Some(name)) = (email, name) else {
            return Err(AppError::Fields(errors.0));
        };
        if store.account(&email).await?.is_some() {
            continue;
        }
        let account = NewAccount {
            user_id,
            email,
            name,
            password_hash: passwords.hash(SecretString::from(demo::PASSWORD)).await?,
            roles: roles.to_vec(),
            sign_up_key: None,
        };
        match store.add_account(&account).await {
            // Another replica was quicker.
            Ok(_) | Err(StoreError::EmailTaken) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
