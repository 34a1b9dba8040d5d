//! Taking a seat.

use end_to_end::{Sale, SaleOptions, World, text};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn a_hold_names_its_seats_its_end_and_the_way_to_pay() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.available(&sale.schedule_id).await;
    let held = buyer.hold(&sale.schedule_id, &seats[2..6]).await;
    assert_eq!(
        held.header("location"),
        Some(format!("/v1/reservations/{}", held.text("reservationId")).as_str())
    );
    let held = held.expect(201);
    let ids: Vec<_> = held["seats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seat| text(seat, "seatId"))
        .collect();
    assert_eq!(ids, seats[2..6]);
    assert_eq!(held["total"], 2 * 150_000 + 2 * 90_000);
    for member in ["expiresAt", "paymentToken", "orderId"] {
        assert!(held[member].is_string(), "{member} of {held}");
    }
    let mine = buyer.get("/v1/reservations").await.expect(200);
    assert_eq!(mine["reservations"][0]["reservationId"], held["reservationId"]);
}

#[tokio::test]
async fn a_taken_seat_is_named_and_none_of_the_others_is_held() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let (mut first, mut second) = (world.buyer().await, world.buyer().await);
    first.enter(&sale.concert_id).await;
    second.enter(&sale.concert_id).await;
    let seats = first.available(&sale.schedule_id).await;
    first.hold(&sale.schedule_id, &seats[1..2]).await.expect(201);

    let refused = second
        .hold(&sale.schedule_id, &seats[..3])
        .await
        .expect_problem(409, "seat-unavailable");
    assert_eq!(refused["seatIds"], json!([seats[1]]));
    assert_eq!(
        second.seat_status(&sale.schedule_id, &seats[0]).await,
        "AVAILABLE"
    );
    // A refused hold leaves the visit on its page.
    second.hold(&sale.schedule_id, &seats[2..3]).await.expect(201);
}

#[tokio::test]
async fn promise_6_more_than_four_repeated_or_foreign_seats_are_refused() {
    let world = World::shared().await;
    let (sale, elsewhere) = (
        Sale::open(world, SaleOptions::default()).await,
        Sale::open(world, SaleOptions::default()).await,
    );
    let (mut buyer, mut spy) = (world.buyer().await, world.buyer().await);
    buyer.enter(&sale.concert_id).await;
    spy.enter(&elsewhere.concert_id).await;
    let (seats, foreign) = (
        buyer.available(&sale.schedule_id).await,
        spy.available(&elsewhere.schedule_id).await,
    );

    let hold = async |seats: &[String]| buyer.hold(&sale.schedule_id, seats).await;
    hold(&seats[..5]).await.expect_fields(422, &["seatIds"]);
    hold(&[]).await.expect_fields(422, &["seatIds"]);
    hold(&[seats[0].clone(), seats[0].clone()])
        .await
        .expect_fields(422, &["seatIds[1]"]);
    hold(&[seats[0].clone(), foreign[0].clone()])
        .await
        .expect_fields(422, &["seatIds[1]"]);
    assert_eq!(buyer.available(&sale.schedule_id).await, seats);
}

#[tokio::test]
async fn promise_6_a_user_holds_at_most_four_seats_of_a_date() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer_with_points().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.available(&sale.schedule_id).await;
    let held = buyer.hold(&sale.schedule_id, &seats[..3]).await.expect(201);
    buyer
        .pay(&held, held["total"].as_i64().unwrap(), None)
        .await
        .expect(201);

    buyer.enter(&sale.concert_id).await;
    buyer
        .hold(&sale.schedule_id, &seats[3..5])
        .await
        .expect_problem(422, "seat-cap-exceeded");
    buyer.hold(&sale.schedule_id, &seats[3..4]).await.expect(201);
}

