//! A date that its organiser cancels.

use std::time::Duration;

use contracts::concert as pb;
use service_kit::problem::Problem;
use vocabulary::{ProblemCode, ScheduleId, UserId};

use crate::world::{World, answer};

impl World {
    async fn cancel(
        &mut self,
        organiser: UserId,
        concert_id: &str,
        schedule_id: &str,
    ) -> Result<pb::Schedule, Problem> {
        let request = pb::CancelScheduleRequest {
            organiser_id: organiser.to_string(),
            concert_id: concert_id.to_owned(),
            schedule_id: schedule_id.to_owned(),
        };
        answer(self.client.cancel_schedule(request).await).map(|answer| answer.schedule.unwrap())
    }

    async fn cancellation(
        &mut self,
        organiser: UserId,
        concert_id: &str,
        schedule_id: &str,
    ) -> Result<pb::GetScheduleCancellationResponse, Problem> {
        let request = pb::GetScheduleCancellationRequest {
            organiser_id: organiser.to_string(),
            concert_id: concert_id.to_owned(),
            schedule_id: schedule_id.to_owned(),
        };
        answer(self.client.get_schedule_cancellation(request).await)
    }
}

#[tokio::test]
async fn a_date_that_was_canceled_says_so_and_canceling_again_changes_nothing() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let before = world.get_concert(&concert_id).await.unwrap().schedules;
    assert_eq!((before[0].closed_at, before[0].canceled_at), (None, None));

    let canceled = world.cancel(organiser, &concert_id, &schedule_id).await.unwrap();
    assert!(canceled.canceled_at.is_some());
    assert_eq!(canceled.closed_at, canceled.canceled_at, "its sale has ended too");
    let seen = world.get_concert(&concert_id).await.unwrap().schedules;
    assert_eq!(seen, std::slice::from_ref(&canceled));
    let again = world.cancel(organiser, &concert_id, &schedule_id).await.unwrap();
    assert_eq!(again, canceled);
    let acts = world.acts().await;
    assert_eq!(
        acts,
        [
            "SCHEDULE_CANCELED",
            "SCHEDULE_CREATED",
            "CONCERT_CREATED",
            "VENUE_CREATED"
        ]
    );
}

#[tokio::test]
async fn the_progress_of_a_cancellation_is_what_booking_counts() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let none = world.cancellation(organiser, &concert_id, &schedule_id).await;
    assert_eq!(none.unwrap_err().code, ProblemCode::NotFound);

    let canceled = world.cancel(organiser, &concert_id, &schedule_id).await.unwrap();
    let progress = world.cancellation(organiser, &concert_id, &schedule_id).await;
    let expected = pb::GetScheduleCancellationResponse {
        canceled_at: canceled.canceled_at,
        unpaid_left: 1,
        reservations: 3,
        refunded: 2,
        // More than one payment may come to.
        amount: 3_900_000_000_000,
        amount_refunded: 240_000,
        currency: "KRW".to_owned(),
    };
    assert_eq!(progress.unwrap(), expected);
}

#[tokio::test]
async fn a_date_is_canceled_by_its_organiser_alone() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let other_concert = world.concert("y").await;
    let absent = ScheduleId::new().to_string();
    let strangers = [
        (UserId::new(), &concert_id, &schedule_id),
        (organiser, &other_concert, &schedule_id),
        (organiser, &concert_id, &absent),
    ];
    for (who, concert, date) in strangers {
        let refused = world.cancel(who, concert, date).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::NotFound);
    }
    assert!(world.peers.script().canceled.is_empty());

    world.cancel(organiser, &concert_id, &schedule_id).await.unwrap();
    for (who, concert, date) in strangers {
        let refused = world.cancellation(who, concert, date).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::NotFound);
    }
}

#[tokio::test]
async fn a_cancellation_that_booking_did_not_hear_is_finished_by_itself() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    world.peers.script().booking_down = true;
    let refused = world.cancel(organiser, &concert_id, &schedule_id).await;
    assert_eq!(refused.unwrap_err().code, ProblemCode::Unavailable);
    assert_eq!(world.acts().await[0], "SCHEDULE_CANCELED");

    world.peers.script().booking_down = false;
    world.database.step_clock(Duration::from_secs(31)).await;
    assert_eq!(world.app.finish_unfinished().await.unwrap().finished, 1);
    let seen = world.get_concert(&concert_id).await.unwrap().schedules;
    assert!(seen[0].canceled_at.is_some());
    // It was done once, and it is noted once.
    assert_eq!(world.app.finish_unfinished().await.unwrap().finished, 0);
    assert_eq!(world.peers.script().canceled[&schedule_id], 1);
    assert_eq!(world.acts().await.len(), 4);
}

#[tokio::test]
async fn whoever_asks_for_the_progress_before_booking_heard_has_it_told() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    world.peers.script().booking_down = true;
    world
        .cancel(organiser, &concert_id, &schedule_id)
        .await
        .unwrap_err();
    let away = world.cancellation(organiser, &concert_id, &schedule_id).await;
    assert_eq!(away.unwrap_err().code, ProblemCode::Unavailable);

    world.peers.script().booking_down = false;
    world
        .cancellation(organiser, &concert_id, &schedule_id)
        .await
        .unwrap();
    let seen = world.get_concert(&concert_id).await.unwrap().schedules;
    assert!(seen[0].canceled_at.is_some());
}

#[tokio::test]
async fn a_date_that_was_closed_before_keeps_when() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let request = pb::CloseScheduleRequest {
        organiser_id: organiser.to_string(),
        concert_id: concert_id.clone(),
        schedule_id: schedule_id.clone(),
    };
    world.client.close_schedule(request).await.unwrap();
    sqlx::query("UPDATE schedules SET closed_at = '2026-01-01T00:00:00Z'")
        .execute(world.database.pool())
        .await
        .unwrap();
    let canceled = world.cancel(organiser, &concert_id, &schedule_id).await.unwrap();
    assert!(canceled.closed_at.unwrap().seconds < canceled.canceled_at.unwrap().seconds);
}
