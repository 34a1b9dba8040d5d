//! Seat maps and their caching.

use contracts::concert::{
    GetLayoutRequest, GetLayoutResponse, GetSeatsRequest, GetSeatsResponse, GradeSeats, Layout, LayoutSeat,
    ListSchedulesRequest, ListSchedulesResponse, Schedule, ScheduleSeatsLeft,
};
use reqwest::Method;
use serde_json::json;
use service_kit::problem::Problem;
use vocabulary::{ProblemCode, ScheduleId};

use crate::gateway::{Answer, Gateway};

const GET_LAYOUT: &str = "concert.v1.ConcertService/GetLayout";
const GET_SEATS: &str = "concert.v1.ConcertService/GetSeats";

/// A gateway before a hall of `seats` seats, the second of which is held.
async fn gateway(seats: u32) -> Gateway {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(GET_LAYOUT, move |_: GetLayoutRequest| {
        let seats = (0..seats).map(|index| LayoutSeat {
            seat_id: format!("seat-{index}"),
            index,
            section: "1층".to_owned(),
            row: "A".to_owned(),
            number: (index + 1).to_string(),
            grade: "R".to_owned(),
            price: 99_000,
            x: f64::from(index),
            y: 0.5,
        });
        let layout = Layout {
            version: "layout-1".to_owned(),
            currency: "KRW".to_owned(),
            seats: seats.collect(),
            width: 10.0,
            height: 20.0,
        };
        Ok(GetLayoutResponse { layout: Some(layout) })
    });
    set_seats(&gateway, 5, seats);
    gateway
}

fn set_seats(gateway: &Gateway, version: u64, seats: u32) {
    gateway.upstreams.on(GET_SEATS, move |_: GetSeatsRequest| {
        let mut statuses = vec![b'A'; seats as usize];
        statuses[1] = b'P';
        Ok(GetSeatsResponse {
            version,
            statuses,
            layout_version: "layout-1".to_owned(),
        })
    });
}

#[tokio::test]
async fn a_layout_is_public_immutable_and_fetched_once() {
    let gateway = gateway(2).await;
    let path = format!("/v1/schedules/{}/layout", ScheduleId::new());
    let answer = gateway.get(&path).await;
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(answer.header("content-type"), "application/json");
    let tag = answer.header("etag").to_owned();
    let layout = answer.expect(200);
    assert_eq!(
        (&layout["version"], &layout["width"]),
        (&json!("layout-1"), &json!(10.0))
    );
    assert_eq!(
        layout["seats"][1],
        json!({
            "seatId": "seat-1", "index": 1, "section": "1층", "row": "A", "number": "2", "grade": "R",
            "price": 99_000, "x": 1.0, "y": 0.5,
        })
    );

    let again = gateway.request(Method::GET, &path).header("If-None-Match", &tag);
    let again = Answer::to(again).await;
    assert_eq!(again.header("etag"), tag);
    assert_eq!(again.expect(304), "");
    assert_eq!(gateway.upstreams.calls(GET_LAYOUT), 1);
}

