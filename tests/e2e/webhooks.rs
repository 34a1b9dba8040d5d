//! Events of the payment provider: they hurry us, and say nothing that is believed.

use end_to_end::{Answer, Sale, SaleOptions, World, captured, payment_key};
use serde_json::json;
use test_support::eventually;

#[tokio::test]
async fn a_hint_has_a_lost_payment_looked_up_at_once_whatever_it_says_itself() {
    // By itself nobody would ask again within a minute.
    let world = World::with_env(&[
        ("PAY_WAIT_MS", "500"),
        ("PROVIDER_TIMEOUT_MS", "1000"),
        ("PAYMENT_RETRY_MIN_MS", "60000"),
        ("PAYMENT_RETRY_MAX_MS", "60000"),
    ])
    .await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    let held = buyer.enter_and_hold(&sale, 1).await;
    let accepted = buyer.pay(&held, 0, Some(&payment_key("lost"))).await;
    let location = accepted.header("location").unwrap().to_owned();
    accepted.expect(202);
    let until = async |status: &str| {
        eventually(&format!("the payment to be {status}"), async || {
            let payment = buyer.get(&location).await.expect(200);
            (payment["status"] == status).then_some(())
        })
        .await;
    };
    until("UNKNOWN").await;

    let forged = json!({
        "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-20T10:00:00.000000",
        "data": { "paymentKey": "test_ok_forged", "orderId": held["orderId"], "status": "CANCELED" },
    });
    for _ in 0..2 {
        Answer::to(world.post("/v1/webhooks/toss", &forged))
            .await
            .expect(200);
    }
    until("SUCCEEDED").await;
    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
    assert_eq!(captured(&world, &held).await, (1, 150_000));
}
