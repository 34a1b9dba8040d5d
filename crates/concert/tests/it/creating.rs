use contracts::concert as pb;
use vocabulary::{ProblemCode, VenueId};

use crate::world::{World, fields, price, room};

#[tokio::test]
async fn a_concert_is_made_with_its_waiting_room_and_then_listed() {
    let mut world = World::new().await;
    let concert_id = world.concert("여름밤 Summer Night").await;
    let concert = world.get_concert(&concert_id).await.unwrap();
    assert_eq!(
        (
            concert.title.as_str(),
            concert.venue_name.as_str(),
            concert.currency.as_str()
        ),
        ("여름밤 Summer Night", "Saal", "KRW")
    );
    assert_eq!(concert.prices, [price("VIP", 150_000), price("R석", 90_000)]);
    assert!(concert.schedules.is_empty());
    let room = world.peers.script().rooms[&concert_id];
    assert_eq!(
        (room.capacity, room.admit_per_second, room.opens_at),
        (50, 10, None)
    );
}

#[tokio::test]
async fn a_date_is_opened_with_every_seat_and_then_shown() {
    let mut world = World::new().await;
    let concert_id = world.concert("Zwei Abende").await;
    let later = world
        .create_schedule(world.schedule_request(&concert_id, 9))
        .await
        .unwrap();
    let earlier = world
        .create_schedule(world.schedule_request(&concert_id, 8))
        .await
        .unwrap();

    let shown: Vec<_> = world
        .get_concert(&concert_id)
        .await
        .unwrap()
        .schedules
        .into_iter()
        .map(|schedule| schedule.schedule_id)
        .collect();
    assert_eq!(
        shown,
        [earlier.clone(), later.clone()],
        "in the order of their beginning"
    );

    let opened = world.peers.script().opened[&later].clone();
    assert_eq!((opened.concert_id, opened.currency.as_str()), (concert_id, "KRW"));
    let sold: Vec<_> = opened
        .seats
        .iter()
        .map(|seat| (seat.index, seat.grade.as_str(), seat.price))
        .collect();
    assert_eq!(sold[..2], [(0, "VIP", 150_000), (1, "VIP", 150_000)]);
    assert_eq!(sold[3..5], [(3, "R석", 90_000), (4, "R석", 90_000)]);
    let [first, second] = [&later, &earlier].map(|id| world.peers.script().opened[id].seats.clone());
    assert_eq!(first, second, "a hall has the same seats on every date");
}

#[tokio::test]
async fn every_wrong_field_of_a_concert_is_named() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let request = pb::CreateConcertRequest {
        title: " ".to_owned(),
        currency: "won".to_owned(),
        waiting_room: Some(room(0, 100_001)),
        idempotency_key: "k".repeat(256),
        ..world.concert_request(&venue_id, "")
    };
    let problem = world.create_concert(request).await.unwrap_err();
    assert_eq!(
        fields(&problem),
        [
            "title",
            "currency",
            "waitingRoom.capacity",
            "waitingRoom.admitPerSecond",
            "idempotencyKey"
        ]
    );

    let request = pb::CreateConcertRequest {
        waiting_room: None,
        ..world.concert_request(&venue_id, "x")
    };
    assert_eq!(
        fields(&world.create_concert(request).await.unwrap_err()),
        ["waitingRoom"]
    );
    let request = world.concert_request("saal", "x");
    assert_eq!(
        fields(&world.create_concert(request).await.unwrap_err()),
        ["venueId"]
    );
    let request = world.concert_request(&VenueId::new().to_string(), "x");
    let problem = world.create_concert(request).await.unwrap_err();
    assert_eq!(
        (fields(&problem)[0], problem.fields[0].rule.as_str()),
        ("venueId", "does not exist")
    );
}

fn policy(tiers: &[(u32, u32)]) -> pb::RefundPolicy {
    let tier = |&(hours_before_start, percent)| pb::RefundTier {
        hours_before_start,
        percent,
    };
    pb::RefundPolicy {
        tiers: tiers.iter().map(tier).collect(),
    }
}

