//! Calls that carry several requests: gathered by the caller, and answered each for itself.

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::batch::{self, BatchError, MOST_TOGETHER};
use crate::problem::Problem;

/// Gathers requests that one call carries to a peer.
pub type Batcher<T, A> = batch::Batcher<T, A, Status>;

impl BatchError for Status {
    const BATCHES: &'static str = "grpc_client_batches_total";
    const REQUESTS: &'static str = "grpc_client_batched_requests_total";

    fn too_many() -> Self {
        Self::unavailable("too many wait for a call")
    }

    fn late() -> Self {
        Self::deadline_exceeded("the call was not answered")
    }

    fn crashed() -> Self {
        Self::internal("the call was not made")
    }

    /// Each request has an outcome of its own: a call fails for all or for none.
    fn may_be_of_one(&self) -> bool {
        false
    }

    /// Tonic answers Cancelled where a deadline cut a call short; only our own side of a connection has a source.
    fn is_away(&self) -> bool {
        match self.code() {
            Code::DeadlineExceeded | Code::Cancelled => true,
            _ => std::error::Error::source(self).is_some(),
        }
    }
}

/// The requests of a call, named `field`, if they are not more than one call carries.
///
/// # Errors
/// There are none, or too many.
pub fn several<T>(field: &str, requests: Vec<T>) -> Result<Vec<T>, Problem> {
    if requests.is_empty() || requests.len() > MOST_TOGETHER {
        return Err(Problem::field(field, format!("must be 1 to {MOST_TOGETHER}")));
    }
    Ok(requests)
}

/// The error of one request of a call, as the call's answer carries it.
#[must_use]
pub fn error_of_one(status: &Status) -> pb::Status {
    // What a status of ours carries is such a message already.
    match pb::Status::decode(status.details()) {
        Ok(error) if !status.details().is_empty() => error,
        _ => pb::Status {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: Vec::new(),
        },
    }
}

/// The error of one request of a call, as if it had been alone.
#[must_use]
pub fn status_of_one(error: &pb::Status) -> Status {
    let details = error.encode_to_vec().into();
    Status::with_details(Code::from(error.code), error.message.clone(), details)
}

#[cfg(test)]
mod tests {
    use vocabulary::ProblemCode;

    use super::*;

    #[test]
    fn an_error_of_one_survives_the_way_through_the_answer_of_many() {
        let problem = Problem::field("seatIds[1]", "must be different").with("seatIds", vec!["a"]);
        let there = error_of_one(&Status::from(problem.clone()));
        assert_eq!(Problem::from(status_of_one(&there)), problem);

        let foreign = status_of_one(&error_of_one(&Status::unavailable("away")));
        assert_eq!((foreign.code(), foreign.message()), (Code::Unavailable, "away"));
        assert_eq!(Problem::from(foreign).code, ProblemCode::Unavailable);
    }

    #[test]
    fn a_call_carries_some_but_not_too_many() {
        assert_eq!(several("ids", vec![1, 2]).unwrap(), [1, 2]);
        for wrong in [0, MOST_TOGETHER + 1] {
            let problem = several("ids", vec![0; wrong]).unwrap_err();
            assert_eq!(problem.fields[0].field, "ids");
        }
        assert!(several("ids", vec![0; MOST_TOGETHER]).is_ok());
    }
}
