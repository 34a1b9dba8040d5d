//! Query strings.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;
use service_kit::problem::Problem;
use url::form_urlencoded;

use super::field_rules::{Rules, checked, field_error};
use crate::problem::ApiProblem;

/// A query string whose fields have the right types and keep their rules.
pub(crate) struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Rules,
{
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiProblem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let read = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
        let query = read.map_err(|error| {
            let path = error.path().to_string();
            Problem::fields(vec![field_error(&path, &error.inner().to_string())])
        })?;
        Ok(Self(checked(query)?))
    }
}
