//! The payment provider's own books, as its stand-in shows them.

use serde_json::Value;
use test_support::unique_name;

use crate::answer::Answer;
use crate::world::World;

/// A payment key that the provider has not seen yet, with this fate.
pub fn payment_key(fate: &str) -> String {
    unique_name(&format!("test_{fate}"))
}

/// Every payment that the provider captured, those it gave back included.
pub async fn captures(world: &World) -> Vec<Value> {
    let simulator = world.services.admin_url("psp-simulator").await;
    let listed = reqwest::Client::new().get(format!("{simulator}/simulator/payments"));
    let mut listed = Answer::to(listed).await.expect(200);
    let Value::Array(mut payments) = listed["payments"].take() else {
        panic!("no payments in {listed}");
    };
    payments.retain(|payment| !payment["approvedAt"].is_null());
    payments
}

/// How many payments the provider captured for a reservation's order, and how much of them it still has.
pub async fn captured(world: &World, reservation: &Value) -> (usize, i64) {
    let mut payments = captures(world).await;
    payments.retain(|payment| payment["orderId"] == reservation["orderId"]);
    let kept = payments
        .iter()
        .map(|payment| payment["balanceAmount"].as_i64().unwrap());
    (payments.len(), kept.sum())
}
