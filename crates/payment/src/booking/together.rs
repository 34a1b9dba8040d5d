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
    let call = move |payables| {
        let mut client = client.clone();
        async move {
            let request = proto::GetPayablesRequest { payables };
            let outcomes = client.get_payables(request).await?.into_inner().outcomes;
            Ok(outcomes.into_iter().map(|outcome| outcome.outcome).collect())
        }
    };
    gathered("payment_payables", call, |outcome| match outcome {
        Wire::Payable(payable) => Ok(payable),
        Wire::Error(error) => Err(status_of_one(&error)),
    })
}

fn beginnings(client: BookingClient) -> Batcher<proto::PaymentToBegin, Outcome<proto::BegunPayment>> {
    use proto::begin_payment_outcome::Outcome as Wire;
    let call = move |payments| {
        let mut client = client.clone();
        async move {
            let request = proto::BeginPaymentsRequest { payments };
            let outcomes = client.begin_payments(request).await?.into_inner().outcomes;
            Ok(outcomes.into_iter().map(|outcome| outcome.outcome).collect())
        }
    };
    gathered("payment_begins", call, |outcome| match outcome {
        Wire::Begun(begun) => Ok(begun),
        Wire::Error(error) => Err(status_of_one(&error)),
    })
}

fn confirmations(client: BookingClient) -> Batcher<proto::ReservationToConfirm, Outcome<proto::Reservation>> {
    use proto::confirmation_outcome::Outcome as Wire;
    let call = move |reservations| {
        let mut client = client.clone();
        async move {
            let request = proto::ConfirmReservationsRequest { reservations };
            let outcomes = client.confirm_reservations(request).await?.into_inner().outcomes;
            Ok(outcomes.into_iter().map(|outcome| outcome.outcome).collect())
        }
    };
    gathered("payment_confirms", call, |outcome| match outcome {
        Wire::Reservation(reservation) => Ok(reservation),
        Wire::Error(error) => Err(status_of_one(&error)),
    })
}

/// Calls that answer for as many as they were asked for, each outcome as `read` has it.
fn gathered<T, W, A, F>(
    name: &'static str,
    call: impl Fn(Vec<T>) -> F + Send + Sync + 'static,
    read: fn(W) -> Outcome<A>,
) -> Batcher<T, Outcome<A>>
where
    T: Clone + Send + Sync + 'static,
    W: 'static,
    A: Send + 'static,
    F: Future<Output = std::result::Result<Vec<Option<W>>, Status>> + Send + 'static,
{
    let in_order_of_coming = |_: &T| ();
    Batcher::new(name, in_order_of_coming, move |requests: Arc<[T]>| {
        let called = call(requests.to_vec());
        async move {
            let outcomes = called.await?;
            if outcomes.len() != requests.len() {
                return Err(no_outcome());
            }
            let outcomes = outcomes.into_iter();
            Ok(outcomes
                .map(|outcome| outcome.map_or_else(|| Err(no_outcome()), read))
                .collect())
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
