//! Rooms, people and replicas for one test.

use std::sync::Arc;
use std::time::Duration;

use fair_draw::Receipt;
use queue::app::{AppError, Queue, QueueOptions, RoomView, Ticket, TokenView};
use queue::beacon::Beacon;
use queue::config::Config;
use queue::domain::{Draw, DrawState, RoomMode, RoomSettings, SHOWN_FOR, TokenState};
use queue::store::{DrawStore, Line, MIGRATOR, VisitStore};
use queue_token::{Claims, Keyring, QueueTokens};
use service_kit::config::load_from;
use test_support::{TestDatabase, TestRedis, environment};
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber, UserId, VisitId};

pub(crate) const PAGE: Duration = Duration::from_secs(180);
pub(crate) const CLAIM: Duration = Duration::from_secs(30);
pub(crate) const LATE: Duration = Duration::from_secs(600);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Faster than any test.
pub(crate) const AT_ONCE: u32 = RoomSettings::MAX_ADMIT_PER_SECOND;

pub(crate) struct World {
    pub database: TestDatabase,
    pub redis: TestRedis,
    pub queue: Arc<Queue>,
    pub config: Config,
    keys: Keyring,
}

/// One who took a place.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub user: UserId,
    pub token: String,
    pub number: u64,
}

