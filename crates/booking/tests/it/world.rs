//! One booking service with stores of its own, and a date on sale.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use booking::app::Booking;
use booking::config::Config;
use booking::startup::Application;
use booking::store::{MIGRATOR, Store};
use contracts::booking as proto;
use contracts::booking::payment_credential::Credential;
use contracts::{BookingClient, booking_client};
use service_kit::config::load_from;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::grpc::status_of_one;
use service_kit::problem::Problem;
use test_support::{TestDatabase, TestRedis, environment, eventually, unique_name};
use time::OffsetDateTime;
use time::macros::datetime;
use tonic::Status;
use vocabulary::{ConcertId, PaymentId, ProblemCode, RefundId, ReservationId, ScheduleId, SeatId, UserId};

use crate::queue_peer::{QueuePeer, Told, Visitor};

/// A key of no worth: 32 zero bytes.
const KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The hold's time where a test says nothing else.
pub(crate) const HOLD: Duration = Duration::from_secs(300);
/// The grace of a payment.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
pub(crate) const PRICE: i64 = 50_000;
/// When the date begins: far away for all but those who step the clock to it.
pub(crate) const STARTS_AT: OffsetDateTime = datetime!(2100-01-01 10:00 UTC);
/// What goes back until how many hours before the beginning.
pub(crate) const TIERS: [(u32, u32); 3] = [(240, 100), (24, 50), (1, 33)];

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) redis: TestRedis,
    pub(crate) queue: QueuePeer,
    pub(crate) booking: Arc<Booking>,
    pub(crate) client: BookingClient,
    pub(crate) url: String,
    pub(crate) admin_addr: SocketAddr,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) concert_id: ConcertId,
    pub(crate) schedule_id: ScheduleId,
    pub(crate) seats: Vec<SeatId>,
}

impl World {
    /// A date with `seats` seats: the first half of grade VIP, the rest of grade R.
    pub(crate) async fn with_seats(seats: usize) -> Self {
        Self::with(seats, &[]).await
    }

    pub(crate) async fn with(seats: usize, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let redis = TestRedis::start().await;
        let queue = QueuePeer::default();
        let queue_url = queue.serve().await;
        let (amqp_url, redis_url, prefix) = (
            test_support::amqp_url().await,
            redis.url(),
            unique_name("booking"),
        );
        let mut values = environment([
            ("GRPC_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("DATABASE_URL", database.url()),
            ("DATABASE_MAX_CONNECTIONS", "8"),
            ("DATABASE_ACQUIRE_TIMEOUT_MS", "20000"),
            ("REDIS_URL", redis_url.as_str()),
            ("AMQP_URL", amqp_url.as_str()),
            ("AMQP_NAME_PREFIX", prefix.as_str()),
            // A busy machine is no absent Redis.
            ("REDIS_TIMEOUT_MS", "2000"),
            ("SEAT_LOCK_TIMEOUT_MS", "2000"),
            ("QUEUE_URL", queue_url.as_str()),
            ("PAYMENT_TOKEN_KEYS", KEYS),
            ("HOLD_DEADLINE_MS", "4500"),
            // Tests take this step themselves.
            ("SWEEP_SECONDS", "60"),
        ]);
        values.extend(environment(settings.iter().copied()));
        let started = start(values.clone()).await;
        let world = Self {
            database,
            redis,
            queue,
            client: client(&started.url),
            booking: started.booking,
            url: started.url,
            admin_addr: started.admin_addr,
            environment: values,
            concert_id: ConcertId::new(),
            schedule_id: ScheduleId::new(),
            seats: (0..seats).map(|_| SeatId::new()).collect(),
        };
        world.open(world.schedule_id, &world.seats).await.unwrap();
        world
    }

    /// One more process on the same stores, with other settings.
    pub(crate) async fn start_another(&self, settings: &[(&str, &str)]) -> BookingClient {
        let mut values = self.environment.clone();
        values.extend(environment(settings.iter().copied()));
        client(&start(values).await.url)
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.database.pool().clone())
    }

    pub(crate) fn opening(&self, schedule_id: ScheduleId, seats: &[SeatId]) -> proto::OpenScheduleRequest {
        let seats = seats.iter().enumerate().map(|(index, seat)| proto::SeatForSale {
            seat_id: seat.to_string(),
            index: index as u32,
            grade: if index < seats.len() / 2 { "VIP" } else { "R" }.to_owned(),
            price: if index < seats.len() / 2 { 2 * PRICE } else { PRICE },
        });
        proto::OpenScheduleRequest {
            starts_at: Some(contracts::timestamp(STARTS_AT)),
            refund_policy: Some(refund_policy(&TIERS)),
            schedule_id: schedule_id.to_string(),
            concert_id: self.concert_id.to_string(),
            currency: "KRW".to_owned(),
            seats: seats.collect(),
        }
    }

