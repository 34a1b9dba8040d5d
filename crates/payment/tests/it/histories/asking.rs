//! What buyers ask for: of a process that answers them, or of one that dies on the way.

use std::time::Duration;

use payment::app::saga::Saga;
use payment::app::{
    App, CancelError, CancelRequest, CardOffer, ChargeError, ChargeRequest, PayError, PayRequest,
};
use payment::booking::Credential;
use payment::domain::{
    Charge, ChargeState, NewCharge, NewPayment, NewRefund, OrderId, Payment, PaymentKey, Refund,
    RefundReason, RefundState, State, own_charge_order, split,
};
use payment::store::{ChargeInserted, Inserted, RefundInserted, RequestKey};
use vocabulary::{Amount, ChargeId, Currency, PaymentId, RefundId};

use super::history::{Held, History, Kind, Told, nth};
use super::plan::{By, Way, What};
use super::shop::Shop;
use crate::booking::token_of;
use crate::world::Hold;

/// How long the driver of a process that may die waits between tries, all in all.
const WAITS: Duration = Duration::from_millis(50);

/// How long a buyer waits for an answer.
const PATIENCE: Duration = Duration::from_millis(600);

/// Something that a buyer asks for, complete.
#[derive(Debug, Clone)]
pub(super) struct Request {
    user: usize,
    key: Option<RequestKey>,
    pub(super) what: Wanted,
}

#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Charge {
        amount: i64,
        card: PaymentKey,
    },
    Pay {
        hold: Hold,
        points: i64,
        card: Option<PaymentKey>,
    },
    Cancel {
        hold: Hold,
    },
}

impl History {
    /// What an act asks for, with a card of its own.
    pub(super) fn request(&self, what: &What, key: Option<u8>) -> Request {
        let mut record = self.record();
        let mut card = |user: usize, script: &str| {
            record.cards += 1;
            let key = format!("test_{script}_-h{}-u{user}-{}", self.index, record.cards);
            PaymentKey::new(&key).unwrap()
        };
        let (user, what) = match *what {
            What::Charge {
                user,
                amount,
                card: script,
            } => (
                user,
                Wanted::Charge {
                    amount,
                    card: card(user, script),
                },
            ),
            What::Pay {
                held,
                by,
                card: script,
                stranger,
            } => {
                let card = card(0, script);
                let Held { hold, user, total } = *nth(&record.helds, held).unwrap();
                let (points, card) = match by {
                    By::Points => (total, None),
                    By::Card => (0, Some(card)),
                    By::Both(percent) => ((total * percent / 100).min(total - 100), Some(card)),
                };
                (user ^ usize::from(stranger), Wanted::Pay { hold, points, card })
            }
            What::Cancel { held, stranger } => {
                let Held { hold, user, .. } = *nth(&record.helds, held).unwrap();
                (user ^ usize::from(stranger), Wanted::Cancel { hold })
            }
        };
        let key = key.map(|key| RequestKey {
            key: format!("key-{key}"),
            hash: format!("{what:?} by the {}. card", record.cards).into_bytes(),
        });
        Request { user, key, what }
    }

    /// Has it asked for, and notes what is told.
    pub(super) async fn ask(&self, shop: &Shop, request: Request, way: Way) {
        let asked = async {
            match way {
                Way::Once => self.send(&shop.front, &request).await,
                Way::InHaste => self.send(&shop.hasty_front, &request).await,
                Way::TwiceAtOnce => {
                    let (one, other) = (&shop.front, &shop.hasty_front);
                    tokio::join!(self.send(one, &request), self.send(other, &request));
                }
                // The process is this future: nothing of it is left when it is dropped.
                Way::ToAMortal => tokio::select! {
                    () = self.send_to_a_mortal(shop, &request) => {}
                    () = self.interruption.death() => {}
                },
            }
        };
        // Whoever waited for so long hangs up.
        let _ = tokio::time::timeout(PATIENCE, asked).await;
    }

