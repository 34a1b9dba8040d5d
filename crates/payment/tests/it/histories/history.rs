//! One history as it happens: what its buyers asked for, and what they were told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::future::join_all;
use payment::app::grant;
use payment::domain::OrderId;
use uuid::Uuid;
use vocabulary::{Amount, UserId};

use super::asking::{Request, Wanted};
use super::plan::{Act, Plan, USERS};
use super::shop::Shop;
use crate::mishaps::Interruption;
use crate::world::Hold;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Payment,
    Charge,
    Refund,
}

/// A hold, and what it costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) hold: Hold,
    pub(super) user: usize,
    pub(super) total: i64,
}

/// What a buyer was told of what they asked for.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) kind: Kind,
    pub(super) id: Uuid,
    pub(super) hold: Option<Hold>,
    /// Whether it is done for good; `None` = that it goes on.
    pub(super) done: Option<bool>,
    /// Of the request.
    pub(super) key: Option<(usize, String)>,
}

/// What a history has come to so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) helds: Vec<Held>,
    pub(super) requests: Vec<Request>,
    pub(super) told: Vec<Told>,
    /// Effects that there may be at most: a key has one, and a request without a key.
    pub(super) effects: HashMap<(Kind, usize), (HashSet<String>, i64)>,
    /// Of its card payments and charges.
    pub(super) orders: Vec<OrderId>,
    /// How many were authenticated.
    pub(super) cards: usize,
}

impl Record {
    /// How many points each request to pay this hold would have it take.
    pub(super) fn asked_points(&self, of: &Hold) -> impl Iterator<Item = i64> {
        let of = of.reservation_id;
        self.requests
            .iter()
            .filter_map(move |request| match &request.what {
                Wanted::Pay { hold, points, .. } if hold.reservation_id == of => Some(*points),
                _ => None,
            })
    }

    /// How many effects a buyer's requests may have at most.
    pub(super) fn may_be(&self, kind: Kind, user: usize) -> i64 {
        let counted = self.effects.get(&(kind, user));
        counted.map_or(0, |(keys, without_key)| {
            i64::try_from(keys.len()).unwrap() + without_key
        })
    }
}

pub(super) struct History {
    pub(super) plan: Plan,
    pub(super) index: usize,
    pub(super) users: [UserId; USERS],
    pub(super) interruption: Arc<Interruption>,
    record: Mutex<Record>,
}

impl History {
    pub(super) async fn begin(shop: &Shop, index: usize, plan: Plan) -> Self {
        let users = [UserId::new(), UserId::new()];
        for (user_id, points) in users.iter().zip(plan.grants) {
            if points > 0 {
                let points = Amount::new(points).unwrap();
                grant(&shop.world.store(), *user_id, points, &user_id.to_string())
                    .await
                    .unwrap();
            }
        }
        let interruption = Interruption::each(plan.fates.clone(), shop.round());
        shop.provider.interrupt(&format!("h{index}"), &interruption);
        Self {
            plan,
            index,
            users,
            interruption,
            record: Mutex::default(),
        }
    }

    /// Whatever its plan has for this round, all of it at once.
    pub(super) async fn act(&self, shop: &Shop, round: usize) {
        join_all(self.plan.rounds[round].iter().map(|act| self.do_one(shop, act))).await;
    }

    /// Nothing goes wrong from now on.
    pub(super) fn end(&self) {
        self.interruption.end();
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    async fn do_one(&self, shop: &Shop, act: &Act) {
        let booking = &shop.world.booking;
        match act {
            Act::Hold { user, total, percent } => {
                let hold = booking.hold_of(self.users[*user], *total, "KRW");
                booking.gives_back(&hold, *percent);
                booking.interrupt_one(&hold, Arc::clone(&self.interruption));
                let reservation = hold.reservation_id.as_uuid().simple().to_string();
                shop.provider.interrupt(&reservation, &self.interruption);
                self.record().helds.push(Held {
                    hold,
                    user: *user,
                    total: *total,
                });
            }
            Act::Ask { what, key, way } => {
                let request = self.request(what, *key);
                self.record().requests.push(request.clone());
                self.ask(shop, request, *way).await;
            }
            Act::Repeat { of, way } => {
                let request = nth(&self.record().requests, *of).cloned();
                if let Some(request) = request {
                    self.ask(shop, request, *way).await;
                }
            }
            Act::HoldLapses { held, after } => {
                tokio::time::sleep(*after).await;
                booking.lapse(&self.held(*held).hold);
            }
            Act::DateIsCanceled { held, after } => {
                tokio::time::sleep(*after).await;
                booking.cancel_date(&self.held(*held).hold);
            }
            Act::Webhook { about } => {
                let order = nth(&self.record().orders, *about).cloned();
                if let Some(order) = order {
                    let hint = || shop.front.take_hint(&order);
                    let (one, other) = tokio::join!(hint(), hint());
                    one.and(other).unwrap();
                }
            }
            Act::ForgedWebhook { about } => {
                let reservation = self.held(*about).hold.reservation_id.as_uuid().simple();
                for forged in [format!("order-{reservation}-{about}"), format!("forged-{about}")] {
                    shop.front
                        .take_hint(&OrderId::new(&forged).unwrap())
                        .await
                        .unwrap();
                }
            }
        }
    }

    fn held(&self, n: usize) -> Held {
        *nth(&self.record().helds, n).unwrap()
    }

    /// How a payment key of this buyer's charges is told.
    pub(super) fn card_mark(&self, user: usize) -> String {
        format!("-h{}-u{user}-", self.index)
    }
}

/// Counted around; none of none.
pub(super) fn nth<T>(of: &[T], n: usize) -> Option<&T> {
    of.get(n.checked_rem(of.len())?)
}
