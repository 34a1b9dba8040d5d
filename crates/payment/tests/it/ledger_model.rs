//! Promise 7: whatever moves in whatever order, alone, at once or twice, the ledger is what a plain model says: sums in
//! memory, no SQL, no states.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use payment::domain::{
    CardCharge, Charge, ChargeEvent, Event, NewCharge, NewPayment, NewRefund, OrderId, PaidBy, Payment,
    PaymentKey, RefundEvent, RefundReason, Share, Terms, own_charge_order,
};
use payment::store::{ChargeInserted, GrantOutcome, Inserted, MIGRATOR, RefundInserted, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use sqlx::PgPool;
use test_support::{TestDatabase, unique_name};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use vocabulary::{Amount, ChargeId, Currency, PaymentId, ProblemCode, RefundId, ReservationId, UserId};

const LEASE: Duration = Duration::from_secs(60);
const USERS: usize = 3;

/// Something that moves money.
#[derive(Debug, Clone)]
enum Op {
    Grant {
        user: usize,
        points: i64,
    },
    Charge {
        user: usize,
        points: i64,
        captured: bool,
    },
    Purchase {
        user: usize,
        points: i64,
        card: i64,
    },
    /// Of a payment that holds points, whichever `of` hits.
    End {
        of: usize,
        how: End,
    },
    /// Of a payment that succeeded, whichever `of` hits.
    Refund {
        of: usize,
        percent: u32,
    },
}

/// How a purchase may end.
#[derive(Debug, Clone, Copy)]
enum End {
    Posted,
    Returned,
    /// The card was captured for seats that were gone.
    CapturedTooLate,
}

/// Operations that begin at the same moment.
#[derive(Debug, Clone)]
struct Step {
    ops: Vec<Op>,
    repeat: Repeat,
}

/// How often the same operation arrives.
#[derive(Debug, Clone, Copy)]
enum Repeat {
    Never,
    AtOnce,
    Afterwards,
}

fn op() -> impl Strategy<Value = Op> {
    let user = 0..USERS;
    // A purchase is often more than there is.
    prop_oneof![
        1 => (user.clone(), 1_i64..1_000).prop_map(|(user, points)| Op::Grant { user, points }),
        1 => (user.clone(), 100_i64..1_000, any::<bool>())
            .prop_map(|(user, points, captured)| Op::Charge { user, points, captured }),
        3 => (user, 0_i64..600, prop_oneof![Just(0_i64), 100_i64..600])
            .prop_filter("pays something", |(_, points, card)| points + card > 0)
            .prop_map(|(user, points, card)| Op::Purchase { user, points, card }),
        3 => (0_usize..8, prop_oneof![Just(End::Posted), Just(End::Returned), Just(End::CapturedTooLate)])
            .prop_map(|(of, how)| Op::End { of, how }),
        2 => (0_usize..8, 0_u32..=100).prop_map(|(of, percent)| Op::Refund { of, percent }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let repeat = prop_oneof![
        Just(Repeat::Never),
        Just(Repeat::AtOnce),
        Just(Repeat::Afterwards)
    ];
    let step = (prop::collection::vec(op(), 1..7), repeat).prop_map(|(ops, repeat)| Step { ops, repeat });
    prop::collection::vec(step, 1..14)
}

/// Accounts and amounts, as anybody would add them up.
#[derive(Debug, Clone, Default)]
struct Model {
    /// By user: balance and pending.
    wallets: HashMap<UserId, (i64, i64)>,
    /// GRANTS, HOUSE and PROVIDER.
    accounts: BTreeMap<&'static str, i64>,
    /// By user: how many lines the wallet's history has.
    lines: HashMap<UserId, usize>,
}

impl Model {
    fn move_from_to(&mut self, user_id: UserId, debit: &'static str, credit: &'static str, amount: i64) {
        if amount == 0 {
            return;
        }
        let wallet = self.wallets.entry(user_id).or_default();
        for (account, amount) in [(debit, -amount), (credit, amount)] {
            match account {
                "WALLET" => {
                    wallet.0 += amount;
                    *self.lines.entry(user_id).or_default() += 1;
                }
                "HELD" => wallet.1 += amount,
                other => *self.accounts.entry(other).or_default() += amount,
            }
        }
    }
}

/// An operation with all that it is about, so that it can arrive again.
#[derive(Debug, Clone)]
enum Act {
    Grant {
        user_id: UserId,
        points: i64,
        operation: String,
    },
    Charge {
        charge: Charge,
        captured: bool,
    },
    Purchase {
        payment: Payment,
    },
    End {
        payment: Payment,
        how: End,
    },
    Refund {
        payment: Payment,
        refund_id: RefundId,
        percent: u32,
    },
}

/// What came of it, the more telling later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// It was done before, or something else was.
    Nothing,
    /// The wallet was short.
    Short,
    Done,
}

/// A run of the ledger beside the model.
struct Run<'a> {
    store: Store,
    pool: &'a PgPool,
    users: Vec<UserId>,
    model: Model,
    /// Payments that hold points.
    held: Vec<Payment>,
    /// Payments that succeeded and were not given back.
    succeeded: Vec<Payment>,
}

impl<'a> Run<'a> {
    fn new(pool: &'a PgPool) -> Self {
        Self {
            store: Store::new(pool.clone()),
            pool,
            users: (0..USERS).map(|_| UserId::new()).collect(),
            model: Model::default(),
            held: Vec::new(),
            succeeded: Vec::new(),
        }
    }

    /// Takes the steps; ends with the first difference between ledger and model.
    async fn take(mut self, steps: &[Step]) -> Result<(), String> {
        for (n, step) in steps.iter().enumerate() {
            let outcome = self.step(step).await;
            outcome.map_err(|difference| format!("step {n}, {step:?}: {difference}"))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let acts = try_join_all(step.ops.iter().map(|op| self.prepare(op))).await?;
        let acts: Vec<Act> = acts.into_iter().flatten().collect();
        let times = if matches!(step.repeat, Repeat::AtOnce) {
            2
        } else {
            1
        };
        let all = acts.iter().flat_map(|act| std::iter::repeat_n(act, times));
        let came = join_all(all.map(|act| self.perform(act))).await;
        let mut outcomes = Vec::new();
        for (act, came) in acts.iter().zip(came.chunks(times)) {
            let came: Vec<Came> = came.iter().cloned().collect::<Result<_, _>>()?;
            if came.iter().filter(|came| **came == Came::Done).count() > 1 {
                return Err(format!("done twice: {act:?}"));
            }
            outcomes.push((act, came.into_iter().max().unwrap_or(Came::Nothing)));
        }
        self.tell_model(&outcomes)?;
        self.compare().await?;
        if matches!(step.repeat, Repeat::Afterwards) {
            for (act, came) in &outcomes {
                // What was refused for want of points may be covered by now.
                if *came != Came::Short && self.perform(act).await? == Came::Done {
                    return Err(format!("done again: {act:?}"));
                }
            }
            self.compare().await?;
        }
        Ok(())
    }

    /// Records what an operation is about; none when there is nothing that it could be about.
    async fn prepare(&self, op: &Op) -> Result<Option<Act>, String> {
        let which = |payments: &[Payment], of: usize| payments.get(of % payments.len().max(1)).cloned();
        let act = match *op {
            Op::Grant { user, points } => Act::Grant {
                user_id: self.users[user],
                points,
                operation: unique_name("grant"),
            },
            Op::Charge {
                user,
                points,
                captured,
            } => Act::Charge {
                charge: self.charge(self.users[user], points).await?,
                captured,
            },
            Op::Purchase { user, points, card } => Act::Purchase {
                payment: self.payment(self.users[user], points, card).await?,
            },
            Op::End { of, how } => {
                let Some(payment) = which(&self.held, of) else {
                    return Ok(None);
                };
                Act::End { payment, how }
            }
            Op::Refund { of, percent } => {
                let Some(payment) = which(&self.succeeded, of) else {
                    return Ok(None);
                };
                let refund_id = RefundId::new();
                Act::Refund {
                    payment,
                    refund_id,
                    percent,
                }
            }
        };
        Ok(Some(act))
    }

    async fn charge(&self, user_id: UserId, points: i64) -> Result<Charge, String> {
        let charge_id = ChargeId::new();
        let new = NewCharge {
            charge_id,
            user_id,
            amount: won(points),
            order_id: own_charge_order(charge_id).unwrap(),
            payment_key: PaymentKey::new("test_ok_1").unwrap(),
        };
        match self.store.insert_charge(&new, None, LEASE).await.map_err(text)? {
            ChargeInserted::New(charge) => Ok(charge),
            other => Err(format!("{other:?}")),
        }
    }

    async fn payment(&self, user_id: UserId, points: i64, card: i64) -> Result<Payment, String> {
        let payment_id = PaymentId::new();
        let card = (card > 0).then(|| CardCharge {
            amount: won(card),
            order_id: OrderId::new(&unique_name("order")).unwrap(),
            payment_key: Some(PaymentKey::new("test_ok_1").unwrap()),
        });
        let new = NewPayment {
            payment_id,
            reservation_id: ReservationId::new(),
            user_id,
            currency: Currency::KRW,
            terms: Terms {
                points: won(points),
                card,
            },
        };
        match self.store.insert(&new, None, LEASE).await.map_err(text)? {
            Inserted::New(payment) => Ok(payment),
            other => Err(format!("{other:?}")),
        }
    }

    async fn perform(&self, act: &Act) -> Result<Came, String> {
        match act {
            Act::Grant {
                user_id,
                points,
                operation,
            } => match self.store.grant(*user_id, won(*points), operation).await {
                Ok(GrantOutcome::Granted) => Ok(Came::Done),
                Ok(GrantOutcome::AlreadyGranted) => Ok(Came::Nothing),
                other => Err(format!("{other:?}")),
            },
            Act::Charge { charge, captured } => {
                let asked = charge.after(ChargeEvent::ProviderAsked).unwrap();
                let ended = asked.after(if *captured {
                    ChargeEvent::Captured
                } else {
                    ChargeEvent::NotCaptured { reason: REASON }
                });
                let ended = ended.unwrap();
                for (from, next) in [(charge, &asked), (&asked, &ended)] {
                    match self.store.change_charge(from, next, LEASE).await {
                        Ok(()) => {}
                        Err(StoreError::Superseded) => return Ok(Came::Nothing),
                        Err(error) => return Err(text(error)),
                    }
                }
                Ok(Came::Done)
            }
            Act::Purchase { payment } => self.walk(payment, &[Event::PointsTaken { fence: 2 }]).await,
            Act::End { payment, how } => self.walk(payment, &events(payment, *how)).await,
            Act::Refund {
                payment,
                refund_id,
                percent,
            } => self.refund(payment, *refund_id, *percent).await,
        }
    }

    async fn walk(&self, payment: &Payment, events: &[Event]) -> Result<Came, String> {
        let mut payment = payment.clone();
        for event in events {
            let next = payment.after(event).map_err(text)?;
            match self.store.transition(&payment, &next, LEASE).await {
                Ok(()) => payment = next,
                Err(StoreError::Superseded) => return Ok(Came::Nothing),
                Err(StoreError::InsufficientPoints) => return Ok(Came::Short),
                Err(error) => return Err(text(error)),
            }
        }
        Ok(Came::Done)
    }

    async fn refund(&self, payment: &Payment, refund_id: RefundId, percent: u32) -> Result<Came, String> {
        let new = NewRefund {
            refund_id,
            payment_id: payment.payment_id,
            reservation_id: payment.reservation_id,
            user_id: payment.user_id,
            reason: RefundReason::Buyer,
        };
        let inserted = self.store.insert_refund(&new, None, LEASE).await;
        let RefundInserted::New(mut refund) = inserted.map_err(text)? else {
            return Ok(Came::Nothing);
        };
        let paid = PaidBy {
            points: payment.points,
            card: payment
                .card
                .as_ref()
                .map(|card| (card.amount, card.order_id.clone())),
        };
        let total = payment.points.get() + payment.card_amount().get();
        let back = won(total * i64::from(percent) / 100);
        let share = Share::split(&paid, percent, back).map_err(text)?;
        let mut events = vec![RefundEvent::SeatsReturned {
            share,
            schedule_canceled: false,
        }];
        if !share.card.is_zero() {
            events.push(RefundEvent::ProviderAsked);
        }
        events.extend([RefundEvent::MoneyReturned, RefundEvent::BookingTold]);
        for event in events {
            let next = refund.after(&event).map_err(text)?;
            refund = self
                .store
                .change_refund(&refund, &next, LEASE)
                .await
                .map_err(text)?;
        }
        Ok(Came::Done)
    }

    /// Moves in the model what was done, and judges what was refused.
    fn tell_model(&mut self, outcomes: &[(&Act, Came)]) -> Result<(), String> {
        let before = self.model.clone();
        let mut ended = BTreeMap::new();
        for (act, came) in outcomes {
            let model = &mut self.model;
            match act {
                Act::Grant { user_id, points, .. } => {
                    model.move_from_to(*user_id, "GRANTS", "WALLET", *points)
                }
                Act::Charge { charge, captured } => {
                    let points = if *captured { charge.amount.get() } else { 0 };
                    model.move_from_to(charge.user_id, "PROVIDER", "WALLET", points);
                }
                Act::Purchase { payment } if *came == Came::Done => {
                    model.move_from_to(payment.user_id, "WALLET", "HELD", payment.points.get());
                    self.held
                        .push(payment.after(&Event::PointsTaken { fence: 2 }).unwrap());
                }
                Act::Purchase { .. } => {}
                Act::End { payment, how } => {
                    let ends: &mut usize = ended.entry(payment.payment_id.to_string()).or_default();
                    *ends += usize::from(*came == Came::Done);
                    if *came == Came::Done {
                        self.held.retain(|held| held.payment_id != payment.payment_id);
                        self.tell_end(payment, *how);
                    }
                }
                Act::Refund { payment, percent, .. } => {
                    let given: &mut usize = ended.entry(payment.payment_id.to_string()).or_default();
                    *given += usize::from(*came == Came::Done);
                    if *came == Came::Done {
                        let (points, card) = (payment.points.get(), payment.card_amount().get());
                        let percent = i64::from(*percent);
                        let by_card = card * percent / 100;
                        let by_points = (points + card) * percent / 100 - by_card;
                        model.move_from_to(payment.user_id, "HOUSE", "PROVIDER", by_card);
                        model.move_from_to(payment.user_id, "HOUSE", "WALLET", by_points);
                        self.succeeded
                            .retain(|paid| paid.payment_id != payment.payment_id);
                    }
                }
            }
        }
        if let Some((payment_id, times)) = ended.iter().find(|(_, times)| **times != 1) {
            return Err(format!("payment {payment_id} ended {times} times"));
        }
        for (act, came) in outcomes {
            let Act::Purchase { payment } = act else { continue };
            let least = before.wallets.get(&payment.user_id).map_or(0, |wallet| wallet.0)
                - taken_by(payment.user_id, outcomes);
            let enough = least >= payment.points.get();
            if *came == Came::Nothing || (*came == Came::Short && enough) {
                return Err(format!("refused without need: {payment:?}"));
            }
        }
        match self.model.wallets.values().find(|(balance, _)| *balance < 0) {
            Some((balance, _)) => Err(format!("a wallet is below zero: {balance}")),
            None => Ok(()),
        }
    }

    fn tell_end(&mut self, payment: &Payment, how: End) {
        let (user_id, points, card) = (payment.user_id, payment.points.get(), payment.card_amount().get());
        let model = &mut self.model;
        match how {
            End::Posted => {
                model.move_from_to(user_id, "PROVIDER", "HOUSE", card);
                model.move_from_to(user_id, "HELD", "HOUSE", points);
                self.succeeded.push(payment.clone());
            }
            End::Returned => model.move_from_to(user_id, "HELD", "WALLET", points),
            End::CapturedTooLate => {
                model.move_from_to(user_id, "PROVIDER", "HOUSE", card);
                model.move_from_to(user_id, "HOUSE", "PROVIDER", card);
                model.move_from_to(user_id, "HELD", "WALLET", points);
            }
        }
    }

    /// Holds wallets, histories and accounts against the model.
    async fn compare(&self) -> Result<(), String> {
        for user_id in &self.users {
            let wallet = self.store.wallet(*user_id).await.map_err(text)?;
            let told = self.model.wallets.get(user_id).copied().unwrap_or_default();
            if (wallet.balance, wallet.pending) != told {
                return Err(format!("wallet is {wallet:?}, not {told:?}"));
            }
            // Page by page, as its owner reads it.
            let (mut sum, mut lines, mut before) = (0, 0, None);
            loop {
                let page = self.store.entries(*user_id, before, 3).await.map_err(text)?;
                sum += page.iter().map(|entry| entry.amount).sum::<i64>();
                lines += page.len();
                match page.last() {
                    Some(last) => before = Some(last.entry_id),
                    None => break,
                }
            }
            let told = (
                wallet.balance,
                self.model.lines.get(user_id).copied().unwrap_or(0),
            );
            if (sum, lines) != told {
                return Err(format!("history is {sum} in {lines} lines, not {told:?}"));
            }
        }
        let users: Vec<_> = self.users.iter().map(|user_id| user_id.as_uuid()).collect();
        let sides: Vec<(String, i64)> = sqlx::query_as(
            "SELECT account, sum(amount)::bigint FROM (
                 SELECT credit AS account, amount, user_id FROM transfers
                 UNION ALL SELECT debit, -amount, user_id FROM transfers) AS sides
             WHERE user_id = ANY($1) GROUP BY account HAVING sum(amount) <> 0",
        )
        .bind(users)
        .fetch_all(self.pool)
        .await
        .map_err(text)?;
        let found: BTreeMap<_, _> = sides.iter().map(|(word, sum)| (word.as_str(), *sum)).collect();
        let mut told = self.model.accounts.clone();
        told.insert("WALLET", self.model.wallets.values().map(|wallet| wallet.0).sum());
        told.insert("HELD", self.model.wallets.values().map(|wallet| wallet.1).sum());
        told.retain(|_, sum| *sum != 0);
        let held: i64 = self.held.iter().map(|payment| payment.points.get()).sum();
        if found != told
            || found.values().sum::<i64>() != 0
            || found.get("HELD").copied().unwrap_or(0) != held
        {
            return Err(format!(
                "accounts are {found:?}, not {told:?}, and {held} is held"
            ));
        }
        Ok(())
    }
}

const REASON: ProblemCode = ProblemCode::PaymentFailed;

fn events(payment: &Payment, how: End) -> Vec<Event> {
    let by_card = payment.card.is_some();
    let gone = Event::SeatsGone { reason: REASON };
    match how {
        End::Posted if by_card => vec![Event::ProviderAsked, Event::Captured, Event::SeatsConfirmed],
        End::Posted => vec![Event::SeatsConfirmed],
        End::Returned if by_card => vec![
            Event::ProviderAsked,
            Event::NotCaptured { reason: REASON },
            Event::HoldReleased { next_order_id: None },
        ],
        End::CapturedTooLate if by_card => {
            vec![Event::ProviderAsked, Event::Captured, gone, Event::CardRefunded]
        }
        End::Returned | End::CapturedTooLate => vec![gone],
    }
}

/// Points that purchases of a step took from a wallet.
fn taken_by(user_id: UserId, outcomes: &[(&Act, Came)]) -> i64 {
    let taken = outcomes.iter().filter_map(|(act, came)| match act {
        Act::Purchase { payment } if *came == Came::Done && payment.user_id == user_id => {
            Some(payment.points.get())
        }
        _ => None,
    });
    taken.sum()
}

fn won(units: i64) -> Amount {
    Amount::new(units).unwrap()
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_7_the_ledger_is_what_a_plain_model_says() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let config = Config {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let outcome = block_in_place(|| {
        TestRunner::new(config).run(&steps(), |steps| {
            let run = Run::new(database.pool()).take(&steps);
            Handle::current().block_on(run).map_err(TestCaseError::fail)
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Six purchases at once of what covers two.
fn overdraft() -> [Step; 2] {
    let purchase = Op::Purchase {
        user: 0,
        points: 100,
        card: 0,
    };
    [
        Step {
            ops: vec![Op::Grant { user: 0, points: 250 }],
            repeat: Repeat::Never,
        },
        Step {
            ops: vec![purchase; 6],
            repeat: Repeat::AtOnce,
        },
    ]
}

#[tokio::test]
async fn promise_7_purchases_at_once_of_more_than_there_is_are_refused() {
    let database = TestDatabase::create(&MIGRATOR).await;
    Run::new(database.pool()).take(&overdraft()).await.unwrap();
}

#[tokio::test]
async fn control_without_its_constraint_an_overdraft_gets_through_and_the_model_notices() {
    let database = TestDatabase::create(&MIGRATOR).await;
    sqlx::query("ALTER TABLE wallets DROP CONSTRAINT wallets_balance_is_not_negative")
        .execute(database.pool())
        .await
        .unwrap();
    let difference = Run::new(database.pool()).take(&overdraft()).await.unwrap_err();
    assert!(
        difference.contains("a wallet is below zero: -350"),
        "{difference}"
    );
}
