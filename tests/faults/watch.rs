//! Watching what may never be, for as long as something happens.

use std::cell::Cell;

use end_to_end::{Answer, Sale, World};
use futures::future::join;

use crate::pause_ms;

/// Promises 11 and 12 at every look: never more visits on the page than places, by the database; and a serving number
/// that never goes back, by the database and by what everybody is told. Answers what `event` does.
pub(crate) async fn the_line_during<T>(world: &World, sale: &Sale, event: impl Future<Output = T>) -> T {
    let over = Cell::new(false);
    let looks = async {
        let mut database = world.database("queue").await;
        let (mut looks, mut told, mut served) = (0, 0, 0);
        while !over.get() {
            let (capacity, on_page, serving): (i64, i64, i64) = sqlx::query_as(
                "SELECT capacity::bigint, (SELECT count(*) FROM visits WHERE concert_id = rooms.concert_id AND state = 'PAGE'),
                     serving FROM rooms WHERE concert_id = $1::uuid",
            )
            .bind(&sale.concert_id)
            .fetch_one(&mut database)
            .await
            .unwrap();
            assert!(on_page <= capacity, "promise 11: {on_page} on {capacity} places");
            assert!(
                serving >= served,
                "promise 12: {served} was called, now {serving}"
            );
            served = serving;
            let path = format!("/v1/concerts/{}/queue", sale.concert_id);
            let room = Answer::to(world.get(&path)).await;
            if let Some(number) = room.body["servingNumber"].as_i64() {
                assert!(number >= told, "promise 12: {told} was told, now {number}");
                told = number;
            }
            looks += 1;
            pause_ms(50).await;
        }
        assert!(
            looks > 5 && served > 0 && told > 0,
            "{looks} looks, {served} served, {told} told"
        );
    };
    let event = async {
        let outcome = event.await;
        over.set(true);
        outcome
    };
    join(event, looks).await.0
}
