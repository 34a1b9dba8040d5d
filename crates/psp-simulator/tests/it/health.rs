//! What a container's health check is told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use psp_simulator::healthcheck::{Unhealthy, ask};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::simulator::Simulator;

#[tokio::test]
async fn a_simulator_that_serves_is_healthy_and_one_that_has_stopped_is_not() {
    let simulator = Simulator::start().await;
    let addr = simulator.addr;
    ask(addr).await.unwrap();
    simulator.stop().await;
    assert!(matches!(ask(addr).await, Err(Unhealthy::Unreachable { .. })));
}

#[tokio::test]
async fn a_simulator_that_listens_everywhere_is_asked_by_the_address_it_was_given() {
    let simulator = Simulator::start_with(psp_simulator::config::Config {
        addr: (Ipv4Addr::UNSPECIFIED, 0).into(),
        ..crate::simulator::config()
    })
    .await;
    assert!(simulator.addr.ip().is_unspecified());
    ask(simulator.addr).await.unwrap();
    simulator.stop().await;
}

#[tokio::test]
async fn another_answer_than_200_is_not_health() {
    let (listener, addr) = listening().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream
            .write_all(b"HTTP/1.0 503 Service Unavailable\r\n\r\n")
            .await;
    });
    let Err(Unhealthy::Refused { status_line, .. }) = ask(addr).await else {
        panic!("503 counts as health");
    };
    assert_eq!(status_line, "HTTP/1.0 503 Service Unavailable");
}

#[tokio::test]
async fn silence_is_not_health_and_is_not_waited_for_long() {
    // Connections are taken by the kernel and answered by nobody.
    let (_listener, addr) = listening().await;
    let answer = tokio::time::timeout(Duration::from_secs(5), ask(addr)).await;
    assert!(matches!(answer, Ok(Err(Unhealthy::Silent { .. }))), "{answer:?}");
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}
