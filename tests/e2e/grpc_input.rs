//! Every call of every contract with fields missing and wrong: each is named, as the public API would name it.
//!
//! The requests are written by hand over HTTP/2, as a client of another language would send them.

use std::collections::BTreeSet;

use contracts::booking::payment_credential::Credential;
use contracts::{auth, booking, concert, payment, queue};
use end_to_end::World;
use prost::Message as _;
use prost_types::{FileDescriptorSet, Timestamp};
use rstest::rstest;
use service_kit::problem::Problem;
use tonic::{Code, Status};
use vocabulary::ProblemCode;

const ID: &str = "01900000-0000-7000-8000-000000000001";

/// A request that breaks rules, and the fields that break them.
struct Wrong {
    method: &'static str,
    message: Vec<u8>,
    fields: &'static [&'static str],
}

fn wrong(method: &'static str, message: &impl prost::Message, fields: &'static [&'static str]) -> Wrong {
    Wrong {
        method,
        message: message.encode_to_vec(),
        fields,
    }
}

fn id() -> String {
    ID.to_owned()
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn no_id() -> String {
    "A7".to_owned()
}

fn auth_rows() -> Vec<Wrong> {
    let sign_up = auth::SignUpRequest {
        email: "kim@example.test".to_owned(),
        password: "long enough 1".to_owned(),
        name: "Kim".to_owned(),
        client_address: String::new(),
        idempotency_key: String::new(),
    };
    let log_in = auth::LogInRequest {
        email: "kim@example.test".to_owned(),
        password: "long enough 1".to_owned(),
        concert_id: None,
        client_address: String::new(),
    };
    vec![
        wrong(
            "SignUp",
            &auth::SignUpRequest::default(),
            &["email", "password", "name"],
        ),
        wrong(
            "SignUp",
            &auth::SignUpRequest {
                email: "kim".to_owned(),
                ..sign_up.clone()
            },
            &["email"],
        ),
        wrong(
            "SignUp",
            &auth::SignUpRequest {
                password: text(9),
                ..sign_up.clone()
            },
            &["password"],
        ),
        wrong(
            "SignUp",
            &auth::SignUpRequest {
                password: text(129),
                ..sign_up.clone()
            },
            &["password"],
        ),
        wrong(
            "SignUp",
            &auth::SignUpRequest {
                name: text(101),
                ..sign_up.clone()
            },
            &["name"],
        ),
        wrong(
            "SignUp",
            &auth::SignUpRequest {
                name: "Kim\0".to_owned(),
                ..sign_up.clone()
            },
            &["name"],
        ),
        wrong(
            "SignUp",
            &auth::SignUpRequest {
                idempotency_key: text(256),
                ..sign_up
            },
            &["idempotencyKey"],
        ),
        wrong("LogIn", &auth::LogInRequest::default(), &["email", "password"]),
        wrong(
            "LogIn",
            &auth::LogInRequest {
                concert_id: Some(no_id()),
                ..log_in
            },
            &["concertId"],
        ),
        wrong("Refresh", &auth::RefreshRequest::default(), &["refreshToken"]),
        wrong("LogOut", &auth::LogOutRequest::default(), &["refreshToken"]),
    ]
}

fn queue_rows() -> Vec<Wrong> {
    let settings = queue::RoomSettings {
        capacity: 1,
        admit_per_second: 1,
        opens_at: None,
        mode: 0,
    };
    let room = queue::PutRoomRequest {
        concert_id: id(),
        settings: Some(settings),
    };
    let put = |changed: queue::RoomSettings| queue::PutRoomRequest {
        settings: Some(changed),
        ..room.clone()
    };
    let check = queue::CheckVisitRequest {
        queue_token: "forged".to_owned(),
        user_id: id(),
        concert_id: id(),
        purpose: queue::VisitPurpose::Read as i32,
    };
    vec![
        wrong(
            "PutRoom",
            &queue::PutRoomRequest::default(),
            &["concertId", "settings"],
        ),
        wrong(
            "PutRoom",
            &queue::PutRoomRequest {
                concert_id: no_id(),
                ..room.clone()
            },
            &["concertId"],
        ),
        wrong(
            "PutRoom",
            &put(queue::RoomSettings {
                capacity: 0,
                ..settings
            }),
            &["capacity"],
        ),
        wrong(
            "PutRoom",
            &put(queue::RoomSettings {
                capacity: 1_000_001,
                ..settings
            }),
            &["capacity"],
        ),
        wrong(
            "PutRoom",
            &put(queue::RoomSettings {
                admit_per_second: 0,
                ..settings
            }),
            &["admitPerSecond"],
        ),
        wrong(
            "PutRoom",
            &put(queue::RoomSettings {
                opens_at: Some(beyond_time()),
                ..settings
            }),
            &["opensAt"],
        ),
        wrong(
            "PutRoom",
            &put(queue::RoomSettings { mode: 99, ..settings }),
            &["mode"],
        ),
        wrong("GetRoom", &queue::GetRoomRequest::default(), &["concertId"]),
        wrong(
            "GetRoom",
            &queue::GetRoomRequest { concert_id: no_id() },
            &["concertId"],
        ),
        wrong(
            "GetRoomStats",
            &queue::GetRoomStatsRequest::default(),
            &["concertId"],
        ),
        wrong(
            "GetRoomStats",
            &queue::GetRoomStatsRequest { concert_id: no_id() },
            &["concertId"],
        ),
        wrong("Join", &queue::JoinRequest::default(), &["concertId", "userId"]),
        wrong(
            "Join",
            &queue::JoinRequest {
                concert_id: id(),
                user_id: no_id(),
            },
            &["userId"],
        ),
        // A token is a credential: without it the answer is UNAUTHENTICATED.
        wrong("GetToken", &queue::GetTokenRequest::default(), &[]),
        wrong("Leave", &queue::LeaveRequest::default(), &[]),
        wrong("GetProof", &queue::GetProofRequest::default(), &[]),
        wrong("ListLeaves", &queue::ListLeavesRequest::default(), &["concertId"]),
        wrong(
            "ListLeaves",
            &queue::ListLeavesRequest { concert_id: no_id() },
            &["concertId"],
        ),
        wrong(
            "CheckVisit",
            &queue::CheckVisitRequest::default(),
            &["queueToken", "userId", "concertId", "purpose"],
        ),
        wrong(
            "CheckVisit",
            &queue::CheckVisitRequest { purpose: 99, ..check },
            &["purpose"],
        ),
        wrong("EndPage", &queue::EndPageRequest::default(), &["visitId"]),
        wrong(
            "EndPage",
            &queue::EndPageRequest { visit_id: no_id() },
            &["visitId"],
        ),
        wrong("EndVisits", &queue::EndVisitsRequest::default(), &["visits"]),
        wrong(
            "EndVisits",
            &queue::EndVisitsRequest {
                visits: vec![queue::VisitToEnd {
                    visit_id: id(),
                    outcome: 99,
                }],
            },
            &["visits[0].outcome"],
        ),
    ]
}

fn concert_rows() -> Vec<Wrong> {
    let room = concert::WaitingRoom {
        capacity: 1,
        admit_per_second: 1,
        opens_at: None,
        mode: 0,
    };
    let new = concert::CreateConcertRequest {
        organiser_id: id(),
        title: "Concert".to_owned(),
        venue_id: id(),
        currency: "KRW".to_owned(),
        prices: vec![concert::Price {
            grade: "R".to_owned(),
            amount: 1,
        }],
        waiting_room: Some(room),
        idempotency_key: String::new(),
        refund_policy: None,
    };
    let venue = concert::CreateVenueRequest {
        organiser_id: id(),
        name: "Hall".to_owned(),
        plan_json: b"{}".to_vec(),
        idempotency_key: String::new(),
    };
    let date = concert::CreateScheduleRequest {
        organiser_id: id(),
        concert_id: id(),
        starts_at: Some(Timestamp {
            seconds: 4_000_000_000,
            nanos: 0,
        }),
        idempotency_key: String::new(),
    };
    let change = concert::UpdateWaitingRoomRequest {
        organiser_id: id(),
        concert_id: id(),
        waiting_room: None,
    };
    vec![
        wrong(
            "SearchConcerts",
            &concert::SearchConcertsRequest {
                query: text(101),
                ..Default::default()
            },
            &["query"],
        ),
        wrong(
            "SearchConcerts",
            &concert::SearchConcertsRequest {
                cursor: "x".to_owned(),
                ..Default::default()
            },
            &["cursor"],
        ),
        wrong(
            "SearchConcerts",
            &concert::SearchConcertsRequest {
                limit: 101,
                ..Default::default()
            },
            &["limit"],
        ),
        wrong(
            "GetConcert",
            &concert::GetConcertRequest::default(),
            &["concertId"],
        ),
        wrong(
            "GetConcert",
            &concert::GetConcertRequest { concert_id: no_id() },
            &["concertId"],
        ),
        wrong(
            "ListSchedules",
            &concert::ListSchedulesRequest::default(),
            &["concertId", "userId", "queueToken"],
        ),
        wrong(
            "GetLayout",
            &concert::GetLayoutRequest::default(),
            &["scheduleId"],
        ),
        wrong(
            "GetSeats",
            &concert::GetSeatsRequest::default(),
            &["scheduleId", "userId", "queueToken"],
        ),
        wrong(
            "CreateVenue",
            &concert::CreateVenueRequest::default(),
            &["organiserId", "name", "plan"],
        ),
        wrong(
            "CreateVenue",
            &concert::CreateVenueRequest {
                name: text(201),
                ..venue.clone()
            },
            &["name", "plan.categories", "plan.zones"],
        ),
        wrong(
            "CreateVenue",
            &concert::CreateVenueRequest {
                plan_json: b"{".to_vec(),
                ..venue.clone()
            },
            &["plan"],
        ),
        wrong(
            "CreateVenue",
            &concert::CreateVenueRequest {
                idempotency_key: text(256),
                ..venue
            },
            &["idempotencyKey"],
        ),
        wrong(
            "CreateConcert",
            &concert::CreateConcertRequest::default(),
            &[
                "organiserId",
                "title",
                "venueId",
                "currency",
                "prices",
                "waitingRoom",
            ],
        ),
        wrong(
            "CreateConcert",
            &concert::CreateConcertRequest {
                currency: "won".to_owned(),
                ..new.clone()
            },
            &["currency"],
        ),
        wrong(
            "CreateConcert",
            &concert::CreateConcertRequest {
                venue_id: no_id(),
                ..new.clone()
            },
            &["venueId"],
        ),
        wrong(
            "CreateConcert",
            &concert::CreateConcertRequest {
                waiting_room: Some(concert::WaitingRoom { capacity: 0, ..room }),
                ..new.clone()
            },
            &["waitingRoom.capacity"],
        ),
        wrong(
            "CreateConcert",
            &concert::CreateConcertRequest {
                refund_policy: Some(concert::RefundPolicy {
                    tiers: vec![concert::RefundTier {
                        hours_before_start: 24,
                        percent: 101,
                    }],
                }),
                ..new.clone()
            },
            &["refundPolicy[0].percent"],
        ),
        wrong(
            "CreateConcert",
            &concert::CreateConcertRequest {
                idempotency_key: text(256),
                ..new
            },
            &["idempotencyKey"],
        ),
        wrong(
            "CreateSchedule",
            &concert::CreateScheduleRequest::default(),
            &["organiserId", "concertId", "startsAt"],
        ),
        wrong(
            "CreateSchedule",
            &concert::CreateScheduleRequest {
                starts_at: Some(beyond_time()),
                ..date.clone()
            },
            &["startsAt"],
        ),
        wrong(
            "CreateSchedule",
            &concert::CreateScheduleRequest {
                idempotency_key: text(256),
                ..date
            },
            &["idempotencyKey"],
        ),
        wrong(
            "UpdateWaitingRoom",
            &concert::UpdateWaitingRoomRequest::default(),
            &["organiserId", "concertId", "waitingRoom"],
        ),
        wrong(
            "UpdateWaitingRoom",
            &concert::UpdateWaitingRoomRequest {
                waiting_room: Some(concert::WaitingRoom {
                    admit_per_second: 100_001,
                    ..room
                }),
                ..change.clone()
            },
            &["admitPerSecond"],
        ),
        wrong(
            "UpdateWaitingRoom",
            &concert::UpdateWaitingRoomRequest {
                waiting_room: Some(concert::WaitingRoom { mode: 99, ..room }),
                ..change
            },
            &["mode"],
        ),
        wrong(
            "GetStats",
            &concert::GetStatsRequest::default(),
            &["organiserId", "concertId"],
        ),
        wrong(
            "CloseSchedule",
            &concert::CloseScheduleRequest::default(),
            &["organiserId", "concertId", "scheduleId"],
        ),
        wrong(
            "CancelSchedule",
            &concert::CancelScheduleRequest::default(),
            &["organiserId", "concertId", "scheduleId"],
        ),
        wrong(
            "GetScheduleCancellation",
            &concert::GetScheduleCancellationRequest::default(),
            &["organiserId", "concertId", "scheduleId"],
        ),
        wrong(
            "ListAuditLog",
            &concert::ListAuditLogRequest {
                organiser_id: id(),
                cursor: "none of ours".to_owned(),
                limit: 101,
            },
            &["cursor", "limit"],
        ),
    ]
}

fn booking_rows() -> Vec<Wrong> {
    let seat = booking::SeatForSale {
        seat_id: id(),
        index: 0,
        grade: "R".to_owned(),
        price: 1,
    };
    let open = booking::OpenScheduleRequest {
        schedule_id: id(),
        concert_id: id(),
        currency: "KRW".to_owned(),
        seats: vec![seat.clone()],
        starts_at: Some(prost_types::Timestamp {
            seconds: 1_900_000_000,
            nanos: 0,
        }),
        refund_policy: Some(booking::RefundPolicy::default()),
    };
    let hold = booking::HoldSeatsRequest {
        user_id: id(),
        queue_token: "forged".to_owned(),
        schedule_id: id(),
        seat_ids: vec![id()],
        idempotency_key: String::new(),
    };
    vec![
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest::default(),
            &["scheduleId", "concertId", "currency", "seats"],
        ),
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest {
                starts_at: None,
                ..open.clone()
            },
            &["startsAt"],
        ),
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest {
                refund_policy: None,
                ..open.clone()
            },
            &["refundPolicy"],
        ),
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest {
                refund_policy: Some(booking::RefundPolicy {
                    tiers: vec![booking::RefundTier {
                        hours_before_start: 24,
                        percent: 101,
                    }],
                }),
                ..open.clone()
            },
            &["refundPolicy.tiers[0].percent"],
        ),
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest {
                seats: vec![booking::SeatForSale {
                    index: 1,
                    ..seat.clone()
                }],
                ..open.clone()
            },
            &["seats[0].index"],
        ),
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest {
                seats: vec![booking::SeatForSale {
                    price: -1,
                    ..seat.clone()
                }],
                ..open.clone()
            },
            &["seats[0].price"],
        ),
        wrong(
            "OpenSchedule",
            &booking::OpenScheduleRequest {
                seats: vec![booking::SeatForSale {
                    seat_id: no_id(),
                    ..seat
                }],
                ..open
            },
            &["seats[0].seatId"],
        ),
        wrong(
            "GetSeatStates",
            &booking::GetSeatStatesRequest::default(),
            &["scheduleId"],
        ),
        wrong(
            "CountSeats",
            &booking::CountSeatsRequest::default(),
            &["scheduleIds"],
        ),
        wrong(
            "CountSeats",
            &booking::CountSeatsRequest {
                schedule_ids: vec![id(), no_id()],
            },
            &["scheduleIds[1]"],
        ),
        wrong(
            "CountSeats",
            &booking::CountSeatsRequest {
                schedule_ids: vec![id(); 101],
            },
            &["scheduleIds"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest::default(),
            &["userId", "queueToken", "scheduleId", "seatIds"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest {
                seat_ids: vec![id(), no_id()],
                ..hold.clone()
            },
            &["seatIds[1]"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest {
                seat_ids: vec![id(), id()],
                ..hold.clone()
            },
            &["seatIds[1]"],
        ),
        wrong(
            "GetReservation",
            &booking::GetReservationRequest {
                user_id: id(),
                ..Default::default()
            },
            &["reservationId"],
        ),
        wrong(
            "ReleaseReservation",
            &booking::ReleaseReservationRequest {
                user_id: id(),
                ..Default::default()
            },
            &["reservationId"],
        ),
        wrong(
            "ListReservations",
            &booking::ListReservationsRequest {
                user_id: id(),
                cursor: "x".to_owned(),
                limit: 0,
            },
            &["cursor"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest {
                user_id: id(),
                queue_token: "forged".to_owned(),
                ..Default::default()
            },
            &["scheduleId"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest {
                seat_ids: Vec::new(),
                ..hold.clone()
            },
            &["seatIds"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest {
                seat_ids: vec![id(); 5],
                ..hold.clone()
            },
            &["seatIds", "seatIds[1]", "seatIds[2]", "seatIds[3]", "seatIds[4]"],
        ),
        wrong(
            "MarkPaymentUnknown",
            &booking::MarkPaymentUnknownRequest {
                reservation_id: id(),
                payment_id: id(),
                version: 0,
            },
            &["version"],
        ),
        wrong(
            "ConfirmReservations",
            &booking::ConfirmReservationsRequest::default(),
            &["reservations"],
        ),
        wrong(
            "ConfirmReservations",
            &booking::ConfirmReservationsRequest {
                reservations: vec![booking::ReservationToConfirm::default(); 129],
            },
            &["reservations"],
        ),
        wrong(
            "ReleasePayment",
            &booking::ReleasePaymentRequest {
                reservation_id: id(),
                payment_id: id(),
                version: 0,
            },
            &["version"],
        ),
        wrong(
            "HoldSeats",
            &booking::HoldSeatsRequest {
                idempotency_key: text(256),
                ..hold
            },
            &["idempotencyKey"],
        ),
        wrong(
            "GetReservation",
            &booking::GetReservationRequest::default(),
            &["userId", "reservationId"],
        ),
        wrong(
            "ListReservations",
            &booking::ListReservationsRequest::default(),
            &["userId"],
        ),
        wrong(
            "ListReservations",
            &booking::ListReservationsRequest {
                user_id: id(),
                cursor: "x".to_owned(),
                limit: 101,
            },
            &["cursor", "limit"],
        ),
        wrong(
            "ReleaseReservation",
            &booking::ReleaseReservationRequest::default(),
            &["userId", "reservationId"],
        ),
        // Of each payable, payment and reservation the outcome says what is wrong with it.
        wrong(
            "GetPayables",
            &booking::GetPayablesRequest::default(),
            &["payables"],
        ),
        wrong(
            "GetPayables",
            &booking::GetPayablesRequest {
                payables: vec![booking::PayableToGet::default(); 129],
            },
            &["payables"],
        ),
        wrong(
            "BeginPayments",
            &booking::BeginPaymentsRequest::default(),
            &["payments"],
        ),
        wrong(
            "BeginPayments",
            &booking::BeginPaymentsRequest {
                payments: vec![booking::PaymentToBegin::default(); 129],
            },
            &["payments"],
        ),
        wrong(
            "MarkPaymentUnknown",
            &booking::MarkPaymentUnknownRequest::default(),
            &["reservationId", "paymentId", "version"],
        ),
        wrong(
            "ReleasePayment",
            &booking::ReleasePaymentRequest::default(),
            &["reservationId", "paymentId", "version"],
        ),
        wrong(
            "CloseSchedule",
            &booking::CloseScheduleRequest::default(),
            &["scheduleId"],
        ),
        wrong(
            "CancelSchedule",
            &booking::CancelScheduleRequest::default(),
            &["scheduleId"],
        ),
        wrong(
            "GetScheduleCancellation",
            &booking::GetScheduleCancellationRequest::default(),
            &["scheduleId"],
        ),
        wrong(
            "CancelReservation",
            &booking::CancelReservationRequest::default(),
            &["reservationId", "userId", "refundId"],
        ),
        wrong(
            "CompleteRefund",
            &booking::CompleteRefundRequest::default(),
            &["reservationId", "refundId"],
        ),
        wrong(
            "ListReservationsToRefund",
            &booking::ListReservationsToRefundRequest {
                after_reservation_id: no_id(),
                limit: 1_001,
            },
            &["afterReservationId", "limit"],
        ),
        wrong(
            "ListPaidReservations",
            &booking::ListPaidReservationsRequest {
                after_reservation_id: no_id(),
                limit: 1_001,
            },
            &["afterReservationId", "limit"],
        ),
        wrong(
            "ExpireDue",
            &booking::ExpireDueRequest { limit: 1_001 },
            &["limit"],
        ),
    ]
}

fn payment_rows() -> Vec<Wrong> {
    let credential = booking::PaymentCredential {
        credential: Some(Credential::PaymentToken("forged".to_owned())),
    };
    let pay = payment::PayRequest {
        reservation_id: id(),
        points: 0,
        card: None,
        credential: Some(credential),
        user_id: String::new(),
        idempotency_key: String::new(),
    };
    let card = |payment_key: String, order_id: String| payment::PayRequest {
        card: Some(payment::Card {
            payment_key,
            order_id,
        }),
        ..pay.clone()
    };
    let charge = payment::CreateChargeRequest {
        user_id: id(),
        amount: 1_000,
        card: Some(payment::Card {
            payment_key: "test_ok_1".to_owned(),
            order_id: String::new(),
        }),
        idempotency_key: String::new(),
    };
    let event = payment::NotifyProviderEventRequest {
        event_type: "PAYMENT_STATUS_CHANGED".to_owned(),
        order_id: "order-1".to_owned(),
        status: "DONE".to_owned(),
    };
    vec![
        wrong(
            "CreateCharge",
            &payment::CreateChargeRequest::default(),
            &["userId", "amount", "card"],
        ),
        wrong(
            "CreateCharge",
            &payment::CreateChargeRequest {
                amount: 99,
                ..charge.clone()
            },
            &["amount"],
        ),
        wrong(
            "CreateCharge",
            &payment::CreateChargeRequest {
                idempotency_key: text(256),
                ..charge
            },
            &["idempotencyKey"],
        ),
        wrong(
            "GetCharge",
            &payment::GetChargeRequest::default(),
            &["userId", "chargeId"],
        ),
        wrong(
            "CancelReservation",
            &payment::CancelReservationRequest::default(),
            &["userId", "reservationId"],
        ),
        wrong(
            "CancelReservation",
            &payment::CancelReservationRequest {
                user_id: id(),
                reservation_id: id(),
                idempotency_key: text(256),
            },
            &["idempotencyKey"],
        ),
        wrong(
            "GetRefund",
            &payment::GetRefundRequest::default(),
            &["userId", "reservationId"],
        ),
        wrong(
            "NotifyProviderEvent",
            &payment::NotifyProviderEventRequest::default(),
            &["eventType", "data.orderId"],
        ),
        wrong(
            "NotifyProviderEvent",
            &payment::NotifyProviderEventRequest {
                order_id: text(65),
                ..event.clone()
            },
            &["data.orderId"],
        ),
        wrong(
            "NotifyProviderEvent",
            &payment::NotifyProviderEventRequest {
                status: text(65),
                ..event
            },
            &["data.status"],
        ),
        wrong(
            "Pay",
            &payment::PayRequest::default(),
            &["reservationId", "credential"],
        ),
        wrong(
            "Pay",
            &payment::PayRequest {
                points: -1,
                ..pay.clone()
            },
            &["points"],
        ),
        wrong(
            "Pay",
            &payment::PayRequest {
                user_id: no_id(),
                ..pay.clone()
            },
            &["userId"],
        ),
        wrong(
            "Pay",
            &payment::PayRequest {
                idempotency_key: text(256),
                ..pay.clone()
            },
            &["idempotencyKey"],
        ),
        wrong(
            "Pay",
            &card(String::new(), "x".to_owned()),
            &["card.paymentKey", "card.orderId"],
        ),
        wrong(
            "Pay",
            &card(text(201), text(65)),
            &["card.paymentKey", "card.orderId"],
        ),
        wrong(
            "GetPayment",
            &payment::GetPaymentRequest::default(),
            &["userId", "paymentId"],
        ),
        wrong("GetWallet", &payment::GetWalletRequest::default(), &["userId"]),
        wrong(
            "ListWalletEntries",
            &payment::ListWalletEntriesRequest::default(),
            &["userId"],
        ),
        wrong(
            "ListWalletEntries",
            &payment::ListWalletEntriesRequest {
                user_id: id(),
                cursor: "x".to_owned(),
                limit: 101,
            },
            &["cursor", "limit"],
        ),
    ]
}

/// Beyond the years that can be told.
fn beyond_time() -> Timestamp {
    Timestamp {
        seconds: i64::MAX,
        nanos: 0,
    }
}

#[rstest]
#[case("auth", "frontrow.auth.v1.AuthService", auth_rows())]
#[case("queue", "frontrow.queue.v1.QueueService", queue_rows())]
#[case("concert", "frontrow.concert.v1.ConcertService", concert_rows())]
#[case("booking", "frontrow.booking.v1.BookingService", booking_rows())]
#[case("payment", "frontrow.payment.v1.PaymentService", payment_rows())]
#[tokio::test]
async fn a_wrong_field_of_a_call_is_named(
    #[case] service: &str,
    #[case] name: &str,
    #[case] rows: Vec<Wrong>,
) {
    assert_eq!(
        rows.iter()
            .map(|row| row.method.to_owned())
            .collect::<BTreeSet<_>>(),
        calls_with_fields(name),
        "a call without a row, or a row without a call"
    );
    let url = World::shared().await.services.grpc_url(service).await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let mut differ = Vec::new();
    for row in rows {
        let call = format!("{url}/{name}/{}", row.method);
        let status = answer(&client, &call, &row.message).await;
        let problem = Problem::from(&status);
        let named: Vec<_> = problem.fields.iter().map(|error| error.field.as_str()).collect();
        let is_right = match row.fields {
            [] => status.code() == Code::Unauthenticated && problem.code == ProblemCode::QueueTokenMissing,
            // One at least, and none that is right.
            wrong => {
                status.code() == Code::InvalidArgument
                    && problem.code == ProblemCode::InvalidField
                    && !named.is_empty()
                    && named.iter().all(|field| wrong.contains(field))
            }
        };
        if !is_right {
            differ.push(format!(
                "{}: {:?} {:?} names {named:?}, not {:?}",
                row.method,
                status.code(),
                status.message(),
                row.fields
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// The calls of a contract whose request has anything to get wrong.
fn calls_with_fields(service: &str) -> BTreeSet<String> {
    let contracts = FileDescriptorSet::decode(contracts::DESCRIPTORS).unwrap();
    let messages_with_fields: BTreeSet<_> = contracts
        .file
        .iter()
        .flat_map(|file| {
            let with_fields = file
                .message_type
                .iter()
                .filter(|message| !message.field.is_empty());
            with_fields.map(|message| format!(".{}.{}", file.package(), message.name()))
        })
        .collect();
    let mut services = contracts.file.iter().flat_map(|file| {
        file.service
            .iter()
            .map(|service| (format!("{}.{}", file.package(), service.name()), service))
    });
    let (_, service) = services.find(|(name, _)| name == service).unwrap();
    let calls = service.method.iter();
    calls
        .filter(|call| messages_with_fields.contains(call.input_type()))
        .map(|call| call.name().to_owned())
        .collect()
}

/// The status of a call; a refused one has it in its headers.
async fn answer(client: &reqwest::Client, call: &str, message: &[u8]) -> Status {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let answer = client
        .post(call)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(frame)
        .send()
        .await
        .unwrap();
    Status::from_header_map(answer.headers()).unwrap_or_else(|| Status::ok("accepted"))
}
