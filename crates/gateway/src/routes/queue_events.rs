//! How a queue token stands, pushed: for those who are near, as long as it may change.
//!
//! A stream looks as a poll does, and nothing else: from memory, when the room has moved, and at `queue` once the turn has
//! come. So a thousand streams of a waiting room call nobody.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt as _};
use http::header::{CACHE_CONTROL, HeaderName};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::ProblemCode as P;

use super::standing::{AnsweredBy, News, Standing, standing_of};
use crate::extract::QueueTokenHeader;
use crate::openapi::{QUEUE_TOKEN, problems};
use crate::problem::ApiProblem;
use crate::rooms::Remembered;
use crate::state::App;
use crate::streams::OpenStream;
use crate::wire::TokenStatus;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(watch_standing))
}

/// In every room so many are near.
const NEAR_POSITIONS: u64 = 100;
/// And those whom the organiser's pace could call within this time.
const NEAR_SECONDS: u64 = 30;
/// A line that moves is shown at most so often; that the turn has come, at once.
const SHOW_MOVES_EVERY: Duration = Duration::from_secs(1);
/// Estimates by themselves are shown at most so often.
const SHOW_ESTIMATES_EVERY: Duration = Duration::from_secs(10);
/// When `queue` could not answer one who was called.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Proxies and browsers take a silent connection for a dead one.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// Asks nginx, and those who took the header over from it, to pass every event on at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One event of a stream.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the document alone: what writes events has no schema"
)]
struct StandingEvent {
    /// `standing`.
    event: String,
    /// How the token stands, as `GET /v1/queue` answers it.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// After how many milliseconds to come again when the stream ends.
    retry: u32,
}

problems!(WatchProblems: QUEUE_TOKEN, &[P::TooManyRequests]);

/// How a queue token stands, as server-sent events. Claims the turn when it has come, as a poll does.
///
/// Each event is named `standing`; its data is what `GET /v1/queue` answers, its `retry` the same as `pollAfterMs`. For one
/// whose turn is near the stream stays open and tells what changes; it ends after COMPLETED or EXPIRED, and after some
/// minutes in any case. For one whose turn is far, or who is in a lobby, it ends after one event: a client that comes
/// again after `retry` polls. A comment comes every 15 seconds when nothing else does.
#[utoipa::path(
    get, path = "/v1/queue/events", tag = "queue",
    responses(
        (status = 200, body = StandingEvent, content_type = "text/event-stream", description = "How it stands, from now on."),
        WatchProblems
    ),
    security(("queueToken" = []))
)]
async fn watch_standing(State(app): State<App>, place: QueueTokenHeader) -> Result<Response, ApiProblem> {
    // Those who are far take no stream, so that there is one for whoever is near.
    let room = app.rooms.get(place.claims.concert_id);
    if let Some(standing) = far_from_its_turn(room.as_ref(), &place) {
        return Ok(answer(stream::iter([event(&standing)])));
    }
    let open = app.streams.open(&place.claims)?;
    let end = app.streams.end();
    // From before the first look on, so that no move is missed.
    let moves = app.rooms.moves(place.claims.concert_id);
    let (standing, by) = standing_of(&app, &place).await?;
    if standing.is_over() || !is_near(room.as_ref(), &standing) {
        return Ok(answer(stream::iter([event(&standing)])));
    }
    let first = event(&standing);
    let watch = Watch {
        app,
        place,
        moves,
        look_at: Instant::now() + standing.poll_after(),
        answered_by: by,
        shown: standing,
        shown_at: Instant::now(),
        _open: open,
    };
    // What it asks belongs to this request, which goes on as long as the stream.
    let request = Span::current();
    let changes = stream::unfold((watch, request), async |(mut watch, request)| {
        watch.change().instrument(request.clone()).await?;
        Some((event(&watch.shown), (watch, request)))
    });
    Ok(answer(stream::iter([first]).chain(changes).take_until(end)))
}

fn answer<S>(events: S) -> Response
where
    S: Stream<Item = Result<Event, axum::Error>> + Send + 'static,
{
    answer_with_heartbeats(events, HEARTBEAT_EVERY)
}

