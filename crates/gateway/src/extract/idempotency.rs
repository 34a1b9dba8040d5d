//! The key that makes a creating request safe to repeat.

use axum::extract::FromRequestParts;
use http::request::Parts;
use service_kit::problem::{FieldError, Problem};
use utoipa::IntoParams;
use vocabulary::ProblemCode;

use super::IDEMPOTENCY_KEY;
use crate::problem::ApiProblem;

const MAX_CHARS: usize = 255;

/// The `Idempotency-Key` header, empty when absent.
#[derive(IntoParams)]
#[into_params(names("Idempotency-Key"), parameter_in = Header)]
pub(crate) struct IdempotencyKey(
    /// Names this request: sent again with the same key it has one effect and the same answer.
    #[param(min_length = 1, max_length = 255, pattern = "^[!-~]+$", required = false)]
    pub String,
);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiProblem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let (value, further) = (values.next(), values.next());
        let Some(value) = value else {
            return Ok(Self(String::new()));
        };
        let bytes = value.as_bytes();
        let plain = (1..=MAX_CHARS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(key) if plain && further.is_none() => Ok(Self(key.to_owned())),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> ApiProblem {
    let error = FieldError {
        field: "Idempotency-Key".to_owned(),
        rule: "must stand there once, with 1 to 255 visible ASCII characters".to_owned(),
    };
    let mut problem = Problem::new(
        ProblemCode::MalformedRequest,
        format!("{} {}", error.field, error.rule),
    );
    problem.fields.push(error);
    problem.into()
}
