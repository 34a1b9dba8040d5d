//! The promises while something is broken: each test is named after the promises and the fault, and has a control that
//! shows that the fault really happened.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod freeze;
mod invariants;
mod kill;
mod line;
mod network;
mod postgres;
mod queue_away;
mod rabbitmq;
mod redis;
mod steps;
mod twins;
mod watch;

use std::time::{Duration, Instant};

use end_to_end::Crowd;
use test_support::eventually;

/// Calls may take so long while a store is away.
const QUICK: Duration = Duration::from_millis(2_500);

/// A hall that no crowd here empties.
fn large(capacity: u32) -> end_to_end::SaleOptions {
    end_to_end::SaleOptions {
        capacity,
        seats: (20, 60),
        ..end_to_end::SaleOptions::default()
    }
}

/// By itself, and within the bound, somebody of the crowd holds or pays again.
async fn buys_on(crowd: &Crowd<'_>, bound: Duration) {
    let begun = Instant::now();
    eventually("the sale to go on", async || {
        let ((), tries) = crowd.during(pause_ms(500)).await;
        tries.assert_plain(QUICK);
        (tries.successes() > 0).then_some(())
    })
    .await;
    assert!(begun.elapsed() < bound, "{:?}", begun.elapsed());
}

async fn pause_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
