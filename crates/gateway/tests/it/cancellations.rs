//! Paid reservations given back, by their owner or with the whole date.

use contracts::booking::{Cancellation, GetReservationRequest, GetReservationResponse, Reservation};
use contracts::concert::{
    CancelScheduleRequest, CancelScheduleResponse, GetScheduleCancellationRequest,
    GetScheduleCancellationResponse,
};
use contracts::payment::{
    CancelReservationRequest, CancelReservationResponse, GetRefundRequest, GetRefundResponse, Refund,
    RefundReason, RefundStatus,
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use service_kit::problem::Problem;
use vocabulary::ProblemCode;

use crate::gateway::{Answer, Gateway};

const CANCEL: &str = "payment.v1.PaymentService/CancelReservation";
const ID: &str = "01900000-0000-7000-8000-000000000001";
const PATH: &str = "/v1/reservations/01900000-0000-7000-8000-000000000001/cancellation";

fn epoch() -> prost_types::Timestamp {
    contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)
}

fn refund(status: RefundStatus) -> Refund {
    Refund {
        refund_id: ID.to_owned(),
        reservation_id: ID.to_owned(),
        user_id: "not for the public".to_owned(),
        payment_id: "not for the public".to_owned(),
        status: status as i32,
        reason: RefundReason::Buyer as i32,
        percent: 50,
        points: 1_000,
        card_amount: 44_500,
        currency: "KRW".to_owned(),
        created_at: Some(epoch()),
        ended_at: (status == RefundStatus::Completed).then(epoch),
        failure_code: String::new(),
    }
}

async fn cancel(gateway: &Gateway, refund: Refund, created: bool) -> Answer {
    gateway
        .upstreams
        .on(CANCEL, move |request: CancelReservationRequest| {
            assert_eq!(
                (request.reservation_id.as_str(), request.idempotency_key.as_str()),
                (ID, "once")
            );
            Ok(CancelReservationResponse {
                refund: Some(refund.clone()),
                created,
            })
        });
    let request = gateway
        .request(Method::POST, PATH)
        .header("Idempotency-Key", "once");
    gateway.visitor().sends(request).await
}

fn completed() -> Value {
    json!({
        "refundId": ID, "reservationId": ID, "status": "COMPLETED", "percent": 50, "points": 1_000,
        "cardAmount": 44_500, "total": 45_500, "currency": "KRW",
        "createdAt": "1970-01-01T00:00:00Z", "endedAt": "1970-01-01T00:00:00Z",
    })
}

#[tokio::test]
async fn a_cancellation_that_ended_is_201_and_200_when_asked_again() {
    let gateway = Gateway::start().await;
    let answer = cancel(&gateway, refund(RefundStatus::Completed), true).await;
    assert_eq!(answer.header("location"), PATH);
    assert_eq!(answer.expect(201), completed());
    let answer = cancel(&gateway, refund(RefundStatus::Completed), false).await;
    assert_eq!(answer.expect(200), completed());
}

#[rstest]
#[case(RefundStatus::Created, None)]
#[case(RefundStatus::SeatsReturned, Some(45_500))]
#[case(RefundStatus::Refunding, Some(45_500))]
#[case(RefundStatus::MoneyReturned, Some(45_500))]
#[tokio::test]
async fn a_cancellation_under_way_is_202_with_its_place(
    #[case] status: RefundStatus,
    #[case] total: Option<i64>,
    #[values(true, false)] created: bool,
) {
    let gateway = Gateway::start().await;
    let answer = cancel(&gateway, refund(status), created).await;
    assert_eq!(answer.header("location"), PATH);
    let body = answer.expect(202);
    assert_eq!(body["status"], "PENDING");
    assert_eq!(body.get("endedAt"), None);
    // Before the seats are back nobody knows what goes back.
    for share in ["percent", "points", "cardAmount", "total"] {
        assert_eq!(body.get(share).is_some(), total.is_some(), "{share}");
    }
    assert_eq!(body.get("total").cloned(), total.map(Value::from));
}

#[rstest]
#[case(ProblemCode::NotFound, 404)]
#[case(ProblemCode::ReservationNotCancelable, 409)]
#[case(ProblemCode::CancellationWindowClosed, 410)]
#[tokio::test]
async fn a_cancellation_that_is_refused_says_why(#[case] code: ProblemCode, #[case] status: u16) {
    let gateway = Gateway::start().await;
    let visitor = gateway.visitor();
    gateway.upstreams.on(CANCEL, move |_: CancelReservationRequest| {
        Err::<CancelReservationResponse, _>(Problem::of(code))
    });
    let request = gateway.request(Method::POST, PATH);
    visitor.sends(request).await.expect_problem(status, code.as_str());

    if code != ProblemCode::NotFound {
        let refused = Refund {
            failure_code: code.to_string(),
            ..refund(RefundStatus::Refused)
        };
        let answer = cancel(&gateway, refused, false).await;
        answer.expect_problem(status, code.as_str());
    }
}

