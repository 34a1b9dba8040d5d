//! The one mapping from what went wrong to what a caller learns.

use service_kit::problem::{FieldError, Problem};
use service_kit::telemetry::causes;
use tonic::{Code, Status};
use vocabulary::ProblemCode;

use crate::app::AppError;
use crate::domain::{OpeningError, PolicyError, Refused, SelectionError};

impl From<AppError> for Status {
    /// Answers a caller; faults of ours are logged here, once.
    fn from(error: AppError) -> Self {
        let differs = matches!(error, AppError::OpenedDifferently);
        let status = Self::from(Problem::from(error));
        if differs {
            // The public codes have no word for it: only the concert service ever sees this one.
            let details = status.details().to_vec().into();
            return Self::with_details(Code::AlreadyExists, status.message(), details);
        }
        status
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(what) => {
                Problem::new(ProblemCode::NotFound, format!("there is no such {what}"))
            }
            AppError::Selection(error) => match error {
                SelectionError::Repeated { position } => seat(position, error.to_string()),
                SelectionError::Empty | SelectionError::TooMany => {
                    Problem::field("seatIds", error.to_string())
                }
            },
            AppError::ForeignSeats(positions) => Problem::fields(
                positions
                    .into_iter()
                    .map(|position| FieldError {
                        field: format!("seatIds[{position}]"),
                        rule: "is not a seat of this schedule".to_owned(),
                    })
                    .collect(),
            ),
            AppError::Opening(error) => {
                let field = match error {
                    OpeningError::Count => "seats".to_owned(),
                    OpeningError::RepeatedSeat { position } => format!("seats[{position}].seatId"),
                    OpeningError::Index { position } => format!("seats[{position}].index"),
                    OpeningError::Price { position } => format!("seats[{position}].price"),
                };
                Problem::field(field, error.to_string())
            }
            AppError::OpenedDifferently => Problem::field("seats", "were opened with another content"),
            AppError::Cursor => Problem::field("cursor", "must be the nextCursor of the answer before"),
            AppError::SeatUnavailable(seats) => {
                let seats: Vec<String> = seats.iter().map(ToString::to_string).collect();
                Problem::of(ProblemCode::SeatUnavailable).with("seatIds", seats)
            }
            AppError::SeatCapExceeded => Problem::of(ProblemCode::SeatCapExceeded),
            AppError::SaleClosed => Problem::of(ProblemCode::SaleClosed),
            AppError::PageLeft => Problem::of(ProblemCode::PageLeft),
            AppError::IdempotencyKeyReused => Problem::of(ProblemCode::IdempotencyKeyReused),
            AppError::HoldDeadline => Problem::of(ProblemCode::DeadlineExceeded),
            AppError::QueueTokenOfOtherConcert => Problem::of(ProblemCode::QueueTokenOtherConcert),
            AppError::PaymentTokenInvalid => Problem::of(ProblemCode::PaymentTokenInvalid),
            AppError::Refused(refused) => of_refused(refused),
            AppError::Contended => Problem::of(ProblemCode::Unavailable),
            AppError::Queue(problem) => problem,
            AppError::Store(error) if error.is_unavailable() => {
                tracing::warn!(error = causes(&error), "the store is away");
                Problem::of(ProblemCode::Unavailable)
            }
            AppError::Store(_) | AppError::Sign(_) => {
                tracing::error!(error = causes(&error), "a fault of ours");
                Problem::of(ProblemCode::Internal)
            }
        }
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let field = match error {
            PolicyError::Count => "refundPolicy.tiers".to_owned(),
            PolicyError::Hours { position } | PolicyError::RepeatedHours { position } => {
                format!("refundPolicy.tiers[{position}].hoursBeforeStart")
            }
            PolicyError::Percent { position } | PolicyError::LessForLonger { position } => {
                format!("refundPolicy.tiers[{position}].percent")
            }
        };
        Self::field(field, error.to_string())
    }
}

fn of_refused(refused: Refused) -> Problem {
    let code = match refused {
        Refused::PaymentInProgress => ProblemCode::PaymentInProgress,
        Refused::AlreadyPaid => ProblemCode::AlreadyPaid,
        // A payment that shows an old fence was released or outrun: its window is closed, whatever became of the seats.
        Refused::WindowClosed | Refused::StaleVersion => ProblemCode::PaymentWindowClosed,
        Refused::PaymentEnded => ProblemCode::PaymentFailed,
        Refused::NotReleasable | Refused::NotDue => ProblemCode::ReservationNotReleasable,
        Refused::ScheduleCanceled => ProblemCode::ScheduleCanceled,
        Refused::NotCancelable => ProblemCode::ReservationNotCancelable,
        Refused::CancellationWindowClosed => ProblemCode::CancellationWindowClosed,
    };
    Problem::new(code, refused.to_string())
}

fn seat(position: usize, rule: String) -> Problem {
    Problem::field(format!("seatIds[{position}]"), rule)
}