#[tokio::test]
async fn a_refund_policy_is_shown_with_the_concert_and_kept_by_its_dates() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    for (asked, kept) in [
        (None, policy(&[(0, 100)])),
        (Some(policy(&[])), policy(&[])),
        (
            Some(policy(&[(24, 50), (0, 10), (240, 100)])),
            policy(&[(240, 100), (24, 50), (0, 10)]),
        ),
    ] {
        let request = pb::CreateConcertRequest {
            refund_policy: asked,
            ..world.concert_request(&venue_id, "x")
        };
        let concert_id = world.create_concert(request).await.unwrap();
        let concert = world.get_concert(&concert_id).await.unwrap();
        assert_eq!(concert.refund_policy, Some(kept.clone()));
        let page = world.search("", "", 1).await.unwrap();
        assert_eq!(page.concerts[0].refund_policy, Some(kept.clone()));

        let request = world.schedule_request(&concert_id, 8);
        let schedule_id = world.create_schedule(request.clone()).await.unwrap();
        let concert = world.get_concert(&concert_id).await.unwrap();
        let opened = world.peers.script().opened[&schedule_id].clone();
        assert_eq!(opened.starts_at, concert.schedules[0].starts_at);
        let opened_tiers = opened.refund_policy.unwrap().tiers.into_iter();
        let opened_tiers: Vec<_> = opened_tiers
            .map(|tier| (tier.hours_before_start, tier.percent))
            .collect();
        assert_eq!(policy(&opened_tiers), kept);
    }
}

#[tokio::test]
async fn every_wrong_tier_of_a_refund_policy_is_named() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    for (tiers, expected) in [
        (
            &[(87_601, 100), (1, 0)][..],
            &["refundPolicy[0].hoursBeforeStart", "refundPolicy[1].percent"][..],
        ),
        (&[(0, 100), (24, 50)], &["refundPolicy[1].percent"]),
        (&[(24, 50), (24, 10)], &["refundPolicy[1].hoursBeforeStart"]),
        (&[(1, 1); 11], &["refundPolicy"]),
    ] {
        let request = pb::CreateConcertRequest {
            refund_policy: Some(policy(tiers)),
            ..world.concert_request(&venue_id, "x")
        };
        let problem = world.create_concert(request).await.unwrap_err();
        assert_eq!(fields(&problem), expected);
    }
    assert_eq!(world.count("concerts").await, 0);
}

#[tokio::test]
async fn prices_name_exactly_the_grades_of_the_venue() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    for (prices, expected) in [
        (vec![price("VIP", 1)], vec!["prices.R석"]),
        (vec![price("VIP", 1), price("R석", -1)], vec!["prices.R석"]),
        // A category that no seat uses is no grade of the venue.
        (
            vec![price("VIP", 1), price("R석", 1), price("Unused", 1)],
            vec!["prices.Unused"],
        ),
        (
            vec![price("vip", 1)],
            vec!["prices.vip", "prices.VIP", "prices.R석"],
        ),
    ] {
        let request = pb::CreateConcertRequest {
            prices,
            ..world.concert_request(&venue_id, "x")
        };
        assert_eq!(
            fields(&world.create_concert(request).await.unwrap_err()),
            expected
        );
    }
    assert_eq!(world.count("concerts").await, 0);
}

#[tokio::test]
async fn a_refusal_stays_small_enough_to_travel_however_much_is_wrong() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let request = pb::CreateConcertRequest {
        prices: (0..10_000)
            .map(|n| price(&format!("{n}{}", "석".repeat(100)), 1))
            .collect(),
        ..world.concert_request(&venue_id, "x")
    };
    let problem = world.create_concert(request).await.unwrap_err();
    assert_eq!(
        (problem.code, problem.fields.len()),
        (ProblemCode::InvalidField, 10)
    );

    let mut plan = crate::world::small_hall();
    plan["zones"] = vec![plan["zones"][0].clone(); 1_000].into();
    let problem = world.create_venue(&plan, "").await.unwrap_err();
    assert_eq!(
        (problem.code, problem.fields.len()),
        (ProblemCode::InvalidField, 20)
    );
    plan["zones"] = serde_json::json!("석".repeat(100_000));
    let problem = world.create_venue(&plan, "").await.unwrap_err();
    assert_eq!(fields(&problem), ["plan.zones"]);
}

