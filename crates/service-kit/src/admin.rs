//! The private HTTP port: liveness, readiness and metrics. It is never the public one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::health::Readiness;
use crate::telemetry;

const UPKEEP_EVERY: Duration = Duration::from_secs(5);
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads `ADMIN_ADDR`.
pub fn read_addr(env: &mut Environment) -> SocketAddr {
    env.address(
        "ADMIN_ADDR",
        SocketAddr::from((Ipv4Addr::LOCALHOST, 9100)),
        "Where /healthz, /readyz and /metrics are served; never a public address.",
    )
}

/// Serves the private port until `stop`.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "alive" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(|| async { telemetry::render_metrics() }))
        .with_state(readiness);
    let upkeep = async {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            telemetry::upkeep_metrics();
        }
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    tokio::select! {
        served = async { server.await } => served.context("the admin server"),
        () = upkeep => Ok(()),
    }
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    let waiting_for = readiness.waiting_for();
    let status = if waiting_for.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(serde_json::json!({ "ready": waiting_for.is_empty(), "waitingFor": waiting_for })),
    )
}

/// Asks the process that serves `addr` whether it is ready.
///
/// # Errors
/// It is not, or it does not answer in time.
pub async fn healthcheck(addr: SocketAddr) -> anyhow::Result<()> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(HEALTHCHECK_TIMEOUT, exchange)
        .await
        .context("no answer in time")??;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    anyhow::ensure!(
        status == "200",
        "not ready: {}",
        answer.lines().last().unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_healthcheck_follows_readiness() {
        let readiness = Readiness::new();
        let gate = readiness.gate("store");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, readiness, stop.clone()));

        let refusal = healthcheck(addr).await.unwrap_err().to_string();
        assert!(refusal.contains("store"), "{refusal}");
        gate.open();
        healthcheck(addr).await.unwrap();

        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
