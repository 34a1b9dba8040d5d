//! A system with two replicas of queue and of the gateway, people who walk through its line again and again, and a witness
//! in Postgres who looks at every commit.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use end_to_end::{Answer, Buyer, Sale, World};
use futures::future::{join, join_all};
use reqwest::{Method, RequestBuilder};
use sqlx::{Connection as _, PgConnection};
use test_support::eventually;

use crate::{large, pause_ms};

/// Replicas of queue; each gateway asks the one beside it.
pub(crate) const QUEUES: [&str; 2] = ["queue", "queue-2"];
/// Replicas of the gateway.
pub(crate) const GATEWAYS: [&str; 2] = ["gateway", "gateway-2"];
/// Places on the page.
pub(crate) const CAPACITY: u32 = 6;
/// Several times as many, so that the line never runs out.
const WALKERS: usize = 18;
/// Admission resumes by itself within this of recovery.
pub(crate) const RESUMED: Duration = Duration::from_secs(5);
/// Everybody in line is let in within this once nothing is broken any more.
const ALL_IN: Duration = Duration::from_secs(60);

/// Notes how many visits are on their page at every commit that touched one, and every serving number. The lock orders the
/// commits, so each count is that of a committed state: it is released after the commit is visible. It refuses nothing.
const WITNESS: &str = "
    CREATE TABLE witness (
        id bigint GENERATED ALWAYS AS IDENTITY, concert_id uuid NOT NULL, on_page bigint, serving bigint
    );
    CREATE FUNCTION witness_visit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(11);
        INSERT INTO witness (concert_id, on_page)
            SELECT NEW.concert_id, count(*) FROM visits WHERE concert_id = NEW.concert_id AND state = 'PAGE';
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER witness_visits AFTER INSERT OR UPDATE ON visits
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION witness_visit();
    CREATE FUNCTION witness_room() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO witness (concert_id, serving) VALUES (NEW.concert_id, NEW.serving);
        RETURN NULL;
    END $$;
    CREATE TRIGGER witness_rooms AFTER UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION witness_room();
";

/// The system, and a room with a line.
pub(crate) struct Twins {
    pub world: World,
    pub sale: Sale,
    /// Where the gateways are.
    gateways: [String; 2],
}

/// What the people in line went through.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Turns that came, each for the number it was for.
    pub turns: usize,
    /// Calls that were not answered, or by a 503 or 504.
    pub refused: usize,
}

impl Twins {
    pub(crate) async fn start() -> Self {
        let world = World::with_env(&[("CLAIM_SECONDS", "20")]).await;
        let services = &world.services;
        // Postgres knows them by name, for who waits for whom.
        let url = services.env("queue", "DATABASE_URL").await;
        let named = ("DATABASE_URL", format!("{url}?application_name={}", QUEUES[1]));
        services.start_replica("queue", QUEUES[1], &[named]).await;
        let beside = services.grpc_url(QUEUES[1]).await;
        services
            .start_replica("gateway", GATEWAYS[1], &[("QUEUE_URL", beside)])
            .await;
        let mut gateways = [String::new(), String::new()];
        for (gateway, url) in GATEWAYS.iter().zip(&mut gateways) {
            *url = format!("http://{}", services.env(gateway, "HTTP_ADDR").await);
        }
        sqlx::raw_sql(WITNESS)
            .execute(&mut world.database("queue").await)
            .await
            .unwrap();
        Self {
            sale: Sale::open(&world, large(CAPACITY)).await,
            world,
            gateways,
        }
    }

    /// Has people go through the line while `event` happens and until everybody who stands in it then was let in, and
    /// looks at what both gateways tell. Then the witness is heard.
    pub(crate) async fn walk_during(&self, event: impl Future<Output = ()>) -> Walked {
        let mut buyers = Vec::new();
        // One after the other: hashing passwords is work.
        for _ in 0..WALKERS {
            buyers.push(self.world.buyer().await);
        }
        let (over, walked) = (Cell::new(false), RefCell::new(Walked::default()));
        let event = async {
            // A line first.
            self.resumed_within(RESUMED, self.now().await).await;
            event.await;
            over.set(true);
            Instant::now()
        };
        let walks = async {
            let walks = buyers.iter().enumerate();
            join_all(walks.map(|(place, buyer)| self.walk(place, buyer, &over, &walked))).await;
            Instant::now()
        };
        let looks = join_all(self.gateways.iter().map(|gateway| self.look(gateway, &over)));
        let ((event_end, walks_end), _) = join(join(event, walks), looks).await;
        let took = walks_end.saturating_duration_since(event_end);
        assert!(
            took < ALL_IN,
            "promise 13: the last in line was let in after {took:?}"
        );
        self.hear_the_witness_of(10).await;
        walked.into_inner()
    }

