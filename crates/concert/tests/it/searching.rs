use vocabulary::ProblemCode;

use crate::world::{World, fields};

#[tokio::test]
async fn a_title_is_found_by_any_part_of_it_in_any_case() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    for title in [
        "하늘정원 〈새벽의 편지〉 서울",
        "Neon Harbor: Afterglow",
        "100% Live_Act",
        "Café Ásgeir",
    ] {
        world.concert_at(&venue_id, title).await;
    }
    for (query, expected) in [
        ("새벽", vec!["하늘정원 〈새벽의 편지〉 서울"]),
        ("벽의 편", vec!["하늘정원 〈새벽의 편지〉 서울"]),
        ("편", vec!["하늘정원 〈새벽의 편지〉 서울"]),
        ("HARBOR", vec!["Neon Harbor: Afterglow"]),
        ("n h", vec!["Neon Harbor: Afterglow"]),
        (" after ", vec!["Neon Harbor: Afterglow"]),
        ("ÁSGEIR", vec!["Café Ásgeir"]),
        // Signs that a pattern would read otherwise stand for themselves.
        ("100%", vec!["100% Live_Act"]),
        ("e_A", vec!["100% Live_Act"]),
        ("n_H", vec![]),
        ("\\", vec![]),
        ("없는 공연", vec![]),
    ] {
        assert_eq!(world.titles(query).await, expected, "{query:?}");
    }
    assert_eq!(world.titles("").await.len(), 4);
}

#[tokio::test]
async fn a_title_is_found_however_its_letters_are_composed() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let decomposed = "\u{1112}\u{1161}\u{1102}\u{1173}\u{11af}"; // 하늘, letter by letter
    world.concert_at(&venue_id, "하늘정원").await;
    world.concert_at(&venue_id, &format!("{decomposed} 아래")).await;
    assert_eq!(world.titles(decomposed).await, ["하늘 아래", "하늘정원"]);
    assert_eq!(world.titles("하늘").await.len(), 2);
}

#[tokio::test]
async fn pages_follow_one_another_without_gaps_or_repetitions() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let mut expected = Vec::new();
    for n in 0..23 {
        world.concert_at(&venue_id, &format!("Konzert {n:02}")).await;
        expected.insert(0, format!("Konzert {n:02}"));
    }
    // Several made at the same instant are told apart by their ids.
    sqlx::query("UPDATE concerts SET created_at = date_trunc('minute', created_at) + interval '0.000001 s'")
        .execute(world.database.pool())
        .await
        .unwrap();

    for query in ["", "konzert"] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = world.search(query, &cursor, 5).await.unwrap();
            seen.extend(page.concerts.into_iter().map(|concert| concert.title));
            pages += 1;
            if pages == 2 {
                // What comes meanwhile stands before the first page and moves none.
                world.concert_at(&venue_id, "Konzert neu").await;
            }
            if page.next_cursor.is_empty() {
                break;
            }
            cursor = page.next_cursor;
        }
        assert_eq!(pages, 5, "{query}");
        assert_eq!(seen, expected, "{query}");
        sqlx::query("DELETE FROM concert_prices USING concerts WHERE concert_prices.concert_id = concerts.concert_id AND title = 'Konzert neu'")
            .execute(world.database.pool())
            .await
            .unwrap();
        sqlx::query("DELETE FROM concerts WHERE title = 'Konzert neu'")
            .execute(world.database.pool())
            .await
            .unwrap();
        world.redis.flush().await;
    }
    let last = world.search("", "", 23).await.unwrap();
    assert!(last.next_cursor.is_empty(), "a full last page has no next one");
}

#[tokio::test]
async fn wrong_fields_of_a_search_are_named() {
    let mut world = World::new().await;
    let problem = world.search(&"긴".repeat(101), "?", 101).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::InvalidField);
    assert_eq!(fields(&problem), ["query", "cursor", "limit"]);
    assert_eq!(fields(&world.search("a\0", "", 1).await.unwrap_err()), ["query"]);
    assert_eq!(
        fields(&world.get_concert("the-first").await.unwrap_err()),
        ["concertId"]
    );
}
