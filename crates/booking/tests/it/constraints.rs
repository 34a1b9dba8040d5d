//! Postgres refuses rows that the state machines cannot make, whoever writes them.

use vocabulary::{PaymentId, RefundId};

use crate::world::World;

#[tokio::test]
async fn impossible_rows_are_refused_by_name() {
    let world = World::with_seats(7).await;
    let pending = world.held(&world.seats[..1]).await;
    let paying = world.held(&world.seats[1..2]).await;
    let payment = PaymentId::new();
    world.begin(&paying, payment).await.unwrap();
    let unknown = world.held(&world.seats[2..3]).await;
    let fence = world.begin(&unknown, payment).await.unwrap().version;
    world.mark_unknown(&unknown, payment, fence).await.unwrap();
    let confirmed = world.held(&world.seats[3..4]).await;
    let fence = world.begin(&confirmed, payment).await.unwrap().version;
    world.confirm(&confirmed, payment, fence).await.unwrap();
    let canceled = world.held(&world.seats[4..5]).await;
    world.release(&canceled).await.unwrap();
    let (refunding, _) = world.paid(&world.seats[5..6]).await;
    world.cancel(&refunding, RefundId::new()).await.unwrap();

    let cases = [
        (
            &pending,
            "state = 'SOLD', lapses_at = NULL, payment_id = visit_id",
            "reservations_state_is_known",
        ),
        (&pending, "version = 0", "reservations_version_is_positive"),
        (&pending, "total = -1", "reservations_total_is_not_negative"),
        (&pending, "attempt = 0", "reservations_attempt_is_positive"),
        (
            &pending,
            "currency = 'won'",
            "reservations_currency_is_three_letters",
        ),
        (
            &pending,
            "queue_number = 0",
            "reservations_queue_number_is_positive",
        ),
        (
            &pending,
            "expires_at = created_at, lapses_at = created_at",
            "reservations_end_after_their_making",
        ),
        (
            &pending,
            "state = 'PAYING', paying_since = created_at",
            "reservations_payment_when_paying_or_paid",
        ),
        (
            &pending,
            "payment_id = reservation_id",
            "reservations_payment_when_paying_or_paid",
        ),
        (
            &pending,
            "state = 'CONFIRMED', lapses_at = NULL",
            "reservations_payment_when_paying_or_paid",
        ),
        (
            &paying,
            "paying_since = NULL",
            "reservations_paying_since_while_paying",
        ),
        (
            &pending,
            "payment_unknown = true",
            "reservations_unknown_only_while_paying",
        ),
        (&pending, "lapses_at = NULL", "reservations_lapse_while_unpaid"),
        (
            &unknown,
            "lapses_at = expires_at",
            "reservations_lapse_while_unpaid",
        ),
        (
            &confirmed,
            "lapses_at = expires_at",
            "reservations_lapse_while_unpaid",
        ),
        (
            &canceled,
            "lapses_at = expires_at",
            "reservations_lapse_while_unpaid",
        ),
        (
            &pending,
            "lapses_at = expires_at + interval '1 s'",
            "reservations_lapse_at_their_end",
        ),
        (
            &paying,
            "lapses_at = expires_at - interval '1 s'",
            "reservations_lapse_at_their_end",
        ),
        (
            &canceled,
            "payment_id = reservation_id",
            "reservations_payment_when_paying_or_paid",
        ),
        (
            &canceled,
            "refund_id = reservation_id, canceled_at = created_at, refund_percent = 50",
            "reservations_payment_when_paying_or_paid",
        ),
        (
            &confirmed,
            "refund_id = reservation_id, canceled_at = created_at, refund_percent = 50",
            "reservations_refund_when_canceled",
        ),
        (
            &refunding,
            "canceled_at = NULL",
            "reservations_cancellation_is_whole",
        ),
        (
            &refunding,
            "refund_percent = NULL",
            "reservations_cancellation_is_whole",
        ),
        (
            &refunding,
            "refund_percent = 0",
            "reservations_refund_percent_within_bounds",
        ),
        (
            &refunding,
            "refund_percent = 101",
            "reservations_refund_percent_within_bounds",
        ),
        (
            &refunding,
            "refund_percent = 50, with_schedule = true",
            "reservations_with_schedule_in_full",
        ),
        (
            &confirmed,
            "with_schedule = true",
            "reservations_with_schedule_in_full",
        ),
        (
            &confirmed,
            "refunded_at = created_at",
            "reservations_refunded_when_a_refund",
        ),
    ];
    for (held, change, constraint) in cases {
        let statement = format!("UPDATE reservations SET {change} WHERE reservation_id = $1");
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(held.id.as_uuid())
            .execute(world.database.pool())
            .await
            .unwrap_err();
        assert_eq!(constraint_of(&refused), Some(constraint), "{change}: {refused}");
    }

    let statements = [
        (
            "INSERT INTO reservation_seats \
             SELECT '01900000-0000-7000-8000-000000000001', schedule_id, seat_id, seat_index, grade, price, 'PENDING', 1 \
             FROM reservation_seats LIMIT 1",
            "reservation_seats_one_live_owner",
        ),
        (
            "INSERT INTO reservation_seats \
             SELECT reservation_id, schedule_id, '01900000-0000-7000-8000-000000000001', 9, 'R', 1, 'PENDING', 1 \
             FROM reservation_seats LIMIT 1",
            "reservation_seats_are_seats_of_the_schedule",
        ),
        (
            "INSERT INTO reservation_seats \
             SELECT '01900000-0000-7000-8000-000000000001', schedule_id, seat_id, seat_index, grade, price, 'RELEASED', 1 \
             FROM reservation_seats LIMIT 1",
            "reservation_seats_are_of_a_reservation",
        ),
        (
            "UPDATE reservation_seats SET version = 4",
            "reservation_seats_version_is_within_bounds",
        ),
        (
            "UPDATE user_schedule_seats SET held = 5",
            "user_schedule_seats_within_the_cap",
        ),
        (
            "UPDATE user_schedule_seats SET held = -1",
            "user_schedule_seats_within_the_cap",
        ),
        (
            "UPDATE reservations SET visit_id = '01900000-0000-7000-8000-000000000001'",
            "reservations_one_per_visit",
        ),
        (
            "UPDATE reservations SET state = 'CANCELED', canceled_at = created_at, refund_percent = 100, \
                    refund_id = (SELECT refund_id FROM reservations WHERE refund_id IS NOT NULL) \
             WHERE state = 'CONFIRMED'",
            "reservations_one_per_refund",
        ),
        (
            "UPDATE schedules SET canceled_at = opened_at",
            "schedules_canceled_are_closed",
        ),
        (
            "UPDATE schedules SET refunds_begun_at = opened_at",
            "schedules_refunds_begun_of_canceled",
        ),
        (
            "UPDATE refund_tiers SET hours_before_start = 87601 WHERE hours_before_start = 240",
            "refund_tiers_hours_within_bounds",
        ),
        (
            "UPDATE refund_tiers SET percent = 0",
            "refund_tiers_percent_within_bounds",
        ),
        (
            "INSERT INTO refund_tiers SELECT schedule_id, hours_before_start, 7 FROM refund_tiers",
            "refund_tiers_pkey",
        ),
        (
            "INSERT INTO refund_tiers VALUES ('01900000-0000-7000-8000-000000000001', 1, 1)",
            "refund_tiers_are_of_a_schedule",
        ),
    ];
    for (statement, constraint) in statements {
        let refused = sqlx::query(statement)
            .execute(world.database.pool())
            .await
            .unwrap_err();
        assert_eq!(
            constraint_of(&refused),
            Some(constraint),
            "{statement}: {refused}"
        );
    }
}

fn constraint_of(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}
