//! What a caller learns of a refusal. Faults of ours are logged here, once.

use service_kit::problem::{FieldError, Problem};
use vocabulary::ProblemCode;

use crate::app::AppError;
use crate::domain::SettingsError;
use crate::store::{LineError, StoreError};

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::RoomNotFound => {
                Self::new(ProblemCode::NotFound, "There is no waiting room for this concert")
            }
            AppError::VisitNotFound => Self::new(ProblemCode::NotFound, "There is no such visit"),
            AppError::RoomClosed => Self::of(ProblemCode::RoomClosed),
            AppError::NoLobby => Self::new(ProblemCode::NotFound, "There was no lobby"),
            AppError::DrawPending => Self::of(ProblemCode::DrawPending),
            AppError::Busy => Self::of(ProblemCode::Unavailable),
            AppError::Settings(errors) => Self::fields(errors.iter().map(field_error).collect()),
            AppError::TokenInvalid(invalid) => Self::of(queue_token::problem_code(invalid)),
            AppError::TokenForeign => Self::of(ProblemCode::QueueTokenForeign),
            AppError::TokenOfOtherConcert => Self::of(ProblemCode::QueueTokenOtherConcert),
            AppError::NotAdmitted => Self::of(ProblemCode::NotAdmitted),
            AppError::TokenExpired => Self::of(ProblemCode::QueueTokenExpired),
            AppError::PageLeft => Self::of(ProblemCode::PageLeft),
            away @ (AppError::Unsettled
            | AppError::Store(StoreError::Unavailable(_))
            | AppError::Line(LineError::Unavailable(_))) => {
                tracing::warn!(error = &away as &dyn std::error::Error, "a store is away");
                Self::of(ProblemCode::Unavailable)
            }
            fault @ (AppError::Store(StoreError::Bug(_))
            | AppError::Line(LineError::Bug(_))
            | AppError::Sign(_)) => {
                tracing::error!(error = &fault as &dyn std::error::Error, "a fault of ours");
                Self::of(ProblemCode::Internal)
            }
        }
    }
}

fn field_error(error: &SettingsError) -> FieldError {
    let field = match error {
        SettingsError::Capacity => "capacity",
        SettingsError::AdmitPerSecond => "admitPerSecond",
    };
    FieldError {
        field: field.to_owned(),
        rule: error.to_string(),
    }
}
