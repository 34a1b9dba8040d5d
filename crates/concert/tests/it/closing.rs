//! The end of a sale, and the log of what organisers do.

use std::time::Duration;

use contracts::concert as pb;
use serde_json::Value;
use service_kit::problem::Problem;
use vocabulary::{ProblemCode, ScheduleId, UserId};

use crate::world::{World, answer, room};

impl World {
    async fn close(
        &mut self,
        organiser: UserId,
        concert_id: &str,
        schedule_id: &str,
    ) -> Result<pb::Schedule, Problem> {
        let request = pb::CloseScheduleRequest {
            organiser_id: organiser.to_string(),
            concert_id: concert_id.to_owned(),
            schedule_id: schedule_id.to_owned(),
        };
        answer(self.client.close_schedule(request).await).map(|answer| answer.schedule.unwrap())
    }

    pub(crate) async fn audit_log(
        &mut self,
        organiser: UserId,
        cursor: &str,
        limit: u32,
    ) -> pb::ListAuditLogResponse {
        let request = pb::ListAuditLogRequest {
            organiser_id: organiser.to_string(),
            cursor: cursor.to_owned(),
            limit,
        };
        answer(self.client.list_audit_log(request).await).unwrap()
    }

    pub(crate) async fn acts(&mut self) -> Vec<String> {
        let log = self.audit_log(self.organiser, "", 0).await;
        log.entries.into_iter().map(|entry| entry.act).collect()
    }
}

#[tokio::test]
async fn a_date_that_was_closed_says_so_and_closing_again_changes_nothing() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    assert_eq!(
        world.get_concert(&concert_id).await.unwrap().schedules[0].closed_at,
        None
    );

    let closed = world.close(organiser, &concert_id, &schedule_id).await.unwrap();
    assert!(closed.closed_at.is_some());
    let seen = world.get_concert(&concert_id).await.unwrap().schedules;
    assert_eq!(seen, std::slice::from_ref(&closed));
    assert_eq!(
        world.close(organiser, &concert_id, &schedule_id).await.unwrap(),
        closed
    );
    let acts = world.acts().await;
    assert_eq!(
        acts,
        [
            "SCHEDULE_CLOSED",
            "SCHEDULE_CREATED",
            "CONCERT_CREATED",
            "VENUE_CREATED"
        ]
    );
}

#[tokio::test]
async fn a_sale_is_closed_by_its_organiser_alone() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let other_concert = world.concert("y").await;
    let absent = ScheduleId::new().to_string();
    for (who, concert, date) in [
        (UserId::new(), &concert_id, &schedule_id),
        (organiser, &other_concert, &schedule_id),
        (organiser, &concert_id, &absent),
    ] {
        let refused = world.close(who, concert, date).await.unwrap_err();
        assert_eq!(refused.code, ProblemCode::NotFound);
    }
    assert_eq!(world.peers.script().closings, 0);
}

#[tokio::test]
async fn a_close_that_booking_did_not_hear_is_finished_by_itself() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    world.peers.script().booking_down = true;
    let refused = world
        .close(organiser, &concert_id, &schedule_id)
        .await
        .unwrap_err();
    assert_eq!(refused.code, ProblemCode::Unavailable);
    assert_eq!(world.acts().await[0], "SCHEDULE_CLOSED");

    world.peers.script().booking_down = false;
    world.database.step_clock(Duration::from_secs(31)).await;
    assert_eq!(world.app.finish_unfinished().await.unwrap().finished, 1);
    let seen = world.get_concert(&concert_id).await.unwrap().schedules;
    assert!(seen[0].closed_at.is_some());
    // It was done once, and it is noted once.
    assert_eq!(world.app.finish_unfinished().await.unwrap().finished, 0);
    assert_eq!(world.acts().await.len(), 4);
}

#[tokio::test]
async fn the_audit_log_pages_through_ones_own_acts_newest_first() {
    let mut world = World::new().await;
    let organiser = world.organiser;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let request = pb::UpdateWaitingRoomRequest {
        organiser_id: organiser.to_string(),
        concert_id: concert_id.clone(),
        waiting_room: Some(room(7, 3)),
    };
    world.client.update_waiting_room(request).await.unwrap();

    let mut entries = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.audit_log(organiser, &cursor, 3).await;
        entries.extend(page.entries);
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    let said: Vec<_> = entries.iter().map(|entry| entry.act.as_str()).collect();
    let expected = [
        "WAITING_ROOM_CHANGED",
        "SCHEDULE_CREATED",
        "CONCERT_CREATED",
        "VENUE_CREATED",
    ];
    assert_eq!(said, expected);
    assert_eq!(
        (&entries[0].target_id, &entries[1].target_id),
        (&concert_id, &schedule_id)
    );
    let details: Value = serde_json::from_str(&entries[0].details_json).unwrap();
    assert_eq!(details["capacity"], 7);
    assert!(world.audit_log(UserId::new(), "", 0).await.entries.is_empty());
}

#[tokio::test]
async fn an_act_that_is_refused_is_not_noted() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let mut request = world.schedule_request(&concert_id, 1);
    request.starts_at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    world.create_schedule(request).await.unwrap_err();
    assert_eq!(world.acts().await, ["CONCERT_CREATED", "VENUE_CREATED"]);
}

#[tokio::test]
async fn what_was_noted_is_neither_changed_nor_deleted() {
    let mut world = World::new().await;
    world.venue().await;
    for statement in [
        "UPDATE audit_log SET at = at + interval '1 day'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ] {
        let refused = sqlx::query(statement)
            .execute(world.database.pool())
            .await
            .unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("audit_log_is_append_only"), "{statement}");
    }
    assert_eq!(world.acts().await, ["VENUE_CREATED"]);
}
