//! What is done every so often: the sweep of what is due, the giving up of holds of canceled dates, and the relay to
//! queue.

use std::sync::Arc;
use std::time::Duration;

use service_kit::rounds::repeat;
use tokio_util::sync::CancellationToken;

use crate::app::Booking;

/// How often the relay looks for what queue has not heard.
const RELAY_EVERY: Duration = Duration::from_millis(500);

/// Expires what is due, every `every`, whether RabbitMQ brings it to mind or not.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn sweep(booking: Arc<Booking>, every: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(stop, || async {
        if let Err(error) = booking.sweep().await {
            tracing::warn!(%error, "the sweep will come again");
        }
        every
    })
    .await
}

/// Gives up holds of canceled dates, every `every`.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn give_up_holds(
    booking: Arc<Booking>,
    every: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    repeat(stop, || async {
        match booking.give_up_holds(Booking::GIVE_UP_BATCH).await {
            Ok(given_up) if given_up >= Booking::GIVE_UP_BATCH => Duration::ZERO,
            Ok(_) => every,
            Err(error) => {
                tracing::warn!(%error, "holds of canceled dates will be given up later");
                every
            }
        }
    })
    .await
}

/// Tells queue what it has not heard.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn relay_notices(booking: Arc<Booking>, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(stop, || async {
        match booking.relay_notices().await {
            Ok(count) if Booking::may_be_more_notices(count) => Duration::ZERO,
            Ok(_) => RELAY_EVERY,
            Err(error) => {
                tracing::warn!(%error, "the relay to queue will come again");
                RELAY_EVERY
            }
        }
    })
    .await
}