/// One who came before the opening.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub person: Person,
    pub receipt: Receipt,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let redis = TestRedis::start().await;
        let redis_url = redis.url();
        let mut values = environment([
            ("GRPC_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("DATABASE_URL", database.url()),
            // Many tests share one server.
            ("DATABASE_MAX_CONNECTIONS", "4"),
            ("DATABASE_ACQUIRE_TIMEOUT_MS", "30000"),
            ("REDIS_URL", &redis_url),
            (
                "QUEUE_TOKEN_KEYS",
                "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            ),
        ]);
        values.extend(environment(settings.iter().copied()));
        let config = load_from(values, Config::read).unwrap();
        let keys = config.queue_token_keys.clone();
        let queue = Arc::new(queue_of(&config));
        Self {
            database,
            redis,
            queue,
            config,
            keys,
        }
    }

    /// Another process on the same stores.
    pub(crate) fn replica(&self) -> Arc<Queue> {
        Arc::new(queue_of(&self.config))
    }

    pub(crate) fn draws(&self) -> DrawStore {
        DrawStore::new(self.config.database.pool().unwrap())
    }

    /// The stores themselves, for what only a crash leaves behind.
    pub(crate) fn stores(&self) -> (VisitStore, Line) {
        stores_of(&self.config)
    }

    /// A new open room.
    pub(crate) async fn room(&self, capacity: u32) -> ConcertId {
        let concert = ConcertId::new();
        self.put_room(concert, capacity, AT_ONCE, None).await;
        concert
    }

    pub(crate) async fn put_room(
        &self,
        concert: ConcertId,
        capacity: u32,
        pace: u32,
        opens_at: Option<OffsetDateTime>,
    ) -> RoomView {
        let settings = RoomSettings::new(capacity, pace, opens_at);
        self.queue.put_room(concert, settings).await.unwrap()
    }

    /// The room in another mode, else as it is.
    pub(crate) async fn set_mode(&self, concert: ConcertId, mode: RoomMode) -> RoomView {
        let settings = self.queue.get_room(concert).await.unwrap().room.settings;
        self.queue
            .put_room(concert, Ok(settings.in_mode(mode)))
            .await
            .unwrap()
    }

    pub(crate) async fn join(&self, concert: ConcertId) -> Person {
        self.join_as(concert, UserId::new()).await
    }

    pub(crate) async fn join_as(&self, concert: ConcertId, user: UserId) -> Person {
        person(user, self.queue.join(concert, user).await.unwrap())
    }

    pub(crate) async fn join_many(&self, concert: ConcertId, count: usize) -> Vec<Person> {
        let mut people = Vec::new();
        for _ in 0..count {
            people.push(self.join(concert).await);
        }
        people
    }

    /// One who is on the page of a room with a place to spare.
    pub(crate) async fn enter(&self, concert: ConcertId) -> Person {
        let person = self.join(concert).await;
        self.tick().await;
        self.expect(&person, TokenState::Page).await;
        person
    }

    pub(crate) async fn tick(&self) {
        self.queue.tick().await.unwrap();
    }

    pub(crate) async fn look(&self, person: &Person) -> TokenView {
        self.queue.get_token(&person.token).await.unwrap()
    }

    /// Looks, which claims, and expects a state.
    pub(crate) async fn expect(&self, person: &Person, state: TokenState) -> TokenView {
        let view = self.look(person).await;
        assert_eq!(view.state, state, "number {}: {view:?}", person.number);
        view
    }

    pub(crate) async fn visit_of(&self, person: &Person) -> VisitId {
        self.look(person).await.visit_id.unwrap()
    }

    pub(crate) async fn step(&self, by: Duration) {
        self.database.step_clock(by).await;
    }

    pub(crate) async fn now(&self) -> OffsetDateTime {
        sqlx::query_scalar("SELECT frontrow_now()")
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    /// Visits on the page, as Postgres has them: what promise 11 bounds.
    pub(crate) async fn pages(&self, concert: ConcertId) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM visits WHERE concert_id = $1 AND state = 'PAGE'")
            .bind(concert.as_uuid())
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn serving(&self, concert: ConcertId) -> u64 {
        self.queue.get_room(concert).await.unwrap().room.serving.0
    }

    pub(crate) async fn called(&self, concert: ConcertId) -> u32 {
        self.queue.get_room(concert).await.unwrap().called
    }

    /// A new room that opens in a minute.
    pub(crate) async fn lobby(&self, capacity: u32) -> ConcertId {
        let concert = ConcertId::new();
        let opens_at = self.now().await + SECOND * 60;
        let room = self.put_room(concert, capacity, AT_ONCE, Some(opens_at)).await;
        assert_eq!(room.draw.unwrap().state, DrawState::Gathering);
        concert
    }

    /// Somebody who gathers.
    pub(crate) async fn gather(&self, concert: ConcertId) -> Member {
        self.gather_as(concert, UserId::new()).await
    }

    pub(crate) async fn gather_as(&self, concert: ConcertId, user: UserId) -> Member {
        let ticket = self.queue.join(concert, user).await.unwrap();
        assert_eq!(ticket.view.state, TokenState::Gathering);
        let receipt = ticket.receipt.clone().unwrap();
        Member {
            person: person(user, ticket),
            receipt,
        }
    }

    pub(crate) async fn gather_many(&self, concert: ConcertId, count: usize) -> Vec<Member> {
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(self.gather(concert).await);
        }
        members
    }

    /// Lets the opening come and the draw be made.
    pub(crate) async fn draw(&self, concert: ConcertId) -> Draw {
        self.step(SECOND * 60).await;
        self.queue.advance_draws().await.unwrap();
        self.step(SHOWN_FOR).await;
        self.queue.advance_draws().await.unwrap();
        self.record(concert).await
    }

    pub(crate) async fn record(&self, concert: ConcertId) -> Draw {
        let room = self.queue.get_room(concert).await.unwrap();
        Draw::clone(&room.draw.unwrap())
    }

    /// A token as the service would sign it.
    pub(crate) fn token(&self, concert: ConcertId, user: UserId, number: u64) -> String {
        let claims = Claims {
            concert_id: concert,
            user_id: user,
            number: QueueNumber(number),
        };
        QueueTokens::new(self.keys.clone()).sign(&claims).unwrap()
    }
}

pub(crate) fn person(user: UserId, ticket: Ticket) -> Person {
    Person {
        user,
        token: ticket.queue_token,
        number: ticket.view.number.0,
    }
}

pub(crate) fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, AppError>) -> bool {
    use queue::store::{LineError, StoreError};
    matches!(
        result,
        Err(AppError::Line(LineError::Unavailable(_)) | AppError::Store(StoreError::Unavailable(_)))
    )
}

fn queue_of(config: &Config) -> Queue {
    let (visits, line) = stores_of(config);
    let options: QueueOptions = config.options;
    Queue::new(
        visits,
        DrawStore::new(config.database.pool().unwrap()),
        line,
        QueueTokens::new(config.queue_token_keys.clone()),
        config.beacon.clone().map(|beacon| Beacon::new(beacon).unwrap()),
        options,
    )
}

fn stores_of(config: &Config) -> (VisitStore, Line) {
    (
        VisitStore::new(config.database.pool().unwrap()),
        Line::new(config.redis.connection().unwrap()),
    )
}
