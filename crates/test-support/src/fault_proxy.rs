//! A stretch of network that fails on demand: between a service and what it talks to, for faults that a real server
//! cannot be made to show.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const PART_BYTES: usize = 16 * 1024;

/// Forwards TCP connections to a target under an address that stays the same. It ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    passage: watch::Sender<Passage>,
    wire: Arc<Wire>,
    acceptor: Option<JoinHandle<()>>,
}

/// What happens to bytes on their way, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Open,
    /// They stay where they are, and go on when the passage is open again: as TCP sends anew what got lost.
    Swallowed,
    Late(Duration),
}

#[derive(Debug)]
struct Wire {
    target: Mutex<SocketAddr>,
    connections: Mutex<JoinSet<()>>,
}

impl FaultProxy {
    /// A proxy that forwards to `target`, which need not listen yet.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut proxy = Self {
            addr: listener.local_addr().unwrap(),
            passage: watch::Sender::new(Passage::Open),
            wire: Arc::new(Wire {
                target: Mutex::new(target),
                connections: Mutex::default(),
            }),
            acceptor: None,
        };
        proxy.accept(listener);
        proxy
    }

    /// Where to connect to instead of to the target.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// New connections are forwarded to another target: for one whose address is chosen after the proxy's.
    pub fn aim(&self, target: SocketAddr) {
        *self.wire.target.lock().unwrap() = target;
    }

    /// All is well again.
    pub async fn forward(&mut self) {
        if self.acceptor.is_none() {
            let listener = TcpListener::bind(self.addr).await.unwrap();
            self.accept(listener);
        }
        self.passage.send_replace(Passage::Open);
    }

    /// Nobody listens there any more, and whoever is connected is cut off.
    pub async fn refuse(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.abort();
            // The port is free only when its listener is gone.
            let _ = acceptor.await;
        }
        self.cut().await;
    }

    /// Cuts every connection, whatever is under way on it; new ones are served.
    pub async fn cut(&self) {
        let mut cut = std::mem::take(&mut *self.wire.connections.lock().unwrap());
        cut.shutdown().await;
    }

    /// Connections are accepted and stay open, and nothing ever comes through.
    pub fn black_hole(&self) {
        self.passage.send_replace(Passage::Swallowed);
    }

    /// Everything comes through this much later, in each direction.
    pub fn delay(&self, by: Duration) {
        self.passage.send_replace(Passage::Late(by));
    }

    fn accept(&mut self, listener: TcpListener) {
        let (wire, passage) = (Arc::clone(&self.wire), self.passage.subscribe());
        self.acceptor = Some(tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let target = *wire.target.lock().unwrap();
                let carried = carry(near, target, passage.clone());
                let mut connections = wire.connections.lock().unwrap();
                while connections.try_join_next().is_some() {}
                connections.spawn(carried);
            }
        }));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.abort();
        }
    }
}

/// Carries one connection until either side is done; a target that is away closes it.
async fn carry(near: TcpStream, target: SocketAddr, mut passage: watch::Receiver<Passage>) {
    if !clear(&mut passage).await {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(
        pump(near_in, far_out, passage.clone()),
        pump(far_in, near_out, passage)
    );
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut passage: watch::Receiver<Passage>,
) {
    let mut part = vec![0; PART_BYTES];
    while let Ok(read @ 1..) = from.read(&mut part).await {
        if !clear(&mut passage).await || to.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Waits until what is here may pass; false when the proxy is gone.
async fn clear(passage: &mut watch::Receiver<Passage>) -> bool {
    let seen = passage.wait_for(|now| *now != Passage::Swallowed).await;
    let Ok(seen) = seen.map(|now| *now) else {
        return false;
    };
    if let Passage::Late(by) = seen {
        tokio::time::sleep(by).await;
    }
    true
}
