//! One service with stores and peers of its own, and what tests ask of it.

use concert::app::App;
use concert::config::Config;
use concert::grpc::ConcertGrpc;
use concert::peers::{Booking, Queue};
use concert::store::cache::Cache;
use concert::store::{MIGRATOR, Store};
use contracts::{ConcertClient, concert as pb};
use serde_json::{Value, json};
use service_kit::config::load_from;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::problem::Problem;
use test_support::{TestDatabase, TestRedis, environment, serve_grpc};
use time::OffsetDateTime;
use tonic::Status;
use tonic::service::Routes;
use vocabulary::UserId;

use crate::peers::Peers;

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) redis: TestRedis,
    pub(crate) peers: Peers,
    pub(crate) app: App,
    pub(crate) client: ConcertClient,
    pub(crate) organiser: UserId,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Without workers: tests step them.
    pub(crate) async fn with(keys: &[(&str, &str)]) -> Self {
        let (database, redis) = tokio::join!(TestDatabase::create(&MIGRATOR), TestRedis::start());
        let peers = Peers::default();
        let peers_url = serve_grpc(peers.routes()).await;
        let config = config(&database, &redis, &peers_url, keys);
        let app = app(&config, &database);
        let client = client(&serve(&app).await);
        Self {
            database,
            redis,
            peers,
            app,
            client,
            organiser: UserId::new(),
        }
    }

    /// Of `self.organiser`.
    pub(crate) async fn venue(&mut self) -> String {
        self.create_venue(&small_hall(), "").await.unwrap().venue_id
    }

    pub(crate) async fn create_venue(
        &mut self,
        plan: &Value,
        key: &str,
    ) -> Result<pb::CreateVenueResponse, Problem> {
        let request = pb::CreateVenueRequest {
            organiser_id: self.organiser.to_string(),
            name: "Saal".to_owned(),
            plan_json: plan.to_string().into_bytes(),
            idempotency_key: key.to_owned(),
        };
        answer(self.client.create_venue(request).await)
    }

    /// Of `self.organiser`, listed.
    pub(crate) async fn concert(&mut self, title: &str) -> String {
        let venue_id = self.venue().await;
        self.concert_at(&venue_id, title).await
    }

    pub(crate) async fn concert_at(&mut self, venue_id: &str, title: &str) -> String {
        let request = self.concert_request(venue_id, title);
        self.create_concert(request).await.unwrap()
    }

    pub(crate) fn concert_request(&self, venue_id: &str, title: &str) -> pb::CreateConcertRequest {
        pb::CreateConcertRequest {
            organiser_id: self.organiser.to_string(),
            title: title.to_owned(),
            venue_id: venue_id.to_owned(),
            currency: "KRW".to_owned(),
            prices: vec![price("VIP", 150_000), price("R석", 90_000)],
            waiting_room: Some(room(50, 10)),
            idempotency_key: String::new(),
            refund_policy: None,
        }
    }

    pub(crate) async fn create_concert(
        &mut self,
        request: pb::CreateConcertRequest,
    ) -> Result<String, Problem> {
        answer(self.client.create_concert(request).await).map(|made| made.concert_id)
    }

    /// A week from now, on sale.
    pub(crate) async fn schedule(&mut self, concert_id: &str) -> String {
        let request = self.schedule_request(concert_id, 7);
        self.create_schedule(request).await.unwrap()
    }

    pub(crate) fn schedule_request(&self, concert_id: &str, days_ahead: i64) -> pb::CreateScheduleRequest {
        let starts_at = OffsetDateTime::now_utc() + time::Duration::days(days_ahead);
        pb::CreateScheduleRequest {
            organiser_id: self.organiser.to_string(),
            concert_id: concert_id.to_owned(),
            starts_at: Some(contracts::timestamp(starts_at)),
            idempotency_key: String::new(),
        }
    }

    pub(crate) async fn create_schedule(
        &mut self,
        request: pb::CreateScheduleRequest,
    ) -> Result<String, Problem> {
        answer(self.client.create_schedule(request).await).map(|made| made.schedule_id)
    }

    pub(crate) async fn get_concert(&mut self, concert_id: &str) -> Result<pb::Concert, Problem> {
        let request = pb::GetConcertRequest {
            concert_id: concert_id.to_owned(),
        };
        answer(self.client.get_concert(request).await).map(|answer| answer.concert.unwrap())
    }

    pub(crate) async fn search(
        &mut self,
        query: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<pb::SearchConcertsResponse, Problem> {
        let request = pb::SearchConcertsRequest {
            query: query.to_owned(),
            cursor: cursor.to_owned(),
            limit,
        };
        answer(self.client.search_concerts(request).await)
    }

    /// Titles of everything found.
    pub(crate) async fn titles(&mut self, query: &str) -> Vec<String> {
        let page = self.search(query, "", 100).await.unwrap();
        page.concerts.into_iter().map(|concert| concert.title).collect()
    }

    pub(crate) async fn get_layout(&mut self, schedule_id: &str) -> Result<pb::Layout, Problem> {
        let request = pb::GetLayoutRequest {
            schedule_id: schedule_id.to_owned(),
        };
        answer(self.client.get_layout(request).await).map(|answer| answer.layout.unwrap())
    }

    pub(crate) async fn get_seats(&mut self, schedule_id: &str) -> Result<pb::GetSeatsResponse, Problem> {
        let request = pb::GetSeatsRequest {
            schedule_id: schedule_id.to_owned(),
            user_id: UserId::new().to_string(),
            queue_token: "a.queue.token".to_owned(),
        };
        answer(self.client.get_seats(request).await)
    }

    pub(crate) async fn list_schedules(
        &mut self,
        concert_id: &str,
    ) -> Result<Vec<pb::ScheduleSeatsLeft>, Problem> {
        let request = pb::ListSchedulesRequest {
            concert_id: concert_id.to_owned(),
            user_id: UserId::new().to_string(),
            queue_token: "a.queue.token".to_owned(),
        };
        answer(self.client.list_schedules(request).await).map(|answer| answer.schedules)
    }

    /// Behind the service's back, so that what a cache answers can be told from what Postgres holds.
    pub(crate) async fn retitle(&self, concert_id: &str, title: &str) {
        sqlx::query("UPDATE concerts SET title = $2 WHERE concert_id = $1::uuid")
            .bind(concert_id)
            .bind(title)
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count)
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }
}

