//! A user's side of the API: one connection that is kept open, JSON both ways, and a bound on each call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// Longer than the longest answer that the API allows itself.
const CALL_BOUND: Duration = Duration::from_secs(30);

/// How long, and how often, who is told to come again comes again.
const PATIENCE: Duration = Duration::from_secs(30);
const COMES_AGAIN: Duration = Duration::from_millis(200);

/// An open connection, or none yet; one call at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    host: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Connection {
    pub(crate) fn to(address: SocketAddr) -> Connection {
        Connection {
            address,
            host: address.to_string(),
            sender: None,
        }
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        json: String,
    ) -> Result<Answer> {
        self.call(Method::POST, path, headers, json).await
    }

    /// Comes again while it is told to: for what prepares a measurement, and can be asked twice.
    pub(crate) async fn patiently(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: &str,
    ) -> Result<Answer> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.call(method.clone(), path, headers, json.to_owned()).await?;
            if !matches!(answer.status, 429 | 503) || Instant::now() >= give_up {
                return Ok(answer);
            }
            tokio::time::sleep(COMES_AGAIN).await;
        }
    }

    /// What fails leaves no connection behind: the next call makes a new one.
    async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: String,
    ) -> Result<Answer> {
        let mut sender = match self.sender.take().filter(SendRequest::is_ready) {
            Some(sender) => sender,
            None => connect(self.address).await?,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !json.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(json)))
            .context("not a request")?;
        let exchange = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            // Ready at once, or when the connection's own task has seen the end of the answer.
            sender.ready().await?;
            hyper::Result::Ok((
                Answer {
                    status: parts.status.as_u16(),
                    body,
                },
                sender,
            ))
        };
        let answered = tokio::time::timeout(CALL_BOUND, exchange).await;
        let (answer, sender) = answered.context("no answer in time")?.context("no answer")?;
        self.sender = Some(sender);
        Ok(answer)
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(http1::handshake(TokioIo::new(stream)).await?)
    };
    let connected = tokio::time::timeout(CALL_BOUND, connecting).await;
    let (sender, connection) = connected
        .context("cannot connect in time")?
        .context("cannot connect")?;
    // It ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}

impl Answer {
    /// The body, when the status is one of these; the error names the status and the problem's code.
    pub(crate) fn read<T: DeserializeOwned>(&self, expected: &[u16]) -> Result<T> {
        if !expected.contains(&self.status) {
            let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
            let code = problem.as_ref().and_then(|problem| problem["code"].as_str());
            bail!("answered {} {}", self.status, code.unwrap_or_default());
        }
        serde_json::from_slice(&self.body).context("the answer is not understood")
    }
}
