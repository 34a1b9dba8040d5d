//! The OpenAPI document: what all operations share. Each operation is described where its handler stands.

use std::collections::BTreeMap;

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi as _};
use vocabulary::ProblemCode;
use vocabulary::ProblemCode as P;

use crate::problem::{self, ProblemDocument};
use crate::routes;

/// The document of the public API.
#[must_use]
pub fn document() -> OpenApi {
    routes::documented().into_openapi()
}

/// Refusals that every operation knows.
pub(crate) const ALWAYS: &[P] = &[P::Unavailable, P::DeadlineExceeded, P::Internal];
/// Of operations that read a body.
pub(crate) const BODY: &[P] = &[
    P::MalformedRequest,
    P::UnsupportedMediaType,
    P::BodyTooLarge,
    P::InvalidField,
];
/// Of operations that ask for an access token.
pub(crate) const BEARER: &[P] = &[P::Unauthenticated, P::AccessTokenExpired];
/// Of operations that take a queue token.
pub(crate) const QUEUE_TOKEN: &[P] = &[
    P::QueueTokenMissing,
    P::QueueTokenMalformed,
    P::QueueTokenUnsigned,
    P::QueueTokenInvalid,
];
/// Of operations that ask for a visit on its page.
pub(crate) const VISIT: &[P] = &[
    P::Unauthenticated,
    P::AccessTokenExpired,
    P::QueueTokenMissing,
    P::QueueTokenMalformed,
    P::QueueTokenUnsigned,
    P::QueueTokenInvalid,
    P::QueueTokenForeign,
    P::QueueTokenOtherConcert,
    P::NotAdmitted,
    P::QueueTokenExpired,
    P::PageLeft,
];
/// Of operations that take an Idempotency-Key.
pub(crate) const IDEMPOTENT: &[P] = &[
    P::MalformedRequest,
    P::IdempotencyKeyReused,
    P::IdempotencyKeyInProgress,
];
/// Of operations for organisers.
pub(crate) const ORGANISER: &[P] = &[P::Unauthenticated, P::AccessTokenExpired, P::Forbidden];

/// Names the refusals of an operation: `problems!(HoldProblems: BODY, VISIT, &[P::SeatUnavailable])`.
macro_rules! problems {
    ($name:ident: $($codes:expr),* $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                crate::openapi::refusals(&[crate::openapi::ALWAYS, $($codes),*])
            }
        }
    };
}
pub(crate) use problems;

/// One response for each status that these codes are answered with.
pub(crate) fn refusals(groups: &[&[ProblemCode]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in groups.iter().copied().flatten() {
        let codes = by_status.entry(problem::status(*code).as_u16()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), refusal(status, &codes).into()))
        .collect()
}

fn refusal(status: u16, codes: &[ProblemCode]) -> Response {
    let lines: Vec<_> = codes
        .iter()
        .map(|code| format!("- `{code}`:{}", code.meaning()))
        .collect();
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(lines.join("\n"))
        .content(problem::MEDIA_TYPE, content)
        .extensions(Some(
            ExtensionsBuilder::new().add("x-problem-codes", names).build(),
        ));
    if matches!(status, 429 | 503) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds until it is worth trying again."));
        response = response.header("Retry-After", header.build());
    }
    if status == 401 {
        let header = HeaderBuilder::new().description(Some("Which token is asked for."));
        response = response.header("WWW-Authenticate", header.build());
    }
    response.build()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Frontrow",
        description = "Concert seats when everyone arrives at once: stand in line, hold seats, pay.\n\n\
            Money is a whole number in the currency's smallest unit (1 point = 1 KRW). Times are RFC 3339 in UTC. \
            Ids are UUIDs. Every refusal is an `application/problem+json` with a stable `code`. \
            Lists page by `cursor`: the answer's `nextCursor` is absent on the last page. \
            An unknown path answers 404 `route-not-found`, an unknown method 405 `method-not-allowed` with `Allow`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemDocument)),
    tags(
        (name = "auth", description = "Accounts and sessions"),
        (name = "concerts", description = "What is on sale"),
        (name = "queue", description = "Waiting rooms"),
        (name = "seats", description = "Dates and seats, for those who were let in"),
        (name = "reservations", description = "Seats held and owned"),
        (name = "payments", description = "Paying for a reservation"),
        (name = "wallet", description = "Points"),
        (name = "webhooks", description = "For the payment provider"),
        (name = "admin", description = "For organisers"),
        (name = "system", description = "For operators"),
    ),
    modifiers(&Securities)
)]
struct Frame;

/// What all operations share.
pub(crate) fn frame() -> OpenApi {
    Frame::openapi()
}

struct Securities;

impl Modify for Securities {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access token of a login."));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let header = |name, meaning| {
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, meaning)))
        };
        components.add_security_scheme(
            "queueToken",
            header("Queue-Token", "A place in a concert's line, from joining it."),
        );
        components.add_security_scheme(
            "paymentToken",
            header("Payment-Token", "Pays one reservation, from making it."),
        );
    }
}
