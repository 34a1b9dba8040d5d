//! The service as a process: the contract over gRPC, the stream of rooms, the tick that runs by itself, the drain.

use std::time::Duration;

use contracts::QueueClient;
use contracts::queue::{
    self, CheckVisitRequest, EndPageRequest, EndVisitsRequest, GetRoomRequest, GetTokenRequest, JoinRequest,
    LeaveRequest, PutRoomRequest, RoomSettings, TokenStatus, VisitToEnd, WatchRoomsRequest,
};
use queue_service::startup::Application;
use service_kit::config::load_from;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::problem::Problem;
use test_support::{environment, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use vocabulary::{ConcertId, ProblemCode, UserId, VisitId};

use crate::world::World;

// The contract's module has the service's name.
use ::queue as queue_service;

struct Process {
    world: World,
    client: QueueClient,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Process {
    async fn start() -> Self {
        let world = World::start().await;
        let application = Application::build(world.config.clone()).await.unwrap();
        let url = format!("http://{}", application.grpc_addr());
        let stop = CancellationToken::new();
        let running = tokio::spawn(application.run_until_stopped(stop.clone().cancelled_owned()));
        let upstream = load_from(environment([("QUEUE_URL", url.as_str())]), |env| {
            UpstreamConfig::read(env, "QUEUE_URL", "the service under test")
        });
        let client = contracts::queue_client(upstream.unwrap().channel().unwrap());
        Self {
            world,
            client,
            stop,
            running,
        }
    }

    async fn room(&mut self, capacity: u32) -> ConcertId {
        let concert = ConcertId::new();
        let request = PutRoomRequest {
            concert_id: concert.to_string(),
            settings: Some(settings(capacity)),
        };
        self.client.put_room(request).await.unwrap();
        concert
    }

    async fn join(&mut self, concert: ConcertId, user: UserId) -> queue::Ticket {
        let request = JoinRequest {
            concert_id: concert.to_string(),
            user_id: user.to_string(),
        };
        self.client
            .join(request)
            .await
            .unwrap()
            .into_inner()
            .ticket
            .unwrap()
    }

    async fn get_token(&mut self, queue_token: &str) -> Result<queue::TokenState, Status> {
        let request = GetTokenRequest {
            queue_token: queue_token.to_owned(),
        };
        Ok(self.client.get_token(request).await?.into_inner().state.unwrap())
    }

    /// Polls until the status is reached; the service's own tick is what moves it.
    async fn until(&mut self, queue_token: &str, status: TokenStatus) -> queue::TokenState {
        eventually("the token's status", async || {
            let state = self.get_token(queue_token).await.unwrap();
            (state.status() == status).then_some(state)
        })
        .await
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

fn settings(capacity: u32) -> RoomSettings {
    RoomSettings {
        capacity,
        admit_per_second: 1_000,
        opens_at: None,
        mode: queue::RoomMode::Open.into(),
    }
}

fn problem(status: Status) -> Problem {
    Problem::from(status)
}

fn field_of(status: Status) -> String {
    let problem = problem(status);
    assert_eq!(problem.code, ProblemCode::InvalidField, "{problem}");
    problem.fields[0].field.clone()
}

#[tokio::test]
async fn a_visit_from_joining_to_paying_over_grpc() {
    let mut process = Process::start().await;
    let concert = process.room(1).await;
    let user = UserId::new();
    let ticket = process.join(concert, user).await;
    let state = ticket.state.unwrap();
    assert_eq!(
        (state.status(), state.number, state.position, state.ahead),
        (TokenStatus::Waiting, 1, 1, 0)
    );
    assert!(ticket.joined_now && state.poll_after_ms > 0);

    let inside = process.until(&ticket.queue_token, TokenStatus::Processing).await;
    assert_eq!(inside.phase(), queue::Phase::Page);
    assert!(inside.expires_at.is_some());
    let check = CheckVisitRequest {
        queue_token: ticket.queue_token.clone(),
        user_id: user.to_string(),
        concert_id: concert.to_string(),
        purpose: queue::VisitPurpose::Hold.into(),
    };
    let checked = process
        .client
        .check_visit(check.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((&checked.visit_id, checked.number), (&inside.visit_id, 1));
    assert_eq!(checked.expires_at, inside.expires_at);

    let visit_id = inside.visit_id;
    process
        .client
        .end_page(EndPageRequest {
            visit_id: visit_id.clone(),
        })
        .await
        .unwrap();
    let paying = process.get_token(&ticket.queue_token).await.unwrap();
    assert_eq!(
        (paying.status(), paying.phase()),
        (TokenStatus::Processing, queue::Phase::Payment)
    );
    let left = process.client.check_visit(check).await.unwrap_err();
    assert_eq!(problem(left).code, ProblemCode::PageLeft);
    let outcome = queue::VisitOutcome::Completed.into();
    process
        .client
        .end_visits(EndVisitsRequest {
            visits: vec![VisitToEnd { visit_id, outcome }],
        })
        .await
        .unwrap();
    let done = process.get_token(&ticket.queue_token).await.unwrap();
    assert_eq!(
        (done.status(), done.phase()),
        (TokenStatus::Completed, queue::Phase::Unspecified)
    );
    process.stop().await.unwrap();
}

#[tokio::test]
async fn a_freed_place_calls_the_next_at_once() {
    let mut process = Process::start().await;
    let concert = process.room(1).await;
    let first = process.join(concert, UserId::new()).await;
    process.until(&first.queue_token, TokenStatus::Processing).await;
    let second = process.join(concert, UserId::new()).await;
    process
        .client
        .leave(LeaveRequest {
            queue_token: first.queue_token,
        })
        .await
        .unwrap();
    process.until(&second.queue_token, TokenStatus::Processing).await;
}

#[tokio::test]
async fn watchers_hear_every_room_then_what_changes_and_a_sign_of_life() {
    let mut process = Process::start().await;
    let (one, two) = (process.room(1).await, process.room(2).await);
    eventually("both rooms to be seen", async || {
        (process.world.queue.tick().await.is_ok()).then_some(())
    })
    .await;
    // A watcher that comes while the process runs hears all rooms first.
    let mut stream = process
        .client
        .watch_rooms(WatchRoomsRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut heard = std::collections::BTreeMap::new();
    while heard.len() < 2 {
        for room in stream.message().await.unwrap().unwrap().rooms {
            heard.insert(room.concert_id.clone(), room);
        }
    }
    assert_eq!(heard[&two.to_string()].settings.unwrap(), settings(2));
    assert_eq!(heard[&one.to_string()].claim_seconds, 30);

    let mut signs_of_life = 0;
    while signs_of_life < 2 {
        let message = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
        signs_of_life += u32::from(message.unwrap().unwrap().unwrap().rooms.is_empty());
    }
    process.join(one, UserId::new()).await;
    let mut serving = 0;
    while serving == 0 {
        for room in stream.message().await.unwrap().unwrap().rooms {
            assert_eq!(room.concert_id, one.to_string(), "only what changed");
            assert!(room.serving_number >= serving);
            serving = room.serving_number;
        }
    }
    // An open stream does not hold the drain up.
    process.stop().await.unwrap();
    while let Ok(Some(_)) = stream.message().await {}
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let mut process = Process::start().await;
    let (id, token) = (ConcertId::new().to_string(), "x".to_owned());
    let client = &mut process.client;

    let bare = PutRoomRequest {
        concert_id: id.clone(),
        settings: None,
    };
    assert_eq!(field_of(client.put_room(bare).await.unwrap_err()), "settings");
    let wrong = PutRoomRequest {
        concert_id: id.clone(),
        settings: Some(RoomSettings {
            capacity: 0,
            admit_per_second: 100_001,
            ..RoomSettings::default()
        }),
    };
    let wrong = problem(client.put_room(wrong).await.unwrap_err());
    let fields: Vec<_> = wrong.fields.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["capacity", "admitPerSecond"]);
    let far = prost_types::Timestamp {
        seconds: i64::MAX,
        nanos: 0,
    };
    let far = PutRoomRequest {
        concert_id: id.clone(),
        settings: Some(RoomSettings {
            opens_at: Some(far),
            ..settings(1)
        }),
    };
    assert_eq!(field_of(client.put_room(far).await.unwrap_err()), "opensAt");

    let join = JoinRequest {
        concert_id: id.clone(),
        user_id: String::new(),
    };
    assert_eq!(field_of(client.join(join).await.unwrap_err()), "userId");
    let room = GetRoomRequest {
        concert_id: "7".to_owned(),
    };
    assert_eq!(field_of(client.get_room(room).await.unwrap_err()), "concertId");
    let check = CheckVisitRequest {
        queue_token: token.clone(),
        user_id: UserId::new().to_string(),
        concert_id: id.clone(),
        purpose: 0,
    };
    assert_eq!(field_of(client.check_visit(check).await.unwrap_err()), "purpose");
    let end = |visit_id, outcome: queue::VisitOutcome| VisitToEnd {
        visit_id,
        outcome: outcome.into(),
    };
    let good = end(VisitId::new().to_string(), queue::VisitOutcome::Completed);
    let worse = [
        (vec![], "visits"),
        (vec![good.clone(); 129], "visits"),
        (
            vec![
                good.clone(),
                end(VisitId::new().to_string(), queue::VisitOutcome::Unspecified),
            ],
            "visits[1].outcome",
        ),
        (
            vec![good.clone(), end(String::new(), queue::VisitOutcome::Expired)],
            "visits[1].visitId",
        ),
    ];
    for (visits, field) in worse {
        let refused = client.end_visits(EndVisitsRequest { visits }).await.unwrap_err();
        assert_eq!(field_of(refused), field);
    }
    let end = EndPageRequest {
        visit_id: String::new(),
    };
    assert_eq!(field_of(client.end_page(end).await.unwrap_err()), "visitId");

    let room = GetRoomRequest {
        concert_id: id.clone(),
    };
    assert_eq!(
        problem(client.get_room(room).await.unwrap_err()).code,
        ProblemCode::NotFound
    );
    let end = EndPageRequest {
        visit_id: VisitId::new().to_string(),
    };
    assert_eq!(
        problem(client.end_page(end).await.unwrap_err()).code,
        ProblemCode::NotFound
    );
    let leave = LeaveRequest {
        queue_token: token.clone(),
    };
    assert_eq!(
        problem(client.leave(leave).await.unwrap_err()).code,
        ProblemCode::QueueTokenMalformed
    );
    assert_eq!(
        problem(process.get_token("").await.unwrap_err()).code,
        ProblemCode::QueueTokenMissing
    );
}

#[tokio::test]
async fn a_process_without_redis_answers_unavailable_quickly_and_heals() {
    let mut process = Process::start().await;
    let concert = process.room(1).await;
    process.world.redis.stop().await;
    let request = JoinRequest {
        concert_id: concert.to_string(),
        user_id: UserId::new().to_string(),
    };
    let asked = std::time::Instant::now();
    let away = problem(process.client.join(request).await.unwrap_err());
    assert_eq!(away.code, ProblemCode::Unavailable);
    assert!(
        away.retry_after.is_some() && asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );

    process.world.redis.start_again().await;
    let user = UserId::new();
    let ticket = eventually("joining again", async || {
        let request = JoinRequest {
            concert_id: concert.to_string(),
            user_id: user.to_string(),
        };
        process.client.join(request).await.ok()
    })
    .await;
    let token = ticket.into_inner().ticket.unwrap().queue_token;
    process.until(&token, TokenStatus::Processing).await;
    process.stop().await.unwrap();
}
