//! What an operator sets of a room, and sees of it.

use contracts::concert::{
    GetStatsRequest, GetStatsResponse, ScheduleStats, UpdateWaitingRoomRequest, UpdateWaitingRoomResponse,
    WaitingRoomMode,
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use vocabulary::ConcertId;

use crate::gateway::Gateway;

const UPDATE: &str = "concert.v1.ConcertService/UpdateWaitingRoom";
const GET_STATS: &str = "concert.v1.ConcertService/GetStats";

#[rstest]
#[case::absent(json!({}), WaitingRoomMode::Open, "OPEN")]
#[case::null(json!({ "mode": null }), WaitingRoomMode::Open, "OPEN")]
#[case::open(json!({ "mode": "OPEN" }), WaitingRoomMode::Open, "OPEN")]
#[case::paused(json!({ "mode": "PAUSED" }), WaitingRoomMode::Paused, "PAUSED")]
#[case::draining(json!({ "mode": "DRAINING" }), WaitingRoomMode::Draining, "DRAINING")]
#[tokio::test]
async fn a_room_is_set_to_a_mode_and_says_so(
    #[case] member: Value,
    #[case] told: WaitingRoomMode,
    #[case] answered: &str,
) {
    let gateway = Gateway::start().await;
    gateway
        .upstreams
        .on(UPDATE, move |request: UpdateWaitingRoomRequest| {
            let room = request.waiting_room.unwrap();
            assert_eq!(room.mode(), told);
            Ok(UpdateWaitingRoomResponse {
                waiting_room: Some(room),
            })
        });
    let mut room = json!({ "capacity": 7, "admitPerSecond": 3 });
    room.as_object_mut()
        .unwrap()
        .extend(member.as_object().unwrap().clone());
    let path = format!("/v1/admin/concerts/{}/waiting-room", ConcertId::new());
    let request = gateway.request(Method::PUT, &path).json(&room);
    let answer = gateway.organiser().sends(request).await;
    assert_eq!(
        answer.expect(200),
        json!({ "capacity": 7, "admitPerSecond": 3, "mode": answered })
    );
}

#[tokio::test]
async fn the_counts_of_a_room_are_all_told() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(GET_STATS, |_: GetStatsRequest| {
        Ok(GetStatsResponse {
            waiting: 1,
            serving_number: 2,
            called: 3,
            inside: 4,
            paying: 5,
            completed: 6,
            expired: 7,
            lapsed: 8,
            admitted: 9,
            admitted_last_minute: 10,
            schedules: vec![ScheduleStats {
                schedule_id: "01900000-0000-7000-8000-000000000001".to_owned(),
                available: 11,
                pending: 12,
                occupied: 13,
            }],
        })
    });
    let path = format!("/v1/admin/concerts/{}/stats", ConcertId::new());
    let answer = gateway
        .organiser()
        .sends(gateway.request(Method::GET, &path))
        .await;
    assert_eq!(
        answer.expect(200),
        json!({
            "waiting": 1, "servingNumber": 2, "called": 3, "inside": 4, "paying": 5, "completed": 6, "expired": 7,
            "lapsed": 8, "admitted": 9, "admittedLastMinute": 10,
            "schedules": [{
                "scheduleId": "01900000-0000-7000-8000-000000000001", "available": 11, "pending": 12, "occupied": 13,
            }],
        })
    );
}