pub(crate) fn config(
    database: &TestDatabase,
    redis: &TestRedis,
    peers_url: &str,
    keys: &[(&str, &str)],
) -> Config {
    let redis_url = redis.url();
    let mut environment = environment([
        ("DATABASE_URL", database.url()),
        ("REDIS_URL", redis_url.as_str()),
        ("QUEUE_URL", peers_url),
        ("BOOKING_URL", peers_url),
        ("GRPC_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        // A busy machine must not look like an absent Redis.
        ("REDIS_TIMEOUT_MS", "10000"),
        ("CACHE_TIMEOUT_MS", "5000"),
        ("DATABASE_ACQUIRE_TIMEOUT_MS", "30000"),
    ]);
    environment.extend(
        keys.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    load_from(environment, Config::read).unwrap()
}

/// Another process of the same service.
pub(crate) fn app(config: &Config, database: &TestDatabase) -> App {
    App::new(
        Store::new(database.pool().clone()),
        Cache::new(config.redis.connection().unwrap(), config.cache.clone()),
        config.layout_cache_seats,
        Queue::new(config.queue.channel().unwrap()),
        Booking::new(config.booking.channel().unwrap()),
    )
}

pub(crate) async fn serve(app: &App) -> String {
    serve_grpc(Routes::new(contracts::concert_server(ConcertGrpc::new(
        app.clone(),
    ))))
    .await
}

pub(crate) fn client(url: &str) -> ConcertClient {
    let read = |env: &mut _| UpstreamConfig::read(env, "CONCERT_URL", "The service under test.");
    let upstream = load_from(environment([("CONCERT_URL", url)]), read).unwrap();
    let patient = upstream.with_deadline(std::time::Duration::from_secs(60));
    contracts::concert_client(patient.channel().unwrap())
}

pub(crate) fn answer<T>(answer: Result<tonic::Response<T>, Status>) -> Result<T, Problem> {
    answer.map(tonic::Response::into_inner).map_err(Problem::from)
}

/// The fields of a refusal.
pub(crate) fn fields(problem: &Problem) -> Vec<&str> {
    problem.fields.iter().map(|error| error.field.as_str()).collect()
}

pub(crate) fn price(grade: &str, amount: i64) -> pb::Price {
    pb::Price {
        grade: grade.to_owned(),
        amount,
    }
}

pub(crate) fn room(capacity: u32, admit_per_second: u32) -> pb::WaitingRoom {
    pb::WaitingRoom {
        capacity,
        admit_per_second,
        opens_at: None,
        mode: pb::WaitingRoomMode::Open.into(),
    }
}

/// Three seats VIP, five seats R석, with an editor's own keys.
pub(crate) fn small_hall() -> Value {
    let row = |row: &str, y: i64, seats: u32, category: &str| {
        let seats: Vec<_> = (1..=seats)
            .map(|n| {
                json!({"seat_guid": format!("{row}-{n}"), "uuid": "0c5d", "seat_number": n.to_string(),
                       "category": category, "position": {"x": 20 * n, "y": 0}, "radius": 10})
            })
            .collect();
        json!({"row_number": row, "row_number_position": "both", "position": {"x": 0, "y": y}, "seats": seats})
    };
    json!({
        "name": "Saal", "size": {"width": 300, "height": 200}, "backgroundImage": null,
        "categories": [{"name": "VIP", "color": "#f00"}, {"name": "R석", "color": "#0f0"}, {"name": "Unused"}],
        "zones": [{"name": "1층", "zone_id": "z", "position": {"x": 100, "y": 50}, "areas": [],
                   "rows": [row("A", 0, 3, "VIP"), row("B", 30, 5, "R석")]}],
    })
}
