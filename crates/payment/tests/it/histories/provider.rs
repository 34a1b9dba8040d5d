//! The provider as the processes of many histories see it: each call meets the fate that its own history has for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use payment::domain::OrderId;
use payment::provider::{
    Balance, Cancel, Cancellation, Charge, Closed, Confirmation, Found, Lookup, NoAnswer, PaymentProvider,
    TossProvider, TransactionPage, Window,
};
use tokio_util::task::TaskTracker;

use crate::mishaps::{Fate, Interruption, LATE};

/// Shared by all processes of a run.
#[derive(Clone)]
pub(super) struct Unreliable(Arc<Shared>);

struct Shared {
    provider: TossProvider,
    /// By the part of payment keys and orders that names the history or the reservation.
    interruptions: Mutex<HashMap<String, Arc<Interruption>>>,
    /// Calls that their callers have given up.
    late: TaskTracker,
}

impl Unreliable {
    pub(super) fn new(provider: TossProvider) -> Self {
        Self(Arc::new(Shared {
            provider,
            interruptions: Mutex::default(),
            late: TaskTracker::new(),
        }))
    }

    /// Calls about what contains `name` between dashes go through this interruption.
    pub(super) fn interrupt(&self, name: &str, interruption: &Arc<Interruption>) {
        let mut interruptions = self.0.interruptions.lock().unwrap();
        interruptions.insert(name.to_owned(), Arc::clone(interruption));
    }

    /// Until nothing is on its way any more that nobody waits for.
    pub(super) async fn late_calls(&self) {
        self.0.late.close();
        self.0.late.wait().await;
    }

    fn interruption(&self, text: &str) -> Arc<Interruption> {
        let interruptions = self.0.interruptions.lock().unwrap();
        let found = text.split('-').find_map(|name| interruptions.get(name));
        Arc::clone(found.unwrap_or_else(|| panic!("{text} belongs to no history")))
    }
}

impl PaymentProvider for Unreliable {
    fn closed(&self) -> Option<Closed> {
        None
    }

    fn confirm<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Confirmation> {
        Box::pin(async move {
            let interruption = self.interruption(charge.payment_key.expose());
            let fate = interruption.next();
            if fate == Fate::ArrivesLate {
                let (shared, charge) = (Arc::clone(&self.0), charge.clone());
                self.0.late.spawn(async move {
                    tokio::time::sleep(LATE).await;
                    shared.provider.confirm(&charge).await;
                });
            }
            let odd = charge.amount.get() % 2 == 1;
            let nothing = match fate {
                // It was known at once that it would not arrive.
                Fate::Fails if odd => Confirmation::NotSent,
                // What came back was not to be understood.
                Fate::AnswerLost if odd => Confirmation::Unknown { answered: true },
                _ => Confirmation::Unknown { answered: false },
            };
            interruption
                .meet(fate, || self.0.provider.confirm(charge), nothing)
                .await
        })
    }

    fn find<'a>(&'a self, charge: &'a Charge, by: Lookup<'a>) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            let interruption = self.interruption(charge.payment_key.expose());
            interruption
                .call(|| self.0.provider.find(charge, by), Found::Unknown)
                .await
        })
    }

    fn cancel<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Cancellation> {
        Box::pin(async move {
            let interruption = self.interruption(cancel.order_id.as_str());
            let fate = interruption.next();
            if fate == Fate::ArrivesLate {
                let (shared, cancel) = (Arc::clone(&self.0), cancel.clone());
                self.0.late.spawn(async move {
                    tokio::time::sleep(LATE).await;
                    shared.provider.cancel(&cancel).await;
                });
            }
            let answered = fate == Fate::AnswerLost && cancel.amount.get() % 2 == 1;
            let nothing = Cancellation::Unknown { answered };
            interruption
                .meet(fate, || self.0.provider.cancel(cancel), nothing)
                .await
        })
    }

    fn balance<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Balance> {
        self.0.provider.balance(order_id)
    }

    fn transactions<'a>(
        &'a self,
        window: &'a Window,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<TransactionPage, NoAnswer>> {
        self.0.provider.transactions(window, after)
    }
}
