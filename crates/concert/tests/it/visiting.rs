use service_kit::problem::Problem;
use vocabulary::{ConcertId, ProblemCode, ScheduleId, UserId};

use crate::world::{World, answer, fields};

#[tokio::test]
async fn a_visit_on_its_page_sees_dates_with_what_is_left_by_grade() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    assert!(world.list_schedules(&concert_id).await.unwrap().is_empty());
    let schedule_id = world.schedule(&concert_id).await;

    let dates = world.list_schedules(&concert_id).await.unwrap();
    assert_eq!(dates.len(), 1);
    assert_eq!(dates[0].schedule.as_ref().unwrap().schedule_id, schedule_id);
    let grades: Vec<_> = dates[0]
        .grades
        .iter()
        .map(|left| (left.grade.as_str(), left.price, left.total, left.available))
        .collect();
    assert_eq!(grades, [("VIP", 150_000, 3, 1), ("R석", 90_000, 5, 3)]);
}

#[tokio::test]
async fn a_visit_on_its_page_sees_the_status_of_every_seat() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    let seats = world.get_seats(&schedule_id).await.unwrap();
    assert_eq!((seats.version, seats.statuses), (42, b"AAAAAAAA".to_vec()));
    let layout = world.get_layout(&schedule_id).await.unwrap();
    assert_eq!(seats.layout_version, layout.version);

    let visit = world.peers.script().visits.remove(0);
    assert_eq!(
        (visit.concert_id, visit.queue_token.as_str()),
        (concert_id, "a.queue.token")
    );
    assert_eq!(visit.purpose, i32::from(contracts::queue::VisitPurpose::Read));
}

#[tokio::test]
async fn a_refused_visit_is_told_why_in_the_queues_own_words() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    for code in [
        ProblemCode::NotAdmitted,
        ProblemCode::QueueTokenExpired,
        ProblemCode::PageLeft,
        ProblemCode::QueueTokenForeign,
        ProblemCode::QueueTokenInvalid,
    ] {
        let problem = Problem::new(code, "as the queue says it").with("number", 17);
        world.peers.script().refuse_visits = Some(problem.clone());
        assert_eq!(world.get_seats(&schedule_id).await.unwrap_err(), problem);
        assert_eq!(world.list_schedules(&concert_id).await.unwrap_err(), problem);
    }
    // The layout is public.
    world.get_layout(&schedule_id).await.unwrap();
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_whoever_asks() {
    let mut world = World::new().await;
    world.peers.script().refuse_visits = Some(Problem::of(ProblemCode::NotAdmitted));
    let (schedule, concert) = (ScheduleId::new().to_string(), ConcertId::new().to_string());
    for problem in [
        world.get_seats(&schedule).await.unwrap_err(),
        world.get_layout(&schedule).await.unwrap_err(),
        world.list_schedules(&concert).await.unwrap_err(),
        world.get_concert(&concert).await.unwrap_err(),
    ] {
        assert_eq!(problem.code, ProblemCode::NotFound);
    }
    assert!(world.peers.script().visits.is_empty());
}

#[tokio::test]
async fn an_absent_peer_is_unavailable_and_public_answers_go_on() {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    let schedule_id = world.schedule(&concert_id).await;
    world.peers.script().booking_down = true;
    let problem = world.get_seats(&schedule_id).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::Unavailable);
    assert!(problem.retry_after.is_some());
    world.peers.script().queue_down = true;
    assert_eq!(
        world.list_schedules(&concert_id).await.unwrap_err().code,
        ProblemCode::Unavailable
    );
    world.get_concert(&concert_id).await.unwrap();
    world.get_layout(&schedule_id).await.unwrap();
}

#[tokio::test]
async fn ids_that_are_none_are_named() {
    let mut world = World::new().await;
    assert_eq!(
        fields(&world.get_seats("seven").await.unwrap_err()),
        ["scheduleId"]
    );
    assert_eq!(
        fields(&world.list_schedules("").await.unwrap_err()),
        ["concertId"]
    );
    let request = contracts::concert::GetSeatsRequest {
        schedule_id: ScheduleId::new().to_string(),
        user_id: "me".to_owned(),
        queue_token: UserId::new().to_string(),
    };
    let problem = answer(world.client.get_seats(request).await).unwrap_err();
    assert_eq!(fields(&problem), ["userId"]);
}
