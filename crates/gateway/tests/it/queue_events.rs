//! How a place in line stands, pushed.

use std::time::{Duration, Instant};

use contracts::queue::{
    DrawState, GetTokenRequest, GetTokenResponse, Phase, Room, RoomState, TokenState, TokenStatus,
};
use reqwest::{Method, RequestBuilder};
use service_kit::problem::Problem;
use test_support::{Events, eventually};
use tonic::Status;
use vocabulary::ProblemCode;

use crate::gateway::{Answer, Gateway, Person, queue_token};
use crate::queue::{GET_TOKEN, fairness, processing, room, until_heard};

/// Somebody with number 42 in the line of a room that gateway has heard of.
async fn in_line(gateway: &Gateway, room: impl Fn(&Person) -> Room) -> Person {
    let person = gateway.visitor();
    gateway.upstreams.set_rooms(vec![room(&person)]);
    until_heard(gateway, &person).await;
    person
}

fn stream(gateway: &Gateway, person: &Person) -> RequestBuilder {
    let request = gateway.request(Method::GET, "/v1/queue/events");
    request.header("Queue-Token", &person.queue_token)
}

async fn watch(gateway: &Gateway, person: &Person) -> Events {
    Events::of(stream(gateway, person).send().await.unwrap())
}

/// What queue answers from now on.
fn stands(gateway: &Gateway, state: TokenState) {
    gateway.upstreams.on(GET_TOKEN, move |_: GetTokenRequest| {
        Ok(GetTokenResponse {
            state: Some(state.clone()),
        })
    });
}

fn ended(status: TokenStatus) -> TokenState {
    TokenState {
        status: status as i32,
        number: 42,
        poll_after_ms: 30_000,
        ..TokenState::default()
    }
}

#[tokio::test]
async fn one_who_is_near_is_told_of_every_move_of_the_turn_and_of_the_end_without_asking() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let mut events = watch(&gateway, &person).await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (first.name.as_str(), &first.data["status"]),
        ("standing", &"WAITING".into())
    );
    assert_eq!(
        (&first.data["position"], &first.data["etaSeconds"]),
        (&12.into(), &24.into())
    );
    assert_eq!(first.retry_ms, first.data["pollAfterMs"].as_u64());

    for serving in [33, 40] {
        gateway
            .upstreams
            .set_rooms(vec![room(person.concert_id, serving)]);
        let moved = events
            .until("a move", |data| data["position"] == 42 - serving)
            .await;
        assert_eq!(moved.data["status"], "WAITING");
    }
    assert_eq!(
        gateway.upstreams.calls(GET_TOKEN),
        0,
        "one who waits calls nobody"
    );

    stands(&gateway, processing());
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 42)]);
    let page = events.next().await.unwrap();
    assert_eq!(
        (&page.data["status"], &page.data["phase"]),
        (&"PROCESSING".into(), &"PAGE".into())
    );

    let payment = TokenState {
        phase: Phase::Payment as i32,
        expires_at: None,
        ..processing()
    };
    stands(&gateway, payment);
    assert_eq!(events.next().await.unwrap().data["phase"], "PAYMENT");
    stands(&gateway, ended(TokenStatus::Completed));
    assert_eq!(events.next().await.unwrap().data["status"], "COMPLETED");
    assert_eq!(events.next().await, None, "nothing comes after the end");
}

#[tokio::test]
async fn hundreds_who_watch_are_told_of_a_move_and_call_nobody() {
    const PEOPLE: u64 = 200;
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 1)).await;
    let streams = (0..PEOPLE).map(async |number| {
        let other = gateway.visitor();
        let token = queue_token(other.user_id, person.concert_id, number + 10);
        let request = gateway
            .request(Method::GET, "/v1/queue/events")
            .header("Queue-Token", token);
        let mut events = Events::of(request.send().await.unwrap());
        events
            .until("the place", |data| data["position"] == number + 9)
            .await;
        events
    });
    let mut streams = futures::future::join_all(streams).await;
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 9)]);
    let moved = Instant::now();
    for (number, events) in streams.iter_mut().enumerate() {
        events
            .until("the move", |data| data["position"] == number + 1)
            .await;
    }
    // Those furthest behind would look by themselves after twelve seconds.
    assert!(moved.elapsed() < Duration::from_secs(8), "{:?}", moved.elapsed());
    assert_eq!(gateway.upstreams.calls(GET_TOKEN), 0);
}

#[tokio::test]
async fn one_whose_place_is_over_is_told_so_once() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 42)).await;
    stands(&gateway, ended(TokenStatus::Expired));
    let mut events = watch(&gateway, &person).await;
    assert_eq!(events.next().await.unwrap().data["status"], "EXPIRED");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_stream_is_neither_stored_nor_compressed_nor_held_back() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let request = stream(&gateway, &person).header("Accept-Encoding", "gzip");
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("x-accel-buffering"), Some("no"));
    assert_eq!(header("content-encoding"), None);
    assert!(Events::of(response).next().await.is_some());
}