#[tokio::test]
async fn promise_14_a_token_makes_one_hold() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.available(&sale.schedule_id).await;
    let one = buyer.hold(&sale.schedule_id, &seats[..1]).await.expect(201);
    buyer
        .hold(&sale.schedule_id, &seats[1..2])
        .await
        .expect_problem(410, "page-left");

    let path = format!("/v1/reservations/{}", text(&one, "reservationId"));
    let release = buyer.request(reqwest::Method::DELETE, &path);
    assert_eq!(release.send().await.unwrap().status(), 204);
    assert_eq!(buyer.get(&path).await.expect(200)["status"], "CANCELED");
    buyer.poll_until("EXPIRED").await;
    buyer
        .hold(&sale.schedule_id, &seats[1..2])
        .await
        .expect_problem(410, "queue-token-expired");
}

#[tokio::test]
async fn a_hold_frees_the_page_for_the_next() {
    let world = World::shared().await;
    let sale = Sale::open(
        world,
        SaleOptions {
            capacity: 1,
            ..SaleOptions::default()
        },
    )
    .await;
    let (mut first, mut second) = (world.buyer().await, world.buyer().await);
    first.enter(&sale.concert_id).await;
    second.join(&sale.concert_id).await.expect(201);
    let seats = first.available(&sale.schedule_id).await;
    first.hold(&sale.schedule_id, &seats[..1]).await.expect(201);
    second.poll_until("PROCESSING").await;
    second
        .hold(&sale.schedule_id, &seats[..1])
        .await
        .expect_problem(409, "seat-unavailable");
}

#[tokio::test]
async fn promise_9_a_hold_asked_for_again_with_its_key_is_one_hold() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.available(&sale.schedule_id).await;
    let hold = async |seats: &[String]| {
        let body = json!({ "scheduleId": sale.schedule_id, "seatIds": seats });
        let request = buyer
            .request(reqwest::Method::POST, "/v1/reservations")
            .header("Idempotency-Key", "one");
        end_to_end::Answer::to(request.json(&body)).await
    };
    let first = hold(&seats[..2]).await.expect(201);
    let again = hold(&seats[..2]).await.expect(201);
    assert_eq!(first["reservationId"], again["reservationId"]);
    hold(&seats[2..4])
        .await
        .expect_problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn promise_17_nobody_sees_or_releases_anothers_reservation() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let (mut owner, other) = (world.buyer().await, world.buyer().await);
    let held = owner.enter_and_hold(&sale, 1).await;
    let path = format!("/v1/reservations/{}", text(&held, "reservationId"));
    other.get(&path).await.expect_problem(404, "not-found");
    let release = end_to_end::Answer::to(other.request(reqwest::Method::DELETE, &path)).await;
    release.expect_problem(404, "not-found");
    assert_eq!(
        other.get("/v1/reservations").await.expect(200)["reservations"],
        json!([])
    );
}

/// The control, with the lock and the index removed, stands beside the store, in booking's own tests.
#[tokio::test]
async fn promise_1_of_200_buyers_of_one_seat_exactly_one_gets_it() {
    const BUYERS: usize = 200;
    let world = World::shared().await;
    let sale = Sale::open(
        world,
        SaleOptions {
            capacity: BUYERS as u32,
            ..SaleOptions::default()
        },
    )
    .await;
    let mut buyers = Vec::new();
    // All accounts first: they take long to make, and the time on the page runs from the entry.
    for _ in 0..BUYERS / 5 {
        buyers.append(&mut join_all((0..5).map(|_| world.buyer())).await);
    }
    for group in buyers.chunks_mut(5) {
        join_all(group.iter_mut().map(|buyer| buyer.enter(&sale.concert_id))).await;
    }
    let seat = buyers[0].available(&sale.schedule_id).await[..1].to_vec();
    let answers = join_all(buyers.iter().map(|buyer| buyer.hold(&sale.schedule_id, &seat))).await;

    let statuses = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((statuses(201), statuses(409)), (1, BUYERS - 1));
    for loser in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(
            (loser.text("code"), &loser.body["seatIds"]),
            ("seat-unavailable", &Value::from(seat.clone()))
        );
    }
}