#[tokio::test]
async fn seats_are_the_layout_with_statuses_and_change_with_their_version() {
    let gateway = gateway(3).await;
    let visitor = gateway.visitor();
    let path = format!("/v1/schedules/{}/seats", ScheduleId::new());
    let get = || gateway.request(Method::GET, &path);

    let answer = visitor.sends(get()).await;
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let tag = answer.header("etag").to_owned();
    let map = answer.expect(200);
    assert_eq!(
        (&map["version"], &map["layoutVersion"]),
        (&json!(5), &json!("layout-1"))
    );
    let statuses: Vec<_> = map["seats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seat| &seat["status"])
        .collect();
    assert_eq!(statuses, ["AVAILABLE", "PENDING", "AVAILABLE"]);
    assert_eq!(map["seats"][2]["seatId"], "seat-2");

    for known in [tag.as_str(), "\"5\"", "\"4\", W/\"5\"", "*"] {
        visitor
            .sends(get().header("If-None-Match", known))
            .await
            .expect(304);
    }
    set_seats(&gateway, 6, 3);
    let changed = visitor
        .sends(get().header("If-None-Match", &tag))
        .await
        .expect(200);
    assert_eq!(changed["version"], 6);
    assert_eq!(gateway.upstreams.calls(GET_LAYOUT), 1);
}

#[tokio::test]
async fn the_compact_form_has_one_letter_a_seat_and_needs_no_layout() {
    let gateway = gateway(3).await;
    let visitor = gateway.visitor();
    let path = |form| format!("/v1/schedules/{}/seats?form={form}", ScheduleId::new());
    let compact = visitor
        .sends(gateway.request(Method::GET, &path("compact")))
        .await;
    assert_eq!(
        compact.expect(200),
        json!({ "version": 5, "layoutVersion": "layout-1", "statuses": "APA" })
    );
    assert_eq!(gateway.upstreams.calls(GET_LAYOUT), 0);

    let full = visitor
        .sends(gateway.request(Method::GET, &path("full")))
        .await
        .expect(200);
    assert_eq!(full["seats"].as_array().unwrap().len(), 3);
    let wrong = visitor.sends(gateway.request(Method::GET, &path("tiny"))).await;
    let problem = wrong.expect_problem(422, "invalid-field");
    assert_eq!(problem["errors"][0]["field"], "form");
}

#[tokio::test]
async fn a_large_hall_is_sent_compressed() {
    let gateway = gateway(20_000).await;
    let visitor = gateway.visitor();
    let path = format!("/v1/schedules/{}/seats", ScheduleId::new());
    let request = gateway
        .request(Method::GET, &path)
        .header("Accept-Encoding", "gzip")
        .bearer_auth(&visitor.access_token)
        .header("Queue-Token", &visitor.queue_token);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.bytes().await.unwrap().len() < 1_000_000);
    let map = visitor
        .sends(gateway.request(Method::GET, &path))
        .await
        .expect(200);
    assert_eq!(map["seats"].as_array().unwrap().len(), 20_000);
}

#[tokio::test]
async fn statuses_of_another_layout_are_never_joined() {
    let gateway = gateway(3).await;
    gateway.upstreams.on(GET_SEATS, |_: GetSeatsRequest| {
        Ok(GetSeatsResponse {
            version: 1,
            statuses: b"AAA".to_vec(),
            layout_version: "layout-2".to_owned(),
        })
    });
    let path = format!("/v1/schedules/{}/seats", ScheduleId::new());
    let answer = gateway.visitor().sends(gateway.request(Method::GET, &path)).await;
    answer.expect_problem(500, "internal");
}

#[tokio::test]
async fn a_refused_layout_is_asked_for_again() {
    let gateway = gateway(1).await;
    gateway.upstreams.on(GET_LAYOUT, |_: GetLayoutRequest| {
        Err::<GetLayoutResponse, _>(Problem::of(ProblemCode::NotFound))
    });
    let path = format!("/v1/schedules/{}/layout", ScheduleId::new());
    for _ in 0..2 {
        gateway.get(&path).await.expect_problem(404, "not-found");
    }
    assert_eq!(gateway.upstreams.calls(GET_LAYOUT), 2);
}

#[tokio::test]
async fn dates_come_with_the_seats_left_of_each_grade() {
    let gateway = Gateway::start().await;
    let visitor = gateway.visitor();
    let (user_id, token) = (visitor.user_id.to_string(), visitor.queue_token.clone());
    gateway.upstreams.on(
        "concert.v1.ConcertService/ListSchedules",
        move |request: ListSchedulesRequest| {
            assert_eq!((&request.user_id, &request.queue_token), (&user_id, &token));
            let schedule = Schedule {
                schedule_id: "date-1".to_owned(),
                starts_at: Some(contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)),
                closed_at: None,
                canceled_at: None,
            };
            let grade = GradeSeats {
                grade: "R".to_owned(),
                price: 99_000,
                total: 10,
                available: 4,
            };
            Ok(ListSchedulesResponse {
                schedules: vec![ScheduleSeatsLeft {
                    schedule: Some(schedule),
                    grades: vec![grade],
                }],
            })
        },
    );
    let path = format!("/v1/concerts/{}/schedules", visitor.concert_id);
    let dates = visitor
        .sends(gateway.request(Method::GET, &path))
        .await
        .expect(200);
    assert_eq!(
        dates,
        json!({ "schedules": [{
            "scheduleId": "date-1", "startsAt": "1970-01-01T00:00:00Z",
            "grades": [{ "grade": "R", "price": 99_000, "total": 10, "available": 4 }],
        }] })
    );
}
