//! The line in Redis. All keys of a room share its hash tag; every decision is one script, and every script refuses a
//! room that is not filled: the answer is then `None`, and the room must be filled from Postgres first.

use std::sync::LazyLock;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{Script, ScriptInvocation};
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber, UserId};

use super::answers::{Block, Claim, ClaimWindows, Claimed, Counts, Filler, Join, LineError, Plan};
use super::numbers::Filling;
use super::user_slot::UserSlot;
use crate::domain::{NumberRange, Room, millis};

/// The most numbers that one tick calls or passes over one by one.
const WALK_LIMIT: u32 = 25_000;

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("lua/prelude.lua"),
                include_str!(concat!("lua/", $file))
            ))
        });
    };
}

script!(BEGIN_FILLING, "begin_filling.lua");
script!(JOIN, "join.lua");
script!(EXTEND, "extend.lua");
script!(CLAIM, "claim.lua");
script!(CONFIRM, "confirm.lua");
script!(GIVE_BACK, "give_back.lua");
script!(LEAVE_PAGE, "leave_page.lua");
script!(FORGET, "forget.lua");
script!(PLAN, "plan.lua");
script!(CALL, "call.lua");
script!(FILL, "fill.lua");

/// The line of every concert, in Redis. Clones share the connection.
#[derive(Clone)]
pub struct Line {
    redis: ConnectionManager,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// Kept behind this connection.
    #[must_use]
    pub const fn new(redis: ConnectionManager) -> Self {
        Self { redis }
    }

    /// How long the right to fill a room lasts.
    pub const FILLING_RIGHT: Duration = Duration::from_secs(1);