    async fn send(&self, front: &App, request: &Request) {
        self.count(request);
        let user_id = self.users[request.user];
        let key = request.key.clone();
        let told = match &request.what {
            Wanted::Charge { amount, card } => {
                let request = ChargeRequest {
                    user_id,
                    amount: Amount::new(*amount).unwrap(),
                    card: offer(card),
                    key,
                };
                match front.create_charge(request).await {
                    Ok(charged) => {
                        self.record().orders.push(charged.charge.order_id.clone());
                        let done = (charged.charge.state == ChargeState::Succeeded).then_some(true);
                        Some((Kind::Charge, charged.charge.charge_id.as_uuid(), None, done))
                    }
                    Err(ChargeError::Failed { charge_id, .. }) => {
                        Some((Kind::Charge, charge_id.as_uuid(), None, Some(false)))
                    }
                    Err(ChargeError::OutOfSight(charge_id)) => {
                        Some((Kind::Charge, charge_id.as_uuid(), None, None))
                    }
                    Err(_) => None,
                }
            }
            Wanted::Pay { hold, points, card } => {
                let asked = PayRequest {
                    reservation_id: hold.reservation_id,
                    points: Amount::new(*points).unwrap(),
                    card: card.as_ref().map(offer),
                    credential: Credential::PaymentToken(token_of(hold)),
                    user_id: Some(user_id),
                    key,
                };
                match front.pay(asked).await {
                    Ok(paid) => {
                        let payment = paid.payment;
                        self.note_order(&payment);
                        let done = (payment.state == State::Succeeded).then_some(true);
                        Some((Kind::Payment, payment.payment_id.as_uuid(), Some(*hold), done))
                    }
                    Err(PayError::Failed { payment_id, .. }) => {
                        Some((Kind::Payment, payment_id.as_uuid(), Some(*hold), Some(false)))
                    }
                    Err(PayError::OutOfSight(payment_id)) => {
                        Some((Kind::Payment, payment_id.as_uuid(), Some(*hold), None))
                    }
                    Err(_) => None,
                }
            }
            Wanted::Cancel { hold } => {
                let asked = CancelRequest {
                    user_id,
                    reservation_id: hold.reservation_id,
                    key,
                };
                match front.cancel_reservation(asked).await {
                    Ok(canceled) => {
                        let done = (canceled.refund.state == RefundState::Completed).then_some(true);
                        Some((
                            Kind::Refund,
                            canceled.refund.refund_id.as_uuid(),
                            Some(*hold),
                            done,
                        ))
                    }
                    Err(CancelError::OutOfSight(refund_id)) => {
                        Some((Kind::Refund, refund_id.as_uuid(), Some(*hold), None))
                    }
                    Err(_) => None,
                }
            }
        };
        let Some((kind, id, hold, done)) = told else {
            return;
        };
        let key = request.key.as_ref().map(|key| (request.user, key.key.clone()));
        self.record().told.push(Told {
            kind,
            id,
            hold,
            done,
            key,
        });
    }

    /// The same, without the part of it that only answers; so that it can be dropped anywhere.
    async fn send_to_a_mortal(&self, shop: &Shop, request: &Request) {
        self.count(request);
        let user_id = self.users[request.user];
        let (store, settings) = (shop.world.store(), &shop.world.config.settings);
        let key = request.key.as_ref();
        match &request.what {
            Wanted::Charge { amount, card } => {
                let charge_id = ChargeId::new();
                let new = NewCharge {
                    charge_id,
                    user_id,
                    amount: Amount::new(*amount).unwrap(),
                    order_id: own_charge_order(charge_id).unwrap(),
                    payment_key: card.clone(),
                };
                let inserted = store
                    .insert_charge(&new, key, settings.provider_lease)
                    .await
                    .unwrap();
                if let ChargeInserted::New(charge) = inserted {
                    self.record().orders.push(charge.order_id.clone());
                    drive::<Charge>(shop, charge).await;
                }
            }
            Wanted::Pay { hold, points, card } => {
                if hold.user_id != user_id {
                    return;
                }
                let total = shop.world.booking.shown(hold).total;
                let order = OrderId::new(&shop.world.booking.order_id(hold)).unwrap();
                let card = card.clone().map(|card| (card, None));
                let points = Amount::new(*points).unwrap();
                let terms = split(
                    Amount::new(total).unwrap(),
                    Currency::KRW,
                    points,
                    card,
                    Some(order),
                );
                let new = NewPayment {
                    payment_id: PaymentId::new(),
                    reservation_id: hold.reservation_id,
                    user_id,
                    currency: Currency::KRW,
                    terms: terms.unwrap(),
                };
                if let Inserted::New(payment) = store.insert(&new, key, settings.lease).await.unwrap() {
                    self.note_order(&payment);
                    drive::<Payment>(shop, payment).await;
                }
            }
            Wanted::Cancel { hold } => {
                let reservation_id = hold.reservation_id;
                let Some(payment_id) = store.payment_to_undo(user_id, reservation_id).await.unwrap() else {
                    return;
                };
                let new = NewRefund {
                    refund_id: RefundId::new(),
                    payment_id,
                    reservation_id,
                    user_id,
                    reason: RefundReason::Buyer,
                };
                if let RefundInserted::New(refund) =
                    store.insert_refund(&new, key, settings.lease).await.unwrap()
                {
                    drive::<Refund>(shop, refund).await;
                }
            }
        }
    }

    /// Counts what a request may come to.
    fn count(&self, request: &Request) {
        let kind = match request.what {
            Wanted::Charge { .. } => Kind::Charge,
            Wanted::Pay { .. } => Kind::Payment,
            Wanted::Cancel { .. } => Kind::Refund,
        };
        let mut record = self.record();
        let (keys, without_key) = record.effects.entry((kind, request.user)).or_default();
        match &request.key {
            Some(key) => {
                keys.insert(key.key.clone());
            }
            None => *without_key += 1,
        }
    }

    fn note_order(&self, payment: &Payment) {
        if let Some(card) = &payment.card {
            self.record().orders.push(card.order_id.clone());
        }
    }
}

async fn drive<S: Saga>(shop: &Shop, saga: S) {
    // In other hands, or the store does not want it: the resumer's.
    let _ = shop.front.drive(saga, WAITS).await;
}

fn offer(card: &PaymentKey) -> CardOffer {
    CardOffer {
        payment_key: card.clone(),
        order_id: None,
    }
}
