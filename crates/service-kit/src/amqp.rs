//! RabbitMQ: a connection that is made again for as long as the process runs, and delayed delivery that loses nothing.
//!
//! The client library's own recovery does not restore prefetch and gives up after some tries, so the loop is ours.

mod session;

use std::time::Duration;

use http::HeaderMap;
use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Environment;
use crate::telemetry;

pub use session::{Session, keep_connected};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long channels and declarations may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a service reaches RabbitMQ.
#[derive(Debug, Clone)]
pub struct AmqpConfig {
    url: SecretString,
    name_prefix: String,
}

impl AmqpConfig {
    /// Reads `AMQP_URL` and `AMQP_NAME_PREFIX`.
    pub fn read(env: &mut Environment) -> Self {
        let url = env.url("AMQP_URL", &["amqp", "amqps"], "The RabbitMQ broker.");
        Self {
            url: SecretString::from(url.to_string()),
            name_prefix: env.text(
                "AMQP_NAME_PREFIX",
                "frontrow",
                "First part of every queue's name, so that two systems can share a broker.",
            ),
        }
    }

    /// The names and arguments of a delayed queue of this system.
    #[must_use]
    pub fn delay_queue(&self, purpose: &str, delay: Duration) -> DelayQueue {
        DelayQueue::new(&format!("{}.{purpose}", self.name_prefix), delay)
    }

    /// Where the messages of every delayed queue of this purpose come out, whatever their delay.
    #[must_use]
    pub fn due_queue(&self, purpose: &str) -> DueQueue {
        DueQueue::new(&format!("{}.{purpose}", self.name_prefix))
    }
}

async fn connect(config: &AmqpConfig, purpose: &str) -> Result<Connection, ConnectError> {
    let properties = ConnectionProperties::default().with_connection_name(purpose.into());
    let connecting = Connection::connect(config.url.expose_secret(), properties);
    Ok(tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The broker is silent.
    #[error("no answer in time")]
    TimedOut(#[from] tokio::time::error::Elapsed),
    /// The broker is away, or refuses the login.
    #[error(transparent)]
    Refused(#[from] lapin::Error),
}

/// Closes a connection whose session is over; a broken one needs no closing.
async fn close(connection: &Connection) {
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close(200, "bye".into())).await;
}

/// A message waits in one quorum queue for `delay` and is then dead-lettered, at least once, into another.
///
/// The delay is queue-wide and part of the name: a message's own TTL would wait behind the head of the queue, and a
/// queue's arguments cannot be changed. Without `reject-publish` at-least-once silently becomes at-most-once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayQueue {
    /// Where messages are published and wait.
    pub waiting: String,
    /// Where they come out.
    pub due: DueQueue,
    delay: Duration,
}

impl DelayQueue {
    fn new(name: &str, delay: Duration) -> Self {
        Self {
            waiting: format!("{name}.waiting-{}ms", delay.as_millis()),
            due: DueQueue::new(name),
            delay,
        }
    }

    /// Declares the whole way; whoever comes first makes it.
    ///
    /// # Errors
    /// The broker refused, for example because a queue of the name has other arguments.
    pub async fn declare(&self, channel: &Channel) -> Result<(), lapin::Error> {
        self.due.declare(channel).await?;

        let mut waiting = quorum();
        let delay_ms = i64::try_from(self.delay.as_millis()).unwrap_or(i64::MAX);
        waiting.insert("x-message-ttl".into(), AMQPValue::LongLongInt(delay_ms));
        waiting.insert("x-dead-letter-exchange".into(), text(&self.due.exchange));
        waiting.insert("x-dead-letter-routing-key".into(), text(&self.due.queue));
        waiting.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        waiting.insert("x-overflow".into(), text("reject-publish"));
        channel
            .queue_declare(self.waiting.as_str().into(), durable(), waiting)
            .await?;
        Ok(())
    }

    /// Fails when the way is not there as [`declare`](Self::declare) would make it; makes nothing.
    ///
    /// # Errors
    /// What is missing or has other arguments, in the broker's words; or the broker does not answer.
    pub async fn check(&self, config: &AmqpConfig) -> Result<(), WayError> {
        let connection = connect(config, "queue check").await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let checked = async {
            // What is there; a passive declaration makes nothing, and compares nothing.
            let channel = connection.create_channel().await?;
            for queue in [&self.waiting, &self.due.queue, &self.due.parked] {
                channel
                    .queue_declare(queue.as_str().into(), passive, FieldTable::default())
                    .await?;
            }
            // How it is: declaring what is there compares every argument.
            self.declare(&channel).await
        };
        let checked = tokio::time::timeout(ANSWER_TIMEOUT, checked).await;
        close(&connection).await;
        checked.map_err(ConnectError::from)?.map_err(WayError::Differs)
    }
}

/// Why the queues of a delay can't be relied upon.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The broker does not answer, or refuses the login.
    #[error("RabbitMQ does not answer")]
    Unreachable(#[from] ConnectError),
    /// A queue or the exchange is missing, or has other arguments.
    // Its causes are in its own text already.
    #[error("a queue is not as this configuration wants it: {0}")]
    Differs(lapin::Error),
}

/// The consumer's side of a [`DelayQueue`]; it need not know the delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueQueue {
    /// The dead-letter exchange in front of it.
    pub exchange: String,
    /// Where messages are consumed when their delay is over.
    pub queue: String,
    /// Where messages go that can't be read.
    pub parked: String,
}

impl DueQueue {
    fn new(name: &str) -> Self {
        Self {
            exchange: format!("{name}.due"),
            queue: format!("{name}.due"),
            parked: format!("{name}.parked"),
        }
    }

    /// Declares this side of the way; whoever comes first makes it.
    ///
    /// # Errors
    /// The broker refused, for example because a queue of the name has other arguments.
    pub async fn declare(&self, channel: &Channel) -> Result<(), lapin::Error> {
        let exchange = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(
                self.exchange.as_str().into(),
                ExchangeKind::Direct,
                exchange,
                FieldTable::default(),
            )
            .await?;
        channel
            .queue_declare(self.queue.as_str().into(), durable(), quorum())
            .await?;
        channel
            .queue_bind(
                self.queue.as_str().into(),
                self.exchange.as_str().into(),
                self.queue.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        channel
            .queue_declare(self.parked.as_str().into(), durable(), quorum())
            .await?;
        Ok(())
    }
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value.as_bytes()))
}

/// A channel on which every publish is confirmed.
///
/// # Errors
/// The connection is broken.
pub async fn confirming_channel(connection: &Connection) -> Result<Channel, lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Properties of a message that survives the broker's restart and carries the current trace.
#[must_use]
pub fn persistent_traced() -> BasicProperties {
    let mut headers = HeaderMap::new();
    telemetry::inject_trace(&mut headers);
    let mut table = FieldTable::default();
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            table.insert(name.as_str().into(), text(value));
        }
    }
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_headers(table)
}

/// Makes `span` a child of the trace that a message carries.
pub fn continue_trace(span: &tracing::Span, properties: &BasicProperties) {
    telemetry::continue_trace(span, &trace_headers(properties));
}

/// Notes on `span` that it serves the trace that a message carries, too.
pub fn link_trace(span: &tracing::Span, properties: &BasicProperties) {
    telemetry::link_trace(span, &trace_headers(properties));
}

fn trace_headers(properties: &BasicProperties) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        if let (Ok(name), AMQPValue::LongString(value)) = (name.as_str().parse::<http::HeaderName>(), value)
            && let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes())
        {
            headers.insert(name, value);
        }
    }
    headers
}
