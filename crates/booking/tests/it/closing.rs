//! The end of a sale.

use std::time::Duration;

use contracts::booking::{CloseScheduleRequest, ReservationStatus};
use futures::future::join_all;
use service_kit::database::begin;
use service_kit::problem::Problem;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use vocabulary::{PaymentId, ProblemCode, ScheduleId};

use crate::world::{World, code};

impl World {
    async fn close(&self, schedule_id: ScheduleId) -> Result<OffsetDateTime, Problem> {
        let request = CloseScheduleRequest {
            schedule_id: schedule_id.to_string(),
        };
        let answer = self.client.clone().close_schedule(request).await?;
        contracts::time_of("closedAt", &answer.into_inner().closed_at.unwrap())
    }
}

#[tokio::test]
async fn a_closed_sale_refuses_new_holds_and_what_is_held_is_still_paid() {
    let world = World::with_seats(3).await;
    let held = world.held(&world.seats[..1]).await;
    let closed_at = world.close(world.schedule_id).await.unwrap();

    let late = world.hold(&world.visitor(), &world.seats[1..2]).await;
    assert_eq!(code(late), ProblemCode::SaleClosed);
    let payment = PaymentId::new();
    let begun = world.begin(&held, payment).await.unwrap();
    world.confirm(&held, payment, begun.version).await.unwrap();
    assert_eq!(world.status(&held).await, ReservationStatus::Confirmed);
    assert_eq!(world.seat_states().await.1, "OAA");

    world.database.step_clock(Duration::from_secs(60)).await;
    assert_eq!(world.close(world.schedule_id).await.unwrap(), closed_at);
}

#[tokio::test]
async fn a_hold_that_is_repeated_after_the_close_has_its_answer() {
    let world = World::with_seats(1).await;
    let visitor = world.visitor();
    let mut request = world.hold_request(&visitor, &world.seats);
    request.idempotency_key = "again".to_owned();
    let first = world.send_hold(request.clone()).await.unwrap();
    world.close(world.schedule_id).await.unwrap();
    let again = world.send_hold(request).await.unwrap();
    assert_eq!(first.reservation_id, again.reservation_id);
}

#[tokio::test]
async fn a_date_that_was_never_opened_cannot_be_closed() {
    let world = World::with_seats(1).await;
    assert_eq!(code(world.close(ScheduleId::new()).await), ProblemCode::NotFound);
}

/// Holds without end, a close in their midst; answers how many seats changed hands after it had answered.
async fn race(world: &World) -> (usize, u64) {
    let (begin, begun) = oneshot::channel();
    let mut begin = Some(begin);
    let holds = async {
        let mut held = 0;
        for (round, seats) in world.seats.chunks(20).enumerate() {
            let crowd: Vec<_> = seats.iter().map(|_| world.visitor()).collect();
            let holds = crowd.iter().zip(seats);
            let answers =
                join_all(holds.map(|(visitor, seat)| world.hold(visitor, std::slice::from_ref(seat))));
            if round == 1 {
                begin.take().unwrap().send(()).unwrap();
            }
            held += answers.await.iter().filter(|answer| answer.is_ok()).count();
        }
        held
    };
    let close = async {
        begun.await.unwrap();
        world.close(world.schedule_id).await.unwrap();
        world.seat_states().await.0
    };
    let (held, at_the_close) = tokio::join!(holds, close);
    (held, world.seat_states().await.0 - at_the_close)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hold_is_committed_after_the_close_was_acknowledged() {
    let world = World::with_seats(200).await;
    let (held, late) = race(&world).await;
    assert!((1..200).contains(&held), "{held} of 200: the race is none");
    assert_eq!(late, 0);
}

/// The control: without the guard, holds of the same race are committed after the close.
#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_guard_holds_are_committed_after_the_close() {
    let world = World::with_seats(200).await;
    sqlx::query(
        "CREATE OR REPLACE FUNCTION sale_is_open(of_schedule uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    )
    .execute(world.database.pool())
    .await
    .unwrap();
    let (_, late) = race(&world).await;
    assert!(late > 0, "the race is none");
}

/// A hold in the middle of its transaction is waited for, and its seats are counted before the close answers.
#[tokio::test]
async fn closing_waits_for_a_hold_that_is_being_made() {
    let world = World::with_seats(1).await;
    let mut hold = begin(world.database.pool()).await.unwrap();
    let open: bool = sqlx::query_scalar("SELECT sale_is_open($1)")
        .bind(world.schedule_id.as_uuid())
        .fetch_one(&mut *hold)
        .await
        .unwrap();
    assert!(open);
    let mut close = std::pin::pin!(world.close(world.schedule_id));
    let waiting = tokio::time::timeout(Duration::from_millis(200), &mut close).await;
    assert!(waiting.is_err(), "it did not wait");
    hold.commit().await.unwrap();
    close.await.unwrap();
}
