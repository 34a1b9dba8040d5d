//! Points bought by card.

use contracts::payment::{
    Charge, ChargeStatus, CreateChargeRequest, CreateChargeResponse, GetChargeRequest, GetChargeResponse,
    ListWalletEntriesRequest, ListWalletEntriesResponse, Wallet, WalletEntry,
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use service_kit::problem::Problem;
use vocabulary::ProblemCode;

use crate::gateway::{Answer, Gateway, Person};

const CHARGE: &str = "payment.v1.PaymentService/CreateCharge";
const ID: &str = "01900000-0000-7000-8000-000000000001";

fn charge(status: ChargeStatus) -> Charge {
    Charge {
        charge_id: ID.to_owned(),
        user_id: "not for the public".to_owned(),
        status: status as i32,
        amount: 50_000,
        created_at: Some(contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)),
        failure_code: String::new(),
    }
}

fn answer_charges(gateway: &Gateway, charge: Charge) {
    gateway.upstreams.on(CHARGE, move |_: CreateChargeRequest| {
        let succeeded = charge.status == ChargeStatus::Succeeded as i32;
        Ok(CreateChargeResponse {
            charge: Some(charge.clone()),
            wallet: succeeded.then_some(Wallet {
                balance: 60_000,
                pending: 5,
            }),
        })
    });
}

async fn buy(gateway: &Gateway, person: &Person) -> Answer {
    let body = json!({ "amount": 50_000, "card": { "paymentKey": "key-1" } });
    let request = gateway.request(Method::POST, "/v1/wallet/charges").json(&body);
    person.sends(request).await
}

#[tokio::test]
async fn a_charge_that_succeeded_is_201_with_the_wallet() {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    answer_charges(&gateway, charge(ChargeStatus::Succeeded));
    let answer = buy(&gateway, &person).await;
    assert_eq!(answer.header("location"), format!("/v1/wallet/charges/{ID}"));
    let expected = json!({
        "chargeId": ID, "status": "SUCCEEDED", "amount": 50_000, "wallet": { "balance": 60_000, "pending": 5 },
    });
    assert_eq!(answer.expect(201), expected);
}

#[tokio::test]
async fn a_charge_carries_who_pays_what_with_which_card_and_key() {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    let user_id = person.user_id.to_string();
    gateway.upstreams.on(CHARGE, move |request: CreateChargeRequest| {
        let card = request.card.unwrap();
        assert_eq!(
            (
                request.user_id.as_str(),
                request.amount,
                card.payment_key.as_str(),
                card.order_id.as_str(),
                request.idempotency_key.as_str()
            ),
            (user_id.as_str(), 100, "key-1", "order-1", "once")
        );
        Err::<CreateChargeResponse, _>(Problem::of(ProblemCode::OrderUsed))
    });
    let body = json!({ "amount": 100, "card": { "paymentKey": "key-1", "orderId": "order-1" } });
    let request = gateway
        .request(Method::POST, "/v1/wallet/charges")
        .header("Idempotency-Key", "once")
        .json(&body);
    person.sends(request).await.expect_problem(409, "order-used");
}

#[rstest]
#[case(ChargeStatus::Created, "CREATED")]
#[case(ChargeStatus::Confirming, "CONFIRMING")]
#[case(ChargeStatus::Unknown, "UNKNOWN")]
#[tokio::test]
async fn a_charge_without_an_outcome_is_202_with_its_place(#[case] status: ChargeStatus, #[case] word: &str) {
    let gateway = Gateway::start().await;
    answer_charges(&gateway, charge(status));
    let answer = buy(&gateway, &gateway.visitor()).await;
    assert_eq!(answer.header("location"), format!("/v1/wallet/charges/{ID}"));
    let expected = json!({ "chargeId": ID, "status": word, "amount": 50_000 });
    assert_eq!(answer.expect(202), expected);
}

#[tokio::test]
async fn a_charge_that_failed_is_refused_with_its_reason() {
    let gateway = Gateway::start().await;
    let failed = Charge {
        failure_code: "payment-failed".to_owned(),
        ..charge(ChargeStatus::Failed)
    };
    answer_charges(&gateway, failed);
    let answer = buy(&gateway, &gateway.visitor()).await;
    assert_eq!(answer.expect_problem(500, "payment-failed")["chargeId"], ID);
}

#[tokio::test]
async fn a_charge_is_found_again_and_stands_in_the_history() {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    gateway.upstreams.on(
        "payment.v1.PaymentService/GetCharge",
        |request: GetChargeRequest| {
            assert_eq!(request.charge_id, ID);
            Ok(GetChargeResponse {
                charge: Some(charge(ChargeStatus::Unknown)),
            })
        },
    );
    let request = gateway.request(Method::GET, &format!("/v1/wallet/charges/{ID}"));
    let expected = json!({
        "chargeId": ID, "status": "UNKNOWN", "amount": 50_000, "createdAt": "1970-01-01T00:00:00Z",
    });
    assert_eq!(person.sends(request).await.expect(200), expected);

    gateway.upstreams.on(
        "payment.v1.PaymentService/ListWalletEntries",
        |_: ListWalletEntriesRequest| {
            let entry = |kind: &str, charge_id: &str, refund_id: &str| WalletEntry {
                entry_id: ID.to_owned(),
                amount: 7,
                kind: kind.to_owned(),
                payment_id: String::new(),
                created_at: Some(contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)),
                charge_id: charge_id.to_owned(),
                refund_id: refund_id.to_owned(),
            };
            Ok(ListWalletEntriesResponse {
                entries: vec![entry("REFUND_POINTS", "", ID), entry("CHARGE", ID, "")],
                next_cursor: String::new(),
            })
        },
    );
    let request = gateway.request(Method::GET, "/v1/wallet/entries");
    let history = person.sends(request).await.expect(200);
    let of = |n: usize| {
        let entry: &Value = &history["entries"][n];
        (
            entry["kind"].clone(),
            entry.get("chargeId").cloned(),
            entry.get("refundId").cloned(),
        )
    };
    assert_eq!(of(0), (json!("REFUND_POINTS"), None, Some(json!(ID))));
    assert_eq!(of(1), (json!("CHARGE"), Some(json!(ID)), None));
}
