//! Dates and seats, for those whose turn it is.

use end_to_end::{Answer, Sale, SaleOptions, World};
use serde_json::json;

#[tokio::test]
async fn dates_show_the_seats_left_by_grade() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let (mut viewer, mut holder) = (world.buyer().await, world.buyer().await);
    viewer.enter(&sale.concert_id).await;
    holder.enter_and_hold(&sale, 3).await;

    let dates = viewer
        .get(&format!("/v1/concerts/{}/schedules", sale.concert_id))
        .await
        .expect(200);
    let mut grades = dates["schedules"][0]["grades"].as_array().unwrap().clone();
    grades.sort_by_key(|grade| grade["price"].as_i64());
    assert_eq!(
        grades,
        [
            json!({ "grade": "R", "price": 90_000, "total": 8, "available": 8 }),
            json!({ "grade": "VIP", "price": 150_000, "total": 4, "available": 1 }),
        ]
    );
}

#[tokio::test]
async fn seats_carry_grade_price_place_and_status() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.seats(&sale.schedule_id).await.expect(200);
    let first = &seats["seats"][0];
    for (member, value) in [
        ("index", json!(0)),
        ("section", json!("Floor")),
        ("row", json!("A")),
        ("number", json!("1")),
        ("grade", json!("VIP")),
        ("price", json!(150_000)),
        ("status", json!("AVAILABLE")),
    ] {
        assert_eq!(first[member], value, "{member} of {first}");
    }
    // Positions add up: zone, row, seat.
    assert_eq!((&first["x"], &first["y"]), (&json!(120.0), &json!(100.0)));
    assert_eq!(seats["seats"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn an_unchanged_seat_map_is_not_sent_again() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let (mut viewer, mut holder) = (world.buyer().await, world.buyer().await);
    viewer.enter(&sale.concert_id).await;
    holder.enter(&sale.concert_id).await;
    let path = format!("/v1/schedules/{}/seats", sale.schedule_id);
    let first = viewer.seats(&sale.schedule_id).await;
    let etag = first.header("etag").unwrap().to_owned();
    let conditional = || {
        viewer
            .request(reqwest::Method::GET, &path)
            .header("If-None-Match", &etag)
    };
    Answer::to(conditional()).await.expect(304);

    let seats = holder.available(&sale.schedule_id).await;
    holder.hold(&sale.schedule_id, &seats[..1]).await.expect(201);
    let second = Answer::to(conditional()).await.expect(200);
    assert!(second["version"].as_u64() > first.body["version"].as_u64());
    assert_eq!(second["seats"][0]["status"], "PENDING");
}

#[tokio::test]
async fn who_waits_sees_no_dates_and_no_seats() {
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
    waiting
        .seats(&sale.schedule_id)
        .await
        .expect_problem(403, "not-admitted");
    let dates = format!("/v1/concerts/{}/schedules", sale.concert_id);
    waiting.get(&dates).await.expect_problem(403, "not-admitted");
    Answer::to(world.get(&dates))
        .await
        .expect_problem(401, "unauthenticated");
    Answer::to(world.get(&dates).bearer_auth(&waiting.access_token))
        .await
        .expect_problem(401, "queue-token-missing");
}

#[tokio::test]
async fn who_holds_seats_has_left_the_page() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.available(&sale.schedule_id).await;
    buyer.hold(&sale.schedule_id, &seats[..1]).await.expect(201);
    buyer
        .seats(&sale.schedule_id)
        .await
        .expect_problem(410, "page-left");
    let dates = format!("/v1/concerts/{}/schedules", sale.concert_id);
    buyer.get(&dates).await.expect_problem(410, "page-left");
}

#[tokio::test]
async fn a_layout_is_public_and_may_be_kept_for_ever() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let layout = Answer::to(world.get(&format!("/v1/schedules/{}/layout", sale.schedule_id))).await;
    assert!(layout.header("cache-control").unwrap().contains("immutable"));
    let layout = layout.expect(200);
    let indexes: Vec<_> = layout["seats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seat| seat["index"].as_u64())
        .collect();
    assert_eq!(indexes, (0..12).map(Some).collect::<Vec<_>>());
}
