use contracts::{concert as pb, queue as qu};
use rstest::rstest;
use serde_json::Value;
use vocabulary::{ConcertId, ProblemCode, UserId};

use crate::world::{World, answer, fields, room};

impl World {
    async fn update_room(
        &mut self,
        organiser: UserId,
        concert_id: &str,
        room: Option<pb::WaitingRoom>,
    ) -> Result<pb::WaitingRoom, service_kit::problem::Problem> {
        let request = pb::UpdateWaitingRoomRequest {
            organiser_id: organiser.to_string(),
            concert_id: concert_id.to_owned(),
            waiting_room: room,
        };
        answer(self.client.update_waiting_room(request).await).map(|answer| answer.waiting_room.unwrap())
    }

    async fn stats(
        &mut self,
        organiser: UserId,
        concert_id: &str,
    ) -> Result<pb::GetStatsResponse, service_kit::problem::Problem> {
        let request = pb::GetStatsRequest {
            organiser_id: organiser.to_string(),
            concert_id: concert_id.to_owned(),
        };
        answer(self.client.get_stats(request).await)
    }
}

#[tokio::test]
async fn an_organiser_changes_a_room_and_sees_the_counts() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let organiser = world.organiser;

    let changed = world
        .update_room(organiser, &concert_id, Some(room(7, 3)))
        .await
        .unwrap();
    assert_eq!(changed, room(7, 3));
    assert_eq!(world.peers.script().rooms[&concert_id].capacity, 7);

    let stats = world.stats(organiser, &concert_id).await.unwrap();
    assert_eq!(
        (stats.waiting, stats.serving_number, stats.called, stats.inside),
        (7, 120, 2, 3)
    );
    assert_eq!(
        (stats.paying, stats.completed, stats.expired, stats.lapsed),
        (4, 50, 6, 8)
    );
    assert_eq!((stats.admitted, stats.admitted_last_minute), (63, 9));
    let seats = pb::ScheduleStats {
        schedule_id,
        available: 4,
        pending: 2,
        occupied: 2,
    };
    assert_eq!(stats.schedules, [seats]);
}

#[rstest]
#[case(
    pb::WaitingRoomMode::Unspecified,
    qu::RoomMode::Open,
    pb::WaitingRoomMode::Open
)]
#[case(pb::WaitingRoomMode::Open, qu::RoomMode::Open, pb::WaitingRoomMode::Open)]
#[case(
    pb::WaitingRoomMode::Paused,
    qu::RoomMode::Paused,
    pb::WaitingRoomMode::Paused
)]
#[case(
    pb::WaitingRoomMode::Draining,
    qu::RoomMode::Draining,
    pb::WaitingRoomMode::Draining
)]
#[tokio::test]
async fn a_room_is_told_its_mode_and_the_log_keeps_it(
    #[case] asked: pb::WaitingRoomMode,
    #[case] told: qu::RoomMode,
    #[case] answered: pb::WaitingRoomMode,
) {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let organiser = world.organiser;
    let in_mode = |mode: pb::WaitingRoomMode| pb::WaitingRoom {
        mode: mode.into(),
        ..room(7, 3)
    };
    let changed = world
        .update_room(organiser, &concert_id, Some(in_mode(asked)))
        .await
        .unwrap();
    assert_eq!(changed, in_mode(answered));
    assert_eq!(world.peers.script().rooms[&concert_id].mode(), told);
    let log = world.audit_log(organiser, "", 1).await;
    let details: Value = serde_json::from_str(&log.entries[0].details_json).unwrap();
    assert_eq!(
        details["mode"],
        answered.as_str_name().trim_start_matches("WAITING_ROOM_MODE_")
    );
}

#[tokio::test]
async fn a_wrong_room_is_refused_with_the_names_of_its_own_fields() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let organiser = world.organiser;
    let problem = world
        .update_room(organiser, &concert_id, Some(room(1_000_001, 0)))
        .await
        .unwrap_err();
    assert_eq!(fields(&problem), ["capacity", "admitPerSecond"]);
    let in_no_mode = pb::WaitingRoom {
        mode: 4,
        ..room(0, 1)
    };
    let problem = world
        .update_room(organiser, &concert_id, Some(in_no_mode))
        .await
        .unwrap_err();
    assert_eq!(fields(&problem), ["capacity", "mode"]);
    assert_eq!(world.peers.script().rooms[&concert_id].capacity, 50);
}

#[tokio::test]
async fn what_belongs_to_another_organiser_is_not_there() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let venue_id = world.get_concert(&concert_id).await.unwrap().venue_id;
    let stranger = UserId::new();
    let unknown = ConcertId::new().to_string();

    let not_theirs = world.stats(stranger, &concert_id).await.unwrap_err();
    assert_eq!(not_theirs.code, ProblemCode::NotFound);
    let organiser = world.organiser;
    assert_eq!(world.stats(organiser, &unknown).await.unwrap_err(), not_theirs);
    let problem = world
        .update_room(stranger, &concert_id, Some(room(1, 1)))
        .await
        .unwrap_err();
    assert_eq!(problem, not_theirs);

    let request = pb::CreateScheduleRequest {
        organiser_id: stranger.to_string(),
        ..world.schedule_request(&concert_id, 1)
    };
    assert_eq!(world.create_schedule(request).await.unwrap_err(), not_theirs);
    let request = pb::CreateConcertRequest {
        organiser_id: stranger.to_string(),
        ..world.concert_request(&venue_id, "x")
    };
    assert_eq!(
        fields(&world.create_concert(request).await.unwrap_err()),
        ["venueId"]
    );
    assert_eq!(world.peers.script().rooms[&concert_id].capacity, 50);
}

#[tokio::test]
async fn a_key_of_one_organiser_is_none_of_another() {
    let mut world = World::new().await;
    let first = world
        .create_venue(&crate::world::small_hall(), "mine")
        .await
        .unwrap();
    world.organiser = UserId::new();
    let second = world
        .create_venue(&crate::world::small_hall(), "mine")
        .await
        .unwrap();
    assert_ne!(first, second);
}
