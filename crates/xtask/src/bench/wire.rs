//! HTTP at the least cost to the client, which shares the machine with what it measures: requests are bytes made before,
//! and of an answer only its status, its length and its body are read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::load::Load;

const CALL_BOUND: Duration = Duration::from_secs(30);
const LONGEST_ANSWER: usize = 64 * 1024;

/// A connection that is kept open; one request at a time.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Wire {
    pub(crate) async fn to(address: SocketAddr) -> Result<Wire> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(Wire {
            stream,
            buffer: Vec::new(),
        })
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        let exchange = tokio::time::timeout(CALL_BOUND, self.exchange(request));
        let (status, head) = exchange.await.context("no answer in time")??;
        let body = self.buffer.get(head..).unwrap_or_default();
        Ok(Reply { status, body })
    }

    /// Answers the status and where the body begins.
    async fn exchange(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        self.buffer.clear();
        self.stream.write_all(request).await.context("cannot ask")?;
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection was closed");
            if let Some((status, head, length)) = read_head(&self.buffer)?
                && self.buffer.len() >= head + length
            {
                return Ok((status, head));
            }
            ensure!(self.buffer.len() < LONGEST_ANSWER, "an answer without an end");
        }
    }
}

/// Status, length of the head and length of the body, once the head is whole.
fn read_head(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).context("no HTTP")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok()).context("no HTTP")?;
    let mut length = None;
    for line in lines {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse()?);
        }
    }
    match (length, status) {
        (Some(length), _) => Ok(Some((status, end + 4, length))),
        (None, 204) => Ok(Some((status, end + 4, 0))),
        _ => bail!("answered {status} without a length"),
    }
}

/// A request without a body, as bytes.
pub(crate) fn request(method: &str, path: &str, address: SocketAddr, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// A closed loop over so many connections, until the time is over. Each goes through the requests from a place of its
/// own. An answer that is not 200 or lacks `expected` is a failure.
pub(crate) async fn keep_asking(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    requests: &Arc<Vec<Vec<u8>>>,
    expected: &'static str,
) -> Result<Load> {
    let mut wires = Vec::new();
    for _ in 0..connections {
        wires.push(Wire::to(address).await?);
    }
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for (index, wire) in wires.into_iter().enumerate() {
        let first = index * requests.len() / connections;
        workers.spawn(one_by_one(
            wire,
            begun + time,
            Arc::clone(requests),
            first,
            expected,
        ));
    }
    let mut load = Load::new()?;
    while let Some(worker) = workers.join_next().await {
        load.add(worker.context("a worker died")??)?;
    }
    load.took = begun.elapsed();
    Ok(load)
}

async fn one_by_one(
    mut wire: Wire,
    end: Instant,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
    expected: &'static str,
) -> Result<Load> {
    let mut load = Load::new()?;
    let mut begun = Instant::now();
    for request in requests.iter().cycle().skip(first) {
        let reply = wire.ask(request).await?;
        let answered = Instant::now();
        if reply.status == 200 && contains(reply.body, expected) {
            load.did(answered - begun);
        } else {
            load.failed(format!("answered {}", reply.status));
        }
        begun = answered;
        if answered >= end {
            break;
        }
    }
    Ok(load)
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_its_head_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(read_head(&answer[..40]).unwrap(), None);
        let (status, head, length) = read_head(answer).unwrap().unwrap();
        assert_eq!((status, &answer[head..head + length]), (200, &b"{}"[..]));
        let empty = read_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!((empty.0, empty.2), (204, 0));
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_is_what_a_server_reads() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let bytes = request("GET", "/v1/queue", address, &[("queue-token", "t")]);
        let expected = "GET /v1/queue HTTP/1.1\r\nhost: 127.0.0.1:80\r\nqueue-token: t\r\n\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
