//! Between the contract's messages and what the use cases speak of.

use contracts::{queue, queue_status, timestamp};
use fair_draw::Hash;
use service_kit::problem::Problem;
use vocabulary::QueueTokenStatus;

use crate::app::{Proof, RoomStats, RoomView, Ticket, TokenView, VisitOutcome, VisitPurpose};
use crate::domain::{
    Draw, DrawState, OperatorTrusted, RoomMode, RoomSettings, RoomState, SettingsError, TokenState,
};

pub(super) fn token_state(view: TokenView) -> queue::TokenState {
    let (status, phase) = match view.state {
        TokenState::Gathering => (QueueTokenStatus::Waiting, queue::Phase::Lobby),
        TokenState::Waiting | TokenState::TurnMissed => {
            (QueueTokenStatus::Waiting, queue::Phase::Unspecified)
        }
        TokenState::Page => (QueueTokenStatus::Processing, queue::Phase::Page),
        TokenState::Payment => (QueueTokenStatus::Processing, queue::Phase::Payment),
        TokenState::Completed => (QueueTokenStatus::Completed, queue::Phase::Unspecified),
        TokenState::Expired => (QueueTokenStatus::Expired, queue::Phase::Unspecified),
    };
    queue::TokenState {
        status: queue_status(status).into(),
        phase: phase.into(),
        number: view.number.0,
        position: view.position,
        ahead: view.position.saturating_sub(1),
        eta_seconds: view.eta.map(|eta| eta.expected_seconds),
        eta_from_seconds: view.eta.map(|eta| eta.from_seconds),
        eta_to_seconds: view.eta.and_then(|eta| eta.to_seconds),
        poll_after_ms: view.poll_after_ms,
        expires_at: view.expires_at.map(timestamp),
        turn_missed: view.state == TokenState::TurnMissed,
        visit_id: view.visit_id.map(|id| id.to_string()).unwrap_or_default(),
        paused: view.paused,
    }
}

pub(super) fn ticket(ticket: Ticket) -> queue::Ticket {
    queue::Ticket {
        queue_token: ticket.queue_token,
        state: Some(token_state(ticket.view)),
        joined_now: ticket.joined_now,
        receipt: ticket.receipt.map(receipt),
    }
}

fn receipt(receipt: fair_draw::Receipt) -> queue::Receipt {
    queue::Receipt {
        version: receipt.version,
        concert_id: receipt.concert_id.to_string(),
        index: receipt.index,
        salt: receipt.salt.map(|salt| salt.0.to_vec()).unwrap_or_default(),
        commitment: receipt.commitment.0.to_vec(),
        signature: receipt.signature.0.to_vec(),
    }
}

fn fairness(draw: &Draw) -> queue::Fairness {
    let bytes = |hash: Option<Hash>| hash.map(|hash| hash.0.to_vec()).unwrap_or_default();
    let revealed = draw.revealed.as_ref();
    let state = match draw.state {
        DrawState::Gathering => queue::DrawState::Gathering,
        DrawState::Closed => queue::DrawState::Closed,
        DrawState::Sealed => queue::DrawState::Sealed,
        DrawState::Drawn => queue::DrawState::Drawn,
        DrawState::Open => queue::DrawState::Open,
    };
    let trusted = match revealed.map(|revealed| revealed.beacon) {
        None if draw.beacon.is_some() => queue::OperatorTrusted::Unspecified,
        Some(Ok(_)) => queue::OperatorTrusted::Unspecified,
        Some(Err(OperatorTrusted::BeaconUnavailable)) => queue::OperatorTrusted::BeaconUnavailable,
        Some(Err(OperatorTrusted::RootTooLate)) => queue::OperatorTrusted::RootTooLate,
        None | Some(Err(OperatorTrusted::NoBeacon)) => queue::OperatorTrusted::NoBeacon,
    };
    queue::Fairness {
        version: fair_draw::VERSION,
        state: state.into(),
        receipt_key: draw.receipt_key.0.to_vec(),
        commitment: draw.commitment.0.to_vec(),
        beacon: draw.beacon.as_ref().map(|beacon| queue::Beacon {
            chain: beacon.chain.clone(),
            round: beacon.round,
            value: bytes(revealed.and_then(|revealed| revealed.beacon.ok())),
        }),
        operator_trusted: trusted.into(),
        count: draw.count,
        root: bytes(draw.sealed.map(|(root, _)| root)),
        secret: bytes(revealed.map(|revealed| revealed.secret)),
        seed: bytes(revealed.map(|revealed| revealed.seed)),
    }
}

