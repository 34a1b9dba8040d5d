//! Seats held and owned.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::booking::{
    self, GetReservationRequest, HoldSeatsRequest, ListReservationsRequest, ReleaseReservationRequest,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ProblemCode as P, ReservationId, ScheduleId, SeatId};

use super::{Page, created};
use crate::extract::{Bearer, Body, IdempotencyKey, PathId, Query, Rules, Visitor};
use crate::openapi::{BEARER, BODY, IDEMPOTENT, VISIT, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract, ReservationStatus};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(hold_seats, list_reservations))
        .routes(routes!(get_reservation, release_reservation))
}

/// A seat of a reservation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservedSeat {
    #[schema(format = Uuid)]
    seat_id: String,
    grade: String,
    /// In the currency's smallest unit.
    price: i64,
}

/// One to four seats of one date, held or owned.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reservation {
    #[schema(format = Uuid)]
    reservation_id: String,
    #[schema(format = Uuid)]
    schedule_id: String,
    #[schema(format = Uuid)]
    concert_id: String,
    status: ReservationStatus,
    seats: Vec<ReservedSeat>,
    /// The sum of the seats' prices.
    total: i64,
    /// ISO 4217.
    currency: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When an unpaid hold lapses.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// For the header `Payment-Token`, while it can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    payment_token: Option<String>,
    /// The order that the next card attempt is for, while it can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    order_id: Option<String>,
    /// When it was canceled after it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancellation: Option<Cancellation>,
}

/// What came of a paid reservation that was canceled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Cancellation {
    #[schema(format = Uuid)]
    refund_id: String,
    #[serde(with = "time::serde::rfc3339")]
    canceled_at: OffsetDateTime,
    /// The share of the total that goes back.
    #[schema(minimum = 0, maximum = 100)]
    percent: u32,
    /// What goes back, in the currency's smallest unit.
    refund: i64,
    /// When all of it was back where it came from; absent before.
    #[serde(
        serialize_with = "time::serde::rfc3339::option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    refunded_at: Option<OffsetDateTime>,
}

impl TryFrom<booking::Cancellation> for Cancellation {
    type Error = BrokenContract;

    fn try_from(cancellation: booking::Cancellation) -> Result<Self, Self::Error> {
        Ok(Self {
            canceled_at: wire::time("Cancellation.canceled_at", cancellation.canceled_at)?,
            refunded_at: wire::optional_time("Cancellation.refunded_at", cancellation.refunded_at)?,
            refund_id: cancellation.refund_id,
            percent: cancellation.percent,
            refund: cancellation.refund,
        })
    }
}

impl TryFrom<booking::Reservation> for Reservation {
    type Error = BrokenContract;

