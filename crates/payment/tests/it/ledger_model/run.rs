//! Takes steps on the real ledger and in the model, and names the first difference.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};
use payment::domain::{Event, Payment};
use payment::store::Store;
use sqlx::PgPool;
use test_support::unique_name;
use vocabulary::{RefundId, UserId};

use super::acts::{Act, Came, charge, payment, text};
use super::{End, Model, Op, Repeat, Step, USERS};

/// A run of the ledger beside the model.
pub(super) struct Run<'a> {
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
    pub(super) fn new(pool: &'a PgPool) -> Self {
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
    pub(super) async fn take(mut self, steps: &[Step]) -> Result<(), String> {
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
        let came = join_all(all.map(|act| act.perform(&self.store))).await;
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
                if *came != Came::Short && act.perform(&self.store).await? == Came::Done {
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
                charge: charge(&self.store, self.users[user], points).await?,
                captured,
            },
            Op::Purchase { user, points, card } => Act::Purchase {
                payment: payment(&self.store, self.users[user], points, card).await?,
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

    /// Moves in the model what was done, and judges what was refused.
    fn tell_model(&mut self, outcomes: &[(&Act, Came)]) -> Result<(), String> {
        let before = self.model.clone();
        let mut ended = BTreeMap::new();
        for (act, came) in outcomes {
            let model = &mut self.model;
            match act {
                Act::Grant { user_id, points, .. } => {
                    model.move_from_to(*user_id, "GRANTS", "WALLET", *points);
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
        let users: Vec<_> = self.users.iter().map(UserId::as_uuid).collect();
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
