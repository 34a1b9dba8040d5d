//! What the schema itself refuses, whatever a program believes.

use rstest::rstest;

use crate::world::World;

#[rstest]
#[case::a_price_for_a_grade_that_the_venue_lacks(
    "INSERT INTO concert_prices SELECT concert_id, venue_id, 'Gold', 1 FROM concerts",
    "concert_prices_are_for_grades_of_the_venue"
)]
#[case::a_second_price_for_a_grade(
    "INSERT INTO concert_prices SELECT concert_id, venue_id, 'VIP', 1 FROM concerts",
    "concert_prices_are_one_per_grade"
)]
#[case::a_negative_price(
    "UPDATE concert_prices SET amount = -1",
    "concert_prices_are_0_to_a_million_million"
)]
#[case::a_concert_in_a_foreign_venue(
    "UPDATE concerts SET organiser_id = gen_random_uuid()",
    "concerts_use_an_own_venue"
)]
#[case::a_concert_in_an_unknown_state("UPDATE concerts SET state = 'OPEN'", "concerts_state_is_known")]
#[case::a_title_in_pieces("UPDATE concerts SET title = normalize('하늘', NFD)", "concerts_title_is_nfc")]
#[case::a_room_for_nobody(
    "UPDATE concerts SET room_capacity = 0",
    "concerts_room_capacity_is_1_to_1000000"
)]
#[case::a_room_in_an_unknown_mode("UPDATE concerts SET room_mode = 'CLOSED'", "concerts_room_mode_is_known")]
#[case::a_refund_tier_without_a_share(
    "UPDATE concerts SET refund_hours = '{24, 0}'",
    "concerts_have_at_most_10_refund_tiers"
)]
#[case::a_refund_policy_of_11_tiers(
    "UPDATE concerts SET refund_hours = '{10,9,8,7,6,5,4,3,2,1,0}', refund_percents = '{1,1,1,1,1,1,1,1,1,1,1}'",
    "concerts_have_at_most_10_refund_tiers"
)]
#[case::a_refund_tier_that_is_not_there(
    "UPDATE concerts SET refund_hours = '{null}'",
    "concerts_have_at_most_10_refund_tiers"
)]
#[case::a_refund_tier_after_the_beginning(
    "UPDATE concerts SET refund_hours = '{-1}'",
    "concerts_refund_hours_are_0_to_87600"
)]
#[case::two_refund_tiers_of_one_time(
    "UPDATE concerts SET refund_hours = '{24, 24}', refund_percents = '{50, 50}'",
    "concerts_refund_hours_fall"
)]
#[case::a_refund_of_more_than_was_paid(
    "UPDATE concerts SET refund_percents = '{101}'",
    "concerts_refund_percents_are_1_to_100"
)]
#[case::a_refund_that_grows_with_waiting(
    "UPDATE concerts SET refund_hours = '{24, 0}', refund_percents = '{50, 100}'",
    "concerts_refund_percents_never_rise"
)]
#[case::a_date_canceled_that_nobody_asked_to_cancel(
    "UPDATE schedules SET canceled_at = now()",
    "schedules_are_canceled_when_it_was_asked_for"
)]
#[case::a_date_canceled_before_it_was_on_sale(
    "UPDATE schedules SET state = 'OPENING', canceling_at = now()",
    "schedules_are_canceled_after_they_were_on_sale"
)]
#[case::a_date_that_was_over_before_it_was_made(
    "UPDATE schedules SET starts_at = created_at",
    "schedules_start_after_they_were_made"
)]
#[case::a_date_in_an_unknown_state("UPDATE schedules SET state = 'SOLD'", "schedules_state_is_known")]
#[case::a_venue_without_seats("UPDATE venues SET seats = 0", "venues_have_1_to_100000_seats")]
#[tokio::test]
async fn an_impossible_row_is_refused_by_name(#[case] statement: &'static str, #[case] constraint: &str) {
    let mut world = World::new().await;
    let concert_id = world.concert("x").await;
    world.schedule(&concert_id).await;
    let error = sqlx::query(statement)
        .execute(world.database.pool())
        .await
        .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some(constraint));
}
