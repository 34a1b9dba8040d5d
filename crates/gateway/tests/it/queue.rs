//! The line: joining, polling from memory, leaving.

use contracts::auth::{LogInRequest, LogInResponse, Tokens, User};
use contracts::queue::{
    DrawState, Fairness, GetRoomRequest, GetRoomResponse, GetTokenRequest, GetTokenResponse, JoinRequest,
    JoinResponse, LeaveRequest, LeaveResponse, OperatorTrusted, Phase, Room, RoomSettings, RoomState, Ticket,
    TokenState, TokenStatus,
};
use reqwest::Method;
use serde_json::json;
use test_support::eventually;
use vocabulary::ConcertId;

use crate::gateway::{Answer, Gateway, Person};

pub(crate) const GET_TOKEN: &str = "queue.v1.QueueService/GetToken";
const GET_ROOM: &str = "queue.v1.QueueService/GetRoom";

pub(crate) fn room(concert_id: ConcertId, serving_number: u64) -> Room {
    Room {
        concert_id: concert_id.to_string(),
        state: RoomState::Open as i32,
        serving_number,
        last_number: 100,
        waiting: 100 - serving_number,
        inside: 3,
        called: 1,
        settings: Some(RoomSettings {
            capacity: 5,
            admit_per_second: 10,
            opens_at: None,
            mode: 0,
        }),
        admitted_per_second_low_milli: 250,
        admitted_per_second_high_milli: 1_000,
        admitted_per_second_milli: 500,
        claim_seconds: 30,
        fairness: None,
    }
}

pub(crate) fn processing() -> TokenState {
    TokenState {
        status: TokenStatus::Processing as i32,
        phase: Phase::Page as i32,
        number: 42,
        poll_after_ms: 1_000,
        expires_at: Some(contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)),
        visit_id: "internal".to_owned(),
        ..TokenState::default()
    }
}

/// A gateway before a queue that answers PROCESSING to whoever asks it.
async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(GET_TOKEN, |_: GetTokenRequest| {
        Ok(GetTokenResponse {
            state: Some(processing()),
        })
    });
    gateway
}

/// Until the gateway has heard of the room.
pub(crate) async fn until_heard(gateway: &Gateway, person: &Person) {
    let path = format!("/v1/concerts/{}/queue", person.concert_id);
    eventually("the room", async || {
        (gateway.get(&path).await.status == 200).then_some(())
    })
    .await;
}

/// What a poll answers. How old that is, where this machine stalls, is no matter of these tests.
async fn poll(gateway: &Gateway, person: &Person) -> serde_json::Value {
    let request = gateway
        .request(Method::GET, "/v1/queue")
        .header("Queue-Token", &person.queue_token);
    let mut standing = Answer::to(request).await.expect(200);
    standing.as_object_mut().unwrap().remove("stateAgeMs");
    standing
}

/// Polls until the answer has this status.
async fn poll_until(gateway: &Gateway, person: &Person, status: &str) -> serde_json::Value {
    eventually(status, async || {
        let standing = poll(gateway, person).await;
        (standing["status"] == status).then_some(standing)
    })
    .await
}

#[tokio::test]
async fn a_poll_before_the_turn_is_answered_from_memory() {
    let gateway = gateway().await;
    let waiting = gateway.visitor();
    gateway.upstreams.set_rooms(vec![room(waiting.concert_id, 22)]);
    until_heard(&gateway, &waiting).await;
    let standing = poll(&gateway, &waiting).await;

    let poll_after_ms = standing["pollAfterMs"].as_u64().unwrap();
    assert!((4_000..=5_000).contains(&poll_after_ms), "{poll_after_ms}");
    assert_eq!(
        standing,
        json!({
            "status": "WAITING", "number": 42, "position": 20, "ahead": 19, "etaSeconds": 40,
            "etaFromSeconds": 20, "etaToSeconds": 80, "pollAfterMs": poll_after_ms,
        })
    );

    let before = gateway.upstreams.calls(GET_TOKEN);
    for _ in 0..50 {
        assert_eq!(poll(&gateway, &waiting).await["status"], "WAITING");
    }
    assert_eq!(gateway.upstreams.calls(GET_TOKEN), before);
}

pub(crate) fn fairness(state: DrawState, count: u64) -> Fairness {
    let drawn = if state >= DrawState::Drawn {
        vec![7; 32]
    } else {
        Vec::new()
    };
    Fairness {
        version: 1,
        state: state as i32,
        receipt_key: vec![1; 32],
        commitment: vec![2; 32],
        beacon: None,
        operator_trusted: OperatorTrusted::NoBeacon as i32,
        count,
        root: if state >= DrawState::Sealed {
            vec![3; 32]
        } else {
            Vec::new()
        },
        secret: drawn.clone(),
        seed: drawn,
    }
}

