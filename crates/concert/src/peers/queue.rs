//! Waiting rooms and visits, of the queue service.

use contracts::{QueueClient, queue, time_of, timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use service_kit::grpc::client::Channel;
use service_kit::problem::Problem;
use vocabulary::{ConcertId, ProblemCode, UserId};

use crate::domain::waiting_room::{RoomMode, WaitingRoom};

/// Who asks to see dates and seats.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// By access token.
    pub user_id: UserId,
    /// As it was sent; the queue service judges it.
    pub queue_token: SecretString,
}

/// Live counts of a waiting room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Numbers given and not called.
    pub waiting: u64,
    /// Every number up to this one has been called.
    pub serving_number: u64,
    /// Visits in phase PAGE.
    pub inside: u32,
    /// Called and expected.
    pub called: u32,
    /// Visits in phase PAYMENT.
    pub paying: u64,
    /// Visits that ended with a purchase.
    pub completed: u64,
    /// Visits that ended without one.
    pub expired: u64,
    /// Turns that were missed.
    pub lapsed: u64,
    /// Visits that were ever let in.
    pub admitted: u64,
    /// Of these, in the last 60 s.
    pub admitted_last_minute: u64,
}

/// The queue service.
#[derive(Debug, Clone)]
pub struct Queue {
    client: QueueClient,
}

impl Queue {
    /// Calls over `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            client: contracts::queue_client(channel),
        }
    }

    /// Makes a concert's room, or changes how it works; answers how it works now. A retry is harmless.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn put_room(&self, concert_id: ConcertId, room: &WaitingRoom) -> Result<WaitingRoom, Problem> {
        let request = queue::PutRoomRequest {
            concert_id: concert_id.to_string(),
            settings: Some(queue::RoomSettings {
                capacity: room.capacity(),
                admit_per_second: room.admit_per_second(),
                opens_at: room.opens_at().map(timestamp),
                mode: mode_message(room.mode()).into(),
            }),
        };
        let answer = self.client.clone().put_room(request).await?.into_inner();
        let settings = answer
            .room
            .and_then(|room| room.settings)
            .ok_or_else(incomplete)?;
        let opens_at = settings
            .opens_at
            .map(|at| time_of("opensAt", &at))
            .transpose()
            .map_err(|_| incomplete())?;
        let mode = match settings.mode() {
            queue::RoomMode::Unspecified | queue::RoomMode::Open => RoomMode::Open,
            queue::RoomMode::Paused => RoomMode::Paused,
            queue::RoomMode::Draining => RoomMode::Draining,
        };
        WaitingRoom::new("", settings.capacity, settings.admit_per_second, opens_at)
            .map(|room| room.in_mode(mode))
            .map_err(|_| incomplete())
    }

    /// Live counts of a concert's room.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn room(&self, concert_id: ConcertId) -> Result<Room, Problem> {
        let request = queue::GetRoomStatsRequest {
            concert_id: concert_id.to_string(),
        };
        let answer = self.client.clone().get_room_stats(request).await?.into_inner();
        let room = answer.room.ok_or_else(incomplete)?;
        Ok(Room {
            waiting: room.waiting,
            serving_number: room.serving_number,
            inside: room.inside,
            called: room.called,
            paying: answer.paying,
            completed: answer.completed,
            expired: answer.expired,
            lapsed: answer.lapsed,
            admitted: answer.admitted,
            admitted_last_minute: answer.admitted_last_minute,
        })
    }

    /// Whether the visitor may see dates and seats of this concert now.
    ///
    /// # Errors
    /// Why not, as the peer says it.
    pub async fn check_visit(&self, concert_id: ConcertId, visitor: &Visitor) -> Result<(), Problem> {
        let request = queue::CheckVisitRequest {
            queue_token: visitor.queue_token.expose_secret().to_owned(),
            user_id: visitor.user_id.to_string(),
            concert_id: concert_id.to_string(),
            purpose: queue::VisitPurpose::Read.into(),
        };
        self.client.clone().check_visit(request).await?;
        Ok(())
    }
}

const fn mode_message(mode: RoomMode) -> queue::RoomMode {
    match mode {
        RoomMode::Open => queue::RoomMode::Open,
        RoomMode::Paused => queue::RoomMode::Paused,
        RoomMode::Draining => queue::RoomMode::Draining,
    }
}

fn incomplete() -> Problem {
    Problem::new(ProblemCode::Internal, "the queue service's answer is incomplete")
}
