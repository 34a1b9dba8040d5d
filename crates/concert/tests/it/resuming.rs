use std::time::Duration;

use concert::app::Resumed;
use contracts::concert as pb;
use vocabulary::ProblemCode;

use crate::world::{World, room};

const A_LEASE: Duration = Duration::from_secs(31);

#[tokio::test]
async fn a_concert_whose_room_could_not_be_made_is_listed_later() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    assert!(world.titles("").await.is_empty());
    world.peers.script().queue_down = true;
    let paused = pb::WaitingRoom {
        mode: pb::WaitingRoomMode::Paused.into(),
        ..room(50, 10)
    };
    let problem = world
        .create_concert(pb::CreateConcertRequest {
            waiting_room: Some(paused),
            ..world.concert_request(&venue_id, "later")
        })
        .await
        .unwrap_err();
    assert_eq!(problem.code, ProblemCode::Unavailable);
    assert!(
        world.titles("").await.is_empty(),
        "nobody sees it before its room exists"
    );

    let run = world.app.finish_unfinished().await.unwrap();
    assert_eq!(
        run,
        Resumed {
            finished: 0,
            failed: 1
        }
    );
    world.peers.script().queue_down = false;
    world.database.step_clock(A_LEASE).await;
    let run = world.app.finish_unfinished().await.unwrap();
    assert_eq!(
        run,
        Resumed {
            finished: 1,
            failed: 0
        }
    );
    assert_eq!(world.titles("").await, ["later"]);
    let made: Vec<_> = world
        .peers
        .script()
        .rooms
        .values()
        .map(|room| (room.capacity, room.mode()))
        .collect();
    assert_eq!(
        made,
        [(50, contracts::queue::RoomMode::Paused)],
        "as it was asked for"
    );
    assert_eq!(world.app.finish_unfinished().await.unwrap(), Resumed::default());
}

#[tokio::test]
async fn a_date_whose_seats_could_not_be_opened_is_on_sale_later() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    world.peers.script().booking_down = true;
    let problem = world
        .create_schedule(world.schedule_request(&concert_id, 1))
        .await
        .unwrap_err();
    assert_eq!(problem.code, ProblemCode::Unavailable);
    assert!(world.get_concert(&concert_id).await.unwrap().schedules.is_empty());

    world.peers.script().booking_down = false;
    let run = world.app.finish_unfinished().await.unwrap();
    assert_eq!(
        run,
        Resumed {
            finished: 1,
            failed: 0
        }
    );
    let schedules = world.get_concert(&concert_id).await.unwrap().schedules;
    assert_eq!(schedules.len(), 1);
    world.get_layout(&schedules[0].schedule_id).await.unwrap();
}

#[tokio::test]
async fn a_repetition_with_the_same_key_finishes_what_the_first_one_could_not() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let request = pb::CreateConcertRequest {
        idempotency_key: "again".to_owned(),
        ..world.concert_request(&venue_id, "x")
    };
    world.peers.script().queue_down = true;
    for _ in 0..2 {
        let problem = world.create_concert(request.clone()).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::Unavailable);
    }
    world.peers.script().queue_down = false;
    let concert_id = world.create_concert(request).await.unwrap();
    assert_eq!(world.get_concert(&concert_id).await.unwrap().title, "x");
    assert_eq!(world.count("concerts").await, 1);

    let request = pb::CreateScheduleRequest {
        idempotency_key: "again".to_owned(),
        ..world.schedule_request(&concert_id, 1)
    };
    world.peers.script().booking_down = true;
    world.create_schedule(request.clone()).await.unwrap_err();
    world.peers.script().booking_down = false;
    let schedule_id = world.create_schedule(request).await.unwrap();
    world.get_layout(&schedule_id).await.unwrap();
    assert_eq!(world.count("schedules").await, 1);
}

#[tokio::test]
async fn what_somebody_is_at_is_left_alone_until_the_lease_is_over() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let request = pb::CreateScheduleRequest {
        idempotency_key: "crashed".to_owned(),
        ..world.schedule_request(&concert_id, 7)
    };
    world.peers.script().booking_down = true;
    world.create_schedule(request.clone()).await.unwrap_err();
    world.peers.script().booking_down = false;
    // As a process leaves it that dies in the middle.
    sqlx::query("UPDATE schedules SET leased_until = frontrow_now() + interval '30 s'")
        .execute(world.database.pool())
        .await
        .unwrap();

    assert_eq!(world.app.finish_unfinished().await.unwrap(), Resumed::default());
    let problem = world.create_schedule(request.clone()).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::IdempotencyKeyInProgress);
    world.database.step_clock(A_LEASE).await;
    let run = world.app.finish_unfinished().await.unwrap();
    assert_eq!(
        run,
        Resumed {
            finished: 1,
            failed: 0
        }
    );
    world.create_schedule(request).await.unwrap();
}

#[tokio::test]
async fn a_crash_after_the_peers_call_repeats_it_without_harm() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    // As if the process had died before it noted what booking had done.
    sqlx::query("UPDATE schedules SET state = 'OPENING', leased_until = frontrow_now()")
        .execute(world.database.pool())
        .await
        .unwrap();
    let run = world.app.finish_unfinished().await.unwrap();
    assert_eq!(
        run,
        Resumed {
            finished: 1,
            failed: 0
        }
    );
    let script = world.peers.script();
    assert_eq!((script.opened.len(), script.openings), (1, 2));
    assert!(script.opened.contains_key(&schedule_id));
}

#[tokio::test]
async fn a_concert_that_is_not_listed_has_no_dates_and_no_room_to_change() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    sqlx::query("UPDATE concerts SET state = 'CREATING'")
        .execute(world.database.pool())
        .await
        .unwrap();
    let problem = world
        .create_schedule(world.schedule_request(&concert_id, 1))
        .await
        .unwrap_err();
    assert_eq!(problem.code, ProblemCode::NotFound);
    let request = pb::UpdateWaitingRoomRequest {
        organiser_id: world.organiser.to_string(),
        concert_id: concert_id.clone(),
        waiting_room: Some(room(1, 1)),
    };
    let status = world.client.update_waiting_room(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert_eq!(world.peers.script().rooms[&concert_id].capacity, 50);
}

#[tokio::test]
async fn what_cannot_be_finished_does_not_keep_others_waiting() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    world.peers.script().booking_down = true;
    for days_ahead in 1..=3 {
        world
            .create_schedule(world.schedule_request(&concert_id, days_ahead))
            .await
            .unwrap_err();
    }
    world.peers.script().booking_down = false;
    // Booking holds something else under the first one: it can never be opened.
    let stuck: sqlx::types::Uuid =
        sqlx::query_scalar("SELECT schedule_id FROM schedules ORDER BY created_at LIMIT 1")
            .fetch_one(world.database.pool())
            .await
            .unwrap();
    world.peers.script().opened.insert(
        stuck.to_string(),
        contracts::booking::OpenScheduleRequest::default(),
    );
    let run = world.app.finish_unfinished().await.unwrap();
    assert_eq!(
        run,
        Resumed {
            finished: 2,
            failed: 1
        }
    );
}
