//! The admission tick: ends what is over, and calls whom there is a place for.
//!
//! Every replica ticks. What only one may do is done by compare-and-set: the serving number in Postgres, then the calls
//! in Redis, which only ever follow what Postgres has.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use vocabulary::ConcertId;

use super::{AppError, Queue, RoomView, Snapshot};
use crate::domain::{Draw, NumberRange, Room};
use crate::store::{Counts, HighWater, Plan};

/// How often every room is looked at.
const TICK_EVERY: Duration = Duration::from_millis(250);
/// Rooms that were woken wait so long for others that are.
const GATHER: Duration = Duration::from_millis(10);
/// How often places are compared with visits.
const RECONCILE_EVERY: Duration = Duration::from_secs(2);
/// Rooms looked at together.
const ROOMS_AT_ONCE: usize = 8;

/// A room as a look at it begins.
struct Seen {
    room: Room,
    draw: Option<Arc<Draw>>,
    doubtful: Vec<NumberRange>,
}

impl Queue {
    /// Ticks until `stop`, and at once for rooms that were woken.
    ///
    /// # Errors
    /// Never: what fails is tried again by the next tick.
    pub async fn run_admission(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(TICK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reconciled = Instant::now();
        let mut moves = true;
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {
                    let due = reconciled.elapsed() >= RECONCILE_EVERY;
                    if due {
                        reconciled = Instant::now();
                    }
                    let ticked = self.tick().await;
                    if due { ticked.and(self.reconcile().await) } else { ticked }
                }
                () = self.waker.woken() => {
                    tokio::time::sleep(GATHER).await;
                    self.look_at_woken().await
                }
            };
            // An outage is told at its beginning and its end, not four times a second.
            match &done {
                Err(error) if moves => {
                    tracing::error!(error = error as &dyn std::error::Error, "the line does not move");
                }
                Ok(()) if !moves => tracing::info!("the line moves again"),
                _ => {}
            }
            moves = done.is_ok();
        }
    }

    /// Ends pages whose time is over, looks at every room once, and tells the watchers.
    ///
    /// # Errors
    /// A store is away or refused; the other rooms were looked at all the same.
    pub async fn tick(&self) -> Result<(), AppError> {
        let started = Instant::now();
        self.end_pages().await?;
        let rooms = self.visits.rooms().await?;
        let draws = self.draws.draws().await?.into_iter();
        let mut draws: BTreeMap<_, _> = draws.map(|draw| (draw.concert_id, Arc::new(draw))).collect();
        let mut doubtful = self.visits.doubtful_numbers().await?;
        let seen = rooms.into_iter().map(|room| Seen {
            doubtful: doubtful.remove(&room.concert_id).unwrap_or_default(),
            draw: draws.remove(&room.concert_id),
            room,
        });
        let looked_at = futures::stream::iter(seen)
            .map(|seen| self.look_at_or_keep(seen))
            .buffer_unordered(ROOMS_AT_ONCE)
            .collect::<Vec<_>>()
            .await;

        let mut first_error = Ok(());
        let mut snapshot = Snapshot {
            taken: true,
            ..Snapshot::default()
        };
        for (view, looked_at) in looked_at {
            snapshot.rooms.insert(view.room.concert_id, view);
            first_error = first_error.and(looked_at);
        }
        self.snapshot.send_replace(Arc::new(snapshot));
        metrics::histogram!("queue_tick_seconds").record(started.elapsed());
        first_error
    }

    async fn look_at_woken(&self) -> Result<(), AppError> {
        for concert in self.waker.take() {
            if let Some(seen) = self.see(concert).await? {
                self.look_at(seen).await?;
            }
        }
        Ok(())
    }

    /// Promise 11 needs no haste here: a page that is over is judged so by every read; this frees its place.
    async fn end_pages(&self) -> Result<(), AppError> {
        let ended = self.visits.expire_pages().await?;
        metrics::counter!("queue_pages_expired_total").increment(ended.len() as u64);
        for visit in ended {
            if let Err(error) = self
                .line
                .forget(visit.concert_id, visit.user_id, visit.number)
                .await
            {
                // The rest would wait for Redis as well; the comparison with Postgres frees their places.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "ended pages keep their places for now"
                );
                break;
            }
        }
        Ok(())
    }

    /// Looks at a room; one whose line is away shows what Postgres knows, with the counts of the last look.
    async fn look_at_or_keep(&self, seen: Seen) -> (RoomView, Result<(), AppError>) {
        let (room, draw) = (seen.room.clone(), seen.draw.clone());
        match self.look_at(seen).await {
            Ok(view) => (view, Ok(())),
            Err(error) => {
                let seen = self.snapshot.borrow().rooms.get(&room.concert_id).cloned();
                let counts = Counts {
                    issued: seen.as_ref().map_or(room.issued_to, |seen| seen.last_number),
                    pages: seen.as_ref().map_or(0, |seen| seen.inside),
                    called: seen.as_ref().map_or(0, |seen| seen.called),
                    lapsed: room.lapsed,
                };
                let measured = seen.map(|seen| seen.admitted).unwrap_or_default();
                (self.room_view(room, draw, counts, measured), Err(error))
            }
        }
    }

    /// One look at a room: lapses, settles, and moves the line as far as places and pace allow.
    async fn look_at(&self, seen: Seen) -> Result<RoomView, AppError> {
        let mut seen = seen;
        let mut plan = self.plan(&seen).await?;
        if plan.epoch > seen.room.epoch {
            // Filled since it was seen; which numbers are in doubt is news too.
            let again = self.see(seen.room.concert_id).await?;
            seen = again.ok_or(AppError::RoomNotFound)?;
            plan = self.plan(&seen).await?;
        }
        self.settle(&seen.room, &plan).await?;
        let called = match plan.epoch.cmp(&seen.room.epoch) {
            Ordering::Equal => self.move_line(&mut seen, &plan).await?,
            // A filling that was overtaken: nothing that it counts can become a visit.
            Ordering::Less => {
                self.fill(seen.room.concert_id, Some(plan.epoch)).await?;
                0
            }
            Ordering::Greater => 0,
        };
        metrics::counter!("queue_called_total").increment(called);
        let measured = self.measure(&seen.room, &plan);
        let counts = Counts {
            issued: plan.issued,
            pages: plan.pages,
            called: plan
                .called
                .saturating_add(u32::try_from(called).unwrap_or(u32::MAX)),
            lapsed: plan.lapsed_in_all,
        };
        Ok(self.room_view(seen.room, seen.draw, counts, measured))
    }

    async fn plan(&self, seen: &Seen) -> Result<Plan, AppError> {
        let Seen { room, doubtful, .. } = seen;
        let claim_window = self.options.timings.claim;
        let plan = self
            .on_line(room.concert_id, || self.line.plan(room, doubtful, claim_window))
            .await?;
        metrics::counter!("queue_turns_missed_total").increment(plan.lapsed);
        metrics::counter!("queue_late_comers_called_total").increment(plan.late);
        Ok(plan)
    }

    /// Doubtful numbers are read after the room: a new epoch that is seen comes with the numbers that it put in doubt.
    async fn see(&self, concert: ConcertId) -> Result<Option<Seen>, AppError> {
        let Some(room) = self.visits.room(concert).await? else {
            return Ok(None);
        };
        let mut doubtful = self.visits.doubtful_numbers().await?;
        let doubtful = doubtful.remove(&concert).unwrap_or_default();
        // Never from memory: a process that has just come would show a room without its draw, and wrong numbers.
        let draw = self.draws.draw(concert).await?.map(Arc::new);
        Ok(Some(Seen { room, draw, doubtful }))
    }

    /// Commits the planned serving number and calls; answers how many were called.
    async fn move_line(&self, seen: &mut Seen, plan: &Plan) -> Result<u64, AppError> {
        let Seen { room, doubtful, .. } = seen;
        let concert = room.concert_id;
        let told = HighWater {
            issued_to: plan.issued,
            lapsed: plan.lapsed_in_all,
        };
        let called_at = if plan.serving < room.serving {
            // Committed by one who did not come to call: it is called as if just now, since nobody could claim before.
            Some(room.clock)
        } else if plan.serving > room.serving || plan.to == plan.serving {
            // Somebody moved the line since the room was read, or nobody is to be called.
            if told.issued_to > room.issued_to || told.lapsed > room.lapsed {
                self.visits.note(concert, room.epoch, told).await?;
            }
            None
        } else {
            let range = NumberRange {
                after: plan.serving,
                to: plan.to,
            };
            let committed = self.visits.commit_call(concert, room.epoch, range, told).await?;
            if committed.is_some() {
                room.serving = plan.to;
            }
            committed
        };
        let Some(called_at) = called_at else { return Ok(0) };
        let range = NumberRange {
            after: plan.serving,
            to: room.serving,
        };
        let window_end = called_at + self.options.timings.claim;
        let called = self
            .line
            .call(concert, room.epoch, range, window_end, doubtful)
            .await?;
        // A room that was lost meanwhile is filled with what was committed.
        Ok(called.unwrap_or(0))
    }
}
