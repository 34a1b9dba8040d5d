//! Work that comes round again until the process stops.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::health::Gate;
use crate::telemetry::causes;

const TRY_AGAIN: Duration = Duration::from_millis(400);

/// Takes a step, and again after the pause that it answers, until `stop`. A step that has begun is let end, so its calls
/// need deadlines. Pauses vary by a quarter, so that replicas do not keep step.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn repeat<F>(stop: CancellationToken, mut step: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Duration>,
{
    while !stop.is_cancelled() {
        let pause = step().await;
        stop.run_until_cancelled(tokio::time::sleep(jittered(pause)))
            .await;
    }
    Ok(())
}

/// Tries until it succeeds, then opens `gate` and waits for `stop`. `what` says in the log what cannot be done yet.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn open_when_done<F, T, E>(
    what: &'static str,
    gate: Gate,
    stop: CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error,
{
    let done = async {
        while let Err(error) = attempt().await {
            tracing::warn!(error = causes(&error), "could not {what} yet");
            tokio::time::sleep(jittered(TRY_AGAIN)).await;
        }
        gate.open();
    };
    if stop.run_until_cancelled(done).await.is_some() {
        stop.cancelled().await;
    }
    Ok(())
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::health::Readiness;

    #[tokio::test]
    async fn a_stop_ends_the_rounds_after_the_step_that_has_begun() {
        let (stop, steps) = (CancellationToken::new(), Cell::new(0));
        repeat(stop.clone(), async || {
            steps.set(steps.get() + 1);
            if steps.get() == 3 {
                stop.cancel();
            }
            Duration::ZERO
        })
        .await
        .unwrap();
        assert_eq!(steps.get(), 3);
    }

    #[tokio::test]
    async fn a_gate_opens_when_a_try_succeeds() {
        let (readiness, stop, tries) = (Readiness::new(), CancellationToken::new(), Cell::new(0));
        let gate = readiness.gate("seed");
        let attempt = async || {
            tries.set(tries.get() + 1);
            if tries.get() < 2 {
                Err(std::fmt::Error)
            } else {
                Ok(())
            }
        };
        let stopper = async {
            readiness
                .clone()
                .follow(|ready| {
                    let stop = stop.clone();
                    async move {
                        if ready {
                            stop.cancel();
                        }
                    }
                })
                .await;
        };
        tokio::select! {
            done = open_when_done("seed", gate, stop.clone(), attempt) => done.unwrap(),
            () = stopper => {}
        }
        assert_eq!(tries.get(), 2);
        assert!(readiness.is_ready());
    }
}
