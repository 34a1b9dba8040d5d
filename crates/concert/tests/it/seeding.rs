use vocabulary::demo::ORGANISER_ID;

use crate::world::World;

#[tokio::test]
async fn the_demonstration_has_a_hall_of_a_thousand_seats_and_titles_in_both_languages() {
    let mut world = World::new().await;
    world.app.seed_demo().await.unwrap();
    let page = world.search("", "", 100).await.unwrap();
    assert!(page.concerts.len() >= 6);
    let has = |letters: fn(&char) -> bool| page.concerts.iter().any(|c| c.title.chars().any(|l| letters(&l)));
    assert!(has(|letter| ('가'..='힣').contains(letter)) && has(char::is_ascii_alphabetic));
    for concert in &page.concerts {
        assert_eq!(concert.schedules.len(), 2, "{}", concert.title);
        assert_eq!(concert.prices.len(), 4, "{}", concert.title);
    }
    let schedule_id = &page.concerts[0].schedules[0].schedule_id;
    let layout = world.get_layout(schedule_id).await.unwrap();
    assert!(layout.seats.len() >= 1_000);
    assert!(
        layout.seats.iter().all(|seat| {
            (0.0..=layout.width).contains(&seat.x) && (0.0..=layout.height).contains(&seat.y)
        })
    );
    let script = world.peers.script();
    assert!(script.rooms.values().all(|room| room.capacity == 50));
    assert_eq!(script.opened.len(), 2 * page.concerts.len());
}

#[tokio::test]
async fn seeding_twice_adds_nothing_even_on_another_day() {
    let world = World::new().await;
    world.app.seed_demo().await.unwrap();
    let before = (
        world.count("venues").await,
        world.count("concerts").await,
        world.count("schedules").await,
    );
    world
        .database
        .step_clock(std::time::Duration::from_secs(40 * 86_400))
        .await;
    world.app.seed_demo().await.unwrap();
    let after = (
        world.count("venues").await,
        world.count("concerts").await,
        world.count("schedules").await,
    );
    assert_eq!(before, after);
    let foreign: i64 = sqlx::query_scalar("SELECT count(*) FROM concerts WHERE organiser_id <> $1")
        .bind(ORGANISER_ID.as_uuid())
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(foreign, 0);
}

#[tokio::test]
async fn a_seeding_that_failed_in_the_middle_goes_on_where_it_stopped() {
    let world = World::new().await;
    world.peers.script().queue_down = true;
    world.app.seed_demo().await.unwrap_err();
    world.peers.script().queue_down = false;
    world.peers.script().booking_down = true;
    world.app.seed_demo().await.unwrap_err();
    world.app.seed_demo().await.unwrap_err();
    world.peers.script().booking_down = false;
    world.app.seed_demo().await.unwrap();
    assert_eq!(
        (world.count("venues").await, world.count("concerts").await),
        (1, 8)
    );
    assert_eq!(world.count("schedules").await, 16);
}