#[tokio::test]
async fn polls_of_a_lobby_and_after_its_draw_are_answered_from_memory() {
    let gateway = gateway().await;
    // The token's number is 42.
    let person = gateway.visitor();
    let with = |state, count| Room {
        state: RoomState::Scheduled as i32,
        fairness: Some(fairness(state, count)),
        ..room(person.concert_id, 0)
    };
    gateway.upstreams.set_rooms(vec![with(DrawState::Gathering, 50)]);
    until_heard(&gateway, &person).await;
    let asked = gateway.upstreams.calls(GET_TOKEN);
    for state in [DrawState::Gathering, DrawState::Closed, DrawState::Sealed] {
        gateway.upstreams.set_rooms(vec![with(state, 50)]);
        let path = format!("/v1/concerts/{}/queue", person.concert_id);
        eventually(state.as_str_name(), async || {
            let room = gateway.get(&path).await.expect(200);
            let heard = format!("DRAW_STATE_{}", room["fairness"]["state"].as_str().unwrap());
            (heard == state.as_str_name()).then_some(())
        })
        .await;
        let standing = poll(&gateway, &person).await;
        let poll_after_ms = standing["pollAfterMs"].as_u64().unwrap();
        assert_eq!(
            standing,
            json!({ "status": "WAITING", "phase": "LOBBY", "pollAfterMs": poll_after_ms })
        );
    }
    let order = fair_draw::Permutation::new(&fair_draw::Bytes([7; 32]), 50).unwrap();
    gateway.upstreams.set_rooms(vec![with(DrawState::Drawn, 50)]);
    let drawn = eventually("the number", async || {
        Some(poll(&gateway, &person).await).filter(|standing| standing["phase"].is_null())
    })
    .await;
    assert_eq!(drawn["number"].as_u64(), order.number_of(41));
    // One who came after the opening has the number that was given.
    gateway.upstreams.set_rooms(vec![with(DrawState::Open, 41)]);
    eventually("the number of a late comer", async || {
        (poll(&gateway, &person).await["number"] == 42).then_some(())
    })
    .await;
    assert_eq!(gateway.upstreams.calls(GET_TOKEN), asked);
}

#[tokio::test]
async fn a_poll_goes_to_queue_once_the_number_is_called() {
    let gateway = gateway().await;
    let person = gateway.visitor();
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 41)]);
    until_heard(&gateway, &person).await;
    let next = poll(&gateway, &person).await;
    assert_eq!((&next["position"], &next["ahead"]), (&json!(1), &json!(0)));

    gateway.upstreams.set_rooms(vec![room(person.concert_id, 42)]);
    let called = poll_until(&gateway, &person, "PROCESSING").await;
    assert_eq!(
        called,
        json!({
            "status": "PROCESSING", "phase": "PAGE", "number": 42, "position": 0, "ahead": 0,
            "pollAfterMs": 1000, "expiresAt": "1970-01-01T00:00:00Z",
        })
    );
}

#[tokio::test]
async fn a_poll_goes_to_queue_when_the_room_is_unknown() {
    let gateway = gateway().await;
    let person = gateway.visitor();
    assert_eq!(poll(&gateway, &person).await["status"], "PROCESSING");
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 0)]);
    until_heard(&gateway, &person).await;
    assert_eq!(poll(&gateway, &person).await["status"], "WAITING");
}

#[tokio::test]
async fn a_position_that_queue_has_told_does_not_grow_by_the_next_poll() {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    gateway.upstreams.set_rooms(vec![room(person.concert_id, 22)]);
    until_heard(&gateway, &person).await;
    assert_eq!(poll(&gateway, &person).await["position"], 20);
    gateway
        .upstreams
        .on("queue.v1.QueueService/Join", |_: JoinRequest| {
            let state = TokenState {
                number: 42,
                position: 17,
                ..ticket(false).state.unwrap()
            };
            Ok(JoinResponse {
                ticket: Some(Ticket {
                    state: Some(state),
                    ..ticket(false)
                }),
            })
        });
    let path = format!("/v1/concerts/{}/queue-tokens", person.concert_id);
    let again = person
        .sends(gateway.request(Method::POST, &path))
        .await
        .expect(200);
    assert_eq!(again["position"], 17);
    assert_eq!(poll(&gateway, &person).await["position"], 17);
}

