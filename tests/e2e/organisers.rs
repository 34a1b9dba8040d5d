//! Putting a concert on sale.

use end_to_end::{Answer, Sale, SaleOptions, World, plan_of, text};
use rstest::rstest;
use serde_json::{Value, json};

#[tokio::test]
async fn a_plan_with_an_editors_extra_keys_is_imported() {
    let world = World::shared().await;
    let mut plan = plan_of((2, 3));
    plan["$editor"] = json!({ "version": 7 });
    plan["zones"][0]["uuid"] = json!("z1");
    plan["zones"][0]["rows"][0]["seats"][0]["_selected"] = json!(true);
    let body = json!({ "name": "Extra", "plan": plan });
    assert_eq!(
        world
            .organiser()
            .await
            .post("/v1/admin/venues", &body)
            .await
            .expect(201)["seats"],
        5
    );
}

fn set(pointer: &str, value: Value) -> impl Fn(&mut Value) {
    move |plan| *plan.pointer_mut(pointer).unwrap() = value.clone()
}

#[rstest]
#[case::a_guid_twice("/zones/0/rows/1/seats/0/seat_guid", json!("A-1"), "plan.zones[0].rows[1].seats[0].seat_guid")]
#[case::an_unknown_category("/zones/0/rows/0/seats/1/category", json!("Royal"), "plan.zones[0].rows[0].seats[1].category")]
#[case::a_wrong_type("/zones/0/rows/0/seats/1/position/x", json!("left"), "plan.zones[0].rows[0].seats[1].position.x")]
#[case::no_seats("/zones", json!([]), "plan.zones")]
#[tokio::test]
async fn a_wrong_plan_is_refused_with_the_path_of_the_fault(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] path: &str,
) {
    let world = World::shared().await;
    let mut plan = plan_of((2, 3));
    set(pointer, value)(&mut plan);
    let body = json!({ "name": "Wrong", "plan": plan });
    world
        .organiser()
        .await
        .post("/v1/admin/venues", &body)
        .await
        .expect_fields(422, &[path]);
}

#[tokio::test]
async fn a_plan_of_more_than_100_000_seats_is_refused() {
    let world = World::shared().await;
    let seat = |row: usize, number: usize| {
        json!({ "seat_guid": format!("{row}-{number}"), "category": "R",
        "seat_number": "1", "position": { "x": 0, "y": 0 } })
    };
    let row = |row: usize, seats| {
        json!({ "row_number": "1", "position": { "x": 0, "y": 0 },
        "seats": (0..seats).map(|number| seat(row, number)).collect::<Vec<_>>() })
    };
    let mut plan = plan_of((1, 1));
    plan["zones"][0]["rows"] = (0..100)
        .map(|index| row(index, 1_000))
        .chain([row(100, 1)])
        .collect();
    let body = json!({ "name": "Vast", "plan": plan });
    world
        .organiser()
        .await
        .post("/v1/admin/venues", &body)
        .await
        .expect_fields(422, &["plan.zones[0].rows[100].seats[0]"]);
}

#[tokio::test]
async fn prices_name_every_category_of_the_plan_and_no_other() {
    let world = World::shared().await;
    let organiser = world.organiser().await;
    let venue = organiser
        .post(
            "/v1/admin/venues",
            &json!({ "name": "Hall", "plan": plan_of((1, 1)) }),
        )
        .await
        .expect(201);
    let concert = |prices: Value| {
        json!({ "title": "Priced", "venueId": venue["venueId"], "currency": "KRW", "prices": prices,
            "waitingRoom": { "capacity": 1, "admitPerSecond": 1 } })
    };
    let create = async |prices| organiser.post("/v1/admin/concerts", &concert(prices)).await;
    create(json!({ "VIP": 1 }))
        .await
        .expect_fields(422, &["prices.R"]);
    create(json!({ "VIP": 1, "R": 1, "S": 1 }))
        .await
        .expect_fields(422, &["prices.S"]);
    create(json!({ "VIP": 1, "R": -1 }))
        .await
        .expect_fields(422, &["prices.R"]);
    create(json!({ "VIP": 0, "R": 0 })).await.expect(201);
}

#[tokio::test]
async fn a_free_concert_needs_neither_points_nor_card() {
    let world = World::shared().await;
    let sale = Sale::open(
        world,
        SaleOptions {
            prices: (0, 0),
            ..SaleOptions::default()
        },
    )
    .await;
    let mut buyer = world.buyer().await;
    let held = buyer.enter_and_hold(&sale, 1).await;
    assert_eq!(
        buyer.pay(&held, 0, None).await.expect(201)["reservation"]["status"],
        "CONFIRMED"
    );
}

