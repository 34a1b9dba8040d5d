//! The RabbitMQ that tests share.

use crate::servers;

/// Where it is, for a service's `AMQP_URL`. Give every test an `AMQP_NAME_PREFIX` of its own.
pub async fn amqp_url() -> String {
    servers::rabbitmq().await.to_string()
}
