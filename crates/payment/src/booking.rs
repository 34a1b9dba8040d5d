//! The booking service as this service sees it: what a reservation costs, and the fence that it demands.
//!
//! Prost types stay in this file and in `grpc`; a reservation that is only passed on to the caller travels sealed.

mod paid;
mod together;

use contracts::booking as proto;
use contracts::{BookingClient, amount, parse_id, timestamp, word_of_reservation_status};
use service_kit::grpc::client::Channel;
use service_kit::problem::Problem;
use vocabulary::{Amount, ConcertId, Currency, PaymentId, ProblemCode, QueueNumber};
use vocabulary::{ReservationId, ReservationStatus, UserId};

use self::together::Together;
use crate::domain::{OrderId, Payment, Refund, RefundReason};

/// What allows its bearer to pay.
pub enum Credential {
    /// The payment token of the hold.
    PaymentToken(String),
    /// The visit that made the hold, by a queue token whose signature was verified.
    Queue {
        /// Whose visit.
        user_id: UserId,
        /// At which concert.
        concert_id: ConcertId,
        /// Its place in the line.
        number: QueueNumber,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// What a payment would have to cover.
#[derive(Debug, Clone)]
pub struct Payable {
    /// Whose reservation.
    pub user_id: UserId,
    /// Where it stands.
    pub status: ReservationStatus,
    /// What it costs.
    pub total: Amount,
    /// In which currency.
    pub currency: Currency,
    /// The order that the next card attempt is for.
    pub order_id: Option<OrderId>,
}

/// A payment that has its reservation.
#[derive(Debug, Clone)]
pub struct Begun {
    /// What the payment has to show from now on.
    pub fence: u64,
    /// The order that the next card attempt is for.
    pub order_id: Option<OrderId>,
}

/// A reservation, as far as a payment cares.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Where it stands.
    pub status: ReservationStatus,
    /// The order that the next card attempt is for.
    pub order_id: Option<OrderId>,
    /// All of it, for the caller.
    pub sealed: Sealed,
}

/// A reservation as booking shows it, to be passed on unread.
#[derive(Clone)]
pub struct Sealed(Box<proto::Reservation>);

impl Sealed {
    pub(crate) fn open(self) -> proto::Reservation {
        *self.0
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// What booking decided when it canceled a paid reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanceledReservation {
    /// The payment that had made it CONFIRMED.
    pub payment_id: PaymentId,
    /// The share of the total that goes back.
    pub percent: u32,
    /// What goes back.
    pub refund: Amount,
    /// Whether the whole date was canceled, and not only this reservation.
    pub schedule_canceled: bool,
}

/// Why booking did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BookingError {
    /// It decided against it, and will decide so again.
    #[error("booking refused: {0}")]
    Refused(Problem),
    /// It did not say: it is away, late or out of order. Come again.
    #[error("booking did not decide: {0}")]
    Undecided(Problem),
}

impl BookingError {
    fn of(status: &tonic::Status) -> Self {
        let problem = Problem::from(status);
        match problem.code {
            ProblemCode::Unavailable
            | ProblemCode::DeadlineExceeded
            | ProblemCode::TooManyRequests
            | ProblemCode::Internal => Self::Undecided(problem),
            _ => Self::Refused(problem),
        }
    }

    fn garbled(what: &str) -> Self {
        Self::Undecided(Problem::new(ProblemCode::Internal, what))
    }
}

type Result<T> = std::result::Result<T, BookingError>;

/// Calls booking. Clones share the connection, and the calls that payments make together.
#[derive(Debug, Clone)]
pub struct Booking {
    client: BookingClient,
    together: Together,
}

impl Booking {
    /// Calls through `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        let client = contracts::booking_client(channel);
        Self {
            together: Together::new(&client),
            client,
        }
    }

    /// What a payment would have to cover, for who may pay it.
    ///
    /// # Errors
    /// The credential or the reservation does not allow a payment.
    pub async fn payable(&self, reservation_id: ReservationId, credential: &Credential) -> Result<Payable> {
        use proto::payment_credential::Credential as Wire;
        let credential = match credential {
            Credential::PaymentToken(token) => Wire::PaymentToken(token.clone()),
            Credential::Queue {
                user_id,
                concert_id,
                number,
            } => Wire::Queue(proto::QueueCredential {
                user_id: user_id.to_string(),
                concert_id: concert_id.to_string(),
                number: number.0,
            }),
        };
        let wanted = proto::PayableToGet {
            reservation_id: reservation_id.to_string(),
            credential: Some(proto::PaymentCredential {
                credential: Some(credential),
            }),
        };
        let payable = self.together.payable(wanted).await?;
        Ok(Payable {
            user_id: parse_id("userId", &payable.user_id).map_err(BookingError::Undecided)?,
            status: status(payable.status)?,
            total: amount("total", payable.total).map_err(BookingError::Undecided)?,
            currency: payable
                .currency
                .parse()
                .map_err(|_| BookingError::garbled("the reservation has no currency"))?,
            order_id: OrderId::new(&payable.order_id).ok(),
        })
    }

    /// The reservation as its owner sees it.
    ///
    /// # Errors
    /// There is none of this user.
    pub async fn reservation(&self, reservation_id: ReservationId, user_id: UserId) -> Result<Reservation> {
        let request = proto::GetReservationRequest {
            user_id: user_id.to_string(),
            reservation_id: reservation_id.to_string(),
        };
        let answer = self.client.clone().get_reservation(request).await;
        let answer = answer.map_err(|status| BookingError::of(&status))?;
        read(there(answer.into_inner().reservation)?)
    }

