//! Real servers, started, stopped, killed and frozen.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use local_servers::{Durability, Home, Kind, PrivateServer};
use tokio_postgres::NoTls;

fn accepts(server: &PrivateServer) -> bool {
    TcpStream::connect(("127.0.0.1", server.port())).is_ok()
}

async fn sql(server: &PrivateServer, statement: &str) -> Result<String, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(server.url().as_str(), NoTls).await?;
    tokio::spawn(connection);
    let rows = client.simple_query(statement).await?;
    Ok(rows
        .iter()
        .find_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .unwrap_or_default())
}

#[tokio::test]
async fn each_server_starts_stops_and_starts_again_on_its_port() {
    let home = Home::temporary().await.unwrap();
    for kind in Kind::ALL {
        let mut server = PrivateServer::launch(kind, &home, Durability::Off).await.unwrap();
        let url = server.url();
        assert!(accepts(&server), "{kind}");
        server.stop().await;
        assert!(!accepts(&server), "{kind}");
        server.start().await.unwrap();
        assert!(accepts(&server), "{kind}");
        assert_eq!(server.url(), url);
        server.kill().await;
        assert!(!accepts(&server), "{kind}");
        server.start().await.unwrap();
        assert!(accepts(&server), "{kind}");
    }
}

#[tokio::test]
async fn a_killed_postgres_keeps_its_data_and_an_emptied_one_does_not() {
    let home = Home::temporary().await.unwrap();
    let mut postgres = PrivateServer::launch(Kind::Postgres, &home, Durability::Off)
        .await
        .unwrap();
    sql(&postgres, "CREATE TABLE kept (n int)").await.unwrap();
    sql(&postgres, "INSERT INTO kept VALUES (7)").await.unwrap();
    postgres.kill().await;
    assert!(sql(&postgres, "SELECT 1").await.is_err());
    postgres.start().await.unwrap();
    assert_eq!(sql(&postgres, "SELECT n FROM kept").await.unwrap(), "7");

    postgres.start_empty().await.unwrap();
    assert_eq!(
        sql(&postgres, "SELECT count(*) FROM pg_class WHERE relname = 'kept'")
            .await
            .unwrap(),
        "0"
    );
}

#[tokio::test]
async fn a_frozen_postgres_answers_nobody_until_it_is_resumed() {
    let home = Home::temporary().await.unwrap();
    let postgres = PrivateServer::launch(Kind::Postgres, &home, Durability::Off)
        .await
        .unwrap();
    let (client, connection) = tokio_postgres::connect(postgres.url().as_str(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    postgres.pause();
    let question = client.simple_query("SELECT 1");
    tokio::pin!(question);
    // The connection existed before: its own process must be frozen too.
    assert!(
        tokio::time::timeout(Duration::from_millis(300), &mut question)
            .await
            .is_err()
    );
    postgres.resume();
    question.await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_is_gone_at_once() {
    let home = Home::temporary().await.unwrap();
    for kind in Kind::ALL {
        let server = PrivateServer::launch(kind, &home, Durability::Off).await.unwrap();
        let port = server.port();
        let begun = Instant::now();
        drop(server);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{kind}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{kind}");
    }
}
