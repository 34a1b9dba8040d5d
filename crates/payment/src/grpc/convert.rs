//! Contract messages to own values and back.

use contracts::booking::payment_credential::Credential as WireCredential;
use contracts::payment as proto;
use contracts::{amount, optional_id, parse_id, timestamp};
use service_kit::problem::{FieldError, Problem};
use sha2::{Digest as _, Sha256};
use vocabulary::QueueNumber;

use crate::app::{CardOffer, PayRequest};
use crate::booking::Credential;
use crate::domain::{OrderId, Payment, PaymentKey, State};
use crate::store::RequestKey;

const MAX_KEY_CHARS: usize = 255;
/// Of the words of a provider's event.
const MAX_EVENT_CHARS: usize = 64;

/// All mistakes of a request at once.
#[derive(Default)]
pub(super) struct Mistakes(Vec<FieldError>);

impl Mistakes {
    pub(super) fn note<T>(&mut self, field: &str, read: Result<T, impl ToString>) -> Option<T> {
        read.map_err(|rule| {
            self.0.push(FieldError {
                field: field.to_owned(),
                rule: rule.to_string(),
            });
        })
        .ok()
    }

    pub(super) fn take<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.0.extend(problem.fields)).ok()
    }
}

impl From<Mistakes> for Problem {
    fn from(mistakes: Mistakes) -> Self {
        Self::fields(mistakes.0)
    }
}

/// The order that an event is about; what else it says is not believed.
pub(super) fn provider_event(event: &proto::NotifyProviderEventRequest) -> Result<OrderId, Problem> {
    let mut mistakes = Mistakes::default();
    let word = |text: &str, least| {
        if (least..=MAX_EVENT_CHARS).contains(&text.chars().count()) {
            Ok(())
        } else {
            Err(format!("must be {least} to {MAX_EVENT_CHARS} characters"))
        }
    };
    let event_type = mistakes.note("eventType", word(&event.event_type, 1));
    let status = mistakes.note("data.status", word(&event.status, 0));
    let order_id = mistakes.note("data.orderId", OrderId::new(&event.order_id));
    match (event_type, status, order_id) {
        (Some(()), Some(()), Some(order_id)) => Ok(order_id),
        _ => Err(mistakes.into()),
    }
}

pub(super) fn pay_request(request: proto::PayRequest) -> Result<PayRequest, Problem> {
    let hash = hash(&request);
    let mut mistakes = Mistakes::default();
    let reservation_id = mistakes.take(parse_id("reservationId", &request.reservation_id));
    let points = mistakes.take(amount("points", request.points));
    let user_id = mistakes.take(optional_id("userId", &request.user_id));
    let card = match request.card {
        None => Some(None),
        Some(card) => card_offer(&card, &mut mistakes).map(Some),
    };
    let key = mistakes.note("idempotencyKey", request_key(request.idempotency_key, hash));
    let credential = match request.credential.and_then(|credential| credential.credential) {
        Some(WireCredential::PaymentToken(token)) => Some(Credential::PaymentToken(token)),
        Some(WireCredential::Queue(queue)) => {
            let user_id = mistakes.take(parse_id("credential.queue.userId", &queue.user_id));
            let concert_id = mistakes.take(parse_id("credential.queue.concertId", &queue.concert_id));
            user_id
                .zip(concert_id)
                .map(|(user_id, concert_id)| Credential::Queue {
                    user_id,
                    concert_id,
                    number: QueueNumber(queue.number),
                })
        }
        None => mistakes.note("credential", Err("is required")),
    };

    let read = (reservation_id, points, user_id, card, key, credential);
    let (Some(reservation_id), Some(points), Some(user_id), Some(card), Some(key), Some(credential)) = read
    else {
        return Err(mistakes.into());
    };
    Ok(PayRequest {
        reservation_id,
        points,
        card,
        credential,
        user_id,
        key,
    })
}

fn card_offer(card: &proto::Card, mistakes: &mut Mistakes) -> Option<CardOffer> {
    let payment_key = payment_key(card, mistakes);
    let order_id = match card.order_id.as_str() {
        "" => Some(None),
        order_id => mistakes.note("card.orderId", OrderId::new(order_id)).map(Some),
    };
    Some(CardOffer {
        payment_key: payment_key?,
        order_id: order_id?,
    })
}