    /// One more date, with one seat, which gives back what `tiers` say.
    pub(crate) async fn another_date(&self, tiers: &[(u32, u32)]) -> (ScheduleId, SeatId) {
        let (schedule_id, seat) = (ScheduleId::new(), SeatId::new());
        let mut request = self.opening(schedule_id, &[seat]);
        request.refund_policy = Some(refund_policy(tiers));
        self.client.clone().open_schedule(request).await.unwrap();
        (schedule_id, seat)
    }

    pub(crate) async fn open(&self, schedule_id: ScheduleId, seats: &[SeatId]) -> Result<(), Status> {
        let request = self.opening(schedule_id, seats);
        self.client.clone().open_schedule(request).await.map(|_| ())
    }

    /// Somebody new on their page.
    pub(crate) fn visitor(&self) -> Visitor {
        self.queue.admit(UserId::new(), self.concert_id)
    }

    pub(crate) fn hold_request(&self, visitor: &Visitor, seats: &[SeatId]) -> proto::HoldSeatsRequest {
        proto::HoldSeatsRequest {
            user_id: visitor.user_id.to_string(),
            queue_token: visitor.token.clone(),
            schedule_id: self.schedule_id.to_string(),
            seat_ids: seats.iter().map(ToString::to_string).collect(),
            idempotency_key: String::new(),
        }
    }

    pub(crate) async fn hold(
        &self,
        visitor: &Visitor,
        seats: &[SeatId],
    ) -> Result<proto::Reservation, Problem> {
        self.send_hold(self.hold_request(visitor, seats)).await
    }

    pub(crate) async fn send_hold(
        &self,
        request: proto::HoldSeatsRequest,
    ) -> Result<proto::Reservation, Problem> {
        let answer = self.client.clone().hold_seats(request).await?;
        Ok(answer.into_inner().reservation.unwrap())
    }

    /// A new hold of somebody new.
    pub(crate) async fn held(&self, seats: &[SeatId]) -> Held {
        self.held_of(self.schedule_id, seats).await
    }

    /// A new hold of somebody new, of this date.
    pub(crate) async fn held_of(&self, schedule_id: ScheduleId, seats: &[SeatId]) -> Held {
        let visitor = self.visitor();
        let mut request = self.hold_request(&visitor, seats);
        request.schedule_id = schedule_id.to_string();
        let reservation = self.send_hold(request).await.unwrap();
        Held {
            id: reservation.reservation_id.parse().unwrap(),
            visitor,
            reservation,
        }
    }

    pub(crate) async fn get(&self, held: &Held) -> Result<proto::Reservation, Problem> {
        self.get_as(held.visitor.user_id, held.id).await
    }

    pub(crate) async fn get_as(
        &self,
        user_id: UserId,
        id: ReservationId,
    ) -> Result<proto::Reservation, Problem> {
        let request = proto::GetReservationRequest {
            user_id: user_id.to_string(),
            reservation_id: id.to_string(),
        };
        let answer = self.client.clone().get_reservation(request).await?;
        Ok(answer.into_inner().reservation.unwrap())
    }

    pub(crate) async fn status(&self, held: &Held) -> proto::ReservationStatus {
        self.get(held).await.unwrap().status()
    }

    pub(crate) async fn release(&self, held: &Held) -> Result<(), Problem> {
        let request = proto::ReleaseReservationRequest {
            user_id: held.visitor.user_id.to_string(),
            reservation_id: held.id.to_string(),
        };
        self.client.clone().release_reservation(request).await?;
        Ok(())
    }

    pub(crate) async fn payable(
        &self,
        id: ReservationId,
        credential: Credential,
    ) -> Result<proto::Payable, Problem> {
        use proto::payable_outcome::Outcome;
        let wanted = proto::PayableToGet {
            reservation_id: id.to_string(),
            credential: Some(proto::PaymentCredential {
                credential: Some(credential),
            }),
        };
        let request = proto::GetPayablesRequest {
            payables: vec![wanted],
        };
        let answer = self.client.clone().get_payables(request).await?.into_inner();
        match only(answer.outcomes).outcome.unwrap() {
            Outcome::Payable(payable) => Ok(payable),
            Outcome::Error(error) => Err(status_of_one(&error).into()),
        }
    }

    pub(crate) async fn begin(
        &self,
        held: &Held,
        payment: PaymentId,
    ) -> Result<proto::BegunPayment, Problem> {
        let mut begun = self.begin_all(&[(held, payment)]).await?;
        begun.pop().unwrap()
    }