fn answer_with_heartbeats<S>(events: S, every: Duration) -> Response
where
    S: Stream<Item = Result<Event, axum::Error>> + Send + 'static,
{
    let heartbeat = KeepAlive::new().interval(every);
    let headers = [
        // Instead of what the stream says of itself: no-cache lets it be stored.
        (CACHE_CONTROL, "no-store"),
        (ACCEL_BUFFERING, "no"),
    ];
    (headers, Sse::new(events).keep_alive(heartbeat)).into_response()
}

fn event(standing: &Standing) -> Result<Event, axum::Error> {
    Event::default()
        .event("standing")
        .retry(standing.poll_after())
        .json_data(standing)
}

/// How one stands who is far from the turn, if memory says so.
fn far_from_its_turn(room: Option<&Remembered>, place: &QueueTokenHeader) -> Option<Standing> {
    let standing = Standing::before_its_turn(&place.claims, room?)?;
    let is_sure = !room?.may_be_outdated(standing.position);
    (is_sure && !is_near(room, &standing)).then_some(standing)
}

/// Whether the turn may come so soon that a stream is worth its keeping, or has come.
fn is_near(room: Option<&Remembered>, standing: &Standing) -> bool {
    let pace = room.map_or(0, |room| u64::from(room.room.admit_per_second));
    let near = NEAR_POSITIONS.max(pace * NEAR_SECONDS);
    standing.status != TokenStatus::Waiting || standing.position.is_some_and(|position| position <= near)
}

/// A stream that is open.
struct Watch {
    app: App,
    place: QueueTokenHeader,
    /// Absent for a room that memory has not heard of yet.
    moves: Option<watch::Receiver<()>>,
    look_at: Instant,
    answered_by: AnsweredBy,
    shown: Standing,
    shown_at: Instant,
    _open: OpenStream,
}

impl Watch {
    /// Waits until there is something to show; `None` when there will be nothing more.
    async fn change(&mut self) -> Option<()> {
        if self.shown.is_over() {
            return None;
        }
        loop {
            self.wait().await;
            let (standing, by) = match standing_of(&self.app, &self.place).await {
                Ok(found) => found,
                Err(refusal) if refusal.is_of_ours() => {
                    self.look_at = Instant::now() + LOOK_AGAIN_AFTER;
                    // Only the clock counts until it can answer: a line that moves does not.
                    self.answered_by = AnsweredBy::Queue;
                    continue;
                }
                Err(_) => return None,
            };
            self.answered_by = by;
            self.look_at = Instant::now() + standing.poll_after();
            let shown_every = match standing.news_since(&self.shown) {
                News::Nothing => continue,
                News::Estimate => SHOW_ESTIMATES_EVERY,
                News::Position => SHOW_MOVES_EVERY,
                News::Status => Duration::ZERO,
            };
            let due = self.shown_at + shown_every;
            if Instant::now() < due {
                self.look_at = self.look_at.min(due);
                continue;
            }
            (self.shown, self.shown_at) = (standing, Instant::now());
            return Some(());
        }
    }

    /// Until it is time to look, or the room has moved. Whoever was called is told by `queue` alone, at its pace, and by the
    /// end of a pause.
    async fn wait(&mut self) {
        let called = self.answered_by == AnsweredBy::Queue && !self.shown.paused;
        if self.moves.is_none() {
            self.moves = self.app.rooms.moves(self.place.claims.concert_id);
        }
        let time_to_look = tokio::time::sleep_until(self.look_at);
        match self.moves.as_mut().filter(|_| !called) {
            None => time_to_look.await,
            // A room that memory forgot would move no more.
            Some(moves) => tokio::select! {
                Ok(()) = moves.changed() => {}
                () = time_to_look => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_says_nothing_shows_that_it_lives() {
        let response = answer_with_heartbeats(stream::pending(), Duration::from_millis(10));
        let mut body = response.into_body();
        for _ in 0..2 {
            let comment = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(&*comment, b":\n\n");
        }
    }
}
