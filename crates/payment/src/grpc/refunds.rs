//! Refunds: contract messages to own values and back.

use contracts::payment as proto;
use contracts::{parse_id, timestamp};
use service_kit::problem::Problem;

use super::convert::{Mistakes, hash_of, request_key};
use crate::app::{CancelRequest, Canceled};
use crate::domain::{Refund, RefundReason, RefundState};

pub(super) fn request(request: proto::CancelReservationRequest) -> Result<CancelRequest, Problem> {
    let hash = hash_of(&[&request.reservation_id.to_lowercase()]);
    let mut mistakes = Mistakes::default();
    let user_id = mistakes.take(parse_id("userId", &request.user_id));
    let reservation_id = mistakes.take(parse_id("reservationId", &request.reservation_id));
    let key = mistakes.note("idempotencyKey", request_key(request.idempotency_key, hash));
    let (Some(user_id), Some(reservation_id), Some(key)) = (user_id, reservation_id, key) else {
        return Err(mistakes.into());
    };
    Ok(CancelRequest {
        user_id,
        reservation_id,
        key,
    })
}

pub(super) fn response(canceled: &Canceled) -> proto::CancelReservationResponse {
    proto::CancelReservationResponse {
        refund: Some(refund(&canceled.refund)),
        created: canceled.created,
    }
}

pub(super) fn refund(refund: &Refund) -> proto::Refund {
    let status = match refund.state {
        RefundState::Created => proto::RefundStatus::Created,
        RefundState::SeatsReturned => proto::RefundStatus::SeatsReturned,
        RefundState::Refunding => proto::RefundStatus::Refunding,
        RefundState::MoneyReturned => proto::RefundStatus::MoneyReturned,
        RefundState::Completed => proto::RefundStatus::Completed,
        RefundState::Refused => proto::RefundStatus::Refused,
    };
    let reason = match refund.reason {
        RefundReason::Buyer => proto::RefundReason::Buyer,
        RefundReason::ScheduleCanceled => proto::RefundReason::ScheduleCanceled,
    };
    proto::Refund {
        refund_id: refund.refund_id.to_string(),
        reservation_id: refund.reservation_id.to_string(),
        user_id: refund.user_id.to_string(),
        payment_id: refund.payment_id.to_string(),
        status: status.into(),
        reason: reason.into(),
        percent: refund.share.map_or(0, |share| share.percent.into()),
        points: refund.share.map_or(0, |share| share.points.get()),
        card_amount: refund.share.map_or(0, |share| share.card.get()),
        currency: refund.currency.to_string(),
        created_at: Some(timestamp(refund.created_at)),
        ended_at: refund.ended_at.map(timestamp),
        failure_code: refund.failure.map(|code| code.to_string()).unwrap_or_default(),
    }
}
