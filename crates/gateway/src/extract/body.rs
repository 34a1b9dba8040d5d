//! JSON bodies of a bounded size.

use std::time::Duration;

use axum::body::{Body as RawBody, Bytes};
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Track;
use service_kit::problem::Problem;
use vocabulary::ProblemCode;

use super::field_rules::{Rules, checked, field_error};
use crate::problem::ApiProblem;
use crate::wire;

/// The largest body where a route says nothing else.
pub(crate) const MEBIBYTE: usize = 1024 * 1024;
/// A client that is still writing would lose the answer with the connection: so much more is read and thrown away.
const DISCARD_BYTES: usize = 32 * MEBIBYTE;
const DISCARD_FOR: Duration = Duration::from_secs(2);

/// A JSON body of at most `LIMIT` bytes whose fields have the right types and keep their rules.
pub(crate) struct Body<T, const LIMIT: usize = MEBIBYTE>(pub T);

impl<S, T, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT>
where
    S: Send + Sync,
    T: DeserializeOwned + Rules,
{
    type Rejection = ApiProblem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiProblem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Err(Problem::new(
                ProblemCode::UnsupportedMediaType,
                "The body must be application/json",
            )
            .into());
        }
        let bytes = read::<LIMIT>(&parts.headers, body).await?;
        Ok(Self(checked(parse(&bytes)?)?))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn read<const LIMIT: usize>(headers: &HeaderMap, mut body: RawBody) -> Result<Bytes, ApiProblem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let too_large = || {
        Problem::new(
            ProblemCode::BodyTooLarge,
            format!("The body may have at most {LIMIT} bytes"),
        )
    };
    if announced.is_some_and(|length: u64| length > LIMIT as u64) {
        // Who asks first has sent nothing yet.
        if !headers.contains_key(EXPECT) {
            discard(body).await;
        }
        return Err(too_large().into());
    }
    match Limited::new(&mut body, LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body).await;
            Err(too_large().into())
        }
        Err(_) => Err(Problem::new(ProblemCode::MalformedRequest, "The body broke off").into()),
    }
}

async fn discard(mut body: RawBody) {
    let discarded = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_FOR, discarded).await;
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiProblem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut track = Track::new();
    let read = wire::read_object(serde_path_to_error::Deserializer::new(&mut reader, &mut track))
        .map_err(|error| refusal(&track.path().to_string(), &error))?;
    reader.end().map_err(|error| refusal(".", &error))?;
    Ok(read)
}

fn refusal(path: &str, error: &serde_json::Error) -> ApiProblem {
    match error.classify() {
        Category::Data => Problem::fields(vec![field_error(path, &error.to_string())]).into(),
        Category::Syntax | Category::Eof | Category::Io => {
            let detail = format!(
                "The body is not JSON: line {}, column {}",
                error.line(),
                error.column()
            );
            Problem::new(ProblemCode::MalformedRequest, detail).into()
        }
    }
}
