//! Whether a visit is on its page: the gate before dates, seats and holds. It needs Postgres alone.

use queue_token::Claims;
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber, UserId, VisitId};

use super::{AppError, Queue};
use crate::domain::{Standing, TokenState, Visit, VisitState};

/// What a visit is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitPurpose {
    /// Looking at dates and seats.
    Read,
    /// Making a hold: the sweep spares the page for as long as that may take.
    Hold,
}

/// A visit in phase PAGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenVisit {
    /// Its id.
    pub visit_id: VisitId,
    /// When the page ends.
    pub expires_at: OffsetDateTime,
    /// The number on its token.
    pub number: QueueNumber,
}

impl Queue {
    /// The token's visit, if it is on the page of this concert now.
    ///
    /// # Errors
    /// Why it is not; Postgres is away.
    pub async fn check_visit(
        &self,
        token: &str,
        user: UserId,
        concert: ConcertId,
        purpose: VisitPurpose,
    ) -> Result<OpenVisit, AppError> {
        let claims = self.verify(token)?;
        if claims.user_id != user {
            return Err(AppError::TokenForeign);
        }
        if claims.concert_id != concert {
            return Err(AppError::TokenOfOtherConcert);
        }
        let arrival = claims.number;
        let number = self
            .number_of(concert, arrival)
            .await?
            .ok_or(AppError::NotAdmitted)?;
        let claims = Claims { number, ..claims };
        if purpose == VisitPurpose::Hold
            && let Some(visit) = self.visits.lease_hold(concert, claims.number).await?
        {
            return open(&visit, arrival);
        }
        let place = self.place_of(&claims).await?;
        match &place.visit {
            Some(visit) if visit.page_is_open_at(place.room.now) => match purpose {
                VisitPurpose::Read => open(visit, arrival),
                // Admitted since the lease was asked for: come again.
                VisitPurpose::Hold => Err(AppError::NotAdmitted),
            },
            Some(visit) if visit.state == VisitState::Payment => Err(AppError::PageLeft),
            Some(_) => Err(AppError::TokenExpired),
            None => match place.standing(claims.number, &self.options.timings) {
                Standing::Unknown
                | Standing::Called {
                    state: TokenState::Expired,
                } => Err(AppError::TokenExpired),
                _ => Err(AppError::NotAdmitted),
            },
        }
    }
}

fn open(visit: &Visit, arrival: QueueNumber) -> Result<OpenVisit, AppError> {
    Ok(OpenVisit {
        visit_id: visit.visit_id,
        // An open page has an end.
        expires_at: visit.page_ends_at.ok_or(AppError::TokenExpired)?,
        number: arrival,
    })
}
