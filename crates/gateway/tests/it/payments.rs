//! Holding and paying.

use contracts::booking::payment_credential::Credential;
use contracts::booking::{
    HoldSeatsRequest, HoldSeatsResponse, ReleaseReservationRequest, ReleaseReservationResponse, Reservation,
    ReservationStatus, ReservedSeat,
};
use contracts::payment::{PayRequest, PayResponse, Payment, PaymentStatus};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use service_kit::problem::Problem;
use vocabulary::{ProblemCode, ReservationId};

use crate::gateway::{Answer, Gateway};

const PAY: &str = "payment.v1.PaymentService/Pay";
const HOLD: &str = "booking.v1.BookingService/HoldSeats";
const ID: &str = "01900000-0000-7000-8000-000000000001";

fn reservation(status: ReservationStatus) -> Reservation {
    let time = contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH);
    Reservation {
        reservation_id: ID.to_owned(),
        user_id: "not for the public".to_owned(),
        schedule_id: ID.to_owned(),
        concert_id: ID.to_owned(),
        status: status as i32,
        seats: vec![ReservedSeat {
            seat_id: ID.to_owned(),
            grade: "R".to_owned(),
            price: 99_000,
        }],
        total: 99_000,
        currency: "KRW".to_owned(),
        created_at: Some(time),
        expires_at: Some(time),
        payment_token: "pay.me.now".to_owned(),
        order_id: "order-1".to_owned(),
        version: 3,
        cancellation: None,
    }
}

fn hold_body() -> Value {
    json!({ "scheduleId": ID, "seatIds": [ID] })
}

fn pay_body() -> Value {
    json!({ "reservationId": ID, "points": 1_000, "card": { "paymentKey": "key-1" } })
}

#[tokio::test]
async fn a_hold_is_201_with_all_that_paying_needs() {
    let gateway = Gateway::start().await;
    let visitor = gateway.visitor();
    let (user_id, token) = (visitor.user_id.to_string(), visitor.queue_token.clone());
    gateway.upstreams.on(HOLD, move |request: HoldSeatsRequest| {
        assert_eq!((&request.user_id, &request.queue_token), (&user_id, &token));
        assert_eq!(request.seat_ids, [ID]);
        assert_eq!(request.idempotency_key, "once");
        Ok(HoldSeatsResponse {
            reservation: Some(reservation(ReservationStatus::Pending)),
        })
    });
    let request = gateway
        .request(Method::POST, "/v1/reservations")
        .header("Idempotency-Key", "once")
        .json(&hold_body());
    let answer = visitor.sends(request).await;
    assert_eq!(answer.header("location"), format!("/v1/reservations/{ID}"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(
        answer.expect(201),
        json!({
            "reservationId": ID, "scheduleId": ID, "concertId": ID, "status": "PENDING",
            "seats": [{ "seatId": ID, "grade": "R", "price": 99_000 }], "total": 99_000, "currency": "KRW",
            "createdAt": "1970-01-01T00:00:00Z", "expiresAt": "1970-01-01T00:00:00Z",
            "paymentToken": "pay.me.now", "orderId": "order-1",
        })
    );
}

#[tokio::test]
async fn a_refused_hold_names_the_seats() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(HOLD, |_: HoldSeatsRequest| {
        let refused = Problem::of(ProblemCode::SeatUnavailable).with("seatIds", vec![ID]);
        Err::<HoldSeatsResponse, _>(refused)
    });
    let request = gateway
        .request(Method::POST, "/v1/reservations")
        .json(&hold_body());
    let problem = gateway
        .visitor()
        .sends(request)
        .await
        .expect_problem(409, "seat-unavailable");
    assert_eq!(problem["seatIds"], json!([ID]));
}

#[tokio::test]
async fn a_hold_can_be_given_up() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(
        "booking.v1.BookingService/ReleaseReservation",
        |_: ReleaseReservationRequest| Ok(ReleaseReservationResponse {}),
    );
    let path = format!("/v1/reservations/{}", ReservationId::new());
    gateway
        .visitor()
        .sends(gateway.request(Method::DELETE, &path))
        .await
        .expect(204);
}

fn answer_payments(gateway: &Gateway, status: PaymentStatus, failure_code: &'static str) {
    gateway.upstreams.on(PAY, move |_: PayRequest| {
        let payment = Payment {
            payment_id: ID.to_owned(),
            reservation_id: ID.to_owned(),
            status: status as i32,
            failure_code: failure_code.to_owned(),
            ..Payment::default()
        };
        let reservation = (status == PaymentStatus::Succeeded).then(|| Reservation {
            payment_token: String::new(),
            order_id: String::new(),
            ..reservation(ReservationStatus::Confirmed)
        });
        Ok(PayResponse {
            payment: Some(payment),
            reservation,
        })
    });
}

async fn pay_by_token(gateway: &Gateway) -> Answer {
    let request = gateway
        .request(Method::POST, "/v1/payments")
        .header("Payment-Token", "pay.me.now")
        .json(&pay_body());
    Answer::to(request).await
}

