//! The provider's idempotency: the first answer under an `Idempotency-Key` is the answer for 15 days, whatever a later
//! request under it asks for. Refusals are answers too.

use std::{collections::HashMap, time::Instant};

use axum::http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::{errors::ErrorCode, ledger::Decision};

const HEADER: &str = "idempotency-key";
const MAX_KEY_CHARS: usize = 300;
const VALIDITY: Duration = Duration::days(15);

/// What makes two requests the same to the provider: key and URL, besides the API key, of which a simulator has one, and
/// the method, which is always POST.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scope {
    idempotency_key: String,
    url: String,
}

impl Scope {
    /// The scope of a request, or `None` when it carries no key.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri) -> Result<Option<Self>, ErrorCode> {
        let Some(value) = headers.get(HEADER) else {
            return Ok(None);
        };
        let key = std::str::from_utf8(value.as_bytes()).map_err(|_| ErrorCode::InvalidIdempotencyKey)?;
        match key.chars().count() {
            0 => Ok(None),
            1..=MAX_KEY_CHARS => Ok(Some(Self {
                idempotency_key: key.to_owned(),
                url: uri.path().to_owned(),
            })),
            _ => Err(ErrorCode::InvalidIdempotencyKey),
        }
    }
}

/// The first answers, by scope.
#[derive(Debug, Default)]
pub(crate) struct Answers(HashMap<Scope, Answer>);

#[derive(Debug)]
struct Answer {
    decision: Decision,
    given_at: OffsetDateTime,
    /// Until then the request is still running, for whoever asks again.
    running_until: Option<Instant>,
}

impl Answers {
    /// The first answer of this scope; a refusal while the first request is still running.
    pub(crate) fn find(&self, scope: &Scope, now: OffsetDateTime) -> Result<Option<&Decision>, ErrorCode> {
        let valid = |answer: &&Answer| now - answer.given_at <= VALIDITY;
        let Some(answer) = self.0.get(scope).filter(valid) else {
            return Ok(None);
        };
        let is_delivered_late = answer.running_until.is_some_and(|end| Instant::now() < end);
        if is_delivered_late || answer.decision.is_still_to_come(now) {
            return Err(ErrorCode::IdempotentRequestProcessing);
        }
        Ok(Some(&answer.decision))
    }

    pub(crate) fn remember(
        &mut self,
        scope: Scope,
        decision: Decision,
        given_at: OffsetDateTime,
        running_until: Option<Instant>,
    ) {
        self.0.insert(
            scope,
            Answer {
                decision,
                given_at,
                running_until,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration as StdDuration;

    use axum::http::HeaderValue;
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-11-20 10:00:00 UTC);
    const DECISION: Decision = Decision::Refused {
        refused: ErrorCode::ProviderError,
    };

    fn scope(key: &str, url: &'static str) -> Result<Option<Scope>, ErrorCode> {
        let headers = HeaderMap::from_iter([(
            HEADER.parse().unwrap(),
            HeaderValue::from_bytes(key.as_bytes()).unwrap(),
        )]);
        Scope::of(&headers, &Uri::from_static(url))
    }

    #[test]
    fn a_key_of_more_than_300_characters_is_refused() {
        assert!(
            scope(&"키".repeat(300), "/v1/payments/confirm")
                .unwrap()
                .is_some()
        );
        assert_eq!(
            scope(&"k".repeat(301), "/v1/payments/confirm"),
            Err(ErrorCode::InvalidIdempotencyKey)
        );
    }

    #[test]
    fn an_answer_is_valid_for_15_days_under_its_key_and_url() {
        let confirm = scope("key", "/v1/payments/confirm").unwrap().unwrap();
        let cancel = scope("key", "/v1/payments/test_ok_1/cancel").unwrap().unwrap();
        let mut answers = Answers::default();
        answers.remember(confirm.clone(), DECISION, AT, None);

        assert!(answers.find(&confirm, AT + VALIDITY).unwrap().is_some());
        assert!(
            answers
                .find(&confirm, AT + VALIDITY + Duration::SECOND)
                .unwrap()
                .is_none()
        );
        assert!(answers.find(&cancel, AT).unwrap().is_none());
    }

    #[test]
    fn a_repeat_is_refused_while_the_first_request_runs() {
        let confirm = scope("key", "/v1/payments/confirm").unwrap().unwrap();
        let mut answers = Answers::default();

        let end = Instant::now() + StdDuration::from_secs(3_600);
        answers.remember(confirm.clone(), DECISION, AT, Some(end));
        assert_eq!(
            answers.find(&confirm, AT).unwrap_err(),
            ErrorCode::IdempotentRequestProcessing
        );

        answers.remember(confirm.clone(), DECISION, AT, Some(Instant::now()));
        assert!(answers.find(&confirm, AT).unwrap().is_some());
    }
}
