//! Draws that wait for a public beacon, and what they do when it gives nothing.

use fair_draw::{Bytes, randomness_of};
use queue::domain::{DrawState, OperatorTrusted};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::draws::{check, published};
use crate::world::{AT_ONCE, SECOND, World};

const CHAIN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SIGNATURE: &str = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125";

async fn world(beacon: &MockServer) -> World {
    World::with(&[
        ("BEACON_URL", &format!("{}/relay/", beacon.uri())),
        ("BEACON_CHAIN", CHAIN),
        ("BEACON_WAIT_SECONDS", "30"),
    ])
    .await
}

async fn answers(beacon: &MockServer, round: u64, body: serde_json::Value) {
    Mock::given(method("GET"))
        .and(path(format!("/relay/{CHAIN}/public/{round}")))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(beacon)
        .await;
}

#[tokio::test]
async fn the_announced_round_goes_into_the_seed() {
    let beacon = MockServer::start().await;
    let world = world(&beacon).await;
    let concert = world.lobby(50).await;
    let members = world.gather_many(concert, 5).await;
    let before = world.record(concert).await;
    let announced = before.beacon.clone().unwrap();
    let opens_at = world
        .queue
        .get_room(concert)
        .await
        .unwrap()
        .room
        .settings
        .opens_at()
        .unwrap();
    assert!(announced.at > opens_at + SECOND * 10);
    let value = randomness_of(SIGNATURE).unwrap();
    let round = json!({ "round": announced.round, "randomness": value, "signature": SIGNATURE });
    answers(&beacon, announced.round, round).await;

    world.step(SECOND * 62).await;
    world.queue.advance_draws().await.unwrap();
    world.step(SECOND * 2).await;
    world.queue.advance_draws().await.unwrap();
    assert_eq!(
        world.record(concert).await.state,
        DrawState::Sealed,
        "its time has not come"
    );
    world.step(SECOND * 20).await;
    world.queue.advance_draws().await.unwrap();
    let drawn = world.record(concert).await;
    assert_eq!(drawn.revealed.unwrap().beacon, Ok(value));
    check(&world, concert, &published(&before), &members).await;
}

#[tokio::test]
async fn a_beacon_that_gives_nothing_or_nonsense_is_waited_for_and_then_done_without() {
    let beacon = MockServer::start().await;
    let world = world(&beacon).await;
    let concert = world.lobby(50).await;
    let members = world.gather_many(concert, 5).await;
    let before = world.record(concert).await;
    let announced = before.beacon.clone().unwrap();
    // A value that is not the signature's would be the relay's own choice.
    let nonsense = json!({ "round": announced.round, "randomness": Bytes([7; 32]), "signature": SIGNATURE });
    answers(&beacon, announced.round, nonsense).await;

    world.step(SECOND * 60).await;
    world.queue.advance_draws().await.unwrap();
    world.step(SECOND * 30).await;
    world.queue.advance_draws().await.unwrap();
    assert_eq!(world.record(concert).await.state, DrawState::Sealed);
    world.step(SECOND * 30).await;
    world.queue.advance_draws().await.unwrap();
    let drawn = world.record(concert).await;
    assert_eq!(drawn.state, DrawState::Open, "the sale goes on");
    assert_eq!(
        drawn.revealed.unwrap().beacon,
        Err(OperatorTrusted::BeaconUnavailable)
    );
    check(&world, concert, &published(&before), &members).await;
}

#[tokio::test]
async fn a_round_that_came_before_the_root_has_no_say_and_the_record_says_so() {
    let beacon = MockServer::start().await;
    let world = world(&beacon).await;
    let concert = world.lobby(50).await;
    let members = world.gather_many(concert, 5).await;
    let before = world.record(concert).await;
    let announced = before.beacon.clone().unwrap();
    let value = randomness_of(SIGNATURE).unwrap();
    let round = json!({ "round": announced.round, "randomness": value, "signature": SIGNATURE });
    answers(&beacon, announced.round, round).await;
    // Nobody was there at the opening.
    world.step(SECOND * 100).await;
    world.queue.advance_draws().await.unwrap();
    world.step(SECOND * 2).await;
    world.queue.advance_draws().await.unwrap();
    let drawn = world.record(concert).await;
    assert_eq!(drawn.revealed.unwrap().beacon, Err(OperatorTrusted::RootTooLate));
    check(&world, concert, &published(&before), &members).await;
}

#[tokio::test]
async fn an_opening_that_is_moved_announces_a_round_after_it() {
    let beacon = MockServer::start().await;
    let world = world(&beacon).await;
    let concert = world.lobby(50).await;
    let later = world.now().await + SECOND * 6_000;
    world.put_room(concert, 50, AT_ONCE, Some(later)).await;
    let moved = world.record(concert).await.beacon.unwrap();
    assert!(moved.at > later && moved.at < later + SECOND * 20, "{moved:?}");
    // Changing something else announces nothing anew.
    world.put_room(concert, 60, AT_ONCE, Some(later)).await;
    assert_eq!(world.record(concert).await.beacon, Some(moved));
}
