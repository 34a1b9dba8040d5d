//! Loops that take a step every so often until they are stopped: the sweep of what is due, and the relay to queue.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::Booking;

/// How often the relay looks for what queue has not heard.
const RELAY_EVERY: Duration = Duration::from_millis(500);

/// Expires what is due, every `every`, whether RabbitMQ brings it to mind or not.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn sweep(booking: Arc<Booking>, every: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    while rest(every, &stop).await {
        if let Err(error) = booking.sweep().await {
            tracing::warn!(%error, "the sweep will come again");
        }
    }
    Ok(())
}

/// Tells queue what it has not heard.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn relay_notices(booking: Arc<Booking>, stop: CancellationToken) -> anyhow::Result<()> {
    while rest(RELAY_EVERY, &stop).await {
        loop {
            match booking.relay_notices().await {
                Ok(count) if Booking::may_be_more_notices(count) && !stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "the relay to queue will come again");
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Waits for the next round; false when there is none. Rounds of several replicas are spread by a little chance.
async fn rest(every: Duration, stop: &CancellationToken) -> bool {
    let wait = every.mul_f64(0.9 + rand::random::<f64>() * 0.2);
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        () = stop.cancelled() => false,
    }
}
