//! Events of the payment provider: they hurry us, and say nothing that is believed.

use end_to_end::{Answer, Sale, SaleOptions, World, captured, payment_key, text};
use serde_json::json;
use test_support::eventually;

#[tokio::test]
async fn the_providers_hint_has_a_lost_payment_looked_up_at_once_and_a_forged_one_changes_nothing() {
    // By itself nobody would ask again within half a minute.
    let world = World::with_env(&[
        ("PAY_WAIT_MS", "500"),
        ("PAYMENT_RETRY_MIN_MS", "60000"),
        ("PAYMENT_RETRY_MAX_MS", "60000"),
        ("SIMULATOR_LATE_SECONDS", "3"),
    ])
    .await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    let held = buyer.enter_and_hold(&sale, 1).await;
    // Captured, and told of by webhook, some seconds after the answer was lost.
    let accepted = buyer.pay(&held, 0, Some(&payment_key("late"))).await;
    let location = accepted.header("location").unwrap().to_owned();
    assert_eq!(accepted.expect(202)["status"], "UNKNOWN");
    let status = async || text(&buyer.get(&location).await.expect(200), "status");
    eventually("the payment to be known", async || {
        (status().await == "SUCCEEDED").then_some(())
    })
    .await;

    let forged = json!({
        "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-20T10:00:00.000000",
        "data": { "paymentKey": "test_ok_forged", "orderId": held["orderId"], "status": "CANCELED" },
    });
    for _ in 0..2 {
        Answer::to(world.post("/v1/webhooks/toss", &forged))
            .await
            .expect(200);
    }
    assert_eq!(status().await, "SUCCEEDED");
    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
    assert_eq!(captured(&world, &held).await, (1, 150_000));
}
