//! Rows that no program of ours writes are refused by name.

use rstest::rstest;
use vocabulary::{ConcertId, UserId, VisitId};

use crate::world::World;

const VISIT: &str =
    "INSERT INTO visits (visit_id, concert_id, user_id, number, state, admitted_at, page_ends_at,
    hold_lease_until, ended_at) SELECT $2, $1, $3,";
const NOW: &str = "frontrow_now()";
const LATER: &str = "frontrow_now() + interval '1 minute'";

#[rstest]
#[case::capacity("rooms_capacity_is_bounded", "UPDATE rooms SET capacity = 0")]
#[case::pace("rooms_pace_is_bounded", "UPDATE rooms SET admit_per_second = 0")]
#[case::serving("rooms_numbers_are_in_order", "UPDATE rooms SET serving = issued_to + 1")]
#[case::issued("rooms_numbers_are_in_order", "UPDATE rooms SET issued_to = reserved_to + 1")]
#[case::call(
    "calls_are_not_empty",
    "INSERT INTO calls SELECT concert_id, 5, 5, frontrow_now() FROM rooms"
)]
#[case::turn(
    "kept_turns_number_is_positive",
    "INSERT INTO kept_turns SELECT concert_id, 0, frontrow_now() FROM rooms"
)]
#[case::doubt(
    "doubtful_numbers_are_not_empty",
    "INSERT INTO doubtful_numbers SELECT concert_id, 5, 4 FROM rooms"
)]
#[case::stage("rooms_stage_is_known", "UPDATE rooms SET stage = 'OPEN'")]
#[case::numbers_in_a_lobby(
    "rooms_lobby_gives_no_numbers",
    "UPDATE rooms SET stage = 'LOBBY', reserved_to = 1"
)]
#[case::called_in_a_draw(
    "rooms_draw_before_they_call",
    "UPDATE rooms SET stage = 'DRAWING', serving = 1, issued_to = 1, reserved_to = 1"
)]
#[case::mode("rooms_mode_is_known", "UPDATE rooms SET mode = 'CLOSED'")]
#[case::pause("rooms_pause_has_a_beginning", "UPDATE rooms SET mode = 'PAUSED'")]
#[case::paused("rooms_pause_has_a_beginning", "UPDATE rooms SET paused_at = frontrow_now()")]
#[case::pauses("rooms_pauses_add_up", "UPDATE rooms SET paused_ms = -1")]
#[case::lapsed("rooms_lapses_are_counted", "UPDATE rooms SET lapsed = -1")]
#[case::drawn("rooms_drawn_numbers_are_given", "UPDATE rooms SET drawn_to = issued_to + 1")]
#[tokio::test]
async fn impossible_rooms_are_refused_by_name(#[case] constraint: &str, #[case] statement: &'static str) {
    let world = World::start().await;
    world.room(1).await;
    let refused = sqlx::query(statement)
        .execute(world.database.pool())
        .await
        .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().constraint(),
        Some(constraint)
    );
}

#[rstest]
#[case::state("draws_state_is_known", "UPDATE draws SET state = 'READY'")]
#[case::secret("draws_commit_to_their_secret", "UPDATE draws SET secret = sha256(secret)")]
#[case::key("draws_receipt_keys_are_whole", "UPDATE draws SET receipt_key = ''")]
#[case::beacon("draws_beacon_is_whole", "UPDATE draws SET beacon_round = 1")]
#[case::reason(
    "draws_trust_has_a_reason",
    "UPDATE draws SET state = 'OPEN', root = secret, chunk_roots = secret, sealed_at = frontrow_now(), seed = secret,
    operator_trusted = 'WHY NOT'"
)]
#[case::count("draws_count_is_bounded", "UPDATE draws SET count = -1")]
#[case::no_root("draws_are_sealed_with_a_root", "UPDATE draws SET state = 'SEALED'")]
#[case::early_seed("draws_are_drawn_with_a_seed", "UPDATE draws SET seed = secret")]
#[case::gap("lobby_index_is_positive", "UPDATE lobby SET index = -1")]
#[case::commitment("lobby_commitment_is_whole", "UPDATE lobby SET commitment = ''")]
#[case::passed_over("lobby_passes_over_who_left", "UPDATE lobby SET passed_over = true")]
#[case::twice(
    "lobby_user_gathers_once",
    "INSERT INTO lobby (concert_id, index, user_id, commitment) SELECT concert_id, 7, user_id, commitment FROM lobby"
)]
#[tokio::test]
async fn impossible_draws_are_refused_by_name(#[case] constraint: &str, #[case] statement: &'static str) {
    let world = World::start().await;
    let concert = world.lobby(1).await;
    world.gather(concert).await;
    let refused = sqlx::query(statement)
        .execute(world.database.pool())
        .await
        .unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().constraint(),
        Some(constraint)
    );
}

#[rstest]
#[case::state("visits_state_is_known", format!("9, 'WAITING', {NOW}, {LATER}, NULL, NULL"))]
#[case::number("visits_number_is_positive", format!("0, 'PAGE', {NOW}, {LATER}, NULL, NULL"))]
#[case::twice("visits_number_is_used_once", format!("1, 'EXPIRED', {NOW}, {LATER}, NULL, {NOW}"))]
#[case::never_admitted("visits_are_admitted_unless_given_up", "9, 'PAGE', NULL, NULL, NULL, NULL".to_owned())]
#[case::no_page("visits_are_admitted_unless_given_up", format!("9, 'PAGE', {NOW}, NULL, NULL, NULL"))]
#[case::page_before("visits_are_admitted_unless_given_up", format!("9, 'PAGE', {LATER}, {NOW}, NULL, NULL"))]
#[case::no_end("visits_end_with_their_state", format!("9, 'EXPIRED', {NOW}, {LATER}, NULL, NULL"))]
#[case::early_end("visits_end_with_their_state", format!("9, 'PAYMENT', {NOW}, {LATER}, NULL, {NOW}"))]
#[case::lease("visits_lease_is_of_a_page", format!("9, 'PAYMENT', {NOW}, {LATER}, {LATER}, NULL"))]
#[tokio::test]
async fn impossible_visits_are_refused_by_name(#[case] constraint: &str, #[case] values: String) {
    let world = World::start().await;
    let concert = world.room(1).await;
    world.enter(concert).await;
    let refused = insert(&world, concert, UserId::new(), &values).await;
    assert_eq!(
        refused.as_database_error().unwrap().constraint(),
        Some(constraint)
    );
}

#[tokio::test]
async fn promise_13_a_second_live_visit_of_a_user_is_refused_by_name() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let person = world.enter(concert).await;
    let refused = insert(
        &world,
        concert,
        person.user,
        &format!("9, 'PAYMENT', {NOW}, {LATER}, NULL, NULL"),
    )
    .await;
    assert_eq!(
        refused.as_database_error().unwrap().constraint(),
        Some("visits_user_has_one_live")
    );
}

async fn insert(world: &World, concert: ConcertId, user: UserId, values: &str) -> sqlx::Error {
    // Statements of this file, put together from its own words.
    sqlx::query(sqlx::AssertSqlSafe(format!("{VISIT} {values}")))
        .bind(concert.as_uuid())
        .bind(VisitId::new().as_uuid())
        .bind(user.as_uuid())
        .execute(world.database.pool())
        .await
        .unwrap_err()
}