#[tokio::test]
async fn only_an_organiser_sells() {
    let world = World::shared().await;
    let venue = json!({ "name": "Hall", "plan": plan_of((1, 1)) });
    world
        .buyer()
        .await
        .post("/v1/admin/venues", &venue)
        .await
        .expect_problem(403, "forbidden");
    Answer::to(world.post("/v1/admin/venues", &venue))
        .await
        .expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_room_made_larger_lets_more_in_while_people_wait() {
    let world = World::shared().await;
    let sale = Sale::open(
        world,
        SaleOptions {
            capacity: 1,
            ..SaleOptions::default()
        },
    )
    .await;
    let (mut inside, mut waiting) = (world.buyer().await, world.buyer().await);
    inside.enter(&sale.concert_id).await;
    waiting.join(&sale.concert_id).await.expect(201);
    let path = format!("/v1/admin/concerts/{}/waiting-room", sale.concert_id);
    let larger = json!({ "capacity": 2, "admitPerSecond": 10 });
    world.organiser().await.put(&path, &larger).await.expect(200);
    waiting.poll_until("PROCESSING").await;
}

#[tokio::test]
async fn live_counts_follow_the_sale() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter_and_hold(&sale, 2).await;
    let path = format!("/v1/admin/concerts/{}/stats", sale.concert_id);
    let stats = world.organiser().await.get(&path).await.expect(200);
    let date = &stats["schedules"][0];
    assert_eq!(text(date, "scheduleId"), sale.schedule_id);
    assert_eq!(
        (&date["available"], &date["pending"], &date["occupied"]),
        (&json!(10), &json!(2), &json!(0))
    );
}

#[tokio::test]
async fn a_sale_that_is_closed_takes_no_new_holds_and_what_is_held_is_paid() {
    let world = World::shared().await;
    let free = SaleOptions {
        prices: (0, 0),
        ..SaleOptions::default()
    };
    let sale = Sale::open(world, free).await;
    let (mut early, mut late) = (world.buyer().await, world.buyer().await);
    early.enter(&sale.concert_id).await;
    late.enter(&sale.concert_id).await;
    let seats = late.available(&sale.schedule_id).await;
    let held = early.hold_one(&sale).await;

    let path = format!(
        "/v1/admin/concerts/{}/schedules/{}/closing",
        sale.concert_id, sale.schedule_id
    );
    let organiser = world.organiser().await;
    let closed = organiser.post(&path, &json!({})).await.expect(200);
    assert_eq!(organiser.post(&path, &json!({})).await.expect(200), closed);
    late.hold(&sale.schedule_id, &seats[3..4])
        .await
        .expect_problem(410, "sale-closed");
    assert_eq!(early.pay(&held, 0, None).await.expect(201)["status"], "SUCCEEDED");
    let concert = Answer::to(world.get(&format!("/v1/concerts/{}", sale.concert_id)));
    assert_eq!(concert.await.expect(200)["schedules"][0], closed);
    assert!(closed["closedAt"].is_string());
}

#[tokio::test]
async fn an_organiser_reads_what_they_did_and_nobody_else_does() {
    let world = World::shared().await;
    let (me, other) = (
        world.organiser_of_their_own().await,
        world.organiser_of_their_own().await,
    );
    for name in ["First Hall", "Second Hall"] {
        let venue = json!({ "name": name, "plan": plan_of((1, 1)) });
        me.post("/v1/admin/venues", &venue).await.expect(201);
    }
    let newest = me.get("/v1/admin/audit-log?limit=1").await.expect(200);
    assert_eq!(newest["entries"][0]["act"], "VENUE_CREATED");
    assert_eq!(
        newest["entries"][0]["details"],
        json!({ "name": "Second Hall", "seats": 2 })
    );
    let next = format!("/v1/admin/audit-log?cursor={}", text(&newest, "nextCursor"));
    let older = me.get(&next).await.expect(200);
    assert_eq!(older["entries"].as_array().unwrap().len(), 1);
    assert_eq!(older["entries"][0]["details"]["name"], "First Hall");
    assert_eq!(
        other.get("/v1/admin/audit-log").await.expect(200),
        json!({ "entries": [] })
    );
}