pub(super) fn payment_key(card: &proto::Card, mistakes: &mut Mistakes) -> Option<PaymentKey> {
    match card.payment_key.as_str() {
        "" => mistakes.note("card.paymentKey", Err("is required")),
        key => mistakes.note("card.paymentKey", PaymentKey::new(key)),
    }
}

/// An Idempotency-Key with the request that it came with; none when the caller gave none.
pub(super) fn request_key(key: String, hash: Vec<u8>) -> Result<Option<RequestKey>, String> {
    match key.chars().count() {
        0 => Ok(None),
        1..=MAX_KEY_CHARS => Ok(Some(RequestKey { key, hash })),
        _ => Err(format!("must be at most {MAX_KEY_CHARS} characters")),
    }
}

/// What makes two requests the same: all that they ask for, not who carries them.
fn hash(request: &proto::PayRequest) -> Vec<u8> {
    let card = request.card.as_ref();
    hash_of(&[
        &request.reservation_id.to_lowercase(),
        &request.points.to_string(),
        card.map_or("", |card| &card.payment_key),
        card.map_or("", |card| &card.order_id),
    ])
}

/// The same for the same parts in the same order, and for no others.
pub(super) fn hash_of(parts: &[&str]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

pub(super) fn payment(payment: &Payment) -> proto::Payment {
    let status = public_status(payment.state);
    let tells_why = matches!(
        status,
        proto::PaymentStatus::Failed | proto::PaymentStatus::Refunded
    );
    let failure = payment.failure.filter(|_| tells_why);
    proto::Payment {
        payment_id: payment.payment_id.to_string(),
        reservation_id: payment.reservation_id.to_string(),
        user_id: payment.user_id.to_string(),
        status: status.into(),
        points: payment.points.get(),
        card_amount: payment.card_amount().get(),
        currency: payment.currency.to_string(),
        created_at: Some(timestamp(payment.created_at)),
        failure_code: failure.map(|code| code.to_string()).unwrap_or_default(),
    }
}

/// The contract knows no states of being undone: it says where the money is.
const fn public_status(state: State) -> proto::PaymentStatus {
    match state {
        State::Created => proto::PaymentStatus::Created,
        State::PointsTaken => proto::PaymentStatus::PointsTaken,
        State::Confirming => proto::PaymentStatus::Confirming,
        State::Unknown => proto::PaymentStatus::Unknown,
        State::Captured | State::Refunding => proto::PaymentStatus::Captured,
        State::Succeeded => proto::PaymentStatus::Succeeded,
        State::Releasing | State::Failed => proto::PaymentStatus::Failed,
        State::Refunded => proto::PaymentStatus::Refunded,
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::ReservationId;

    use super::*;

    fn request() -> proto::PayRequest {
        proto::PayRequest {
            reservation_id: ReservationId::new().to_string(),
            points: 10,
            card: Some(proto::Card {
                payment_key: "test_ok_1".into(),
                order_id: String::new(),
            }),
            credential: Some(contracts::booking::PaymentCredential {
                credential: Some(WireCredential::PaymentToken("token".into())),
            }),
            ..proto::PayRequest::default()
        }
    }

    #[test]
    fn every_mistake_of_a_request_is_named() {
        let wrong = proto::PayRequest {
            reservation_id: "row-7".into(),
            points: -1,
            card: Some(proto::Card {
                payment_key: "a b".into(),
                order_id: "no".into(),
            }),
            credential: None,
            user_id: "me".into(),
            idempotency_key: "k".repeat(256),
        };
        let problem = pay_request(wrong).unwrap_err();
        let fields: Vec<_> = problem.fields.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "reservationId",
                "points",
                "userId",
                "card.paymentKey",
                "card.orderId",
                "idempotencyKey",
                "credential"
            ]
        );
    }

    #[test]
    fn requests_are_the_same_when_they_ask_for_the_same() {
        let one = request();
        let other_carrier = proto::PayRequest {
            credential: None,
            ..one.clone()
        };
        let other_points = proto::PayRequest {
            points: 11,
            ..one.clone()
        };
        assert_eq!(hash(&one), hash(&other_carrier));
        assert_ne!(hash(&one), hash(&other_points));
    }
}