    /// One who joins, waits for the turn, stays a moment and leaves, again and again. A token that was given is kept to
    /// its end.
    async fn walk(&self, place: usize, buyer: &Buyer<'_>, over: &Cell<bool>, walked: &RefCell<Walked>) {
        let join = format!("/v1/concerts/{}/queue-tokens", self.sale.concert_id);
        let mut turn = place;
        while !over.get() {
            turn += 1;
            let Some(joined) = self.ask(turn, Method::POST, &join, buyer, None, walked).await else {
                continue;
            };
            let (token, number) = (
                joined.text("queueToken").to_owned(),
                joined.body["number"].clone(),
            );
            loop {
                turn += 1;
                let poll = self.ask(turn, Method::GET, "/v1/queue", buyer, Some(&token), walked);
                let Some(standing) = poll.await else { continue };
                assert_eq!(standing.body["number"], number, "promise 13: {}", standing.body);
                match standing.text("status") {
                    "WAITING" => pause_ms(150).await,
                    "PROCESSING" => break,
                    _ => panic!("promise 13: a place was lost: {}", standing.body),
                }
            }
            walked.borrow_mut().turns += 1;
            pause_ms(50).await;
            loop {
                turn += 1;
                let leave = self.ask(turn, Method::DELETE, "/v1/queue", buyer, Some(&token), walked);
                if leave.await.is_some() {
                    break;
                }
            }
        }
    }

    /// A call at one of the gateways, in turn; none where it came to nothing.
    async fn ask(
        &self,
        turn: usize,
        method: Method,
        path: &str,
        buyer: &Buyer<'_>,
        token: Option<&str>,
        walked: &RefCell<Walked>,
    ) -> Option<Answer> {
        let request = self.request_at(turn % 2, method, path);
        let request = match token {
            Some(token) => request.header("Queue-Token", token),
            None => request.bearer_auth(&buyer.access_token),
        };
        let answer = Answer::attempt(request).await.ok();
        if let Some(answer) = &answer {
            assert!(answer.is_plain(), "{} {}", answer.status, answer.body);
            assert!(answer.is_success() || answer.is_temporary(), "{}", answer.body);
        }
        let answer = answer.filter(Answer::is_success);
        if answer.is_none() {
            walked.borrow_mut().refused += 1;
            pause_ms(100).await;
        }
        answer
    }

    /// Promise 12, as one gateway tells it.
    async fn look(&self, gateway: &str, over: &Cell<bool>) {
        let path = format!("/v1/concerts/{}/queue", self.sale.concert_id);
        let (mut told, mut looks) = (0, 0);
        while !over.get() {
            let room = Answer::attempt(self.world.request_at(gateway, Method::GET, &path)).await;
            if let Some(number) = room.ok().and_then(|room| room.body["servingNumber"].as_i64()) {
                assert!(number >= told, "promise 12: {told} was told, now {number}");
                (told, looks) = (number, looks + 1);
            }
            pause_ms(100).await;
        }
        assert!(looks > 10 && told > 0, "{looks} looks, {told} told");
    }

    /// Promises 11 and 12 over every committed state, of which so many at least are calls.
    pub(crate) async fn hear_the_witness_of(&self, calls_at_least: i64) {
        let (commits, most, calls, back) = self.witnessed().await;
        println!("{commits} commits with at most {most} on {CAPACITY} places, {calls} of the line");
        assert!(
            most <= i64::from(CAPACITY),
            "promise 11: {most} on {CAPACITY} places"
        );
        assert_eq!(back, 0, "promise 12: the serving number went back");
        // The control: the room was full, and the line moved.
        assert!(
            most == i64::from(CAPACITY) && calls >= calls_at_least,
            "{most} on the page, {calls} calls"
        );
    }

