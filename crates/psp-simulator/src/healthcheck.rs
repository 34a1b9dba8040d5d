//! Whether a simulator answers, asked from outside its process: what a container's health check runs.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(2);

/// Why a simulator does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing listens there, or the connection broke.
    #[error("cannot ask {addr}")]
    Unreachable {
        /// The address that was asked.
        addr: SocketAddr,
        /// What failed.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{addr} has not answered within {LIMIT:?}")]
    Silent {
        /// The address that was asked.
        addr: SocketAddr,
    },
    /// It answered something else than 200.
    #[error("{addr} answered `{status_line}`")]
    Refused {
        /// The address that was asked.
        addr: SocketAddr,
        /// The first line of its answer.
        status_line: String,
    },
}

/// Asks what listens on `addr`; an unspecified address asks this machine.
pub async fn ask(addr: SocketAddr) -> Result<(), Unhealthy> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(LIMIT, exchange)
        .await
        .map_err(|_| Unhealthy::Silent { addr })?
        .map_err(|source| Unhealthy::Unreachable { addr, source })?;
    let answer = String::from_utf8_lossy(&answer);
    let status_line = answer.lines().next().unwrap_or_default();
    if status_line.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(Unhealthy::Refused {
        addr,
        status_line: status_line.to_owned(),
    })
}
