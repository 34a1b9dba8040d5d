//! What the payment provider tells of itself. Nobody vouches for it: it is a hint to look there, never believed.

use axum::extract::State;
use contracts::payment::NotifyProviderEventRequest;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Body, Broken, Rules};
use crate::openapi::{BODY, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire;

/// The provider's events have some kilobytes.
const EVENT_BYTES: usize = 64 * 1024;
/// The one kind of event that tells of a payment of ours.
const PAYMENT_STATUS_CHANGED: &str = "PAYMENT_STATUS_CHANGED";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(take_toss_event))
}

/// An event of Toss Payments. What else it holds, the payment key among that, is not read.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TossEvent {
    /// `PAYMENT_STATUS_CHANGED`; other kinds are taken and forgotten.
    event_type: Option<String>,
    /// Needed with `PAYMENT_STATUS_CHANGED`.
    #[serde(default, deserialize_with = "wire::read_optional_object")]
    data: Option<TossPayment>,
}

/// The payment that an event is about.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TossPayment {
    /// Needed with `PAYMENT_STATUS_CHANGED`: 6 to 64 characters.
    order_id: Option<String>,
    /// At most 64 characters.
    status: Option<String>,
}

impl TossEvent {
    fn is_of_a_payment(&self) -> bool {
        self.event_type.as_deref() == Some(PAYMENT_STATUS_CHANGED)
    }
}

impl Rules for TossEvent {
    fn check(&self, broken: &mut Broken) {
        if !self.is_of_a_payment() {
            return;
        }
        let chars = |text: &Option<String>| text.as_ref().map_or(0, |text| text.chars().count());
        let payment = self.data.as_ref();
        let order_id = payment.map_or(0, |payment| chars(&payment.order_id));
        broken.unless(
            (6..=64).contains(&order_id),
            "data.orderId",
            "must have 6 to 64 characters",
        );
        let status = payment.map_or(0, |payment| chars(&payment.status));
        broken.unless(status <= 64, "data.status", "must be at most 64 characters");
    }
}

problems!(TossEventProblems: BODY);

/// Take an event of the payment provider, of at most 64 KiB.
///
/// It is a hint: the payment or charge of that order is looked up at the provider soon, and nothing else comes of it. Answers
/// other than 200 have the provider send the event again.
#[utoipa::path(
    post, path = "/v1/webhooks/toss", tag = "webhooks", request_body = TossEvent,
    responses((status = 200, description = "Taken."), TossEventProblems)
)]
async fn take_toss_event(
    State(app): State<App>,
    Body(event): Body<TossEvent, EVENT_BYTES>,
) -> Result<StatusCode, ApiProblem> {
    let is_of_a_payment = event.is_of_a_payment();
    metrics::counter!("gateway_provider_events_total", "of_a_payment" => is_of_a_payment.to_string())
        .increment(1);
    if let Some(payment) = event.data.filter(|_| is_of_a_payment) {
        let request = NotifyProviderEventRequest {
            event_type: PAYMENT_STATUS_CHANGED.to_owned(),
            order_id: payment.order_id.unwrap_or_default(),
            status: payment.status.unwrap_or_default(),
        };
        app.clients.payment.clone().notify_provider_event(request).await?;
    }
    Ok(StatusCode::OK)
}