    /// Asks for the right to fill a room that is not filled, or is filled under `outdated`.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn begin_filling(
        &self,
        concert: ConcertId,
        outdated: Option<i64>,
    ) -> Result<Filler, LineError> {
        let mut script = BEGIN_FILLING.prepare_invoke();
        script
            .key(room_key(concert))
            .arg(outdated.unwrap_or(0))
            .arg(Self::FILLING_RIGHT.as_millis() as u64);
        let word: String = self.run(&script).await?;
        match word.as_str() {
            "filled" => Ok(Filler::Nobody),
            "ours" => Ok(Filler::Us),
            "theirs" => Ok(Filler::SomebodyElse),
            other => Err(unknown(other)),
        }
    }

    /// Gives the user a number, the same one when asked again; a new one only where the room `takes_in`. `None`: the room
    /// is not filled.
    ///
    /// # Errors
    /// Redis is away; a number may have been given.
    pub async fn join(
        &self,
        concert: ConcertId,
        user: UserId,
        takes_in: bool,
    ) -> Result<Option<Join>, LineError> {
        let slot = UserSlot::of(user);
        let mut script = JOIN.prepare_invoke();
        script
            .key(room_key(concert))
            .key(bucket_key(concert, slot))
            .arg(slot.field())
            .arg(u8::from(takes_in));
        let (word, held, last, epoch, serving): (String, i64, i64, i64, i64) = self.run(&script).await?;
        let block = Block {
            epoch,
            last: number(last),
        };
        match word.as_str() {
            "cold" => Ok(None),
            "had" => Ok(Some(Join::Had(number(held)))),
            "closed" => Ok(Some(Join::Closed)),
            "empty" => Ok(Some(Join::Empty(block))),
            "given" => Ok(Some(Join::Given {
                number: number(held),
                serving: number(serving),
                block,
            })),
            other => Err(unknown(other)),
        }
    }

    /// Lets numbers be given up to the end of a block. `None`: the room is not filled under its epoch.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn extend(&self, concert: ConcertId, block: Block) -> Result<Option<()>, LineError> {
        let mut script = EXTEND.prepare_invoke();
        script.key(room_key(concert)).arg(block.epoch).arg(block.last.0);
        let word: String = self.run(&script).await?;
        Ok((word == "done").then_some(()))
    }

    /// Takes a place for a called number if one is free. `None`: the room is not filled.
    ///
    /// # Errors
    /// Redis is away; a place may have been taken, and is settled when `valid_until` has passed.
    pub async fn claim(
        &self,
        room: &Room,
        user: UserId,
        number: QueueNumber,
        windows: ClaimWindows,
    ) -> Result<Option<Claim>, LineError> {
        let slot = UserSlot::of(user);
        let mut script = CLAIM.prepare_invoke();
        script
            .key(room_key(room.concert_id))
            .key(bucket_key(room.concert_id, slot))
            .arg(number.0)
            .arg(slot.field())
            .arg(millis(room.clock))
            .arg(room.places())
            .arg(millis(room.clock + windows.claim))
            .arg(millis(windows.valid_until))
            .arg(windows.late_until.map_or(0, millis));
        let (word, value, other): (String, i64, i64) = self.run(&script).await?;
        let claim = match word.as_str() {
            "cold" => return Ok(None),
            "claiming" => Claim::Claiming,
            "early" => Claim::Early,
            "full" => Claim::Full,
            "late" => Claim::Late {
                missed_now: value > 0,
            },
            "gone" => Claim::Gone {
                missed_now: value > 0,
            },
            "claimed" => Claim::Claimed(Claimed {
                epoch: value,
                capacity: room.settings.capacity(),
                valid_until: windows.valid_until,
                other_number: (other > 0).then(|| QueueNumber(other.unsigned_abs())),
            }),
            other => return Err(unknown(other)),
        };
        Ok(Some(claim))
    }

    /// The visit of a claim is committed.
    ///
    /// # Errors
    /// Redis is away; the claim is settled when its validity has passed.
    pub async fn confirm(
        &self,
        concert: ConcertId,
        number: QueueNumber,
        valid_until_ms: i64,
    ) -> Result<(), LineError> {
        let mut script = CONFIRM.prepare_invoke();
        script.key(room_key(concert)).arg(number.0).arg(valid_until_ms);
        self.run(&script).await
    }

    /// No visit was made of a claim and none will be: the number is called once more, until `window_end`.
    ///
    /// # Errors
    /// Redis is away; the claim is settled when its validity has passed.
    pub async fn give_back(
        &self,
        concert: ConcertId,
        number: QueueNumber,
        valid_until_ms: i64,
        window_end: OffsetDateTime,
    ) -> Result<(), LineError> {
        let mut script = GIVE_BACK.prepare_invoke();
        script
            .key(room_key(concert))
            .arg(number.0)
            .arg(valid_until_ms)
            .arg(millis(window_end));
        self.run(&script).await
    }

    /// The visit left its page, and that is committed.
    ///
    /// # Errors
    /// Redis is away; the place is freed by the next comparison with Postgres.
    pub async fn leave_page(&self, concert: ConcertId, number: QueueNumber) -> Result<(), LineError> {
        let mut script = LEAVE_PAGE.prepare_invoke();
        script.key(room_key(concert)).arg(number.0);
        self.run(&script).await
    }

    /// The number is over, and that is committed.
    ///
    /// # Errors
    /// Redis is away; the place is freed by the next comparison with Postgres.
    pub async fn forget(
        &self,
        concert: ConcertId,
        user: UserId,
        number: QueueNumber,
    ) -> Result<(), LineError> {
        let slot = UserSlot::of(user);
        let mut script = FORGET.prepare_invoke();
        script
            .key(room_key(concert))
            .key(bucket_key(concert, slot))
            .arg(number.0)
            .arg(slot.field());
        self.run(&script).await
    }

    /// Lapses calls, calls late comers and plans whom to call next. `None`: the room is not filled.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn plan(
        &self,
        room: &Room,
        doubtful: &[NumberRange],
        claim_window: Duration,
    ) -> Result<Option<Plan>, LineError> {
        let mut script = PLAN.prepare_invoke();
        script
            .key(room_key(room.concert_id))
            .arg(millis(room.now))
            .arg(millis(room.clock))
            .arg(room.settings.capacity())
            .arg(room.settings.admit_per_second())
            .arg(u8::from(room.state().calls()))
            .arg(millis(room.clock + claim_window))
            .arg(WALK_LIMIT);
        ranges(&mut script, doubtful);
        let (word, values): (String, Vec<i64>) = self.run(&script).await?;
        match word.as_str() {
            "cold" => return Ok(None),
            "planned" => {}
            other => return Err(unknown(other)),
        }
        let [
            epoch,
            serving,
            to,
            issued,
            pages,
            called,
            admitted,
            lapsed,
            lapsed_in_all,
            late,
            overdue @ ..,
        ] = &values[..]
        else {
            return Err(unknown("planned"));
        };
        let (overdue, _) = overdue.as_chunks::<2>();
        Ok(Some(Plan {
            epoch: *epoch,
            serving: number(*serving),
            to: number(*to),
            issued: number(*issued),
            pages: count(*pages),
            called: count(*called),
            admitted: admitted.unsigned_abs(),
            lapsed: lapsed.unsigned_abs(),
            lapsed_in_all: lapsed_in_all.unsigned_abs(),
            late: late.unsigned_abs(),
            overdue: overdue
                .iter()
                .map(|[value, until]| (number(*value), *until))
                .collect(),
        }))
    }

    /// Calls the numbers after `from` up to `to`, which is committed as the serving number; answers how many were
    /// called, 0 where somebody else has done it. `None`: the room is not filled under `epoch`.
    ///
    /// # Errors
    /// Redis is away; the next tick calls them.
    pub async fn call(
        &self,
        concert: ConcertId,
        epoch: i64,
        range: NumberRange,
        window_end: OffsetDateTime,
        doubtful: &[NumberRange],
    ) -> Result<Option<u64>, LineError> {
        let mut script = CALL.prepare_invoke();
        script
            .key(room_key(concert))
            .arg(epoch)
            .arg(range.after.0)
            .arg(range.to.0)
            .arg(millis(window_end));
        ranges(&mut script, doubtful);
        let (word, called): (String, i64) = self.run(&script).await?;
        match word.as_str() {
            "cold" => Ok(None),
            "stale" => Ok(Some(0)),
            "called" => Ok(Some(called.unsigned_abs())),
            other => Err(unknown(other)),
        }
    }

    /// Fills the room anew, unless it is filled under this epoch or a later one.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn fill(
        &self,
        concert: ConcertId,
        filling: &Filling,
        claim_window: Duration,
    ) -> Result<(), LineError> {
        let mut script = FILL.prepare_invoke();
        script
            .key(room_key(concert))
            .arg(filling.epoch)
            .arg(filling.serving.0)
            .arg(filling.reserved_to.0)
            .arg(filling.lapsed)
            .arg(bucket_prefix(concert));
        script.arg(filling.pages.len());
        for page in &filling.pages {
            script.arg(page.0);
        }
        script.arg(filling.called.len());
        for (called, at) in &filling.called {
            script.arg(called.0).arg(millis(*at + claim_window));
        }
        script.arg(filling.left.len());
        for left in &filling.left {
            script.arg(left.0);
        }
        script.arg(filling.users.len());
        for (user, held) in &filling.users {
            let slot = UserSlot::of(*user);
            script.arg(slot.bucket).arg(slot.field()).arg(held.0);
        }
        let _: String = self.run(&script).await?;
        Ok(())
    }

    /// The room's figures. `None`: the room is not filled.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn counts(&self, concert: ConcertId) -> Result<Option<Counts>, LineError> {
        let key = room_key(concert);
        let mut redis = self.redis.clone();
        let (next, pages, called, lapsed): (Option<i64>, u32, u32, Option<u64>) = redis::pipe()
            .atomic()
            .hget(&key, "next")
            .scard(format!("{key}:pages"))
            .zcard(format!("{key}:called"))
            .hget(&key, "lapsed")
            .query_async(&mut redis)
            .await?;
        Ok(next.map(|next| Counts {
            issued: number(next - 1),
            pages,
            called,
            lapsed: lapsed.unwrap_or(0),
        }))
    }

    /// The numbers that take a place and whose claim has ended: those whose visit is committed, or is over.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn settled_pages(&self, concert: ConcertId) -> Result<Vec<QueueNumber>, LineError> {
        let key = room_key(concert);
        let mut redis = self.redis.clone();
        let mut zdiff = redis::cmd("ZDIFF");
        zdiff
            .arg(2)
            .arg(format!("{key}:pages"))
            .arg(format!("{key}:claiming"));
        let numbers: Vec<i64> = zdiff.query_async(&mut redis).await?;
        Ok(numbers.into_iter().map(number).collect())
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, LineError> {
        let mut redis = self.redis.clone();
        Ok(script.invoke_async(&mut redis).await?)
    }
}

fn ranges(script: &mut ScriptInvocation<'_>, ranges: &[NumberRange]) {
    for range in ranges {
        script.arg(range.after.0).arg(range.to.0);
    }
}

fn room_key(concert: ConcertId) -> String {
    format!("queue:{{{concert}}}")
}

fn bucket_prefix(concert: ConcertId) -> String {
    format!("queue:{{{concert}}}:u")
}

fn bucket_key(concert: ConcertId, slot: UserSlot) -> String {
    format!("{}{}", bucket_prefix(concert), slot.bucket)
}

const fn number(value: i64) -> QueueNumber {
    QueueNumber(value.unsigned_abs())
}

fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn unknown(word: &str) -> LineError {
    let error = (
        redis::ErrorKind::UnexpectedReturnType,
        "a script answered",
        word.to_owned(),
    );
    LineError::Bug(error.into())
}