#[tokio::test]
async fn a_cancellation_is_found_again_unless_it_was_refused() {
    let gateway = Gateway::start().await;
    for (status, expected) in [(RefundStatus::Completed, 200), (RefundStatus::Refused, 404)] {
        gateway.upstreams.on(
            "payment.v1.PaymentService/GetRefund",
            move |request: GetRefundRequest| {
                assert_eq!(request.reservation_id, ID);
                Ok(GetRefundResponse {
                    refund: Some(refund(status)),
                })
            },
        );
        let request = gateway.request(Method::GET, PATH);
        let answer = gateway.visitor().sends(request).await;
        let body = answer.expect(expected);
        if expected == 200 {
            assert_eq!(body, completed());
        }
    }
}

#[tokio::test]
async fn a_reservation_shows_its_cancellation() {
    let gateway = Gateway::start().await;
    for refunded_at in [None, Some(epoch())] {
        gateway.upstreams.on(
            "booking.v1.BookingService/GetReservation",
            move |_: GetReservationRequest| {
                Ok(GetReservationResponse {
                    reservation: Some(Reservation {
                        status: contracts::booking::ReservationStatus::Canceled as i32,
                        created_at: Some(epoch()),
                        expires_at: Some(epoch()),
                        cancellation: Some(Cancellation {
                            refund_id: ID.to_owned(),
                            canceled_at: Some(epoch()),
                            percent: 50,
                            refund: 45_500,
                            refunded_at,
                        }),
                        ..Reservation::default()
                    }),
                })
            },
        );
        let request = gateway.request(Method::GET, &format!("/v1/reservations/{ID}"));
        let reservation = gateway.visitor().sends(request).await.expect(200);
        let mut expected = json!({
            "refundId": ID, "canceledAt": "1970-01-01T00:00:00Z", "percent": 50, "refund": 45_500,
        });
        if refunded_at.is_some() {
            expected["refundedAt"] = "1970-01-01T00:00:00Z".into();
        }
        assert_eq!(
            (&reservation["status"], &reservation["cancellation"]),
            (&json!("CANCELED"), &expected)
        );
    }
}

#[rstest]
#[case(1, 3, "PENDING")]
#[case(0, 2, "PENDING")]
#[case(0, 3, "COMPLETED")]
#[tokio::test]
async fn a_canceled_date_is_202_with_how_far_its_refunds_have_come(
    #[case] unpaid_left: u32,
    #[case] refunded: u32,
    #[case] status: &str,
) {
    let gateway = Gateway::start().await;
    let organiser = gateway.organiser();
    let user_id = organiser.user_id.to_string();
    gateway.upstreams.on(
        "concert.v1.ConcertService/CancelSchedule",
        move |request: CancelScheduleRequest| {
            assert_eq!(request.organiser_id, user_id);
            Ok(CancelScheduleResponse::default())
        },
    );
    gateway.upstreams.on(
        "concert.v1.ConcertService/GetScheduleCancellation",
        move |_: GetScheduleCancellationRequest| {
            Ok(GetScheduleCancellationResponse {
                canceled_at: Some(epoch()),
                unpaid_left,
                reservations: 3,
                refunded,
                amount: 300,
                amount_refunded: 200,
                currency: "KRW".to_owned(),
            })
        },
    );
    let path = format!("/v1/admin/concerts/{ID}/schedules/{ID}/cancellation");
    let expected = json!({
        "scheduleId": ID, "status": status, "canceledAt": "1970-01-01T00:00:00Z", "unpaidLeft": unpaid_left,
        "reservations": 3, "refunded": refunded, "amount": 300, "amountRefunded": 200, "currency": "KRW",
    });
    let answer = organiser.sends(gateway.request(Method::POST, &path)).await;
    assert_eq!(answer.header("location"), path);
    assert_eq!(answer.expect(202), expected);
    let answer = organiser.sends(gateway.request(Method::GET, &path)).await;
    assert_eq!(answer.expect(200), expected);
    let answer = gateway
        .visitor()
        .sends(gateway.request(Method::POST, &path))
        .await;
    answer.expect_problem(403, "forbidden");
}
