//! Takes messages in batches, has booking look once for all of them, and only then lets the broker forget them.

use std::time::Duration;

use contracts::BookingClient;
use contracts::booking::ExpireDueRequest;
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, Consumer};
use service_kit::amqp::{self, AmqpConfig, DueQueue};
use service_kit::health::Gate;
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::prompt::{Prompt, Unreadable};

/// Messages that the broker sends ahead; a batch is never larger.
const PREFETCH: u16 = 256;
/// How long a batch waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// How many reservations booking expires in one go.
const EXPIRE_AT_ONCE: u32 = 200;
/// A message that comes before its time by booking's clock is waited for, a few times and a moment each.
const EARLY_LOOKS: usize = 8;
const EARLY_WAIT_MIN: Duration = Duration::from_millis(20);
const EARLY_WAIT_MAX: Duration = Duration::from_millis(250);
/// How long messages rest after booking failed, before they go back to their queue.
const PAUSE: Duration = Duration::from_secs(1);
/// A broker that confirms later than this is taken to be gone.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// The consumer of one process.
#[derive(Clone)]
pub(crate) struct DueConsumer {
    pub(crate) booking: BookingClient,
    pub(crate) queue: DueQueue,
    /// Open while messages are being consumed.
    pub(crate) gate: Gate,
}

/// Why a batch came to nothing.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    #[error("an unreadable message could not be parked")]
    NotParked,
}

impl DueConsumer {
    /// Consumes until `stop`, on a new connection whenever one breaks.
    pub(crate) async fn run(self, config: AmqpConfig, stop: CancellationToken) -> anyhow::Result<()> {
        let session = DueSession {
            consumer: self,
            stop: stop.clone(),
        };
        amqp::keep_connected(config, "expire-worker", stop, session).await
    }

    /// Handles batches until the connection breaks or `stop`. What is not acknowledged comes again with the next session.
    async fn consume(&self, subscribed: Subscribed, stop: &CancellationToken) -> Result<(), BatchError> {
        let Subscribed {
            mut deliveries,
            parking,
        } = subscribed;
        loop {
            let first = tokio::select! {
                delivery = deliveries.next() => delivery,
                () = stop.cancelled() => return Ok(()),
            };
            let Some(first) = first else {
                return Ok(());
            };
            let batch = gather(first?, &mut deliveries).await?;
            self.handle(batch, &parking, stop).await?;
        }
    }

    async fn handle(
        &self,
        batch: Vec<Delivery>,
        parking: &Channel,
        stop: &CancellationToken,
    ) -> Result<(), BatchError> {
        let mut latest = None;
        let mut readable = 0_u64;
        for delivery in &batch {
            match Prompt::read(&delivery.data) {
                Ok(prompt) => {
                    tracing::debug!(reservation_id = %prompt.reservation_id, "a hold should be due");
                    metrics::histogram!("expire_worker_lag_seconds")
                        .record((OffsetDateTime::now_utc() - prompt.expires_at).as_seconds_f64());
                    latest = latest.max(Some(prompt.expires_at));
                    readable += 1;
                }
                Err(unreadable) => self.park(parking, delivery, &unreadable).await?,
            }
        }
        // Deliveries of one channel come in order, so the last one stands for the batch.
        let Some(last) = batch.last() else {
            return Ok(());
        };

        if let Some(latest) = latest {
            let expired = self.expire_until(latest).instrument(batch_span(&batch)).await;
            if expired.is_err() {
                metrics::counter!("expire_worker_messages_total", "outcome" => "returned")
                    .increment(readable);
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
                let back = BasicNackOptions {
                    multiple: true,
                    requeue: true,
                };
                last.nack(back).await?;
                return Ok(());
            }
        }
        last.ack(BasicAckOptions { multiple: true }).await?;
        metrics::counter!("expire_worker_messages_total", "outcome" => "done").increment(readable);
        Ok(())
    }

