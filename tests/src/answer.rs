//! What the gateway answered, and short ways to say what was expected.

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use test_support::Events;

use crate::document;

/// One HTTP answer, read whole; of a stream of events, the first one.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: JSON, text as a string, or null when empty.
    pub body: Value,
}

impl Answer {
    /// Sends a request and reads its answer, which must be one that the API's document describes.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::attempt(request).await.unwrap()
    }

    /// Sends a request to whoever may be gone before it is answered.
    ///
    /// # Errors
    /// Nobody is there, or the connection broke.
    pub async fn attempt(request: RequestBuilder) -> reqwest::Result<Self> {
        let (client, request) = request.build_split();
        let request = request?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let is_stream = headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream {
            // It may go on for long.
            Events::of(response)
                .next()
                .await
                .map_or(Value::Null, |first| first.data)
        } else {
            let text = response.text().await?;
            if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
        };
        let answer = Self {
            status: status.as_u16(),
            headers,
            body,
        };
        document::check(&method, &path, &answer);
        Ok(answer)
    }

    /// It says yes.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The request came to nothing because something is away: the same again may go well.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 503 | 504)
    }

    /// What a caller may be told while something is away: an answer that is right, a 503 that says when to come again,
    /// or a 504; and that a card was declined, which is a 500 by contract.
    pub fn is_plain(&self) -> bool {
        match self.status {
            ..500 | 504 => true,
            503 => self.header("retry-after").is_some(),
            500 => self.text("code") == "payment-failed",
            _ => false,
        }
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The body of a problem with this status and code, in the shape that every problem has.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.text("code")), (status, code), "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.body["status"], status);
        assert!(!self.text("title").is_empty(), "{}", self.body);
        if StatusCode::from_u16(status).unwrap() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(self.header("retry-after").is_some(), "503 without Retry-After");
        }
        self.body
    }

    /// The fields that a problem names, in its order.
    #[track_caller]
    pub fn expect_fields(self, status: u16, fields: &[&str]) {
        let body = self.expect_problem(status, "invalid-field");
        let named: Vec<_> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| &error["field"])
            .collect();
        assert_eq!(named, fields, "{body}");
    }

    /// A member of the body as text; empty when it is none.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
