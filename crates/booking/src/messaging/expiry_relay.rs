//! Publishes expiry messages from the outbox to RabbitMQ: confirmed, `mandatory`, many in flight.
//!
//! A message only brings the end of a hold to mind. One that is published twice, late or never changes no outcome.

use std::sync::Arc;
use std::time::Duration;

use contracts::events::HoldExpiryDue;
use contracts::timestamp;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, Connection};
use prost::Message as _;
use service_kit::amqp::{self, AmqpConfig, DelayQueue};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use vocabulary::ReservationId;

use super::trace;
use crate::store::{DueMessage, Store, StoreError};

/// How many messages wait for their confirmation at once.
const BATCH: u32 = 256;
/// A broker that confirms later than this is taken to be gone.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the outbox is looked at when nobody wakes the relay: rows of processes that died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The relay of one process.
#[derive(Debug)]
pub struct ExpiryRelay {
    store: Store,
    queue: DelayQueue,
    messages_wait: Arc<Notify>,
}

/// Why a step stopped.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is gone.
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    /// The broker took some messages and not others: its queue is gone or full, or it did not confirm in time.
    #[error("{refused} of {published} message(s) were not confirmed")]
    NotConfirmed {
        /// How many came back.
        refused: usize,
        /// How many were sent.
        published: usize,
    },
}

impl ExpiryRelay {
    pub(crate) const fn new(store: Store, queue: DelayQueue, messages_wait: Arc<Notify>) -> Self {
        Self {
            store,
            queue,
            messages_wait,
        }
    }

    /// Publishes until `stop`, on a new connection whenever one breaks.
    ///
    /// # Errors
    /// Never; the type is that of a task.
    pub async fn run(self, config: AmqpConfig, stop: CancellationToken) -> anyhow::Result<()> {
        let session = RelaySession {
            relay: self,
            stop: stop.clone(),
        };
        amqp::keep_connected(config, "expiry relay", stop, session).await
    }

    /// A channel on which [`ExpiryRelay::publish_waiting`] can publish.
    ///
    /// # Errors
    /// The broker refused a declaration or is gone.
    pub async fn open(&self, connection: &Connection) -> Result<Channel, lapin::Error> {
        let channel = amqp::confirming_channel(connection).await?;
        self.queue.declare(&channel).await?;
        Ok(channel)
    }

    /// One step: takes up a batch, publishes it, and forgets what the broker confirmed. Answers how many that were.
    ///
    /// # Errors
    /// The outbox or the broker failed; what was not confirmed stays for the next step.
    pub async fn publish_waiting(&self, channel: &Channel) -> Result<usize, RelayError> {
        let messages = self.store.lease_due_messages(BATCH).await?;
        if messages.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = messages.iter().map(|message| message.reservation_id).collect();
        let publishing = self.publish(channel, &messages);
        let (confirmed, failure) = match tokio::time::timeout(CONFIRM_TIMEOUT, publishing).await {
            Ok((confirmed, failure)) => (confirmed, failure),
            Err(_) => (Vec::new(), None),
        };
        metrics::counter!("booking_expiry_messages_total", "outcome" => "published")
            .increment(confirmed.len() as u64);
        self.store.remove_due_messages(&confirmed).await?;

        let left: Vec<_> = ids.into_iter().filter(|id| !confirmed.contains(id)).collect();
        if left.is_empty() {
            return Ok(confirmed.len());
        }
        metrics::counter!("booking_expiry_messages_total", "outcome" => "failed")
            .increment(left.len() as u64);
        self.store.give_due_messages_back(&left).await?;
        Err(failure.map_or(
            RelayError::NotConfirmed {
                refused: left.len(),
                published: messages.len(),
            },
            RelayError::Broker,
        ))
    }

    /// Sends all, then waits for every confirmation. Answers what was confirmed, and what ended it early.
    async fn publish(
        &self,
        channel: &Channel,
        messages: &[DueMessage],
    ) -> (Vec<ReservationId>, Option<lapin::Error>) {
        let mut sent = Vec::with_capacity(messages.len());
        let mut failure = None;
        for message in messages {
            match self.send(channel, message).await {
                Ok(confirm) => sent.push((message.reservation_id, confirm)),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut confirmed = Vec::with_capacity(sent.len());
        for (id, confirm) in sent {
            match confirm.await {
                // With a message inside it was returned: nothing is bound to the name.
                Ok(Confirmation::Ack(None)) => confirmed.push(id),
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        (confirmed, failure)
    }

    async fn send(
        &self,
        channel: &Channel,
        message: &DueMessage,
    ) -> Result<lapin::PublisherConfirm, lapin::Error> {
        let span = tracing::info_span!(
            "publish expiry",
            otel.kind = "producer",
            reservation_id = %message.reservation_id,
            trace_id = tracing::field::Empty,
        );
        trace::continue_from(&span, message.trace_parent.as_deref());
        async {
            let payload = HoldExpiryDue {
                reservation_id: message.reservation_id.to_string(),
                expires_at: Some(timestamp(message.expires_at)),
            };
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            channel
                .basic_publish(
                    "".into(),
                    self.queue.waiting.as_str().into(),
                    options,
                    &payload.encode_to_vec(),
                    amqp::persistent_traced(),
                )
                .await
        }
        .instrument(span)
        .await
    }
}

struct RelaySession {
    relay: ExpiryRelay,
    stop: CancellationToken,
}

impl amqp::Session for RelaySession {
    type Ready = Channel;
    type Error = RelayError;

    async fn prepare(&self, connection: &Connection) -> Result<Channel, lapin::Error> {
        self.relay.open(connection).await
    }

    async fn work(&self, channel: Channel) -> Result<(), RelayError> {
        while !self.stop.is_cancelled() && channel.status().connected() {
            match self.relay.publish_waiting(&channel).await {
                Ok(published) if published >= BATCH as usize => continue,
                Ok(_) => {}
                Err(RelayError::Store(error)) => tracing::warn!(%error, "the outbox cannot be read now"),
                // The outbox keeps what was not published, and a new session declares the queue anew.
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = self.relay.messages_wait.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }
}