pub(super) fn proof(proof: Proof) -> queue::GetProofResponse {
    queue::GetProofResponse {
        concert_id: proof.concert_id.to_string(),
        index: proof.index,
        path: proof.path.iter().map(|hash| hash.0.to_vec()).collect(),
        number: proof.number.map_or(0, |number| number.0),
    }
}

pub(super) fn room(view: &RoomView) -> queue::Room {
    let settings = &view.room.settings;
    let state = match view.state {
        RoomState::Scheduled => queue::RoomState::Scheduled,
        RoomState::Open => queue::RoomState::Open,
        RoomState::Paused => queue::RoomState::Paused,
        RoomState::Draining => queue::RoomState::Draining,
    };
    let mode = match settings.mode() {
        RoomMode::Open => queue::RoomMode::Open,
        RoomMode::Paused => queue::RoomMode::Paused,
        RoomMode::Draining => queue::RoomMode::Draining,
    };
    queue::Room {
        concert_id: view.room.concert_id.to_string(),
        state: state.into(),
        serving_number: view.room.serving.0,
        last_number: view.last_number.0,
        waiting: view.room.position(view.last_number),
        inside: view.inside,
        called: view.called,
        settings: Some(queue::RoomSettings {
            capacity: settings.capacity(),
            admit_per_second: settings.admit_per_second(),
            opens_at: settings.opens_at().map(timestamp),
            mode: mode.into(),
        }),
        admitted_per_second_milli: view.admitted.mean_milli,
        admitted_per_second_low_milli: view.admitted.slowest_milli,
        admitted_per_second_high_milli: view.admitted.fastest_milli,
        claim_seconds: view.claim_seconds,
        fairness: view.draw.as_deref().map(fairness),
    }
}

pub(super) fn stats(stats: &RoomStats) -> queue::GetRoomStatsResponse {
    let visits = &stats.visits;
    queue::GetRoomStatsResponse {
        room: Some(room(&stats.view)),
        paying: visits.paying,
        completed: visits.completed,
        expired: visits.expired,
        lapsed: stats.lapsed,
        admitted: visits.admitted,
        admitted_last_minute: visits.admitted_last_minute,
    }
}

/// Settings, or the rules that they break.
pub(super) fn settings(
    settings: Option<queue::RoomSettings>,
) -> Result<Result<RoomSettings, Vec<SettingsError>>, Problem> {
    let settings = settings.ok_or_else(|| Problem::field("settings", "is required"))?;
    let opens_at = settings.opens_at.as_ref();
    let opens_at = opens_at
        .map(|time| contracts::time_of("opensAt", time))
        .transpose()?;
    let mode = match queue::RoomMode::try_from(settings.mode) {
        Ok(queue::RoomMode::Unspecified | queue::RoomMode::Open) => RoomMode::Open,
        Ok(queue::RoomMode::Paused) => RoomMode::Paused,
        Ok(queue::RoomMode::Draining) => RoomMode::Draining,
        Err(_) => return Err(Problem::field("mode", "must be OPEN, PAUSED or DRAINING")),
    };
    let settings = RoomSettings::new(settings.capacity, settings.admit_per_second, opens_at);
    Ok(settings.map(|settings| settings.in_mode(mode)))
}

pub(super) fn purpose(purpose: queue::VisitPurpose) -> Result<VisitPurpose, Problem> {
    match purpose {
        queue::VisitPurpose::Read => Ok(VisitPurpose::Read),
        queue::VisitPurpose::Hold => Ok(VisitPurpose::Hold),
        queue::VisitPurpose::Unspecified => Err(Problem::field("purpose", "is required")),
    }
}

pub(super) fn outcome(field: &str, outcome: queue::VisitOutcome) -> Result<VisitOutcome, Problem> {
    match outcome {
        queue::VisitOutcome::Completed => Ok(VisitOutcome::Completed),
        queue::VisitOutcome::Expired => Ok(VisitOutcome::Expired),
        queue::VisitOutcome::Unspecified => Err(Problem::field(field, "is required")),
    }
}
