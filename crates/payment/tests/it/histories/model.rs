//! The plain model: what must be true of one history's money when it is over, by what its buyers asked for and were told,
//! booking's reservations and the provider's books alone. No states, no ledger.

use std::collections::{BTreeMap, HashMap};

use contracts::booking::ReservationStatus;
use uuid::Uuid;

use super::history::{Held, History, Kind, Told};
use super::plan::USERS;
use super::shop::Shop;
use crate::world::World;

/// What the provider took for one order, and what of it was not given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Money {
    captured: i64,
    left: i64,
}

/// The provider's books.
pub(super) struct Books {
    orders: HashMap<String, Money>,
    /// Payment keys of charges, with what was captured by them.
    charges: Vec<(String, Money)>,
}

impl Books {
    pub(super) async fn read(world: &World) -> Self {
        let listed = world.provider_books().await;
        let (mut orders, mut charges) = (HashMap::<_, Money>::new(), Vec::new());
        for payment in listed["payments"].as_array().unwrap() {
            let status = payment["status"].as_str().unwrap();
            if !matches!(status, "DONE" | "PARTIAL_CANCELED" | "CANCELED") {
                continue;
            }
            let order_id = payment["orderId"].as_str().unwrap().to_owned();
            let money = Money {
                captured: payment["totalAmount"].as_i64().unwrap(),
                left: payment["balanceAmount"].as_i64().unwrap(),
            };
            if order_id.starts_with("charge-") {
                charges.push((payment["paymentKey"].as_str().unwrap().to_owned(), money));
            }
            let sum = orders.entry(order_id).or_default();
            sum.captured += money.captured;
            sum.left += money.left;
        }
        Self { orders, charges }
    }

    fn order(&self, order_id: &str) -> Money {
        self.orders.get(order_id).copied().unwrap_or_default()
    }

    /// Of every order of one reservation.
    fn reservation(&self, held: &Held) -> Vec<Money> {
        let name = held.hold.reservation_id.as_uuid().simple();
        // Each attempt at it has an order of its own, and none has many.
        let orders = (1..100).map(|attempt| self.order(&format!("order-{name}-{attempt}")));
        orders.filter(|money| money.captured > 0).collect()
    }
}

/// How many payments, charges and refunds each user has, and in which state.
pub(super) struct Rows {
    of: HashMap<(Uuid, Kind), i64>,
    /// Over all users.
    pub(super) states: BTreeMap<(Kind, String), i64>,
}

impl Rows {
    pub(super) async fn read(world: &World) -> Self {
        let (mut of, mut states) = (HashMap::new(), BTreeMap::new());
        for (kind, count) in [
            (
                Kind::Payment,
                "SELECT user_id, state::text, count(*) FROM payments GROUP BY 1, 2",
            ),
            (
                Kind::Charge,
                "SELECT user_id, state::text, count(*) FROM charges GROUP BY 1, 2",
            ),
            (
                Kind::Refund,
                "SELECT user_id, state::text, count(*) FROM refunds GROUP BY 1, 2",
            ),
        ] {
            let counted: Vec<(Uuid, String, i64)> = sqlx::query_as(count)
                .fetch_all(world.database.pool())
                .await
                .unwrap();
            for (user_id, state, count) in counted {
                *of.entry((user_id, kind)).or_default() += count;
                *states.entry((kind, state)).or_default() += count;
            }
        }
        Self { of, states }
    }
}

impl History {
    /// What is not as it should be.
    pub(super) async fn differences(&self, shop: &Shop, books: &Books, rows: &Rows) -> Vec<String> {
        let mut found = Vec::new();
        let (helds, told) = {
            let record = self.record();
            (record.helds.clone(), record.told.clone())
        };
        let mut spent = [0; USERS];
        for held in &helds {
            match self.kept_for(shop, books, held).await {
                Ok(points) => spent[held.user] += points,
                Err(why) => found.push(why),
            }
        }
        for (user, user_id) in self.users.iter().enumerate() {
            let mark = self.card_mark(user);
            let charged = books.charges.iter().filter(|(key, _)| key.contains(&mark));
            let charged: i64 = charged.map(|(_, money)| money.left).sum();
            let expected = (self.plan.grants[user] + charged - spent[user], 0);
            let wallet = shop.world.store().wallet(*user_id).await.unwrap();
            if (wallet.balance, wallet.pending) != expected {
                found.push(format!("buyer {user} has {wallet:?}, not {expected:?}"));
            }
            for kind in [Kind::Payment, Kind::Charge, Kind::Refund] {
                found.extend(self.too_many(rows, kind, user, &helds));
            }
        }
        found.extend(told.iter().filter_map(|told| broken_word(shop, books, told)));
        found.extend(one_answer_per_key(&told));
        found
    }

