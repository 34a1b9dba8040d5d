//! Finding a concert.

use end_to_end::{Answer, Sale, SaleOptions, World, text};

async fn titles(world: &World, query: &str) -> Vec<String> {
    let request = world
        .get("/v1/concerts")
        .query(&[("query", query), ("limit", "100")]);
    let found = Answer::to(request).await.expect(200);
    found["concerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|concert| text(concert, "title"))
        .collect()
}

#[tokio::test]
async fn concerts_are_found_by_part_of_a_korean_or_english_title() {
    let world = World::shared().await;
    let titled = |title: &str| SaleOptions {
        title: title.to_owned(),
        ..SaleOptions::default()
    };
    let korean = Sale::open(world, titled("달빛 아래 서울")).await;
    let english = Sale::open(world, titled("Lanterns Over Busan")).await;
    assert!(titles(world, "아래 서").await.contains(&korean.title));
    assert!(titles(world, "lanterns over").await.contains(&english.title));
    assert!(!titles(world, "lanterns over").await.contains(&korean.title));
    assert!(titles(world, "no such concert 100%").await.is_empty());
}

#[tokio::test]
async fn pages_follow_by_cursor_without_gap_or_repeat() {
    let world = World::shared().await;
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(
            Sale::open(
                world,
                SaleOptions {
                    title: "Paged".to_owned(),
                    ..SaleOptions::default()
                },
            )
            .await
            .title,
        );
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut query = vec![("query", "Paged"), ("limit", "2")];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = Answer::to(world.get("/v1/concerts").query(&query))
            .await
            .expect(200);
        seen.extend(
            page["concerts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|concert| text(concert, "title")),
        );
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    opened.reverse();
    assert_eq!(seen, opened);
}

#[tokio::test]
async fn a_new_date_shows_at_once_although_the_concert_was_cached() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let path = format!("/v1/concerts/{}", sale.concert_id);
    for _ in 0..2 {
        let concert = Answer::to(world.get(&path)).await.expect(200);
        assert_eq!(concert["schedules"].as_array().unwrap().len(), 1);
    }
    let later = Sale::add_date(world, &sale.concert_id, 60).await;
    let concert = Answer::to(world.get(&path)).await.expect(200);
    assert_eq!(concert["schedules"][1]["scheduleId"], later);
}

#[tokio::test]
async fn promise_3_without_redis_concerts_are_still_found() {
    let world = World::with_env(&[]).await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    world.redis.stop().await;
    assert_eq!(
        titles(&world, &sale.title).await,
        std::slice::from_ref(&sale.title)
    );
    let concert = Answer::to(world.get(&format!("/v1/concerts/{}", sale.concert_id)))
        .await
        .expect(200);
    assert_eq!(concert["title"], sale.title);
}

#[tokio::test]
async fn a_concert_that_does_not_exist_is_not_found() {
    let world = World::shared().await;
    for id in ["01900000-0000-7000-8000-000000000000", "seventeen"] {
        Answer::to(world.get(&format!("/v1/concerts/{id}")))
            .await
            .expect_problem(404, "not-found");
    }
}
