//! Reading reservations and seats.

use contracts::booking as proto;
use service_kit::problem::Problem;
use vocabulary::{PaymentId, ProblemCode, ScheduleId, UserId};

use crate::world::{PRICE, World, code};

async fn list(
    world: &World,
    user: UserId,
    cursor: &str,
    limit: u32,
) -> Result<(Vec<String>, String), Problem> {
    let request = proto::ListReservationsRequest {
        user_id: user.to_string(),
        cursor: cursor.to_owned(),
        limit,
    };
    let answer = world
        .client
        .clone()
        .list_reservations(request)
        .await?
        .into_inner();
    let ids = answer.reservations.into_iter().map(|one| one.reservation_id);
    Ok((ids.collect(), answer.next_cursor))
}

#[tokio::test]
async fn a_user_lists_their_own_reservations_newest_first_page_by_page() {
    let world = World::with_seats(4).await;
    let user = UserId::new();
    let mut mine = Vec::new();
    for seat in &world.seats[..3] {
        let visitor = world.queue.admit(user, world.concert_id);
        mine.push(world.hold(&visitor, &[*seat]).await.unwrap().reservation_id);
    }
    world.held(&world.seats[3..]).await;
    mine.reverse();

    let (first, cursor) = list(&world, user, "", 2).await.unwrap();
    assert_eq!(first, mine[..2]);
    let (rest, end) = list(&world, user, &cursor, 2).await.unwrap();
    assert_eq!((rest.as_slice(), end.as_str()), (&mine[2..], ""));
    let (all, end) = list(&world, user, "", 0).await.unwrap();
    assert_eq!((all, end.as_str()), (mine, ""));
    assert_eq!(
        list(&world, UserId::new(), "", 0).await.unwrap(),
        (vec![], String::new())
    );
}

#[tokio::test]
async fn a_wrong_cursor_and_a_wrong_limit_are_named() {
    let world = World::with_seats(1).await;
    let user = UserId::new();
    for (cursor, limit, field) in [("next", 1, "cursor"), ("", 101, "limit")] {
        let refusal = list(&world, user, cursor, limit).await.unwrap_err();
        assert_eq!(
            (refusal.code, refusal.fields[0].field.as_str()),
            (ProblemCode::InvalidField, field)
        );
    }
}

#[tokio::test]
async fn the_version_of_a_schedule_grows_by_one_for_every_change_of_a_seat() {
    let world = World::with_seats(3).await;
    assert_eq!(world.seat_states().await, (0, "AAA".to_owned()));
    let sold = world.held(&world.seats[..2]).await;
    assert_eq!(world.seat_states().await, (2, "PPA".to_owned()));
    let payment = PaymentId::new();
    let fence = world.begin(&sold, payment).await.unwrap().version;
    assert_eq!(
        world.seat_states().await,
        (2, "PPA".to_owned()),
        "no seat changed"
    );
    world.confirm(&sold, payment, fence).await.unwrap();
    assert_eq!(world.seat_states().await, (4, "OOA".to_owned()));
    let released = world.held(&world.seats[2..]).await;
    assert_eq!(world.seat_states().await, (5, "OOP".to_owned()));
    world.release(&released).await.unwrap();
    assert_eq!(world.seat_states().await, (6, "OOA".to_owned()));
    world.held(&world.seats[2..]).await;
    assert_eq!(world.seat_states().await, (7, "OOP".to_owned()));
}

#[tokio::test]
async fn seats_are_counted_by_grade_the_dearest_first_and_unknown_dates_left_out() {
    let world = World::with_seats(6).await;
    let sold = world.held(&world.seats[2..4]).await;
    let payment = PaymentId::new();
    let fence = world.begin(&sold, payment).await.unwrap().version;
    world.confirm(&sold, payment, fence).await.unwrap();
    world.held(&world.seats[5..]).await;

    let request = proto::CountSeatsRequest {
        schedule_ids: vec![ScheduleId::new().to_string(), world.schedule_id.to_string()],
    };
    let counts = world
        .client
        .clone()
        .count_seats(request)
        .await
        .unwrap()
        .into_inner();
    let grade = |grade: &str, price, available, pending, occupied| proto::GradeCounts {
        grade: grade.to_owned(),
        price,
        total: 3,
        available,
        pending,
        occupied,
    };
    let expected = proto::ScheduleCounts {
        schedule_id: world.schedule_id.to_string(),
        grades: vec![grade("VIP", 2 * PRICE, 2, 0, 1), grade("R", PRICE, 1, 1, 1)],
    };
    assert_eq!(counts.schedules, [expected]);
}

#[tokio::test]
async fn seats_of_a_schedule_that_was_never_opened_are_not_found_until_it_is() {
    let world = World::with_seats(1).await;
    let schedule_id = ScheduleId::new();
    let request = proto::GetSeatStatesRequest {
        schedule_id: schedule_id.to_string(),
    };
    let states = async || {
        let answer = world.client.clone().get_seat_states(request.clone()).await;
        answer.map_err(Problem::from)
    };
    assert_eq!(code(states().await), ProblemCode::NotFound);
    world
        .open(schedule_id, &[vocabulary::SeatId::new()])
        .await
        .unwrap();
    assert_eq!(states().await.unwrap().into_inner().statuses, b"A");
}
