//! Where histories happen, many at once: one database, one booking, one provider, and processes of the service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use payment::app::reconcile::Scope;
use payment::app::{App, Settings};
use payment::provider::TossProvider;
use sqlx::Executor as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::history::{History, Kind};
use super::model::{Books, Rows};
use super::plan::{Plan, ROUNDS};
use super::provider::Unreliable;
use crate::world::{World, simulator_that_takes};

/// Histories that act at the same moment.
const AT_ONCE: usize = 96;
/// A slow answer comes after the provider was given up ([`SETTINGS`]), a late capture after its connection was cut.
const SLOW: Duration = Duration::from_millis(150);
const LATE_CAPTURE: Duration = Duration::from_millis(50);
const SETTINGS: &[(&str, &str)] = &[
    ("PAY_WAIT_MS", "400"),
    ("PAYMENT_RETRY_MIN_MS", "10"),
    ("PROVIDER_TIMEOUT_MS", "100"),
    ("PROVIDER_MAX_CONCURRENT_CALLS", "10000"),
    ("PROVIDER_BREAKER_FAILURES", "1000"),
    ("PROVIDER_SESSION_SECONDS", "3600"),
    ("RESUME_CONCURRENCY", "1000"),
    ("REFUND_CONCURRENCY", "1000"),
    ("REFUND_SCHEDULES_BATCH", "1000"),
    ("RECONCILE_EVERY_SECONDS", "0"),
];
/// How long a round waits for those who look for what is due.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longer than any two rounds.
const LONG: Duration = Duration::from_secs(60);
/// How far the clock goes after each round, around: within waits and leases, and beyond them.
const STEPS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(60),
    Duration::from_secs(300),
];
/// Rounds within which everything ends once nothing goes wrong any more; the last wait is for the end of a buyer's session.
const LAST_ROUNDS: usize = 60;

/// What many histories came to.
pub(super) struct Outcome {
    /// What is not as it should be.
    pub(super) wrong: Vec<String>,
    /// How many payments, charges and refunds ended how.
    pub(super) states: BTreeMap<(Kind, String), i64>,
}

/// One run of many histories.
pub(super) struct Shop {
    pub(super) world: World,
    pub(super) provider: Unreliable,
    /// Whom buyers come to.
    pub(super) front: App,
    /// The same, with hardly any time for them.
    pub(super) hasty_front: App,
    /// Two more processes, which look for what is due at the same moment.
    others: [App; 2],
    round: watch::Sender<usize>,
    /// Looks for what is due that go on.
    looking: TaskTracker,
}

impl Shop {
    /// One whose database `sql` was done to.
    pub(super) async fn open(sql: &'static str) -> Self {
        let stop = CancellationToken::new();
        let provider_url = simulator_that_takes(SLOW, LATE_CAPTURE, stop.clone()).await;
        let mut world = World::against(provider_url, SETTINGS, stop).await;
        // Whoever sleeps over a round is not woken up by its end.
        world.config.booking = world.config.booking.clone().with_deadline(LONG);
        world.database.pool().execute(sql).await.unwrap();
        let provider = Unreliable::new(TossProvider::new(&world.config.provider).unwrap());
        let process = || world.replica_with(Arc::new(provider.clone()));
        let hasty = Settings {
            pay_wait: Duration::from_millis(20),
            ..world.config.settings.clone()
        };
        Self {
            front: process(),
            hasty_front: world.replica_of(Arc::new(provider.clone()), hasty),
            others: [process(), process()],
            round: watch::Sender::new(0),
            looking: TaskTracker::new(),
            provider,
            world,
        }
    }

    /// Lets the histories of these seeds happen.
    pub(super) async fn run(&self, seeds: &[u64]) -> Outcome {
        let begun = stream::iter(seeds.iter().enumerate());
        let begun = begun.map(|(index, seed)| History::begin(self, index, Plan::of(*seed)));
        let histories: Vec<_> = begun.buffered(AT_ONCE).collect().await;
        for round in 0..ROUNDS {
            let acts =
                stream::iter(&histories).for_each_concurrent(AT_ONCE, |history| history.act(self, round));
            // What was captured late is there before the clock goes on, or an hour of it would be over in no time. Nobody
            // waits for a process that sleeps.
            let looked = tokio::time::timeout(PATIENCE, self.looking.spawn(self.look_for_due()));
            let _ = tokio::join!(acts, looked, tokio::time::sleep(LATE_CAPTURE * 2));
            self.round.send_modify(|round| *round += 1);
            self.world.database.step_clock(STEPS[round % STEPS.len()]).await;
        }
        for history in &histories {
            history.end();
        }
        self.round.send_modify(|round| *round += 1);
        self.looking.close();
        self.looking.wait().await;
        self.front.drain().await;
        self.hasty_front.drain().await;
        self.provider.late_calls().await;
        let mut wrong = self.settle().await;
        let rows = Rows::read(&self.world).await;
        wrong.extend(self.differences(&histories, &rows).await);
        Outcome {
            wrong,
            states: rows.states,
        }
    }

    /// How many rounds are over.
    pub(super) fn round(&self) -> watch::Receiver<usize> {
        self.round.subscribe()
    }

    fn look_for_due(&self) -> impl Future<Output = ()> + Send + 'static {
        let [one, other] = self.others.clone();
        async move {
            // What comes to nothing is made good by the next look.
            let refunds = one.refund_schedules_once(None);
            let _ = tokio::join!(one.resume_once(), other.resume_once(), refunds);
        }
    }

    /// Lets everything come to its end. Answers what does not.
    async fn settle(&self) -> Vec<String> {
        for _ in 0..LAST_ROUNDS {
            self.look_for_due().await;
            if self.world.open_sagas().await == 0 && self.world.booking.has_refunded_all() {
                return Vec::new();
            }
            tokio::time::sleep(LATE_CAPTURE / 5).await;
            self.world.database.step_clock(STEPS[2]).await;
        }
        let open = self.world.open_sagas().await;
        vec![format!("{open} sagas do not end")]
    }

    async fn differences(&self, histories: &[History], rows: &Rows) -> Vec<String> {
        let everything = Scope {
            since: None,
            stuck_after: Duration::from_secs(1),
        };
        let report = self
            .world
            .replica()
            .reconcile(&everything, &|_| {})
            .await
            .unwrap();
        let mut found = Vec::new();
        if !report.is_equal() {
            found.push(format!("the books differ: {report}"));
        }
        let books = Books::read(&self.world).await;
        for history in histories {
            let why = history.differences(self, &books, rows).await;
            let seed = history.plan.seed;
            found.extend(why.into_iter().map(|why| format!("seed {seed}: {why}")));
        }
        found
    }
}
