//! Charges: contract messages to own values and back.

use contracts::payment as proto;
use contracts::{parse_id, timestamp};
use service_kit::problem::Problem;

use super::convert::{Mistakes, hash_of, payment_key, request_key};
use crate::app::{CardOffer, ChargeRequest, Charged};
use crate::domain::{Charge, ChargeState, charge_amount, charge_order};
use crate::store::Wallet;

pub(super) fn request(request: proto::CreateChargeRequest) -> Result<ChargeRequest, Problem> {
    let hash = hash(&request);
    let mut mistakes = Mistakes::default();
    let user_id = mistakes.take(parse_id("userId", &request.user_id));
    let amount = mistakes.note("amount", charge_amount(request.amount));
    let card = match request.card {
        Some(card) => {
            let payment_key = payment_key(&card, &mut mistakes);
            let order_id = match card.order_id.as_str() {
                "" => Some(None),
                order_id => mistakes.note("card.orderId", charge_order(order_id)).map(Some),
            };
            payment_key.zip(order_id)
        }
        None => mistakes.note("card", Err("is required")),
    };
    let key = mistakes.note("idempotencyKey", request_key(request.idempotency_key, hash));

    let read = (user_id, amount, card, key);
    let (Some(user_id), Some(amount), Some((payment_key, order_id)), Some(key)) = read else {
        return Err(mistakes.into());
    };
    Ok(ChargeRequest {
        user_id,
        amount,
        card: CardOffer {
            payment_key,
            order_id,
        },
        key,
    })
}

/// What makes two requests of one user the same.
fn hash(request: &proto::CreateChargeRequest) -> Vec<u8> {
    let card = request.card.as_ref();
    hash_of(&[
        &request.amount.to_string(),
        card.map_or("", |card| &card.payment_key),
        card.map_or("", |card| &card.order_id),
    ])
}

pub(super) fn response(charged: Charged) -> proto::CreateChargeResponse {
    proto::CreateChargeResponse {
        charge: Some(charge(&charged.charge)),
        wallet: charged.wallet.map(wallet),
    }
}

pub(super) fn charge(charge: &Charge) -> proto::Charge {
    let status = match charge.state {
        ChargeState::Created => proto::ChargeStatus::Created,
        ChargeState::Confirming => proto::ChargeStatus::Confirming,
        ChargeState::Unknown => proto::ChargeStatus::Unknown,
        ChargeState::Succeeded => proto::ChargeStatus::Succeeded,
        ChargeState::Failed => proto::ChargeStatus::Failed,
    };
    proto::Charge {
        charge_id: charge.charge_id.to_string(),
        user_id: charge.user_id.to_string(),
        status: status.into(),
        amount: charge.amount.get(),
        created_at: Some(timestamp(charge.created_at)),
        failure_code: charge.failure.map(|code| code.to_string()).unwrap_or_default(),
    }
}

pub(super) const fn wallet(wallet: Wallet) -> proto::Wallet {
    proto::Wallet {
        balance: wallet.balance,
        pending: wallet.pending,
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::UserId;

    use super::*;

    fn asked() -> proto::CreateChargeRequest {
        proto::CreateChargeRequest {
            user_id: UserId::new().to_string(),
            amount: 5_000,
            card: Some(proto::Card {
                payment_key: "test_ok_1".into(),
                order_id: String::new(),
            }),
            idempotency_key: String::new(),
        }
    }

    #[test]
    fn every_mistake_of_a_request_is_named() {
        let fields = |wrong| -> Vec<String> {
            let problem = request(wrong).unwrap_err();
            problem.fields.into_iter().map(|error| error.field).collect()
        };
        let wrong = proto::CreateChargeRequest {
            user_id: "me".into(),
            amount: 99,
            card: Some(proto::Card {
                payment_key: String::new(),
                order_id: "fr-01932c07a5b17e0e8a3f0123456789ab-1".into(),
            }),
            idempotency_key: "k".repeat(256),
        };
        let named = [
            "userId",
            "amount",
            "card.paymentKey",
            "card.orderId",
            "idempotencyKey",
        ];
        assert_eq!(fields(wrong), named);
        let without_card = proto::CreateChargeRequest {
            card: None,
            ..asked()
        };
        assert_eq!(fields(without_card), ["card"]);
    }

    #[test]
    fn requests_are_the_same_when_they_ask_for_the_same() {
        let one = asked();
        let mut other_order = one.clone();
        other_order.card.as_mut().unwrap().order_id = "site-order-1".into();
        let other_amount = proto::CreateChargeRequest {
            amount: 5_001,
            ..one.clone()
        };
        assert_eq!(hash(&one), hash(&one.clone()));
        assert_ne!(hash(&one), hash(&other_order));
        assert_ne!(hash(&one), hash(&other_amount));
    }
}
