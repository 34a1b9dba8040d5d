//! UNKNOWN: the provider may or may not have captured, and is asked until it says.
//!
//! That it knows of no capture proves nothing while a confirmation may still be under way: a late one would capture after
//! we gave the points back and booking the seats. So an open order is never taken for a failure. It is ended by confirming
//! again: under the same Idempotency-Key if no answer came (a late twin then gets the same answer), under the next key if
//! the provider answered and would repeat itself (a payment key is captured once, under whatever Idempotency-Key). Booking
//! is asked first whether the seats are still held for this payment, because a repeat may capture. When they are gone
//! nothing is confirmed any more; then only the end of the buyer's session at the provider proves that nothing can come.

use vocabulary::ProblemCode;

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};
use crate::provider::{Charge, Confirmation, Found, Lookup};

/// What booking says of the seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seats {
    Held,
    Gone,
    NotKnown,
}

impl App {
    pub(super) async fn resolve(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        let seats = match self.booking.mark_unknown(payment).await {
            Ok(()) => Seats::Held,
            Err(error) => verdict(payment, error).map_or(Seats::NotKnown, |_| Seats::Gone),
        };
        let reason = match seats {
            Seats::Gone => ProblemCode::PaymentWindowClosed,
            Seats::Held | Seats::NotKnown => ProblemCode::PaymentFailed,
        };

        let charge = self.charge(payment, "confirm")?;
        let event = match self.provider.find(&charge, Lookup::Order(&charge.order_id)).await {
            Found::Captured => Event::Captured,
            Found::NotCaptured => Event::NotCaptured { reason },
            Found::Mismatch => return Ok(self.for_people(payment)),
            Found::AnotherOrder | Found::Unknown => return Ok(Next::later(payment.attempt)),
            // A request under way gets a moment to arrive.
            Found::Open if payment.tries == 0 => return Ok(Next::later(payment.attempt)),
            Found::Open => {
                let settings = &self.settings;
                let kept = self
                    .store
                    .keep(payment, settings.provider_lease, settings.provider_session)
                    .await?;
                match seats {
                    Seats::Held => return self.confirm_again(payment, &charge).await,
                    Seats::Gone if kept.session_over => Event::NotCaptured { reason },
                    Seats::Gone | Seats::NotKnown => return Ok(Next::later(payment.attempt)),
                }
            }
        };
        Ok(Next::moved(self.record_payment(payment, event).await?))
    }

    async fn confirm_again(&self, payment: &Payment, charge: &Charge) -> Result<Next<Payment>, SagaError> {
        let reason = ProblemCode::PaymentFailed;
        let event = match self.provider.confirm(charge).await {
            Confirmation::Captured => Event::Captured,
            Confirmation::Declined { code } => {
                tracing::info!(payment_id = %payment.payment_id, provider_code = code, "the payment provider declined");
                Event::NotCaptured { reason }
            }
            Confirmation::AlreadyProcessed => return self.look_up_by_key(payment, charge).await,
            Confirmation::Rejected { code } => {
                // It says nothing about the request before.
                tracing::error!(payment_id = %payment.payment_id, provider_code = code, "the payment provider turned our request away");
                return Ok(Next::again(payment.attempt, true));
            }
            Confirmation::NotSent => return Ok(Next::later(payment.attempt)),
            Confirmation::Unknown { answered } => return Ok(Next::again(payment.attempt, answered)),
        };
        Ok(Next::moved(self.record_payment(payment, event).await?))
    }

    /// The key was used, but our order does not say for what: for another order it was, or the books lag.
    async fn look_up_by_key(&self, payment: &Payment, charge: &Charge) -> Result<Next<Payment>, SagaError> {
        let settings = &self.settings;
        self.store
            .keep(payment, settings.provider_lease, settings.provider_session)
            .await?;
        let reason = ProblemCode::PaymentFailed;
        let event = match self.provider.find(charge, Lookup::Key(&charge.payment_key)).await {
            Found::Captured => Event::Captured,
            Found::AnotherOrder => {
                tracing::warn!(payment_id = %payment.payment_id, "the payment key was used for another order");
                Event::NotCaptured { reason }
            }
            Found::NotCaptured => Event::NotCaptured { reason },
            Found::Mismatch => return Ok(self.for_people(payment)),
            Found::Open | Found::Unknown => return Ok(Next::again(payment.attempt, true)),
        };
        Ok(Next::moved(self.record_payment(payment, event).await?))
    }

    /// Captured with another key or amount than ours, or given back otherwise: whatever we did next could be wrong. It
    /// stays as it is.
    fn for_people(&self, payment: &Payment) -> Next<Payment> {
        metrics::counter!("payment_for_people_total", "saga" => "payment", "state" => payment.state.as_str())
            .increment(1);
        tracing::error!(payment_id = %payment.payment_id, "the payment provider's books do not match this payment");
        Next::later(payment.attempt)
    }
}
