//! Waiting for what happens elsewhere, with a bound.

use std::time::{Duration, Instant};

// As long as the system may take to heal once its parts are back (promise 4).
const BOUND: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Asks until there is an answer.
///
/// # Panics
/// There is none within 30 s; `what` says what was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < BOUND, "waited {BOUND:?} for: {what}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
