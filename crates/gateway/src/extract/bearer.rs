//! Who sends a request, by access token.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use vocabulary::{ProblemCode, Role, UserId};

use crate::keys::Identity;
use crate::problem::ApiProblem;
use crate::state::App;

/// The user of a verified access token.
pub(crate) struct Bearer(pub Identity);

impl FromRequestParts<App> for Bearer {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(ProblemCode::Unauthenticated)?;
        app.access_tokens.verify(token).await.map(Self)
    }
}

impl OptionalFromRequestParts<App> for Bearer {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiProblem> {
        // One that is there must be right.
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<App>>::from_request_parts(parts, app)
            .await
            .map(Some)
    }
}

/// A user with the role of an organiser.
pub(crate) struct Organiser(pub UserId);

impl FromRequestParts<App> for Organiser {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiProblem> {
        let Bearer(identity) = <Bearer as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        if identity.roles.contains(&Role::Organiser) {
            Ok(Self(identity.user_id))
        } else {
            Err(ProblemCode::Forbidden.into())
        }
    }
}