    /// Points that the shop keeps for a reservation, after the card money was found to be what it should be.
    async fn kept_for(&self, shop: &Shop, books: &Books, held: &Held) -> Result<i64, String> {
        let shown = shop.world.booking.shown(&held.hold);
        let mut orders = books.reservation(held);
        let wrong = |why: &str| format!("{why}: {shown:?}, at the provider {orders:?}");
        let is_paid = shown.status() == ReservationStatus::Confirmed || shown.cancellation.is_some();
        if !is_paid {
            let nothing_kept = orders.iter().all(|money| money.left == 0);
            return if nothing_kept {
                Ok(0)
            } else {
                Err(wrong("a card paid for nothing"))
            };
        }
        let Ok(payment_id) = shown.payment_id.parse() else {
            return Err(wrong("paid by nothing"));
        };
        let Some(payment) = shop.world.store().payment(payment_id).await.unwrap() else {
            return Err(wrong("paid by no payment"));
        };
        let points = payment.points.get();
        if !self
            .record()
            .asked_points(&held.hold)
            .any(|asked| asked == points)
        {
            return Err(wrong("paid as nobody asked"));
        }
        let card = held.total - points;
        let percent = shown
            .cancellation
            .as_ref()
            .map_or(0, |canceled| i64::from(canceled.percent));
        let refund = held.total * percent / 100;
        if let Some(canceled) = &shown.cancellation
            && (canceled.refund != refund || canceled.refunded_at.is_none())
        {
            return Err(wrong("not all is back"));
        }
        let by_card = Money {
            captured: card,
            left: card - card * percent / 100,
        };
        if card > 0 {
            let Some(own) = orders.iter().position(|money| *money == by_card) else {
                return Err(wrong("the card did not pay its share"));
            };
            orders.swap_remove(own);
        }
        if orders.iter().any(|money| money.left > 0) {
            return Err(format!("paid twice: {shown:?}, besides {orders:?}"));
        }
        Ok(held.total - refund - by_card.left)
    }

    /// What came of requests is not more than there were different ones.
    fn too_many(&self, rows: &Rows, kind: Kind, user: usize, helds: &[Held]) -> Option<String> {
        let there_are = rows
            .of
            .get(&(self.users[user].as_uuid(), kind))
            .copied()
            .unwrap_or(0);
        let asked = self.record().may_be(kind, user);
        // Each canceled date brings a refund that nobody asked for.
        let unasked = if kind == Kind::Refund { helds.len() } else { 0 };
        let most = asked + i64::try_from(unasked).unwrap();
        (there_are > most).then(|| format!("buyer {user} has {there_are} of {kind:?}, for {asked} requests"))
    }
}

/// What a buyer was told once is so for good.
fn broken_word(shop: &Shop, books: &Books, told: &Told) -> Option<String> {
    let done = told.done?;
    let shown = told.hold.as_ref().map(|hold| shop.world.booking.shown(hold));
    let is_so = match (told.kind, &shown) {
        (Kind::Charge, _) => books.order(&format!("charge-{}", told.id.simple())).left > 0,
        (Kind::Payment, Some(shown)) => {
            let is_paid = shown.status() == ReservationStatus::Confirmed || shown.cancellation.is_some();
            is_paid && shown.payment_id == told.id.to_string()
        }
        (Kind::Refund, Some(shown)) => {
            let canceled = shown.cancellation.as_ref();
            canceled.is_some_and(|canceled| {
                canceled.refund_id == told.id.to_string() && canceled.refunded_at.is_some()
            })
        }
        (Kind::Payment | Kind::Refund, None) => false,
    };
    (is_so != done).then(|| format!("told {told:?}, and there is {shown:?}"))
}

/// The same Idempotency-Key names the same thing, and never says that it is done and that it failed.
fn one_answer_per_key(told: &[Told]) -> Vec<String> {
    let mut first: HashMap<_, Told> = HashMap::new();
    let mut found = Vec::new();
    for answer in told {
        let Some(key) = &answer.key else { continue };
        let one = first.entry((answer.kind, key)).or_insert_with(|| answer.clone());
        let contradicts = one.done.zip(answer.done).is_some_and(|(one, other)| one != other);
        if one.id != answer.id || contradicts {
            found.push(format!("{key:?} was answered by {one:?} and by {answer:?}"));
        }
        one.done = one.done.or(answer.done);
    }
    found
}