#[tokio::test]
async fn a_paused_room_says_so_and_estimates_nothing() {
    let gateway = gateway().await;
    let waiting = gateway.visitor();
    let paused = Room {
        state: RoomState::Paused as i32,
        ..room(waiting.concert_id, 22)
    };
    gateway.upstreams.set_rooms(vec![paused]);
    until_heard(&gateway, &waiting).await;
    let standing = poll(&gateway, &waiting).await;
    let poll_after_ms = &standing["pollAfterMs"];
    assert_eq!(
        standing,
        json!({
            "status": "WAITING", "number": 42, "position": 20, "ahead": 19, "paused": true,
            "pollAfterMs": poll_after_ms,
        })
    );
}

#[tokio::test]
async fn joining_anew_is_201_and_asking_again_is_200() {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    for (joined_now, status) in [(true, 201), (false, 200)] {
        let (user_id, concert_id) = (person.user_id.to_string(), person.concert_id.to_string());
        gateway
            .upstreams
            .on("queue.v1.QueueService/Join", move |request: JoinRequest| {
                assert_eq!((&request.user_id, &request.concert_id), (&user_id, &concert_id));
                Ok(JoinResponse {
                    ticket: Some(ticket(joined_now)),
                })
            });
        let path = format!("/v1/concerts/{}/queue-tokens", person.concert_id);
        let joined = person
            .sends(gateway.request(Method::POST, &path))
            .await
            .expect(status);
        assert_eq!(
            joined,
            json!({
                "queueToken": "a.b.c", "status": "WAITING", "number": 7, "position": 3, "ahead": 2,
                "etaSeconds": 6, "pollAfterMs": 1500,
            })
        );
    }
}

fn ticket(joined_now: bool) -> Ticket {
    let state = TokenState {
        status: TokenStatus::Waiting as i32,
        number: 7,
        position: 3,
        ahead: 2,
        eta_seconds: Some(6),
        poll_after_ms: 1_500,
        ..TokenState::default()
    };
    Ticket {
        queue_token: "a.b.c".to_owned(),
        state: Some(state),
        joined_now,
        receipt: None,
    }
}

#[tokio::test]
async fn a_login_that_names_a_concert_answers_the_place_in_its_line() {
    let gateway = Gateway::start().await;
    gateway
        .upstreams
        .on("auth.v1.AuthService/LogIn", |request: LogInRequest| {
            Ok(LogInResponse {
                tokens: Some(Tokens {
                    access_token: "access".to_owned(),
                    expires_in_seconds: 900,
                    refresh_token: "refresh".to_owned(),
                }),
                user: Some(User::default()),
                ticket: request.concert_id.map(|_| ticket(true)),
            })
        });
    let mut body = json!({ "email": "a@b.example", "password": "x" });
    let plain = gateway.post("/v1/auth/login", &body).await;
    assert_eq!(plain.header("cache-control"), "no-store");
    assert_eq!(
        plain.expect(200),
        json!({ "accessToken": "access", "expiresInSeconds": 900, "refreshToken": "refresh" })
    );
    body["concertId"] = json!(ConcertId::new());
    let joined = gateway.post("/v1/auth/login", &body).await.expect(200);
    assert_eq!(joined["queueToken"]["queueToken"], "a.b.c");
    assert_eq!(joined["queueToken"]["number"], 7);
}

#[tokio::test]
async fn leaving_needs_only_the_queue_token() {
    let gateway = Gateway::start().await;
    let person = gateway.visitor();
    let token = person.queue_token.clone();
    gateway
        .upstreams
        .on("queue.v1.QueueService/Leave", move |request: LeaveRequest| {
            assert_eq!(request.queue_token, token);
            Ok(LeaveResponse {})
        });
    let request = gateway
        .request(Method::DELETE, "/v1/queue")
        .header("Queue-Token", &person.queue_token);
    Answer::to(request).await.expect(204);
}

#[tokio::test]
async fn a_room_is_public_and_may_be_cached_for_a_second() {
    let gateway = Gateway::start().await;
    let concert_id = ConcertId::new();
    gateway.upstreams.on(GET_ROOM, move |_: GetRoomRequest| {
        Ok(GetRoomResponse {
            room: Some(room(concert_id, 60)),
        })
    });
    let path = format!("/v1/concerts/{concert_id}/queue");
    // Not streamed yet: queue is asked.
    let asked = gateway.get(&path).await;
    assert_eq!(asked.header("cache-control"), "public, max-age=1");
    assert_eq!(
        asked.expect(200),
        json!({
            "concertId": concert_id, "state": "OPEN", "servingNumber": 60, "lastNumber": 100, "waiting": 40,
            "inside": 3, "capacity": 5, "admitPerSecond": 10, "admittedPerSecond": 0.5, "claimSeconds": 30,
        })
    );
    gateway.upstreams.set_rooms(vec![room(concert_id, 61)]);
    eventually("the streamed room", async || {
        let room = gateway.get(&path).await.expect(200);
        (room["servingNumber"] == 61).then_some(())
    })
    .await;
}
