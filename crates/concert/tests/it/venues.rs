use serde_json::json;
use vocabulary::ProblemCode;

use crate::world::{World, fields, small_hall};

#[tokio::test]
async fn an_editors_plan_becomes_a_venue_and_its_layout_keeps_the_plans_order() {
    let mut world = World::new().await;
    let made = world.create_venue(&small_hall(), "").await.unwrap();
    assert_eq!(made.seats, 8);

    let concert_id = world.concert_at(&made.venue_id, "첫 공연").await;
    let schedule_id = world.schedule(&concert_id).await;
    let layout = world.get_layout(&schedule_id).await.unwrap();
    assert_eq!(
        (layout.currency.as_str(), layout.width, layout.height),
        ("KRW", 300.0, 200.0)
    );
    let indexes: Vec<_> = layout.seats.iter().map(|seat| seat.index).collect();
    assert_eq!(indexes, (0..8).collect::<Vec<_>>());
    let seat = &layout.seats[4];
    assert_eq!(
        (seat.section.as_str(), seat.row.as_str(), seat.number.as_str()),
        ("1층", "B", "2")
    );
    assert_eq!((seat.grade.as_str(), seat.price), ("R석", 90_000));
    assert_eq!((seat.x, seat.y), (140.0, 80.0));
}

#[tokio::test]
async fn a_wrong_plan_is_refused_with_the_path_of_the_fault_and_nothing_is_kept() {
    let mut world = World::new().await;
    let mut plan = small_hall();
    plan["zones"][0]["rows"][1]["seats"][2]["seat_guid"] = json!("A-1");
    plan["zones"][0]["rows"][1]["seats"][3]["category"] = json!("Gold");
    let problem = world.create_venue(&plan, "key").await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::InvalidField);
    assert_eq!(
        fields(&problem),
        [
            "plan.zones[0].rows[1].seats[2].seat_guid",
            "plan.zones[0].rows[1].seats[3].category"
        ]
    );
    assert_eq!(
        problem.fields[0].rule,
        "stands twice; first at plan.zones[0].rows[0].seats[0].seat_guid"
    );
    assert_eq!(world.count("venues").await, 0);
    // The key was not used up.
    world.create_venue(&small_hall(), "key").await.unwrap();
}

#[tokio::test]
async fn a_repeated_key_answers_the_first_venue() {
    let mut world = World::new().await;
    let first = world.create_venue(&small_hall(), "import-1").await.unwrap();
    let again = world.create_venue(&small_hall(), "import-1").await.unwrap();
    assert_eq!(first, again);
    assert_eq!(world.count("venues").await, 1);

    let mut other = small_hall();
    other["zones"][0]["name"] = json!("2층");
    let problem = world.create_venue(&other, "import-1").await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::IdempotencyKeyReused);
    assert_ne!(world.create_venue(&other, "import-2").await.unwrap(), first);
}

#[tokio::test]
async fn requests_with_one_key_at_once_make_one_venue() {
    let world = World::new().await;
    let requests = (0..8).map(|_| {
        let mut client = world.client.clone();
        let request = contracts::concert::CreateVenueRequest {
            organiser_id: world.organiser.to_string(),
            name: "Saal".to_owned(),
            plan_json: small_hall().to_string().into_bytes(),
            idempotency_key: "at once".to_owned(),
        };
        async move { client.create_venue(request).await.unwrap().into_inner().venue_id }
    });
    let mut ids = futures::future::join_all(requests).await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.count("venues").await, 1);
}

#[tokio::test]
async fn a_stadium_of_100_000_seats_is_imported_and_put_on_sale() {
    let mut world = World::new().await;
    let seats: Vec<_> = (0..100_000)
        .map(|n| {
            json!({"seat_guid": n.to_string(), "seat_number": n.to_string(), "position": {"x": n % 400, "y": n / 400},
                   "category": if n < 10_000 { "VIP" } else { "R석" }})
        })
        .collect();
    let plan = json!({"zones": [{"position": {"x": 0, "y": 0}, "rows": [{"row_number": "1", "seats": seats}]}],
                      "categories": [{"name": "VIP"}, {"name": "R석"}]});
    let made = world.create_venue(&plan, "").await.unwrap();
    assert_eq!(made.seats, 100_000);
    let concert_id = world.concert_at(&made.venue_id, "Stadium").await;
    let schedule_id = world.schedule(&concert_id).await;
    let layout = world.get_layout(&schedule_id).await.unwrap();
    assert_eq!(layout.seats.len(), 100_000);
    let opened = world.peers.script().opened.remove(&schedule_id).unwrap();
    assert!(
        opened.seats.iter().zip(&layout.seats).all(|(sold, shown)| {
            (&sold.seat_id, sold.index, &sold.grade, sold.price)
                == (&shown.seat_id, shown.index, &shown.grade, shown.price)
        }),
        "what is sold is what is shown"
    );
}
