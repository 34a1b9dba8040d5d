//! Polls while the stream of rooms is broken.

use contracts::queue::{GetRoomRequest, GetTokenRequest, GetTokenResponse, Room, RoomSettings};
use reqwest::Method;
use serde_json::Value;
use test_support::eventually;
use tonic::Status;

use crate::gateway::{Answer, Gateway, Person};
use crate::queue::{GET_TOKEN, processing, room};

const GET_ROOM: &str = "queue.v1.QueueService/GetRoom";

/// A room that serves `serving` and calls one a second at most.
fn slow_room(person: &Person, serving: u64) -> Room {
    Room {
        settings: Some(RoomSettings {
            capacity: 5,
            admit_per_second: 1,
            ..RoomSettings::default()
        }),
        ..room(person.concert_id, serving)
    }
}

async fn ask(gateway: &Gateway, person: &Person) -> Answer {
    let request = gateway
        .request(Method::GET, "/v1/queue")
        .header("Queue-Token", &person.queue_token);
    Answer::to(request).await
}

async fn poll(gateway: &Gateway, person: &Person) -> Value {
    ask(gateway, person).await.expect(200)
}

/// A gateway that heard of a room once, and then nothing any more; its person has number 42.
async fn cut_off(serving: u64) -> (Gateway, Person) {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    gateway.upstreams.refuse(GET_TOKEN, Status::unavailable("away"));
    gateway.upstreams.set_rooms(vec![slow_room(&person, serving)]);
    eventually("the room", async || {
        let answer = ask(&gateway, &person).await;
        (answer.status == 200).then_some(())
    })
    .await;
    gateway.upstreams.silence_rooms(true);
    (gateway, person)
}

async fn until_age(gateway: &Gateway, person: &Person, age_ms: u64) -> Value {
    eventually("the age of the state", async || {
        let standing = poll(gateway, person).await;
        let age = standing["stateAgeMs"].as_u64();
        age.is_some_and(|age| age >= age_ms).then_some(standing)
    })
    .await
}

#[tokio::test]
async fn one_who_is_far_is_answered_from_memory_with_its_age_and_nobody_is_asked() {
    let (gateway, person) = cut_off(0).await;
    let asked = gateway.upstreams.calls(GET_TOKEN);
    let first = until_age(&gateway, &person, 501).await;
    assert_eq!(
        (&first["status"], &first["position"]),
        (&"WAITING".into(), &42.into())
    );
    until_age(&gateway, &person, 1_500).await;
    assert_eq!(gateway.upstreams.calls(GET_TOKEN), asked);

    gateway.upstreams.silence_rooms(false);
    eventually("a young state", async || {
        poll(&gateway, &person).await["stateAgeMs"]
            .is_null()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_who_could_have_been_called_since_asks_queue_and_is_answered_from_memory_where_it_cannot() {
    let (gateway, person) = cut_off(41).await;
    let asked = gateway.upstreams.calls(GET_TOKEN);
    let standing = until_age(&gateway, &person, 1_001).await;
    assert_eq!(
        (&standing["status"], &standing["position"]),
        (&"WAITING".into(), &1.into())
    );
    assert!(gateway.upstreams.calls(GET_TOKEN) > asked, "queue was asked");

    gateway.upstreams.on(GET_TOKEN, |_: GetTokenRequest| {
        Ok(GetTokenResponse {
            state: Some(processing()),
        })
    });
    let standing = poll(&gateway, &person).await;
    assert_eq!(standing["status"], "PROCESSING");
    assert!(standing["stateAgeMs"].is_null(), "{standing}");
}

#[tokio::test]
async fn who_was_called_needs_queue() {
    let (gateway, person) = cut_off(41).await;
    gateway.upstreams.silence_rooms(false);
    gateway.upstreams.set_rooms(vec![slow_room(&person, 42)]);
    let refused = eventually("a refusal", async || {
        let answer = ask(&gateway, &person).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.expect_problem(503, "unavailable");
}

#[tokio::test]
async fn a_room_is_shown_from_memory_with_its_age_where_queue_cannot_answer() {
    let (gateway, person) = cut_off(41).await;
    gateway.upstreams.refuse(GET_ROOM, Status::unavailable("away"));
    let path = format!("/v1/concerts/{}/queue", person.concert_id);
    let room = eventually("an old room", async || {
        let room = gateway.get(&path).await.expect(200);
        room["stateAgeMs"]
            .as_u64()
            .is_some_and(|age| age > 1_000)
            .then_some(room)
    })
    .await;
    assert_eq!(room["servingNumber"], 41);

    let now = slow_room(&person, 60);
    gateway.upstreams.on(GET_ROOM, move |_: GetRoomRequest| {
        Ok(contracts::queue::GetRoomResponse {
            room: Some(now.clone()),
        })
    });
    let room = gateway.get(&path).await.expect(200);
    assert_eq!(room["servingNumber"], 60);
    assert!(room["stateAgeMs"].is_null(), "{room}");
}
