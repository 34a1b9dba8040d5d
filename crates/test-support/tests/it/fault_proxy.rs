//! A network that fails on demand.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use test_support::FaultProxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(5);

/// Sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    addr
}

async fn says_back(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<()> {
    stream.write_all(word).await?;
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard).await?;
    assert_eq!(heard, word);
    Ok(())
}

#[tokio::test]
async fn what_goes_in_comes_out_and_an_end_is_passed_on() {
    let proxy = FaultProxy::to(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let large = vec![7; 1_000_000];
    let (mut from, mut to) = stream.split();
    let (sent, ()) = tokio::join!(
        async {
            to.write_all(&large).await.unwrap();
            to.shutdown().await
        },
        async {
            let mut heard = Vec::new();
            from.read_to_end(&mut heard).await.unwrap();
            assert!(heard == large, "{} bytes came back", heard.len());
        }
    );
    sent.unwrap();
}

#[tokio::test]
async fn refused_is_refused_until_it_forwards_again_under_the_same_address() {
    let mut proxy = FaultProxy::to(echo().await).await;
    let mut open = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut open, b"before").await.unwrap();

    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(says_back(&mut open, b"during").await.is_err());

    proxy.forward().await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut stream, b"after").await.unwrap();
}

#[tokio::test]
async fn a_cut_ends_what_is_open_and_the_next_connection_is_served() {
    let proxy = FaultProxy::to(echo().await).await;
    let mut open = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut open, b"before").await.unwrap();
    proxy.cut().await;
    assert!(says_back(&mut open, b"during").await.is_err());
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut stream, b"after").await.unwrap();
}

#[tokio::test]
async fn a_black_hole_accepts_and_is_silent_and_gives_back_what_it_holds() {
    let mut proxy = FaultProxy::to(echo().await).await;
    let mut open = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut open, b"before").await.unwrap();

    proxy.black_hole();
    let mut late = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(timeout(SHORT, says_back(&mut open, b"open")).await.is_err());
    assert!(timeout(SHORT, says_back(&mut late, b"late")).await.is_err());

    proxy.forward().await;
    for (stream, held) in [(&mut open, b"open"), (&mut late, b"late")] {
        let mut heard = [0; 4];
        timeout(LONG, stream.read_exact(&mut heard))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&heard, held);
    }
}

#[tokio::test]
async fn a_delay_holds_each_direction_up() {
    let proxy = FaultProxy::to(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut stream, b"at once").await.unwrap();
    proxy.delay(SHORT);
    let asked = Instant::now();
    says_back(&mut stream, b"late").await.unwrap();
    assert!(asked.elapsed() >= SHORT * 2, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_target_that_is_away_closes_the_connection_and_another_may_be_aimed_at() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = FaultProxy::to(nobody).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(
        timeout(LONG, says_back(&mut stream, b"x"))
            .await
            .unwrap()
            .is_err()
    );

    proxy.aim(echo().await);
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    says_back(&mut stream, b"there").await.unwrap();
}
