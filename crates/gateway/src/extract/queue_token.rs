//! A place in a line, by queue token.

use axum::extract::FromRequestParts;
use http::request::Parts;
use queue_token::Claims;
use vocabulary::{ProblemCode, UserId};

use super::{Bearer, QUEUE_TOKEN};
use crate::problem::ApiProblem;
use crate::state::App;

/// A queue token that we signed, and what it says. Whether its turn has come is for `queue` to say.
pub(crate) struct QueueTokenHeader {
    pub token: String,
    pub claims: Claims,
}

impl FromRequestParts<App> for QueueTokenHeader {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let token = parts.headers.get(QUEUE_TOKEN);
        let token = token.ok_or(ProblemCode::QueueTokenMissing)?;
        let token = token.to_str().map_err(|_| ProblemCode::QueueTokenMalformed)?;
        let claims = app
            .queue_tokens
            .verify(token)
            .map_err(queue_token::problem_code)?;
        Ok(Self {
            token: token.to_owned(),
            claims,
        })
    }
}

/// A user with their own queue token: what schedules, seats and holds ask for.
pub(crate) struct Visitor {
    pub user_id: UserId,
    pub queue_token: String,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let Bearer(identity) = <Bearer as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        let QueueTokenHeader { token, claims } = QueueTokenHeader::from_request_parts(parts, app).await?;
        if claims.user_id != identity.user_id {
            return Err(ProblemCode::QueueTokenForeign.into());
        }
        Ok(Self {
            user_id: identity.user_id,
            queue_token: token,
        })
    }
}