    fn try_from(reservation: booking::Reservation) -> Result<Self, Self::Error> {
        let seats = reservation.seats.into_iter().map(|seat| ReservedSeat {
            seat_id: seat.seat_id,
            grade: seat.grade,
            price: seat.price,
        });
        Ok(Self {
            reservation_id: reservation.reservation_id,
            schedule_id: reservation.schedule_id,
            concert_id: reservation.concert_id,
            status: ReservationStatus::read(reservation.status)?,
            seats: seats.collect(),
            total: reservation.total,
            currency: reservation.currency,
            created_at: wire::time("Reservation.created_at", reservation.created_at)?,
            expires_at: wire::time("Reservation.expires_at", reservation.expires_at)?,
            payment_token: wire::non_empty(reservation.payment_token),
            order_id: wire::non_empty(reservation.order_id),
            cancellation: reservation.cancellation.map(TryInto::try_into).transpose()?,
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Hold {
    #[schema(value_type = uuid::Uuid)]
    schedule_id: ScheduleId,
    /// Different seats of the date.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1, max_items = 4)]
    seat_ids: Vec<SeatId>,
}

impl Rules for Hold {}

problems!(HoldProblems: BODY, VISIT, IDEMPOTENT, &[P::NotFound, P::SaleClosed, P::ScheduleCanceled, P::SeatUnavailable, P::SeatCapExceeded]);

/// Hold one to four seats, all or nothing. The visit leaves its page with the hold.
#[utoipa::path(
    post, path = "/v1/reservations", tag = "reservations", params(IdempotencyKey), request_body = Hold,
    responses(
        (status = 201, body = Reservation, description = "The hold, to be paid until `expiresAt`.", headers(("Location" = String))),
        HoldProblems
    ),
    security(("bearer" = [], "queueToken" = []))
)]
async fn hold_seats(
    State(app): State<App>,
    visitor: Visitor,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(hold): Body<Hold>,
) -> Result<impl IntoResponse, ApiProblem> {
    let request = HoldSeatsRequest {
        user_id: visitor.user_id.to_string(),
        queue_token: visitor.queue_token,
        schedule_id: hold.schedule_id.to_string(),
        seat_ids: hold.seat_ids.iter().map(ToString::to_string).collect(),
        idempotency_key,
    };
    let answer = app
        .clients
        .booking
        .clone()
        .hold_seats(request)
        .await?
        .into_inner();
    let reservation = wire::required("HoldSeatsResponse.reservation", answer.reservation)?;
    let reservation = Reservation::try_from(reservation)?;
    let location = format!("/v1/reservations/{}", reservation.reservation_id);
    Ok(created(location, reservation))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Reservations {
    reservations: Vec<Reservation>,
    /// Absent when there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

problems!(ListProblems: BEARER, &[P::InvalidField]);

/// The user's own reservations, newest first.
#[utoipa::path(
    get, path = "/v1/reservations", tag = "reservations", params(Page),
    responses((status = 200, body = Reservations, description = "Some of them."), ListProblems),
    security(("bearer" = []))
)]
async fn list_reservations(
    State(app): State<App>,
    Bearer(identity): Bearer,
    Query(page): Query<Page>,
) -> Result<Json<Reservations>, ApiProblem> {
    let request = ListReservationsRequest {
        user_id: identity.user_id.to_string(),
        cursor: page.cursor,
        limit: page.limit.unwrap_or_default(),
    };
    let answer = app
        .clients
        .booking
        .clone()
        .list_reservations(request)
        .await?
        .into_inner();
    let reservations = answer.reservations.into_iter().map(Reservation::try_from);
    Ok(Json(Reservations {
        reservations: reservations.collect::<Result<_, _>>()?,
        next_cursor: wire::non_empty(answer.next_cursor),
    }))
}

problems!(GetProblems: BEARER, &[P::NotFound]);

/// One of the user's own reservations, with a payment token while it can be paid.
#[utoipa::path(
    get, path = "/v1/reservations/{reservationId}", tag = "reservations",
    params(("reservationId" = uuid::Uuid, Path)),
    responses((status = 200, body = Reservation, description = "The reservation."), GetProblems),
    security(("bearer" = []))
)]
async fn get_reservation(
    State(app): State<App>,
    PathId(reservation_id): PathId<ReservationId>,
    Bearer(identity): Bearer,
) -> Result<Json<Reservation>, ApiProblem> {
    let request = GetReservationRequest {
        user_id: identity.user_id.to_string(),
        reservation_id: reservation_id.to_string(),
    };
    let answer = app
        .clients
        .booking
        .clone()
        .get_reservation(request)
        .await?
        .into_inner();
    let reservation = wire::required("GetReservationResponse.reservation", answer.reservation)?;
    Ok(Json(reservation.try_into()?))
}

problems!(ReleaseProblems: BEARER, &[P::NotFound, P::ReservationNotReleasable]);

/// Give a hold up before it is paid: its seats are on sale again.
#[utoipa::path(
    delete, path = "/v1/reservations/{reservationId}", tag = "reservations",
    params(("reservationId" = uuid::Uuid, Path)),
    responses((status = 204, description = "The seats are free."), ReleaseProblems),
    security(("bearer" = []))
)]
async fn release_reservation(
    State(app): State<App>,
    PathId(reservation_id): PathId<ReservationId>,
    Bearer(identity): Bearer,
) -> Result<StatusCode, ApiProblem> {
    let request = ReleaseReservationRequest {
        user_id: identity.user_id.to_string(),
        reservation_id: reservation_id.to_string(),
    };
    app.clients.booking.clone().release_reservation(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
