//! Lets a history happen, and holds every step of it against the plain model.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use queue::app::{AppError, Queue};
use queue::domain::{RoomMode, RoomSettings};
use tokio::time::timeout;
use vocabulary::{ConcertId, VisitId};

use super::answers::{Answer, Asked, purpose_of};
use super::gate::Process;
use super::house::House;
use super::line::{PlainLine, must};
use super::plan::{Act, Loss, Plan, REPLICAS, SLEEPERS, Settings, USERS, Way, What};
use super::seen::Seen;
use super::tally::Tally;
use super::telling::{told, words};
use crate::world::SECOND;

/// Whoever takes longer than any answer waits for one who sleeps.
const STUCK: Duration = Duration::from_millis(25);
/// Nobody waits longer for those who were woken up.
const LOST: Duration = Duration::from_secs(20);

/// What came of a history.
pub(super) struct Story {
    /// What happened, a line each.
    pub(super) lines: Vec<String>,
    /// What was not as it should be, and at which act; acts after the last are the ending.
    pub(super) wrong: Option<(usize, String)>,
    pub(super) tally: Tally,
}

pub(super) struct Sleeper {
    asked: Asked,
    process: Process<Answer>,
    act: usize,
}

pub(super) struct Play<'a> {
    pub(super) house: &'a mut House,
    pub(super) line: PlainLine,
    pub(super) seen: Arc<Seen>,
    pub(super) lines: Vec<String>,
    pub(super) act: usize,
    pub(super) sleepers: Vec<Sleeper>,
    shown: [u64; REPLICAS],
}

impl House {
    /// Lets it happen.
    pub(super) async fn play(&mut self, plan: &Plan) -> Story {
        self.clean().await;
        let room = plan.room;
        self.replicas[0]
            .put_room(self.concert, Ok(room.to_settings()))
            .await
            .unwrap();
        let mut play = Play {
            seen: self.look().await,
            house: self,
            line: PlainLine::new(),
            lines: vec![format!("     a room: {room:?}")],
            act: 0,
            sleepers: Vec::new(),
            shown: [0; REPLICAS],
        };
        let wrong = play.happens(plan).await.err().map(|why| (play.act, why));
        for sleeper in play.sleepers.drain(..) {
            sleeper.process.die().await;
        }
        Story {
            lines: play.lines,
            wrong,
            tally: play.line.tally,
        }
    }
}

impl Settings {
    pub(super) fn to_settings(self) -> RoomSettings {
        RoomSettings::new(self.capacity, self.pace, None)
            .unwrap()
            .in_mode(self.mode)
    }
}

