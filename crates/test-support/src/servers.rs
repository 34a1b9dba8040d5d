//! Servers that all tests of a process share.

use local_servers::{Durability, Home, Kind, PrivateServer};
use tokio::sync::OnceCell;
use url::Url;

static POSTGRES: OnceCell<Shared> = OnceCell::const_new();
static RABBITMQ: OnceCell<Shared> = OnceCell::const_new();

// Held for as long as the process lives; the home's guardian ends the server after it.
#[derive(Debug)]
struct Shared {
    url: Url,
    _server: Option<PrivateServer>,
}

/// The Postgres that tests share, as one who may make databases.
pub async fn postgres_url() -> Url {
    url_of(&POSTGRES, Kind::Postgres, "FRONTROW_TEST_POSTGRES_URL").await
}

/// The RabbitMQ that tests share. Give every test an `AMQP_NAME_PREFIX` of its own.
pub async fn amqp_url() -> String {
    url_of(&RABBITMQ, Kind::RabbitMq, "FRONTROW_TEST_AMQP_URL")
        .await
        .to_string()
}

async fn url_of(cell: &OnceCell<Shared>, kind: Kind, variable: &str) -> Url {
    let start = || async {
        if let Ok(url) = std::env::var(variable) {
            return Shared {
                url: url.parse().unwrap(),
                _server: None,
            };
        }
        let server = launch(kind).await;
        Shared {
            url: server.url(),
            _server: Some(server),
        }
    };
    cell.get_or_init(start).await.url.clone()
}

/// A server that one test may stop, kill or freeze.
pub(crate) async fn launch(kind: Kind) -> PrivateServer {
    let home = Home::temporary().await.unwrap();
    PrivateServer::launch(kind, &home, Durability::Off).await.unwrap()
}