    /// Has booking expire all that is due up to `latest`, by booking's clock.
    async fn expire_until(&self, latest: OffsetDateTime) -> Result<(), tonic::Status> {
        let expired = self.look_until(latest).await;
        if let Err(status) = &expired {
            tracing::warn!(rpc.code = ?status.code(), "booking does not expire now");
        }
        expired
    }

    async fn look_until(&self, latest: OffsetDateTime) -> Result<(), tonic::Status> {
        let mut early_looks = 0;
        loop {
            let request = ExpireDueRequest {
                limit: EXPIRE_AT_ONCE,
            };
            let answer = self.booking.clone().expire_due(request).await?.into_inner();
            if answer.expired >= EXPIRE_AT_ONCE {
                continue;
            }
            let ahead = answer
                .next_due_at
                .and_then(|time| contracts::time_of("nextDueAt", &time).ok())
                .filter(|next| *next <= latest);
            let Some(next) = ahead.filter(|_| early_looks < EARLY_LOOKS) else {
                // What is still ahead by now is for booking's own sweep.
                return Ok(());
            };
            early_looks += 1;
            let wait = Duration::try_from(next - OffsetDateTime::now_utc()).unwrap_or_default();
            tokio::time::sleep(wait.clamp(EARLY_WAIT_MIN, EARLY_WAIT_MAX)).await;
        }
    }

    /// Puts a message aside that can't be read: it would come back for ever.
    async fn park(
        &self,
        parking: &Channel,
        delivery: &Delivery,
        unreadable: &Unreadable,
    ) -> Result<(), BatchError> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirm = parking
            .basic_publish(
                "".into(),
                self.queue.parked.as_str().into(),
                options,
                &delivery.data,
                delivery.properties.clone().with_delivery_mode(2),
            )
            .await?;
        match tokio::time::timeout(CONFIRM_TIMEOUT, confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => {
                tracing::warn!(error = %unreadable, "an unreadable message was parked");
                metrics::counter!("expire_worker_messages_total", "outcome" => "parked").increment(1);
                Ok(())
            }
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) | Err(_) => Err(BatchError::NotParked),
        }
    }
}

struct DueSession {
    consumer: DueConsumer,
    stop: CancellationToken,
}

/// What messages come from, and where those go that can't be read.
struct Subscribed {
    deliveries: Consumer,
    parking: Channel,
}

impl amqp::Session for DueSession {
    type Ready = Subscribed;
    type Error = BatchError;

    async fn prepare(&self, connection: &Connection) -> Result<Subscribed, lapin::Error> {
        let parking = amqp::confirming_channel(connection).await?;
        let channel = connection.create_channel().await?;
        let queue = &self.consumer.queue;
        queue.declare(&channel).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let deliveries = channel
            .basic_consume(
                queue.queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Subscribed { deliveries, parking })
    }

    async fn work(&self, subscribed: Subscribed) -> Result<(), BatchError> {
        self.consumer.gate.open();
        let ended = self.consumer.consume(subscribed, &self.stop).await;
        self.consumer.gate.close();
        ended
    }
}

/// The span of a batch's handling. A batch belongs to many traces: it continues the first and is linked to the others.
fn batch_span(batch: &[Delivery]) -> Span {
    let span = tracing::info_span!(
        "expire due",
        otel.kind = "consumer",
        messages = batch.len(),
        trace_id = tracing::field::Empty,
    );
    if let Some((first, others)) = batch.split_first() {
        amqp::continue_trace(&span, &first.properties);
        for other in others {
            amqp::link_trace(&span, &other.properties);
        }
    }
    span
}

/// A batch: what is there, and what comes within a moment.
async fn gather(first: Delivery, deliveries: &mut Consumer) -> Result<Vec<Delivery>, lapin::Error> {
    let mut batch = vec![first];
    let until = Instant::now() + GATHER;
    while batch.len() < usize::from(PREFETCH) {
        match tokio::time::timeout_at(until, deliveries.next()).await {
            Ok(Some(delivery)) => batch.push(delivery?),
            Ok(None) | Err(_) => break,
        }
    }
    Ok(batch)
}