#[tokio::test]
async fn one_who_is_far_or_in_a_lobby_gets_one_event_and_takes_no_stream() {
    let gateway = Gateway::start_with(&[("EVENT_STREAMS", "0")]).await;
    // Ten a second: those within 300 are near.
    let far = in_line(&gateway, |person| room(person.concert_id, 0)).await;
    let far = Person {
        queue_token: queue_token(far.user_id, far.concert_id, 301),
        ..far
    };
    let mut events = watch(&gateway, &far).await;
    let only = events.next().await.unwrap();
    assert_eq!(
        (&only.data["position"], only.retry_ms),
        (&301.into(), only.data["pollAfterMs"].as_u64())
    );
    assert_eq!(events.next().await, None);

    let lobby = in_line(&gateway, |person| Room {
        state: RoomState::Scheduled as i32,
        fairness: Some(fairness(DrawState::Gathering, 50)),
        ..room(person.concert_id, 0)
    })
    .await;
    let mut events = watch(&gateway, &lobby).await;
    assert_eq!(events.next().await.unwrap().data["phase"], "LOBBY");
    assert_eq!(events.next().await, None);
    assert_eq!(gateway.upstreams.calls(GET_TOKEN), 0);
}

#[tokio::test]
async fn more_streams_than_there_may_be_are_refused_until_one_ends() {
    let gateway = Gateway::start_with(&[("EVENT_STREAMS", "1")]).await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let first = watch(&gateway, &person).await;
    let refused = Answer::to(stream(&gateway, &person)).await;
    assert_eq!(refused.header("retry-after"), "5");
    refused.expect_problem(503, "unavailable");
    drop(first);
    eventually("a free stream", async || {
        let response = stream(&gateway, &person).send().await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_place_takes_no_more_than_four_streams() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(watch(&gateway, &person).await);
    }
    Answer::to(stream(&gateway, &person))
        .await
        .expect_problem(429, "too-many-requests");
}

#[tokio::test]
async fn streams_end_at_once_when_the_gateway_drains() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let mut events = watch(&gateway, &person).await;
    events.next().await.unwrap();
    let stopped = Instant::now();
    drop(gateway);
    assert_eq!(events.next().await, None);
    assert!(
        stopped.elapsed() < Duration::from_secs(2),
        "{:?}",
        stopped.elapsed()
    );
}

#[tokio::test]
async fn a_stream_lives_as_long_as_it_may_and_outlives_a_requests_deadline() {
    let settings = [("EVENT_STREAM_SECONDS", "2"), ("HTTP_REQUEST_TIMEOUT_MS", "1000")];
    let gateway = Gateway::start_with(&settings).await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let begun = Instant::now();
    let mut events = watch(&gateway, &person).await;
    while events.next().await.is_some() {}
    let lived = begun.elapsed();
    assert!((1_500..5_000).contains(&lived.as_millis()), "{lived:?}");
}

#[tokio::test]
async fn a_stream_outlasts_an_absence_of_queue_and_ends_where_the_token_is_refused() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 41)).await;
    let mut events = watch(&gateway, &person).await;
    events.next().await.unwrap();
    gateway.upstreams.refuse(GET_TOKEN, Status::unavailable("away"));
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 42)]);
    eventually("queue to be asked", async || {
        (gateway.upstreams.calls(GET_TOKEN) > 0).then_some(())
    })
    .await;
    stands(&gateway, processing());
    assert_eq!(events.next().await.unwrap().data["status"], "PROCESSING");

    gateway
        .upstreams
        .on(GET_TOKEN, |_: GetTokenRequest| -> Result<GetTokenResponse, _> {
            Err(Problem::of(ProblemCode::QueueTokenInvalid))
        });
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_paused_room_is_told_at_once_and_so_is_its_end() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 30)).await;
    let mut events = watch(&gateway, &person).await;
    assert!(events.next().await.unwrap().data["paused"].is_null());
    let paused = Room {
        state: RoomState::Paused as i32,
        ..room(person.concert_id, 30)
    };
    gateway.upstreams.set_rooms(vec![paused]);
    let told = events.next().await.unwrap();
    assert_eq!(
        (&told.data["paused"], &told.data["etaSeconds"]),
        (&true.into(), &serde_json::Value::Null)
    );
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 30)]);
    assert!(events.next().await.unwrap().data["paused"].is_null());
}

#[tokio::test]
async fn one_who_was_called_before_a_pause_is_let_in_at_its_end() {
    let gateway = Gateway::start().await;
    let paused = |person: &Person| Room {
        state: RoomState::Paused as i32,
        ..room(person.concert_id, 42)
    };
    let person = in_line(&gateway, paused).await;
    let called = TokenState {
        status: TokenStatus::Waiting as i32,
        number: 42,
        paused: true,
        // Only the end of the pause can tell before this.
        poll_after_ms: 60_000,
        ..TokenState::default()
    };
    stands(&gateway, called);
    let mut events = watch(&gateway, &person).await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (&first.data["position"], &first.data["paused"]),
        (&0.into(), &true.into())
    );
    stands(&gateway, processing());
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 42)]);
    assert_eq!(events.next().await.unwrap().data["status"], "PROCESSING");
}

#[tokio::test]
async fn a_broken_stream_of_rooms_is_told_with_its_age() {
    let gateway = Gateway::start().await;
    let person = in_line(&gateway, |person| room(person.concert_id, 40)).await;
    gateway.upstreams.refuse(GET_TOKEN, Status::unavailable("away"));
    let mut events = watch(&gateway, &person).await;
    gateway.upstreams.silence_rooms(true);
    let old = events
        .until("an old state", |data| !data["stateAgeMs"].is_null())
        .await;
    assert_eq!(
        (&old.data["status"], &old.data["position"]),
        (&"WAITING".into(), &2.into())
    );
}