    /// By one call.
    pub(crate) async fn begin_all(
        &self,
        payments: &[(&Held, PaymentId)],
    ) -> Result<Vec<Result<proto::BegunPayment, Problem>>, Problem> {
        use proto::begin_payment_outcome::Outcome;
        let payments = payments.iter().map(|(held, payment)| proto::PaymentToBegin {
            reservation_id: held.id.to_string(),
            payment_id: payment.to_string(),
        });
        let request = proto::BeginPaymentsRequest {
            payments: payments.collect(),
        };
        let answer = self.client.clone().begin_payments(request).await?.into_inner();
        let outcomes = answer.outcomes.into_iter();
        Ok(outcomes
            .map(|outcome| match outcome.outcome.unwrap() {
                Outcome::Begun(begun) => Ok(begun),
                Outcome::Error(error) => Err(status_of_one(&error).into()),
            })
            .collect())
    }

    /// Until queue has heard that a hold was paid, which its buyer does not wait for.
    pub(crate) async fn completed(&self, held: &Held) {
        eventually("queue's hearing of it", async || {
            (self.queue.told(held.visitor.visit_id) == [Told::PageEnded, Told::Completed]).then_some(())
        })
        .await;
    }

    pub(crate) async fn mark_unknown(
        &self,
        held: &Held,
        payment: PaymentId,
        version: u64,
    ) -> Result<(), Problem> {
        let request = proto::MarkPaymentUnknownRequest {
            reservation_id: held.id.to_string(),
            payment_id: payment.to_string(),
            version,
        };
        self.client.clone().mark_payment_unknown(request).await?;
        Ok(())
    }

    pub(crate) async fn confirm(
        &self,
        held: &Held,
        payment: PaymentId,
        version: u64,
    ) -> Result<proto::Reservation, Problem> {
        let mut confirmed = self.confirm_all(&[(held, payment, version)]).await?;
        confirmed.pop().unwrap()
    }

    /// By one call.
    pub(crate) async fn confirm_all(
        &self,
        paid: &[(&Held, PaymentId, u64)],
    ) -> Result<Vec<Result<proto::Reservation, Problem>>, Problem> {
        use proto::confirmation_outcome::Outcome;
        let paid = paid
            .iter()
            .map(|(held, payment, version)| proto::ReservationToConfirm {
                reservation_id: held.id.to_string(),
                payment_id: payment.to_string(),
                version: *version,
            });
        let request = proto::ConfirmReservationsRequest {
            reservations: paid.collect(),
        };
        let answer = self
            .client
            .clone()
            .confirm_reservations(request)
            .await?
            .into_inner();
        let outcomes = answer.outcomes.into_iter();
        Ok(outcomes
            .map(|outcome| match outcome.outcome.unwrap() {
                Outcome::Reservation(reservation) => Ok(reservation),
                Outcome::Error(error) => Err(status_of_one(&error).into()),
            })
            .collect())
    }

    pub(crate) async fn release_payment(
        &self,
        held: &Held,
        payment: PaymentId,
        version: u64,
    ) -> Result<proto::Reservation, Problem> {
        let request = proto::ReleasePaymentRequest {
            reservation_id: held.id.to_string(),
            payment_id: payment.to_string(),
            version,
        };
        let answer = self.client.clone().release_payment(request).await?;
        Ok(answer.into_inner().reservation.unwrap())
    }

    /// A new reservation of somebody new, paid.
    pub(crate) async fn paid(&self, seats: &[SeatId]) -> (Held, PaymentId) {
        let (held, payment) = (self.held(seats).await, PaymentId::new());
        let fence = self.begin(&held, payment).await.unwrap().version;
        self.confirm(&held, payment, fence).await.unwrap();
        (held, payment)
    }

    pub(crate) async fn cancel(
        &self,
        held: &Held,
        refund_id: RefundId,
    ) -> Result<proto::CancelReservationResponse, Problem> {
        self.cancel_as(held.visitor.user_id, held.id, refund_id).await
    }

    pub(crate) async fn cancel_as(
        &self,
        user_id: UserId,
        id: ReservationId,
        refund_id: RefundId,
    ) -> Result<proto::CancelReservationResponse, Problem> {
        self.send_cancel(proto::CancelReservationRequest {
            reservation_id: id.to_string(),
            user_id: user_id.to_string(),
            refund_id: refund_id.to_string(),
            asked_at: None,
        })
        .await
    }

    pub(crate) async fn cancel_asked_at(
        &self,
        held: &Held,
        refund_id: RefundId,
        asked_at: OffsetDateTime,
    ) -> Result<proto::CancelReservationResponse, Problem> {
        self.send_cancel(proto::CancelReservationRequest {
            reservation_id: held.id.to_string(),
            user_id: held.visitor.user_id.to_string(),
            refund_id: refund_id.to_string(),
            asked_at: Some(contracts::timestamp(asked_at)),
        })
        .await
    }

