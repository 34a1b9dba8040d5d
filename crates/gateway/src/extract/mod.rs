//! What a request carries, read once: each part is right or refused with a problem that names it.

mod bearer;
mod body;
mod field_rules;
mod idempotency;
mod path;
mod payment_credential;
mod query;
mod queue_token;

use http::HeaderName;

pub(crate) use bearer::{Bearer, Organiser};
pub(crate) use body::{Body, MEBIBYTE};
pub(crate) use field_rules::{Broken, Rules};
pub(crate) use idempotency::IdempotencyKey;
pub(crate) use path::{PathId, PathIds};
pub(crate) use payment_credential::PaymentCredential;
pub(crate) use query::Query;
pub(crate) use queue_token::{QueueTokenHeader, Visitor};

pub(crate) const QUEUE_TOKEN: HeaderName = HeaderName::from_static("queue-token");
pub(crate) const PAYMENT_TOKEN: HeaderName = HeaderName::from_static("payment-token");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