    /// PENDING -> PAYING for this payment. Again for the same payment: the same.
    ///
    /// # Errors
    /// The reservation cannot be paid by this payment.
    pub async fn begin(&self, reservation_id: ReservationId, payment_id: PaymentId) -> Result<Begun> {
        let beginning = proto::PaymentToBegin {
            reservation_id: reservation_id.to_string(),
            payment_id: payment_id.to_string(),
        };
        let begun = self.together.begin(beginning).await?;
        Ok(Begun {
            fence: begun.version,
            order_id: OrderId::new(&begun.order_id).ok(),
        })
    }

    /// Keeps PAYING from lapsing until the payment's outcome is known. Also the question whether it still stands.
    ///
    /// # Errors
    /// The reservation is no longer PAYING for this payment.
    pub async fn mark_unknown(&self, payment: &Payment) -> Result<()> {
        let request = proto::MarkPaymentUnknownRequest {
            reservation_id: payment.reservation_id.to_string(),
            payment_id: payment.payment_id.to_string(),
            version: fence(payment)?,
        };
        let answer = self.client.clone().mark_payment_unknown(request).await;
        answer.map(|_| ()).map_err(|status| BookingError::of(&status))
    }

    /// PAYING -> CONFIRMED.
    ///
    /// # Errors
    /// Expiry was first.
    pub async fn confirm(&self, payment: &Payment) -> Result<Reservation> {
        let paid = proto::ReservationToConfirm {
            reservation_id: payment.reservation_id.to_string(),
            payment_id: payment.payment_id.to_string(),
            version: fence(payment)?,
        };
        read(self.together.confirm(paid).await?)
    }

    /// PAYING -> PENDING or EXPIRED.
    ///
    /// # Errors
    /// The reservation is no longer PAYING for this payment.
    pub async fn release(&self, payment: &Payment) -> Result<Reservation> {
        let request = proto::ReleasePaymentRequest {
            reservation_id: payment.reservation_id.to_string(),
            payment_id: payment.payment_id.to_string(),
            version: fence(payment)?,
        };
        let answer = self.client.clone().release_payment(request).await;
        let answer = answer.map_err(|status| BookingError::of(&status))?;
        read(there(answer.into_inner().reservation)?)
    }

    /// CONFIRMED -> CANCELED for this refund, whose share is that of the moment when it was asked for. Again for the same
    /// refund: the same.
    ///
    /// # Errors
    /// The reservation cannot be canceled (any more).
    pub async fn cancel(&self, refund: &Refund) -> Result<CanceledReservation> {
        let request = proto::CancelReservationRequest {
            reservation_id: refund.reservation_id.to_string(),
            user_id: refund.user_id.to_string(),
            refund_id: refund.refund_id.to_string(),
            // A canceled date gives all back whenever it is asked, and the clocks of two databases are not one.
            asked_at: (refund.reason == RefundReason::Buyer).then(|| timestamp(refund.created_at)),
        };
        let answer = self.client.clone().cancel_reservation(request).await;
        let answer = answer.map_err(|status| BookingError::of(&status))?.into_inner();
        let cancellation = answer
            .reservation
            .and_then(|reservation| reservation.cancellation)
            .ok_or_else(|| BookingError::garbled("the reservation has no cancellation"))?;
        Ok(CanceledReservation {
            payment_id: parse_id("paymentId", &answer.payment_id).map_err(BookingError::Undecided)?,
            percent: cancellation.percent,
            refund: amount("refund", cancellation.refund).map_err(BookingError::Undecided)?,
            schedule_canceled: answer.schedule_canceled,
        })
    }

    /// All money of this refund is back.
    ///
    /// # Errors
    /// The reservation was not canceled for it.
    pub async fn complete_refund(&self, refund: &Refund) -> Result<()> {
        let request = proto::CompleteRefundRequest {
            reservation_id: refund.reservation_id.to_string(),
            refund_id: refund.refund_id.to_string(),
        };
        let answer = self.client.clone().complete_refund(request).await;
        answer.map(|_| ()).map_err(|status| BookingError::of(&status))
    }

    /// Up to `limit` paid reservations of canceled dates, with the payments that paid them, in the order of their ids, those
    /// after `after` where it is given.
    ///
    /// # Errors
    /// Booking is away.
    pub async fn to_refund(
        &self,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<(ReservationId, PaymentId)>> {
        let request = proto::ListReservationsToRefundRequest {
            after_reservation_id: after.map(|id| id.to_string()).unwrap_or_default(),
            limit,
        };
        let answer = self.client.clone().list_reservations_to_refund(request).await;
        let answer = answer.map_err(|status| BookingError::of(&status))?.into_inner();
        let paid = answer.reservations.into_iter().map(|paid| {
            let reservation_id = parse_id("reservationId", &paid.reservation_id)?;
            let payment_id = parse_id("paymentId", &paid.payment_id)?;
            Ok((reservation_id, payment_id))
        });
        paid.collect::<std::result::Result<_, Problem>>()
            .map_err(BookingError::Undecided)
    }
}

fn fence(payment: &Payment) -> Result<u64> {
    payment
        .fence
        .ok_or_else(|| BookingError::garbled("the payment has no fence"))
}

fn status(wire: i32) -> Result<ReservationStatus> {
    proto::ReservationStatus::try_from(wire)
        .ok()
        .and_then(word_of_reservation_status)
        .ok_or_else(|| BookingError::garbled("the reservation has no status"))
}

/// What an answer must have.
fn there(reservation: Option<proto::Reservation>) -> Result<proto::Reservation> {
    reservation.ok_or_else(|| BookingError::garbled("the answer has no reservation"))
}

fn read(wire: proto::Reservation) -> Result<Reservation> {
    Ok(Reservation {
        status: status(wire.status)?,
        order_id: OrderId::new(&wire.order_id).ok(),
        sealed: Sealed(Box::new(wire)),
    })
}