    async fn send_cancel(
        &self,
        request: proto::CancelReservationRequest,
    ) -> Result<proto::CancelReservationResponse, Problem> {
        let answer = self.client.clone().cancel_reservation(request).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn complete_refund(
        &self,
        id: ReservationId,
        refund_id: RefundId,
    ) -> Result<(), Problem> {
        let request = proto::CompleteRefundRequest {
            reservation_id: id.to_string(),
            refund_id: refund_id.to_string(),
        };
        self.client.clone().complete_refund(request).await?;
        Ok(())
    }

    pub(crate) async fn cancel_schedule(&self, id: ScheduleId) -> Result<OffsetDateTime, Problem> {
        let request = proto::CancelScheduleRequest {
            schedule_id: id.to_string(),
        };
        let answer = self.client.clone().cancel_schedule(request).await?;
        contracts::time_of("canceledAt", &answer.into_inner().canceled_at.unwrap())
    }

    /// How far the cancellation of the date has come.
    pub(crate) async fn progress(
        &self,
        id: ScheduleId,
    ) -> Result<proto::GetScheduleCancellationResponse, Problem> {
        let request = proto::GetScheduleCancellationRequest {
            schedule_id: id.to_string(),
        };
        let answer = self.client.clone().get_schedule_cancellation(request).await?;
        Ok(answer.into_inner())
    }

    /// What is to be refunded, from after `after` on.
    pub(crate) async fn to_refund(&self, after: &str, limit: u32) -> Vec<proto::PaidReservation> {
        let request = proto::ListReservationsToRefundRequest {
            after_reservation_id: after.to_owned(),
            limit,
        };
        let answer = self.client.clone().list_reservations_to_refund(request).await;
        answer.unwrap().into_inner().reservations
    }

    pub(crate) async fn expire_due(&self, limit: u32) -> proto::ExpireDueResponse {
        let request = proto::ExpireDueRequest { limit };
        self.client
            .clone()
            .expire_due(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// Version and one letter a seat.
    pub(crate) async fn seat_states(&self) -> (u64, String) {
        let request = proto::GetSeatStatesRequest {
            schedule_id: self.schedule_id.to_string(),
        };
        let answer = self.client.clone().get_seat_states(request).await.unwrap();
        let answer = answer.into_inner();
        (answer.version, String::from_utf8(answer.statuses).unwrap())
    }

    /// Seats that the user counts as held of the date.
    pub(crate) async fn counted(&self, user_id: UserId) -> i32 {
        let held: Option<i32> = sqlx::query_scalar(
            "SELECT held FROM user_schedule_seats WHERE user_id = $1 AND schedule_id = $2",
        )
        .bind(user_id.as_uuid())
        .bind(self.schedule_id.as_uuid())
        .fetch_optional(self.database.pool())
        .await
        .unwrap();
        held.unwrap_or(0)
    }
}

/// A hold and who made it.
pub(crate) struct Held {
    pub(crate) id: ReservationId,
    pub(crate) visitor: Visitor,
    pub(crate) reservation: proto::Reservation,
}

struct Started {
    booking: Arc<Booking>,
    url: String,
    admin_addr: SocketAddr,
}

async fn start(values: BTreeMap<String, String>) -> Started {
    let application = Application::build(load_from(values, Config::read).unwrap())
        .await
        .unwrap();
    let started = Started {
        booking: application.booking(),
        url: format!("http://{}", application.grpc_addr()),
        admin_addr: application.admin_addr(),
    };
    tokio::spawn(application.run_until_stopped(std::future::pending()));
    started
}

fn client(url: &str) -> BookingClient {
    let upstream = load_from(environment([("BOOKING_URL", url)]), |env| {
        UpstreamConfig::read(env, "BOOKING_URL", "The service under test.")
    });
    let upstream = upstream.unwrap().with_deadline(Duration::from_secs(15));
    booking_client(upstream.channel().unwrap())
}

/// Hours and percent of each tier.
pub(crate) fn refund_policy(tiers: &[(u32, u32)]) -> proto::RefundPolicy {
    let tiers = tiers
        .iter()
        .map(|&(hours_before_start, percent)| proto::RefundTier {
            hours_before_start,
            percent,
        });
    proto::RefundPolicy {
        tiers: tiers.collect(),
    }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> ProblemCode {
    result.unwrap_err().code
}

fn only<T>(mut several: Vec<T>) -> T {
    assert_eq!(several.len(), 1);
    several.remove(0)
}
