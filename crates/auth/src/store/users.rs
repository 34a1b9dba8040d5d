//! Accounts and their roles.

use time::OffsetDateTime;
use vocabulary::{Role, UserId};

use super::{Store, StoreError, unreadable};
use crate::domain::{Email, PersonName, SignUpKey, User};
use crate::secrets::PasswordHash;

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount {
    /// Its id.
    pub user_id: UserId,
    /// Its address.
    pub email: Email,
    /// Its user's name.
    pub name: PersonName,
    /// Of its password.
    pub password_hash: PasswordHash,
    /// What its user may do.
    pub roles: Vec<Role>,
    /// What named the request.
    pub sign_up_key: Option<SignUpKey>,
}

/// An account with what its password is verified by.
#[derive(Debug)]
pub struct Account {
    /// Whose it is.
    pub user: User,
    /// Of its password.
    pub password_hash: PasswordHash,
}

impl Store {
    /// Makes an account with its roles; answers when.
    pub async fn add_account(&self, account: &NewAccount) -> Result<OffsetDateTime, StoreError> {
        let roles: Vec<_> = account
            .roles
            .iter()
            .map(|role| role.as_str().to_owned())
            .collect();
        let created_at = sqlx::query_scalar!(
            r#"
            WITH added AS (
                INSERT INTO users (user_id, email, name, password_hash, sign_up_key)
                VALUES ($1, $2, $3, $4, $6)
                RETURNING user_id, created_at
            ), granted AS (
                INSERT INTO user_roles (user_id, role)
                SELECT user_id, role FROM added, unnest($5::text[]) AS role
            )
            SELECT created_at FROM added
            "#,
            account.user_id.as_uuid(),
            account.email.as_str(),
            account.name.as_str(),
            account.password_hash.to_string(),
            &roles,
            account.sign_up_key.as_ref().map(SignUpKey::as_str),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(created_at)
    }

    /// Whether the account of this address was made by a request with this key, not longer ago than keys are kept.
    pub async fn was_signed_up_with(&self, email: &Email, key: &SignUpKey) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM users WHERE email = $1 AND sign_up_key = $2
                              AND created_at > frontrow_now() - interval '24 hours') AS "was!""#,
            email.as_str(),
            key.as_str(),
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// The account of this address.
    pub async fn account(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT user_id, email, name, password_hash, created_at,
                   ARRAY(SELECT role FROM user_roles r WHERE r.user_id = u.user_id ORDER BY role) AS "roles!"
            FROM users u
            WHERE email = $1
            "#,
            email.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Account {
                user: User {
                    user_id: UserId::from_uuid(row.user_id),
                    email: Email::parse(&row.email).map_err(unreadable)?,
                    name: PersonName::parse(&row.name).map_err(unreadable)?,
                    roles: roles(&row.roles)?,
                    created_at: row.created_at,
                },
                password_hash: PasswordHash::parse(&row.password_hash).map_err(unreadable)?,
            })
        })
        .transpose()
    }

    /// Gives a role. Whether the user had it already makes no difference.
    pub async fn grant_role(&self, user_id: UserId, role: Role) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            user_id.as_uuid(),
            role.as_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes a role away. Whether the user had it makes no difference.
    pub async fn revoke_role(&self, user_id: UserId, role: Role) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM user_roles WHERE user_id = $1 AND role = $2",
            user_id.as_uuid(),
            role.as_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

pub(super) fn roles(words: &[String]) -> Result<Vec<Role>, StoreError> {
    words
        .iter()
        .map(|word| word.parse().map_err(unreadable))
        .collect()
}
