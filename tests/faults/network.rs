//! A network between payment and the provider that loses what matters most: the answer.

use std::time::Duration;

use end_to_end::{Sale, World, WorldOptions, invariants};
use serde_json::Value;
use test_support::{FaultProxy, eventually, unique_name};

use crate::{large, pause_ms};

#[tokio::test]
async fn promises_8_and_10_whatever_the_network_to_the_provider_does_a_card_is_charged_once() {
    let mut proxy = FaultProxy::to(([127, 0, 0, 1], 1).into()).await;
    let url: &'static str = format!("http://{}", proxy.addr()).leak();
    let world = World::start(WorldOptions {
        env: vec![
            ("PROVIDER_URL", url),
            ("PROVIDER_TIMEOUT_MS", "1000"),
            ("PAY_WAIT_MS", "500"),
            ("PAYMENT_RETRY_MAX_MS", "1000"),
        ],
        ..WorldOptions::default()
    })
    .await;
    let simulator = world.services.admin_url("psp-simulator").await;
    let simulator = simulator.trim_start_matches("http://").parse().unwrap();
    proxy.aim(simulator);
    let sale = Sale::open(&world, large(10)).await;

    for fault in ["refused", "silent", "cut", "late"] {
        let mut buyer = world.buyer().await;
        let held = buyer.enter_and_hold(&sale, 1).await;
        let key = unique_name("test_ok");
        let paying = buyer.pay(&held, 0, Some(&key));
        let answer = match fault {
            "refused" => {
                proxy.refuse().await;
                paying.await
            }
            "silent" => {
                proxy.black_hole();
                paying.await
            }
            "late" => {
                proxy.delay(Duration::from_millis(700));
                paying.await
            }
            _ => {
                // The request gets there, and the answer does not come back.
                proxy.delay(Duration::from_millis(200));
                let cut = async {
                    pause_ms(300).await;
                    proxy.cut().await;
                };
                tokio::join!(paying, cut).0
            }
        };
        if fault == "refused" {
            // The control: nothing got there, so nothing was charged, and that is known at once.
            answer.expect_problem(500, "payment-failed");
            proxy.forward().await;
            let now = buyer.reservation(&held).await;
            buyer
                .pay(&now, 0, Some(&unique_name("test_ok")))
                .await
                .expect(201);
            continue;
        }
        // The control: the outcome was not known in time.
        assert_eq!(answer.status, 202, "{fault}: {}", answer.body);
        proxy.forward().await;
        let path = answer.header("location").unwrap().to_owned();
        let paid: Value = eventually(&format!("the payment to end after {fault}"), async || {
            let payment = buyer.get(&path).await.expect(200);
            ["SUCCEEDED", "FAILED", "REFUNDED"]
                .contains(&payment["status"].as_str().unwrap())
                .then_some(payment)
        })
        .await;
        assert_eq!(paid["status"], "SUCCEEDED", "{fault}");
        assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED", "{fault}");
    }
    invariants::hold(&world).await;
}
