//! The few lines of HTTP that a local health check and a walk through the system need: plain HTTP/1.1 to this machine,
//! one connection a request, a bound on each.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("no answer: {0}")]
    Transport(#[from] hyper::Error),
    #[error("not a request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Sends one request; `path` begins with a slash, a body is JSON.
pub async fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    json: Option<String>,
    bound: Duration,
) -> Result<Response, HttpError> {
    let exchange = async {
        let stream = TcpStream::connect(address).await.map_err(HttpError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(json.unwrap_or_default())))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    };
    tokio::time::timeout(bound, exchange)
        .await
        .unwrap_or(Err(HttpError::Late(bound)))
}

/// Whether a GET is answered with 200.
pub(crate) async fn answers_ok(address: SocketAddr, path: &str) -> bool {
    let answer = request(address, Method::GET, path, &[], None, Duration::from_secs(2)).await;
    answer.is_ok_and(|response| response.status == StatusCode::OK)
}
