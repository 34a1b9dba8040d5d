//! What a fair opening is checked by: the record, receipts, proofs and leaves. `docs/fairness.md` says how.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::queue::{self, GetProofRequest, ListLeavesRequest};
use fair_draw::Record;
use futures::TryStreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P};

use crate::draws::bytes;
use crate::extract::{PathId, QueueTokenHeader};
use crate::openapi::{QUEUE_TOKEN, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::BrokenContract;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_proof))
        .routes(routes!(list_leaves))
}

/// How far a draw has come.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum DrawState {
    /// People gather in the lobby.
    Gathering,
    /// The lobby is closed; the count is fixed.
    Closed,
    /// The root is published.
    Sealed,
    /// The secret is published, and with it everybody's number.
    Drawn,
    /// People are called.
    Open,
}

/// Why no beacon has a say.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum OperatorTrusted {
    /// None was announced.
    NoBeacon,
    /// The announced round could not be had in time.
    BeaconUnavailable,
    /// The root was published only after the round.
    RootTooLate,
}

/// The round of a public randomness beacon that a draw waits for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Beacon {
    /// The chain's hash, as drand names it.
    chain: String,
    round: u64,
    /// Its randomness, once drawn with it; hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<String>,
}

/// What is published of a room's draw, so far. Hashes and keys are hexadecimal.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fairness {
    /// Edition of the rules.
    version: u32,
    state: DrawState,
    /// The Ed25519 key that receipts are checked with.
    receipt_key: String,
    /// SHA-256 of the secret.
    commitment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    beacon: Option<Beacon>,
    /// Whether no beacon has a say.
    operator_trusted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operator_trusted_because: Option<OperatorTrusted>,
    /// How many were in the lobby, once it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u64>,
    /// The Merkle root over them, once sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    root: Option<String>,
    /// Once drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    /// Once drawn: the order follows from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    seed: Option<String>,
}

impl From<&Record> for Fairness {
    fn from(record: &Record) -> Self {
        let text = |hash: Option<fair_draw::Hash>| hash.map(|hash| hash.to_string());
        Self {
            version: record.version,
            state: match record.state {
                fair_draw::DrawState::Gathering => DrawState::Gathering,
                fair_draw::DrawState::Closed => DrawState::Closed,
                fair_draw::DrawState::Sealed => DrawState::Sealed,
                fair_draw::DrawState::Drawn => DrawState::Drawn,
                fair_draw::DrawState::Open => DrawState::Open,
            },
            receipt_key: record.receipt_key.to_string(),
            commitment: record.commitment.to_string(),
            beacon: record.beacon.as_ref().map(|beacon| Beacon {
                chain: beacon.chain.clone(),
                round: beacon.round,
                value: text(beacon.value),
            }),
            operator_trusted: record.operator_trusted,
            operator_trusted_because: record.operator_trusted_because.map(|because| match because {
                fair_draw::OperatorTrusted::NoBeacon => OperatorTrusted::NoBeacon,
                fair_draw::OperatorTrusted::BeaconUnavailable => OperatorTrusted::BeaconUnavailable,
                fair_draw::OperatorTrusted::RootTooLate => OperatorTrusted::RootTooLate,
            }),
            count: record.count,
            root: text(record.root),
            secret: text(record.secret),
            seed: text(record.seed),
        }
    }
}

/// What proves a place in a lobby. Keep it: with it and the published record anybody can compute the number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    /// Edition of the rules.
    version: u32,
    concert_id: String,
    /// The order of arrival, from 0. It does not matter for the order of the line.
    index: u64,
    /// With the user's id it gives the commitment; who leaves it out shows nobody who they are. Hexadecimal.
    salt: String,
    /// Stands for the user in the list of leaves. Hexadecimal.
    commitment: String,
    /// The operator's, by the room's receipt key. Hexadecimal.
    signature: String,
}

impl TryFrom<queue::Receipt> for Receipt {
    type Error = BrokenContract;

    fn try_from(receipt: queue::Receipt) -> Result<Self, Self::Error> {
        Ok(Self {
            version: receipt.version,
            concert_id: receipt.concert_id,
            index: receipt.index,
            salt: bytes::<16>("Receipt.salt", &receipt.salt)?.to_string(),
            commitment: bytes::<32>("Receipt.commitment", &receipt.commitment)?.to_string(),
            signature: bytes::<64>("Receipt.signature", &receipt.signature)?.to_string(),
        })
    }
}

/// That a receipt is under the published root.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Proof {
    concert_id: String,
    /// The order of arrival, from 0.
    index: u64,
    /// The siblings on the way from the leaf to the root; hexadecimal.
    path: Vec<String>,
    /// The place in line, once drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    number: Option<u64>,
}

impl TryFrom<queue::GetProofResponse> for Proof {
    type Error = BrokenContract;

    fn try_from(proof: queue::GetProofResponse) -> Result<Self, Self::Error> {
        let path = proof
            .path
            .iter()
            .map(|hash| bytes::<32>("GetProofResponse.path", hash));
        Ok(Self {
            concert_id: proof.concert_id,
            index: proof.index,
            path: path.map(|hash| Ok(hash?.to_string())).collect::<Result<_, _>>()?,
            number: (proof.number > 0).then_some(proof.number),
        })
    }
}

problems!(ProofProblems: QUEUE_TOKEN, &[P::NotFound, P::DrawPending]);

/// That a receipt is under the root that was published. Only for those who came before the opening.
#[utoipa::path(
    get, path = "/v1/queue/proof", tag = "queue",
    responses((status = 200, body = Proof, description = "The proof."), ProofProblems),
    security(("queueToken" = []))
)]
async fn get_proof(State(app): State<App>, queue: QueueTokenHeader) -> Result<Json<Proof>, ApiProblem> {
    let request = GetProofRequest {
        queue_token: queue.token,
    };
    let proof = app.clients.queue.clone().get_proof(request).await?.into_inner();
    Ok(Json(proof.try_into()?))
}

problems!(LeavesProblems: &[P::NotFound, P::DrawPending]);

/// Everybody who was in a concert's lobby, in order of arrival: a commitment of 32 bytes each, which tells nobody who
/// they are. It never changes again.
#[utoipa::path(
    get, path = "/v1/concerts/{concertId}/queue/leaves", tag = "queue",
    params(("concertId" = uuid::Uuid, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream", body = [u8], description = "The commitments."),
        LeavesProblems
    )
)]
async fn list_leaves(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
) -> Result<impl IntoResponse, ApiProblem> {
    let request = ListLeavesRequest {
        concert_id: concert_id.to_string(),
    };
    let messages = app.clients.queue.clone().list_leaves(request).await?.into_inner();
    // One that breaks off breaks the connection off: nobody takes a part for the whole.
    let body = Body::from_stream(messages.map_ok(|message| message.commitments));
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, body))
}