#[tokio::test]
async fn a_date_must_be_in_the_future() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    for days_ahead in [-1, -365 * 3_000] {
        let request = world.schedule_request(&concert_id, days_ahead);
        let problem = world.create_schedule(request).await.unwrap_err();
        assert_eq!(
            (fields(&problem)[0], problem.fields[0].rule.as_str()),
            ("startsAt", "must be in the future")
        );
    }
    let request = pb::CreateScheduleRequest {
        starts_at: None,
        ..world.schedule_request(&concert_id, 1)
    };
    assert_eq!(
        fields(&world.create_schedule(request).await.unwrap_err()),
        ["startsAt"]
    );
    assert_eq!(world.count("schedules").await, 0);
}

#[tokio::test]
async fn the_future_is_told_by_the_stores_clock() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let request = world.schedule_request(&concert_id, 1);
    world
        .database
        .step_clock(std::time::Duration::from_secs(2 * 86_400))
        .await;
    assert_eq!(
        fields(&world.create_schedule(request).await.unwrap_err()),
        ["startsAt"]
    );
}

#[tokio::test]
async fn a_concert_has_at_most_100_dates() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    sqlx::query(
        "INSERT INTO schedules (schedule_id, concert_id, starts_at, state, leased_until)
         SELECT gen_random_uuid(), $1::uuid, frontrow_now() + n * interval '1 day', 'OPENING', frontrow_now() + interval '1 hour'
         FROM generate_series(1, 99) AS n",
    )
    .bind(&concert_id)
    .execute(world.database.pool())
    .await
    .unwrap();
    world.schedule(&concert_id).await;
    let request = world.schedule_request(&concert_id, 7);
    assert_eq!(
        fields(&world.create_schedule(request).await.unwrap_err()),
        ["startsAt"]
    );
}

#[tokio::test]
async fn a_repeated_key_makes_one_concert_and_one_date() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let request = pb::CreateConcertRequest {
        idempotency_key: "once".to_owned(),
        ..world.concert_request(&venue_id, "Once")
    };
    let concert_id = world.create_concert(request.clone()).await.unwrap();
    assert_eq!(world.create_concert(request.clone()).await.unwrap(), concert_id);
    // The order of prices says nothing.
    let mut turned = request.clone();
    turned.prices.reverse();
    assert_eq!(world.create_concert(turned).await.unwrap(), concert_id);
    for other in [
        pb::CreateConcertRequest {
            waiting_room: Some(room(51, 10)),
            ..request.clone()
        },
        pb::CreateConcertRequest {
            waiting_room: Some(pb::WaitingRoom {
                mode: pb::WaitingRoomMode::Draining.into(),
                ..room(50, 10)
            }),
            ..request.clone()
        },
        pb::CreateConcertRequest {
            refund_policy: Some(policy(&[(0, 99)])),
            ..request.clone()
        },
    ] {
        let problem = world.create_concert(other).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::IdempotencyKeyReused);
    }

    let request = pb::CreateScheduleRequest {
        idempotency_key: "once".to_owned(),
        ..world.schedule_request(&concert_id, 1)
    };
    let schedule_id = world.create_schedule(request.clone()).await.unwrap();
    // Even when the date is over by now, what was made is answered.
    world
        .database
        .step_clock(std::time::Duration::from_secs(2 * 86_400))
        .await;
    assert_eq!(world.create_schedule(request).await.unwrap(), schedule_id);
    assert_eq!(
        (world.count("concerts").await, world.count("schedules").await),
        (1, 1)
    );
    let script = world.peers.script();
    assert_eq!((script.rooms_put, script.openings), (1, 1));
}
