//! Changes a waiting room while people wait.

use vocabulary::{ConcertId, UserId};

use super::{App, AppError};
use crate::domain::audit::Act;
use crate::domain::lifecycle::ConcertEvent;
use crate::domain::waiting_room::WaitingRoom;

/// A change of a waiting room.
#[derive(Debug, Clone, Copy)]
pub struct UpdateWaitingRoom {
    /// Who asks.
    pub organiser_id: UserId,
    /// Whose room it is.
    pub concert_id: ConcertId,
    /// How it is to work.
    pub room: WaitingRoom,
}

impl App {
    /// Answers how the room works now. Nothing is kept here but that it was asked for: the room is
    /// the queue service's.
    ///
    /// # Errors
    /// There is no such concert of this organiser, or the store or the queue service failed.
    pub async fn update_waiting_room(&self, request: UpdateWaitingRoom) -> Result<WaitingRoom, AppError> {
        let concert = self
            .store
            .owned_concert(request.organiser_id, request.concert_id)
            .await?
            .ok_or(AppError::NotFound("concert"))?;
        // A room that may still be made with the first settings must not be changed: they could come later.
        concert
            .state
            .apply(ConcertEvent::RoomChangeAsked)
            .map_err(|_| AppError::NotFound("concert"))?;
        self.store
            .note(
                request.organiser_id,
                Act::WaitingRoomChanged,
                request.concert_id.as_uuid(),
                request.room.details(),
            )
            .await?;
        Ok(self.queue.put_room(request.concert_id, &request.room).await?)
    }
}
