//! What allows a request to pay: a payment token, or the queue token that made the hold.

use axum::extract::FromRequestParts;
use contracts::booking;
use contracts::booking::payment_credential::Credential;
use http::request::Parts;
use vocabulary::{ProblemCode, UserId};

use super::{Bearer, PAYMENT_TOKEN, QUEUE_TOKEN, QueueTokenHeader};
use crate::problem::ApiProblem;
use crate::state::App;

/// The credential, and who pays where an access token says so.
pub(crate) struct PaymentCredential {
    pub credential: booking::PaymentCredential,
    pub user_id: Option<UserId>,
}

impl FromRequestParts<App> for PaymentCredential {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let bearer = Option::<Bearer>::from_request_parts(parts, app).await?;
        let user_id = bearer.map(|Bearer(identity)| identity.user_id);
        let credential = if let Some(token) = parts.headers.get(PAYMENT_TOKEN) {
            let token = token.to_str().map_err(|_| ProblemCode::PaymentTokenInvalid)?;
            Credential::PaymentToken(token.to_owned())
        } else if parts.headers.contains_key(QUEUE_TOKEN) {
            let QueueTokenHeader { claims, .. } = QueueTokenHeader::from_request_parts(parts, app).await?;
            if user_id.is_some_and(|user_id| user_id != claims.user_id) {
                return Err(ProblemCode::QueueTokenForeign.into());
            }
            Credential::Queue(booking::QueueCredential {
                user_id: claims.user_id.to_string(),
                concert_id: claims.concert_id.to_string(),
                number: claims.number.0,
            })
        } else {
            return Err(ProblemCode::PaymentTokenInvalid.into());
        };
        Ok(Self {
            credential: booking::PaymentCredential {
                credential: Some(credential),
            },
            user_id,
        })
    }
}