#[tokio::test]
async fn a_payment_that_succeeded_is_201_with_the_reservation() {
    let gateway = Gateway::start().await;
    answer_payments(&gateway, PaymentStatus::Succeeded, "");
    let answer = pay_by_token(&gateway).await;
    assert_eq!(answer.header("location"), format!("/v1/payments/{ID}"));
    let paid = answer.expect(201);
    assert_eq!(
        (&paid["paymentId"], &paid["status"]),
        (&json!(ID), &json!("SUCCEEDED"))
    );
    assert_eq!(paid["reservation"]["status"], "CONFIRMED");
    assert_eq!(paid["reservation"].get("paymentToken"), None);
}

#[rstest]
#[case(PaymentStatus::Created, "CREATED")]
#[case(PaymentStatus::PointsTaken, "POINTS_TAKEN")]
#[case(PaymentStatus::Confirming, "CONFIRMING")]
#[case(PaymentStatus::Unknown, "UNKNOWN")]
#[case(PaymentStatus::Captured, "CAPTURED")]
#[tokio::test]
async fn a_payment_without_an_outcome_is_202_with_its_place(
    #[case] status: PaymentStatus,
    #[case] word: &str,
) {
    let gateway = Gateway::start().await;
    answer_payments(&gateway, status, "");
    let answer = pay_by_token(&gateway).await;
    assert_eq!(answer.header("location"), format!("/v1/payments/{ID}"));
    assert_eq!(answer.expect(202), json!({ "paymentId": ID, "status": word }));
}

#[tokio::test]
async fn a_payment_that_has_failed_before_is_refused_with_its_reason() {
    let gateway = Gateway::start().await;
    answer_payments(&gateway, PaymentStatus::Failed, "insufficient-points");
    let problem = pay_by_token(&gateway)
        .await
        .expect_problem(402, "insufficient-points");
    assert_eq!(problem["paymentId"], ID);
    answer_payments(&gateway, PaymentStatus::Refunded, "payment-window-closed");
    pay_by_token(&gateway)
        .await
        .expect_problem(410, "payment-window-closed");
}

#[tokio::test]
async fn a_declined_payment_names_the_next_order() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(PAY, |_: PayRequest| {
        Err::<PayResponse, _>(Problem::of(ProblemCode::PaymentFailed).with("orderId", "order-2"))
    });
    let problem = pay_by_token(&gateway).await.expect_problem(500, "payment-failed");
    assert_eq!(problem["orderId"], "order-2");
}

#[tokio::test]
async fn a_payment_carries_the_credential_that_came_with_it() {
    let gateway = Gateway::start().await;
    let visitor = gateway.visitor();
    let post = || gateway.request(Method::POST, "/v1/payments").json(&pay_body());
    let expect = |credential: Credential, user_id: String| {
        gateway.upstreams.on(PAY, move |request: PayRequest| {
            assert!(request.credential.unwrap().credential.unwrap() == credential);
            assert_eq!((request.user_id, request.points), (user_id.clone(), 1_000));
            assert_eq!(request.card.unwrap().payment_key, "key-1");
            Err::<PayResponse, _>(Problem::of(ProblemCode::AlreadyPaid))
        });
    };

    let by_token = Credential::PaymentToken("pay.me.now".to_owned());
    expect(by_token.clone(), String::new());
    let request = post().header("Payment-Token", "pay.me.now");
    Answer::to(request).await.expect_problem(409, "already-paid");

    // With an access token too, the owner is checked by payment.
    expect(by_token, visitor.user_id.to_string());
    let request = post().header("Payment-Token", "pay.me.now");
    visitor.sends(request).await.expect_problem(409, "already-paid");

    let by_visit = Credential::Queue(contracts::booking::QueueCredential {
        user_id: visitor.user_id.to_string(),
        concert_id: visitor.concert_id.to_string(),
        number: 42,
    });
    expect(by_visit, String::new());
    let request = post().header("Queue-Token", &visitor.queue_token);
    Answer::to(request).await.expect_problem(409, "already-paid");
}

#[tokio::test]
async fn a_payment_without_a_good_credential_is_refused_here() {
    let gateway = Gateway::start().await;
    let (mine, other) = (gateway.visitor(), gateway.visitor());
    let post = || gateway.request(Method::POST, "/v1/payments").json(&pay_body());
    Answer::to(post())
        .await
        .expect_problem(401, "payment-token-invalid");
    Answer::to(post().bearer_auth(&mine.access_token))
        .await
        .expect_problem(401, "payment-token-invalid");
    Answer::to(post().header("Queue-Token", "a.b.c"))
        .await
        .expect_problem(401, "queue-token-malformed");
    let foreign = post()
        .bearer_auth(&mine.access_token)
        .header("Queue-Token", &other.queue_token);
    Answer::to(foreign)
        .await
        .expect_problem(403, "queue-token-foreign");
    // An access token that is there must be right, even where none is needed.
    let request = post().bearer_auth("x.y.z").header("Payment-Token", "pay.me.now");
    Answer::to(request).await.expect_problem(401, "unauthenticated");
    assert_eq!(gateway.upstreams.calls(PAY), 0);
}
