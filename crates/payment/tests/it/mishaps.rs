//! What may happen to the calls that a process makes: it dies, they fail, their answers are lost, they arrive twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use payment::app::App;
use payment::app::saga::Saga;
use payment::domain::OrderId;
use payment::provider::{
    Balance, Cancel, Cancellation, Charge, Closed, Confirmation, Found, Lookup, NoAnswer, PaymentProvider,
    TossProvider, TransactionPage, Window,
};
use sqlx::AssertSqlSafe;
use tokio::sync::{Notify, watch};

use crate::world::World;

/// What happens to the calls that a process makes, those to booking and to the provider counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// The process dies before its n-th call.
    DiesBefore(usize),
    /// The process dies after its n-th call, before it has heard the answer.
    DiesAfter(usize),
    /// The n-th call does not arrive.
    Fails(usize),
    /// The n-th call's answer does not arrive.
    AnswerLost(usize),
    /// Every call arrives twice.
    Twice,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    DiesBefore,
    DiesAfter,
    Fails,
    AnswerLost,
    /// It arrives some time after its caller has given it up. Where that cannot be played, it fails.
    ArrivesLate,
    /// Its caller hears the answer only after others had time to take it for dead.
    HeardLate,
    Twice,
}

impl Mishap {
    fn fate(self, n: usize) -> Fate {
        match self {
            Self::DiesBefore(at) if at == n => Fate::DiesBefore,
            Self::DiesAfter(at) if at == n => Fate::DiesAfter,
            Self::Fails(at) if at == n => Fate::Fails,
            Self::AnswerLost(at) if at == n => Fate::AnswerLost,
            Self::Twice => Fate::Twice,
            _ => Fate::Arrives,
        }
    }
}

/// How late a call arrives that was given up, and how long a process that was to die is heard of.
pub(crate) const LATE: Duration = Duration::from_millis(120);

/// What is to happen to the calls, in their order.
#[derive(Debug)]
enum Script {
    One(Mishap),
    /// All after the last one arrive. Time goes on in rounds: who hears late sleeps over the whole next one.
    Each(Vec<Fate>, watch::Receiver<usize>),
}

/// Counts calls and lets the chosen ones go wrong.
#[derive(Debug)]
pub(crate) struct Interruption {
    script: Script,
    calls: AtomicUsize,
    is_over: AtomicBool,
    died: Notify,
}

impl Interruption {
    pub(crate) fn new(mishap: Mishap) -> Arc<Self> {
        Self::of(Script::One(mishap))
    }

    /// A fate for each call. Whoever is still there when the process was to die goes on after a while, with nothing.
    pub(crate) fn each(fates: Vec<Fate>, round: watch::Receiver<usize>) -> Arc<Self> {
        Self::of(Script::Each(fates, round))
    }

    fn of(script: Script) -> Arc<Self> {
        Arc::new(Self {
            script,
            calls: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            died: Notify::new(),
        })
    }

    /// From now on every call arrives. Who sleeps wakes up at the end of the round.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// What happens to the next call.
    pub(crate) fn next(&self) -> Fate {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        match &self.script {
            _ if self.is_over.load(Ordering::SeqCst) => Fate::Arrives,
            Script::One(mishap) => mishap.fate(n),
            Script::Each(fates, _) => fates.get(n).copied().unwrap_or(Fate::Arrives),
        }
    }

    /// One call: what it does, and what its caller sees when nothing comes back.
    pub(crate) async fn call<T, F: Future<Output = T>>(&self, effect: impl Fn() -> F, nothing: T) -> T {
        self.meet(self.next(), effect, nothing).await
    }

    /// The same, when its fate is known.
    pub(crate) async fn meet<T, F: Future<Output = T>>(
        &self,
        fate: Fate,
        effect: impl Fn() -> F,
        nothing: T,
    ) -> T {
        match fate {
            Fate::Arrives => effect().await,
            Fate::DiesBefore => {
                self.die().await;
                nothing
            }
            Fate::DiesAfter => {
                effect().await;
                self.die().await;
                nothing
            }
            Fate::Fails | Fate::ArrivesLate => nothing,
            Fate::AnswerLost => {
                effect().await;
                nothing
            }
            Fate::HeardLate => {
                let answer = effect().await;
                self.sleep().await;
                answer
            }
            Fate::Twice => {
                effect().await;
                effect().await
            }
        }
    }