    /// The control of the witness: what the guards of queue never let happen, it sees.
    pub(crate) async fn the_witness_sees_an_overflow(&self) {
        let overflow = "INSERT INTO visits (visit_id, concert_id, user_id, number, state, admitted_at, page_ends_at)
            SELECT gen_random_uuid(), $1::uuid, gen_random_uuid(), 1000000, 'PAGE', now(), now() + interval '1 minute'";
        let back = "UPDATE rooms SET serving = serving - 1 WHERE concert_id = $1::uuid";
        for statement in [overflow, back] {
            sqlx::query(statement)
                .bind(&self.sale.concert_id)
                .execute(&mut self.world.database("queue").await)
                .await
                .unwrap();
        }
        let (_, most, _, back) = self.witnessed().await;
        assert_eq!((most, back), (i64::from(CAPACITY) + 1, 1));
    }

    /// Commits that touched a visit, the most on the page after one, changes of the room, and how many of these went back.
    async fn witnessed(&self) -> (i64, i64, i64, i64) {
        sqlx::query_as(
            "SELECT count(on_page), max(on_page), count(serving), count(*) FILTER (WHERE serving < before)
            FROM (SELECT on_page, serving, max(serving) OVER (ORDER BY id) AS before
                FROM witness WHERE concert_id = $1::uuid) AS seen",
        )
        .bind(&self.sale.concert_id)
        .fetch_one(&mut self.world.database("queue").await)
        .await
        .unwrap()
    }

    /// A request to one of the gateways.
    pub(crate) fn request_at(&self, gateway: usize, method: Method, path: &str) -> RequestBuilder {
        self.world.request_at(&self.gateways[gateway], method, path)
    }

    /// How much the witness has noted.
    pub(crate) async fn noted(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM witness WHERE concert_id = $1::uuid")
            .bind(&self.sale.concert_id)
            .fetch_one(&mut self.world.database("queue").await)
            .await
            .unwrap()
    }

    /// How many were let in since then.
    pub(crate) async fn let_in_since(&self, since: f64) -> i64 {
        let query =
            "SELECT count(*) FROM visits WHERE concert_id = $1::uuid AND admitted_at > to_timestamp($2)";
        sqlx::query_scalar(query)
            .bind(&self.sale.concert_id)
            .bind(since)
            .fetch_one(&mut self.world.database("queue").await)
            .await
            .unwrap()
    }

    /// The time by which visits are admitted.
    pub(crate) async fn now(&self) -> f64 {
        self.seconds("SELECT extract(epoch FROM clock_timestamp())::float8 WHERE $1 <> ''")
            .await
            .unwrap()
    }

    /// Somebody is let in within the bound of `since`; answers and prints after how long.
    pub(crate) async fn resumed_within(&self, bound: Duration, since: f64) -> Duration {
        let query = format!(
            "SELECT extract(epoch FROM min(admitted_at))::float8 FROM visits
            WHERE concert_id = $1::uuid AND admitted_at > to_timestamp({since})"
        );
        let admitted = eventually("somebody to be let in", async || self.seconds(&query).await).await;
        let took = Duration::from_secs_f64(admitted - since);
        assert!(took < bound, "admission resumed after {took:?}");
        took
    }

    async fn seconds(&self, query: &str) -> Option<f64> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
            .bind(&self.sale.concert_id)
            .fetch_one(&mut self.world.database("queue").await)
            .await
            .unwrap()
    }

    /// Holds a lock of the room that this statement takes.
    pub(crate) async fn hold(&self, lock: &'static str) -> Held {
        let mut database = self.world.database("queue").await;
        sqlx::raw_sql("BEGIN").execute(&mut database).await.unwrap();
        sqlx::query(lock)
            .bind(&self.sale.concert_id)
            .execute(&mut database)
            .await
            .unwrap();
        Held(database)
    }

    /// Waits until a replica of queue waits for a lock with such a statement.
    pub(crate) async fn until_it_waits(&self, queue: &str, statement: &str) {
        let mut database = self.world.database("queue").await;
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
                AND (application_name = 'queue-2') = ($2 = 'queue-2')";
        eventually(&format!("{queue} to wait for a lock"), async || {
            let waiting: i64 = sqlx::query_scalar(waits)
                .bind(format!("%{statement}%"))
                .bind(queue)
                .fetch_one(&mut database)
                .await
                .unwrap();
            (waiting > 0).then_some(())
        })
        .await;
    }
}

/// A lock that is held.
pub(crate) struct Held(PgConnection);

impl Held {
    pub(crate) async fn release(self) {
        self.0.close().await.unwrap();
    }
}
