//! What the gateway answered, and short ways to say what was expected.

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// One HTTP answer, read whole.
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
    /// Sends a request and reads its answer.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Self {
            status: status.as_u16(),
            headers,
            body,
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
