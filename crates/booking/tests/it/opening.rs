//! Putting dates on sale.

use contracts::booking::OpenScheduleRequest;
use tonic::Code;
use vocabulary::{ScheduleId, SeatId};

use crate::world::{self, World};

#[tokio::test]
async fn a_schedule_opens_once_and_the_same_again_is_harmless() {
    let world = World::with_seats(4).await;
    world.open(world.schedule_id, &world.seats).await.unwrap();
    let (version, seats) = world.seat_states().await;
    assert_eq!((version, seats.as_str()), (0, "AAAA"));
}

#[tokio::test]
async fn a_schedule_does_not_open_with_another_content() {
    let world = World::with_seats(4).await;
    let mut dearer = world.opening(world.schedule_id, &world.seats);
    dearer.seats[0].price += 1;
    let refusal = world.client.clone().open_schedule(dearer).await.unwrap_err();
    assert_eq!(refusal.code(), Code::AlreadyExists);

    let fewer = world
        .open(world.schedule_id, &world.seats[..2])
        .await
        .unwrap_err();
    assert_eq!(fewer.code(), Code::AlreadyExists);
    let mut later = world.opening(world.schedule_id, &world.seats);
    later.starts_at.as_mut().unwrap().seconds += 1;
    let refusal = world.client.clone().open_schedule(later).await.unwrap_err();
    assert_eq!(refusal.code(), Code::AlreadyExists);
    let mut stricter = world.opening(world.schedule_id, &world.seats);
    stricter.refund_policy.as_mut().unwrap().tiers[0].percent -= 1;
    let refusal = world.client.clone().open_schedule(stricter).await.unwrap_err();
    assert_eq!(refusal.code(), Code::AlreadyExists);
    assert_eq!(world.seat_states().await.1, "AAAA");
}

#[tokio::test]
async fn two_that_open_a_schedule_at_once_both_succeed() {
    let world = World::with_seats(1).await;
    let (schedule_id, seats) = (ScheduleId::new(), vec![SeatId::new(), SeatId::new()]);
    let (one, other) = tokio::join!(world.open(schedule_id, &seats), world.open(schedule_id, &seats));
    one.unwrap();
    other.unwrap();
}

fn tiers(request: &mut OpenScheduleRequest, tiers: &[(u32, u32)]) {
    request.refund_policy = Some(world::refund_policy(tiers));
}

type Spoil = fn(&mut OpenScheduleRequest);

#[tokio::test]
async fn what_cannot_be_sold_is_refused_with_the_path_of_the_fault() {
    let world = World::with_seats(1).await;
    let seats = [SeatId::new(), SeatId::new()];
    let valid = world.opening(ScheduleId::new(), &seats);
    let cases: [(&str, Spoil); 16] = [
        ("seats", |request| request.seats.clear()),
        ("currency", |request| request.currency = "won".to_owned()),
        ("concertId", |request| request.concert_id.clear()),
        ("seats[1].seatId", |request| {
            request.seats[1].seat_id = "A7".to_owned();
        }),
        ("seats[1].seatId", |request| {
            request.seats[1].seat_id = request.seats[0].seat_id.clone();
        }),
        ("seats[1].index", |request| request.seats[1].index = 7),
        ("seats[0].grade", |request| request.seats[0].grade.clear()),
        ("seats[0].price", |request| request.seats[0].price = -1),
        ("startsAt", |request| request.starts_at = None),
        ("startsAt", |request| {
            request.starts_at.as_mut().unwrap().seconds = -1;
        }),
        ("refundPolicy", |request| request.refund_policy = None),
        ("refundPolicy.tiers", |request| tiers(request, &[(1, 1); 11])),
        ("refundPolicy.tiers[0].hoursBeforeStart", |request| {
            tiers(request, &[(87_601, 100)]);
        }),
        ("refundPolicy.tiers[1].hoursBeforeStart", |request| {
            tiers(request, &[(24, 50), (24, 50)]);
        }),
        ("refundPolicy.tiers[1].percent", |request| {
            tiers(request, &[(24, 50), (0, 0)]);
        }),
        ("refundPolicy.tiers[1].percent", |request| {
            tiers(request, &[(0, 60), (24, 50)]);
        }),
    ];
    for (field, spoil) in cases {
        let mut request = valid.clone();
        spoil(&mut request);
        let refusal = world.client.clone().open_schedule(request).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument, "{field}");
        let problem = service_kit::problem::Problem::from(refusal);
        assert_eq!(problem.fields[0].field, field);
    }
}

#[tokio::test]
async fn the_largest_hall_opens_in_one_call() {
    let world = World::with_seats(1).await;
    let seats: Vec<SeatId> = (0..100_000).map(|_| SeatId::new()).collect();
    let schedule_id = ScheduleId::new();
    world.open(schedule_id, &seats).await.unwrap();
    let request = contracts::booking::GetSeatStatesRequest {
        schedule_id: schedule_id.to_string(),
    };
    let states = world.client.clone().get_seat_states(request).await.unwrap();
    assert_eq!(states.into_inner().statuses.len(), 100_000);
}