impl Play<'_> {
    async fn happens(&mut self, plan: &Plan) -> Result<(), String> {
        for act in &plan.acts {
            self.act(*act).await?;
            self.act += 1;
        }
        self.ending().await
    }

    async fn act(&mut self, act: Act) -> Result<(), String> {
        match act {
            Act::Ask { what, replica, way } => self.ask(what, replica, way).await,
            Act::Wakes(sleeper) if !self.sleepers.is_empty() => {
                let sleeper = self.sleepers.remove(sleeper.min(self.sleepers.len() - 1));
                self.goes_on(sleeper).await
            }
            Act::Dies(sleeper) if !self.sleepers.is_empty() => {
                let sleeper = self.sleepers.remove(sleeper.min(self.sleepers.len() - 1));
                self.dies(sleeper).await
            }
            Act::Wakes(_) | Act::Dies(_) => Ok(()),
            Act::Replaced(replica) => {
                let (of_it, others) = std::mem::take(&mut self.sleepers)
                    .into_iter()
                    .partition(|sleeper| sleeper.asked.replica == replica);
                self.sleepers = others;
                for sleeper in Vec::from_iter::<Vec<_>>(of_it) {
                    self.dies(sleeper).await?;
                }
                self.house.replace(replica);
                self.shown[replica] = 0;
                self.note(format!("replica {replica} is another process"));
                Ok(())
            }
            Act::Time(by) => {
                self.house.step(by).await;
                self.note(format!("{} s go by", by.as_secs()));
                self.looks().await
            }
            Act::Redis(loss) => {
                let what = match loss {
                    Loss::FromDump if self.house.restore().await => {
                        self.line.tally.count("back from a dump");
                        "Redis is back from an old dump"
                    }
                    _ => {
                        self.house.forget().await;
                        "Redis forgets everything"
                    }
                };
                self.line.life += 1;
                self.line.tally.count("lost");
                if !self.sleepers.is_empty() {
                    self.unclear();
                }
                self.note(what.to_owned());
                Ok(())
            }
            Act::Dump => {
                self.house.dump().await;
                self.note("Redis is dumped".to_owned());
                Ok(())
            }
        }
    }

    /// Somebody asks a replica.
    pub(super) async fn ask(&mut self, what: What, replica: usize, way: Way) -> Result<(), String> {
        let ticks = |what| matches!(what, What::Tick | What::Upkeep);
        // A process looks at its rooms one look after another.
        let busy = |sleeper: &Sleeper| ticks(sleeper.asked.what) && sleeper.asked.replica == replica;
        if ticks(what)
            && let Some(at) = self.sleepers.iter().position(busy)
        {
            let sleeper = self.sleepers.remove(at);
            return self.goes_on(sleeper).await;
        }
        let way = match way {
            Way::Sleeps(_) if self.sleepers.len() >= SLEEPERS => Way::Whole,
            way => way,
        };
        // One who has no token takes one.
        let (what, asked) = match (self.line.asked(what, replica, &self.seen), what) {
            (Some(asked), what) => (what, asked),
            (None, What::Poll(who) | What::Leave(who) | What::Hold { who, .. }) => {
                let what = What::Join { user: who.user };
                let asked = self.line.asked(what, replica, &self.seen);
                (what, asked.ok_or("nobody asks")?)
            }
            (None, _) => return Ok(()),
        };
        self.house.let_rights_lapse().await;
        let turns = match way {
            Way::Whole => usize::MAX,
            Way::CutOff(turns) | Way::Sleeps(turns) => turns,
        };
        let mut asked = asked;
        asked.knows_of_draining = self.snapshot_drains(replica);
        let called = match (what, way) {
            (What::Tick, Way::Whole) => Some(self.house.called(self.seen.clock).await),
            _ => None,
        };
        if ticks(what) && called.is_none() {
            self.line.late_ahead = 0;
        }
        let doing = self.doing(what, &asked);
        let mut process = Process::begin(turns, doing);
        let before = self.sleepers.len();
        let done = self.run(&mut process).await?;
        let alone = self.sleepers.len() == before;
        let words = format!("replica {replica}: {}", words(&asked));
        match (done, way) {
            (Some(answer), _) => {
                self.note(format!("{words} → {}", told(&answer)));
                self.looks().await?;
                let excused = before > 0;
                self.line.answered(&asked, &answer, &self.seen, alone, excused)?;
                if let Some(called) = called.filter(|_| alone) {
                    self.compares_calls(&asked, &called).await?;
                }
                self.after_upkeep(&asked, &answer)?;
            }
            (None, Way::CutOff(_)) => {
                process.die().await;
                self.house.quiet(replica).await;
                self.note(format!("{words} → cut off after {turns}"));
                self.line.tally.count("cut off");
                self.never_heard(&asked);
                self.looks().await?;
            }
            (None, _) => {
                self.note(format!("{words} → sleeps after {turns}"));
                self.line.tally.count("slept");
                // What it has sent is done before others go on.
                self.house.quiet(replica).await;
                self.never_heard(&asked);
                self.sleepers.push(Sleeper {
                    asked,
                    process,
                    act: self.act,
                });
                self.looks().await?;
            }
        }
        Ok(())
    }

    fn snapshot_drains(&self, replica: usize) -> bool {
        let snapshot = self.house.replicas[replica].watch_rooms();
        let snapshot = snapshot.borrow();
        let view = snapshot.rooms.get(&self.house.concert);
        view.is_none_or(|view| view.room.settings.mode() == RoomMode::Draining)
    }

    fn doing(&self, what: What, asked: &Asked) -> BoxFuture<'static, Answer> {
        let queue = Arc::clone(&self.house.replicas[asked.replica]);
        let (concert, users) = (self.house.concert, self.line.users);
        let token = asked
            .token
            .map(|(_, number)| self.line.tickets[&number].token.clone());
        let token = token.unwrap_or_default();
        let visit = asked
            .token
            .and_then(|(_, number)| asked.before.visits.get(&number));
        let owner = asked.token.map_or(0, |(user, _)| user);
        let (user, another) = (users[owner], users[(owner + 1) % USERS]);
        let visit = visit.map(|visit| VisitId::from_uuid(visit.visit_id));
        async move {
            match what {
                What::Join { user } => Answer::Joined(queue.join(concert, users[user]).await),
                What::Poll(_) => Answer::Polled(queue.get_token(&token).await),
                What::Leave(_) => Answer::Left(queue.leave(&token).await),
                What::Hold { made, .. } => {
                    let purpose = purpose_of(what);
                    let checked = queue.check_visit(&token, user, concert, purpose).await;
                    Answer::Held(match checked {
                        Ok(open) if made => queue.end_page(open.visit_id).await.map(|()| open.visit_id),
                        checked => checked.map(|open| open.visit_id),
                    })
                }
                What::EndVisit { outcome, .. } => Answer::Ended(match visit {
                    Some(visit) => queue.end_visits(&[(visit, outcome)]).await,
                    None => Err(AppError::VisitNotFound),
                }),
                What::Trespass { elsewhere, .. } => {
                    let (user, concert) = if elsewhere {
                        (user, ConcertId::new())
                    } else {
                        (another, concert)
                    };
                    Answer::Trespassed(queue.check_visit(&token, user, concert, purpose_of(what)).await)
                }
                What::PutRoom(settings) => {
                    Answer::Put(queue.put_room(concert, Ok(settings.to_settings())).await)
                }
                What::Tick => Answer::Ticked(queue.tick().await),
                What::Upkeep => Answer::Ticked(upkeep(&queue).await),
            }
        }
        .boxed()
    }

    /// Until it is done, or sleeps. Whoever sleeps in its way is woken up.
    async fn run(&mut self, process: &mut Process<Answer>) -> Result<Option<Answer>, String> {
        let begun = tokio::time::Instant::now();
        loop {
            match timeout(STUCK, process.run()).await {
                Ok(done) => return Ok(done),
                Err(_) if begun.elapsed() > LOST => return Err("it never ends".to_owned()),
                Err(_) => {}
            }
            self.house.let_rights_lapse().await;
            if !self.sleepers.is_empty() && self.house.is_locked().await {
                self.line.tally.count("stopped others");
                // Any of them may wait for any other, and for this one.
                process.wake();
                let sleepers = std::mem::take(&mut self.sleepers);
                sleepers.iter().for_each(|sleeper| sleeper.process.wake());
                for sleeper in sleepers {
                    self.goes_on_alone(sleeper).await?;
                }
            }
        }
    }

    async fn goes_on(&mut self, mut sleeper: Sleeper) -> Result<(), String> {
        self.house.let_rights_lapse().await;
        sleeper.process.wake();
        let answer = self.run(&mut sleeper.process).await?;
        self.woke(&sleeper, answer.ok_or("one who woke up sleeps")?).await
    }

    async fn goes_on_alone(&mut self, mut sleeper: Sleeper) -> Result<(), String> {
        let answer = timeout(LOST, sleeper.process.run()).await;
        let answer = answer.ok().flatten().ok_or("one who woke up never ends")?;
        self.woke(&sleeper, answer).await
    }

    async fn woke(&mut self, sleeper: &Sleeper, answer: Answer) -> Result<(), String> {
        let (asked, act) = (&sleeper.asked, sleeper.act);
        self.note(format!(
            "what began at {act} ({}) → {}",
            words(asked),
            told(&answer)
        ));
        self.line.tally.count("woke up");
        self.unclear();
        self.looks().await?;
        let answered = self.line.answered(asked, &answer, &self.seen, false, true);
        if asked.before.clock < self.seen.clock {
            self.line.forget_turns();
        }
        answered
    }

    async fn dies(&mut self, sleeper: Sleeper) -> Result<(), String> {
        let (asked, act) = (sleeper.asked, sleeper.act);
        sleeper.process.die().await;
        self.house.quiet(asked.replica).await;
        self.note(format!("what began at {act} ({}) dies", words(&asked)));
        self.never_heard(&asked);
        self.looks().await
    }

    fn never_heard(&mut self, asked: &Asked) {
        if let What::Join { user } = asked.what {
            self.line.unheard.insert(user);
        }
        self.unclear();
    }

    pub(super) fn unclear(&mut self) {
        self.line.unclear_since = Some(self.seen.now);
    }

    /// What has come of the room since the last look.
    async fn looks(&mut self) -> Result<(), String> {
        let now = self.house.look().await;
        let before = std::mem::replace(&mut self.seen, now);
        self.line.saw(&before, &self.seen)?;
        if before.epoch != self.seen.epoch || before.mode() != self.seen.mode() {
            self.line.late_ahead = 0;
        }
        for replica in 0..REPLICAS {
            let snapshot = Arc::clone(&self.house.replicas[replica].watch_rooms().borrow());
            let Some(view) = snapshot.rooms.get(&self.house.concert) else {
                continue;
            };
            let (was, is) = (self.shown[replica], view.room.serving.0);
            must!(
                was <= is && is <= self.seen.serving,
                "promise 12: replica {replica} shows {is} after {was}"
            );
            self.shown[replica] = is;
        }
        Ok(())
    }

    pub(super) fn note(&mut self, what: String) {
        let (seconds, pages) = (self.seen.now / 1_000, self.seen.pages());
        self.lines.push(format!(
            "{:>3}. at {seconds} s, {pages} inside, {} called: {what}",
            self.act, self.seen.serving
        ));
    }

    pub(super) async fn everybody_dies(&mut self) -> Result<(), String> {
        for sleeper in std::mem::take(&mut self.sleepers) {
            self.dies(sleeper).await?;
        }
        Ok(())
    }

    pub(super) async fn time(&mut self, seconds: u32) -> Result<(), String> {
        self.house.step(SECOND * seconds).await;
        self.looks().await
    }
}

async fn upkeep(queue: &Queue) -> Result<(), AppError> {
    queue.tick().await?;
    queue.reconcile().await?;
    queue.tick().await
}
