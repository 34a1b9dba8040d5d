//! Calls to booking that payments make together: whatever payments ask for while the last call is under way is asked for by
//! the next one, and each gets its own answer.

use std::sync::Arc;
use std::time::Duration;

use contracts::BookingClient;
use contracts::booking as proto;
use service_kit::grpc::client::DEFAULT_DEADLINE;
use service_kit::grpc::{Batcher, status_of_one};
use tonic::Status;

use super::{BookingError, Result};

/// How long a payment waits for its turn to be asked for and for the answer: for the call before its own, and for that.
pub(crate) const PATIENCE: Duration = DEFAULT_DEADLINE.saturating_mul(2);

/// What came of one request of a call.
type Outcome<A> = std::result::Result<A, Status>;

/// One gatherer for each kind of call. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Together {
    payables: Batcher<proto::PayableToGet, Outcome<proto::Payable>>,
    beginnings: Batcher<proto::PaymentToBegin, Outcome<proto::BegunPayment>>,
    confirmations: Batcher<proto::ReservationToConfirm, Outcome<proto::Reservation>>,
}

impl Together {
    pub(super) fn new(client: &BookingClient) -> Self {
        Self {
            payables: payables(client.clone()),
            beginnings: beginnings(client.clone()),
            confirmations: confirmations(client.clone()),
        }
    }

    pub(super) async fn payable(&self, wanted: proto::PayableToGet) -> Result<proto::Payable> {
        answer(self.payables.call(wanted)).await
    }

    pub(super) async fn begin(&self, beginning: proto::PaymentToBegin) -> Result<proto::BegunPayment> {
        answer(self.beginnings.call(beginning)).await
    }

    pub(super) async fn confirm(&self, paid: proto::ReservationToConfirm) -> Result<proto::Reservation> {
        answer(self.confirmations.call(paid)).await
    }
}

fn payables(client: BookingClient) -> Batcher<proto::PayableToGet, Outcome<proto::Payable>> {
    use proto::payable_outcome::Outcome as Wire;
    gathered("payment_payables", move |wanted: Arc<[proto::PayableToGet]>| {
        let mut client = client.clone();
        async move {
            let payables = wanted.to_vec();
            let answer = client
                .get_payables(proto::GetPayablesRequest { payables })
                .await?;
            let outcomes = answer.into_inner().outcomes.into_iter();
            Ok(outcomes
                .map(|outcome| match outcome.outcome {
                    Some(Wire::Payable(payable)) => Ok(payable),
                    Some(Wire::Error(error)) => Err(status_of_one(&error)),
                    None => Err(no_outcome()),
                })
                .collect())
        }
    })
}

fn beginnings(client: BookingClient) -> Batcher<proto::PaymentToBegin, Outcome<proto::BegunPayment>> {
    use proto::begin_payment_outcome::Outcome as Wire;
    gathered(
        "payment_begins",
        move |beginning: Arc<[proto::PaymentToBegin]>| {
            let mut client = client.clone();
            async move {
                let payments = beginning.to_vec();
                let answer = client
                    .begin_payments(proto::BeginPaymentsRequest { payments })
                    .await?;
                let outcomes = answer.into_inner().outcomes.into_iter();
                Ok(outcomes
                    .map(|outcome| match outcome.outcome {
                        Some(Wire::Begun(begun)) => Ok(begun),
                        Some(Wire::Error(error)) => Err(status_of_one(&error)),
                        None => Err(no_outcome()),
                    })
                    .collect())
            }
        },
    )
}

fn confirmations(client: BookingClient) -> Batcher<proto::ReservationToConfirm, Outcome<proto::Reservation>> {
    use proto::confirmation_outcome::Outcome as Wire;
    gathered(
        "payment_confirms",
        move |paid: Arc<[proto::ReservationToConfirm]>| {
            let mut client = client.clone();
            async move {
                let reservations = paid.to_vec();
                let answer = client
                    .confirm_reservations(proto::ConfirmReservationsRequest { reservations })
                    .await?;
                let outcomes = answer.into_inner().outcomes.into_iter();
                Ok(outcomes
                    .map(|outcome| match outcome.outcome {
                        Some(Wire::Reservation(reservation)) => Ok(reservation),
                        Some(Wire::Error(error)) => Err(status_of_one(&error)),
                        None => Err(no_outcome()),
                    })
                    .collect())
            }
        },
    )
}

/// Calls that answer for as many as they were asked for.
fn gathered<T, A, F>(
    name: &'static str,
    call: impl Fn(Arc<[T]>) -> F + Send + Sync + 'static,
) -> Batcher<T, Outcome<A>>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
    F: Future<Output = std::result::Result<Vec<Outcome<A>>, Status>> + Send + 'static,
{
    let in_order_of_coming = |_: &T| ();
    Batcher::new(name, in_order_of_coming, move |requests: Arc<[T]>| {
        let count = requests.len();
        let called = call(requests);
        async move {
            let outcomes = called.await?;
            if outcomes.len() == count {
                Ok(outcomes)
            } else {
                Err(no_outcome())
            }
        }
    })
}

async fn answer<A>(call: impl Future<Output = std::result::Result<Outcome<A>, Status>> + Send) -> Result<A> {
    let answered = tokio::time::timeout(PATIENCE, call).await;
    answered
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("too many wait to call booking")))
        .and_then(|outcome| outcome)
        .map_err(|status| BookingError::of(&status))
}

/// An answer that says nothing of what was asked.
fn no_outcome() -> Status {
    Status::internal("the answer lacks an outcome")
}