    /// Until the process has died.
    pub(crate) async fn death(&self) {
        self.died.notified().await;
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn sleep(&self) {
        if let Script::Each(_, round) = &self.script {
            let mut round = round.clone();
            let falls_asleep = *round.borrow();
            let wakes_up = |round: &usize| *round >= falls_asleep + 2 || self.is_over.load(Ordering::SeqCst);
            // Without anybody left to tell of rounds they are over.
            let _ = round.wait_for(wakes_up).await;
        }
    }

    async fn die(&self) {
        self.died.notify_one();
        match self.script {
            Script::One(_) => std::future::pending().await,
            Script::Each(..) => tokio::time::sleep(LATE).await,
        }
    }
}

/// The provider behind an interruption.
struct Interrupted {
    provider: TossProvider,
    interruption: Arc<Interruption>,
}

impl PaymentProvider for Interrupted {
    fn closed(&self) -> Option<Closed> {
        None
    }

    fn confirm<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Confirmation> {
        let nothing = Confirmation::Unknown { answered: false };
        Box::pin(async move {
            let effect = || self.provider.confirm(charge);
            self.interruption.call(effect, nothing).await
        })
    }

    fn find<'a>(&'a self, charge: &'a Charge, by: Lookup<'a>) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            let effect = || self.provider.find(charge, by);
            self.interruption.call(effect, Found::Unknown).await
        })
    }

    fn cancel<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Cancellation> {
        let nothing = Cancellation::Unknown { answered: false };
        Box::pin(async move {
            let effect = || self.provider.cancel(cancel);
            self.interruption.call(effect, nothing).await
        })
    }

    fn balance<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Balance> {
        self.provider.balance(order_id)
    }

    fn transactions<'a>(
        &'a self,
        window: &'a Window,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<TransactionPage, NoAnswer>> {
        self.provider.transactions(window, after)
    }
}

/// A process of the service whose calls to the provider meet the mishap.
pub(crate) fn process(world: &World, interruption: &Arc<Interruption>) -> App {
    world.replica_with(Arc::new(Interrupted {
        provider: TossProvider::new(&world.config.provider).unwrap(),
        interruption: Arc::clone(interruption),
    }))
}

/// A process that never hears the first answer of the provider.
pub(crate) fn losing_answers(world: &World) -> App {
    process(world, &Interruption::new(Mishap::AnswerLost(0)))
}

/// A process whose first request to the provider never arrives.
pub(crate) fn losing_requests(world: &World) -> App {
    process(world, &Interruption::new(Mishap::Fails(0)))
}

/// What a mishap came to.
pub(crate) struct Survived {
    /// How many calls it all took.
    pub calls: usize,
    /// In which state the saga was found where its process died, if it did.
    pub found_in: Option<String>,
}

/// Lets a saga that was just recorded go its way under a mishap until everything has ended.
pub(crate) async fn survive<S: Saga>(world: &World, saga: S, mishap: Mishap) -> Survived {
    let id = saga.position().id;
    let interruption = Interruption::new(mishap);
    world.booking.interrupt(Some(Arc::clone(&interruption)));
    let first = process(world, &interruption);
    let found_in = tokio::select! {
        driven = first.drive(saga, Duration::from_secs(10)) => {
            driven.unwrap();
            None
        }
        // Whatever it was about to do or to record is lost with it.
        () = interruption.death() => {
            let kind = S::KIND;
            let state = format!("SELECT state FROM {kind}s WHERE {kind}_id = $1");
            let state = sqlx::query_scalar(AssertSqlSafe(state)).bind(id);
            Some(state.fetch_one(world.database.pool()).await.unwrap())
        }
    };
    world.settle(&process(world, &interruption)).await;
    world.booking.interrupt(None);
    Survived {
        calls: interruption.calls(),
        found_in,
    }
}
