//! What is true of seats and money in every settled state, read from the stores themselves and from the provider: no
//! answer of ours is taken for it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, PgConnection};
use test_support::eventually;

use crate::people::text;
use crate::provider::captures;
use crate::world::World;

/// What each rule says of its store, and a query for the rows that break it, as text.
type Rules = &'static [(&'static str, &'static str)];

const BOOKING: Rules = &[
    (
        "promise 1: a seat of a date has at most one live owner",
        "SELECT schedule_id || ' ' || seat_id FROM reservation_seats
         JOIN reservations USING (reservation_id, schedule_id)
         WHERE reservations.state IN ('PENDING', 'PAYING', 'CONFIRMED')
         GROUP BY schedule_id, seat_id HAVING count(*) > 1",
    ),
    (
        "promise 1: a visit has at most one reservation that was not let go",
        "SELECT visit_id::text FROM reservations WHERE state IN ('PENDING', 'PAYING', 'CONFIRMED')
         GROUP BY visit_id HAVING count(*) > 1",
    ),
    (
        "a seat stands as its reservation does",
        "SELECT reservation_id || ' ' || reservations.state || ' ' || reservation_seats.state FROM reservations
         JOIN reservation_seats USING (reservation_id)
         WHERE reservation_seats.state <> CASE
             WHEN reservations.state IN ('PENDING', 'PAYING') THEN 'PENDING'
             WHEN reservations.state = 'CONFIRMED' THEN 'OCCUPIED'
             ELSE 'RELEASED' END",
    ),
    (
        "promise 6: a reservation has seats, and its total is the sum of their prices",
        "SELECT reservation_id::text FROM reservations LEFT JOIN reservation_seats USING (reservation_id)
         GROUP BY reservation_id HAVING total IS DISTINCT FROM sum(price)",
    ),
    (
        "promise 6: a user's seats are counted",
        "SELECT user_id || ' ' || schedule_id FROM user_schedule_seats
         FULL JOIN (
             SELECT user_id, schedule_id, count(*) AS live FROM reservations
             JOIN reservation_seats USING (reservation_id, schedule_id)
             WHERE reservation_seats.state <> 'RELEASED' GROUP BY user_id, schedule_id
         ) AS counted USING (user_id, schedule_id)
         WHERE coalesce(held, 0) <> coalesce(live, 0) OR coalesce(live, 0) > 4",
    ),
];

const QUEUE: Rules = &[
    (
        "promise 11: no more visits on the page than the room has places",
        "SELECT concert_id::text FROM visits JOIN rooms USING (concert_id) WHERE state = 'PAGE'
         GROUP BY concert_id, capacity HAVING count(*) > capacity",
    ),
    (
        "promise 13: a user has at most one live visit of a concert",
        "SELECT concert_id || ' ' || user_id FROM visits WHERE state IN ('PAGE', 'PAYMENT')
         GROUP BY concert_id, user_id HAVING count(*) > 1",
    ),
];

const PAYMENT: Rules = &[
    (
        "promise 7: a wallet is the sum of its entries and never below 0",
        "SELECT user_id::text FROM wallets FULL JOIN (
             SELECT user_id,
                 sum(CASE 'WALLET' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END) AS balance,
                 sum(CASE 'HELD' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END) AS pending
             FROM transfers GROUP BY user_id
         ) AS summed USING (user_id)
         WHERE coalesce(wallets.balance, 0) <> coalesce(summed.balance, 0)
             OR coalesce(wallets.pending, 0) <> coalesce(summed.pending, 0)
             OR wallets.balance < 0 OR wallets.pending < 0",
    ),
    (
        "promise 7: nothing is set aside when all payments have ended",
        "SELECT user_id::text FROM wallets WHERE pending <> 0",
    ),
    (
        "promise 8: what was paid and kept is points + card",
        "SELECT payment_id || ' ' || payments.state FROM payments LEFT JOIN (
             SELECT payment_id,
                 sum(CASE 'HOUSE' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END) AS kept
             FROM transfers GROUP BY payment_id
         ) AS moved USING (payment_id) LEFT JOIN (
             SELECT payment_id, points + card_amount AS back FROM refunds WHERE state = 'COMPLETED'
         ) AS refunded USING (payment_id)
         WHERE coalesce(kept, 0) <> CASE payments.state
             WHEN 'SUCCEEDED' THEN points + card_amount - coalesce(back, 0) ELSE 0 END",
    ),
    (
        "promise 8: a charge gives the points that were paid for, once",
        "SELECT charge_id || ' ' || state FROM charges LEFT JOIN (
             SELECT charge_id, sum(amount) AS given FROM transfers WHERE kind = 'CHARGE' GROUP BY charge_id
         ) AS moved USING (charge_id)
         WHERE coalesce(given, 0) <> CASE state WHEN 'SUCCEEDED' THEN amount ELSE 0 END",
    ),
];

/// The books of every service and of the provider, open for reading.
#[derive(Debug)]
pub struct Books {
    databases: BTreeMap<&'static str, PgConnection>,
    /// What the provider captured and still has, by order.
    captured: Amounts,
}

/// Won by order.
type Amounts = BTreeMap<String, i64>;
/// Reservation, payment, amount.
type Owed = BTreeSet<(String, String, i64)>;

impl Books {
    /// Opens the books of a world.
    pub async fn open(world: &World) -> Self {
        let mut databases = BTreeMap::new();
        for service in ["booking", "queue", "payment"] {
            databases.insert(service, world.database(service).await);
        }
        let mut captured = Amounts::new();
        for payment in captures(world).await {
            *captured.entry(text(&payment, "orderId")).or_default() +=
                payment["balanceAmount"].as_i64().unwrap();
        }
        captured.retain(|_, amount| *amount != 0);
        Self { databases, captured }
    }

    /// The database of a service, to write what no service would.
    pub fn database(&mut self, service: &str) -> &mut PgConnection {
        self.databases.get_mut(service).unwrap()
    }

    /// Every rule that the books break, with what breaks it; they must have [`settled`].
    pub async fn broken(&mut self) -> Vec<String> {
        let mut broken = Vec::new();
        for (service, rules) in [("booking", BOOKING), ("queue", QUEUE), ("payment", PAYMENT)] {
            for (rule, query) in rules {
                let rows = all(self.database(service), query).await;
                broken.extend(rows.iter().map(|row| format!("{rule}: {row}")));
            }
        }
        broken.extend(self.confirmed_is_paid().await);
        broken.extend(self.canceled_is_refunded().await);
        broken.extend(self.provider_agrees().await);
        broken
    }

    /// Promise 8, over two services: a reservation is CONFIRMED exactly when one payment of its total succeeded and was
    /// not refunded.
    async fn confirmed_is_paid(&mut self) -> Vec<String> {
        let sold = "SELECT reservation_id::text, payment_id::text, total FROM reservations WHERE state = 'CONFIRMED'";
        let paid = "SELECT reservation_id::text, payment_id::text, points + card_amount FROM payments
                    WHERE state = 'SUCCEEDED' AND payment_id NOT IN (
                        SELECT payment_id FROM refunds WHERE state <> 'REFUSED')";
        let sold: Owed = rows(self.database("booking"), sold).await;
        let paid: Owed = rows(self.database("payment"), paid).await;
        let differ = sold.symmetric_difference(&paid);
        differ
            .map(|one| format!("promise 8: confirmed is paid: only one side has {one:?}"))
            .collect()
    }

    /// Promise 8, over two services: a paid reservation is CANCELED exactly when one refund gave its share back.
    async fn canceled_is_refunded(&mut self) -> Vec<String> {
        let canceled = "SELECT reservation_id::text, payment_id || ' ' || refund_id, refund FROM reservations
                        WHERE refund_id IS NOT NULL AND refunded_at IS NOT NULL";
        let refunded =
            "SELECT reservation_id::text, payment_id || ' ' || refund_id, points + card_amount FROM refunds
                        WHERE state <> 'REFUSED'";
        let canceled: Owed = rows(self.database("booking"), canceled).await;
        let refunded: Owed = rows(self.database("payment"), refunded).await;
        let differ = canceled.symmetric_difference(&refunded);
        differ
            .map(|one| format!("promise 8: canceled is refunded: only one side has {one:?}"))
            .collect()
    }

    /// Promise 10: of each order the provider has what the ledger says.
    async fn provider_agrees(&mut self) -> Vec<String> {
        let ledger = "SELECT coalesce(payments.order_id, charges.order_id),
                          sum(CASE 'PROVIDER' WHEN debit THEN transfers.amount ELSE -transfers.amount END)::bigint
                      FROM transfers LEFT JOIN payments USING (payment_id) LEFT JOIN charges USING (charge_id)
                      WHERE 'PROVIDER' IN (debit, credit) GROUP BY 1";
        let mut ledger: Amounts = rows(self.database("payment"), ledger).await;
        ledger.retain(|_, amount| *amount != 0);
        let orders: BTreeSet<_> = self.captured.keys().chain(ledger.keys()).collect();
        let differ = orders
            .into_iter()
            .filter(|order| self.captured.get(*order) != ledger.get(*order));
        differ
            .map(|order| {
                let (provider, ours) = (self.captured.get(order), ledger.get(order));
                format!(
                    "promise 10: the provider agrees: order {order}, provider {provider:?}, ledger {ours:?}"
                )
            })
            .collect()
    }
}

/// Waits until nothing is under way: no payment, no notice to another service.
pub async fn settled(world: &World) {
    let under_way = [
        (
            "payment",
            "SELECT payment_id || ' ' || state FROM payments WHERE ended_at IS NULL",
        ),
        (
            "payment",
            "SELECT charge_id || ' ' || state FROM charges WHERE ended_at IS NULL",
        ),
        (
            "payment",
            "SELECT refund_id || ' ' || state FROM refunds WHERE ended_at IS NULL",
        ),
        (
            "booking",
            "SELECT reservation_id || ' ' || state FROM reservations WHERE state = 'PAYING'",
        ),
        (
            "booking",
            "SELECT reservation_id || ' ' || state FROM reservations WHERE refund_id IS NOT NULL AND refunded_at IS NULL",
        ),
        (
            "booking",
            "SELECT reservation_id || ' ' || state FROM reservations JOIN schedules USING (schedule_id)
             WHERE schedules.canceled_at IS NOT NULL AND state IN ('PENDING', 'PAYING', 'CONFIRMED')",
        ),
        ("booking", "SELECT visit_id || ' ' || notice FROM visit_outbox"),
    ];
    for (service, query) in under_way {
        let mut database = world.database(service).await;
        eventually(
            &format!("nothing to be under way in {service}: {query}"),
            async || all(&mut database, query).await.is_empty().then_some(()),
        )
        .await;
    }
}

/// Waits until the world has settled; every rule then holds, and reconciliation finds nothing.
///
/// # Panics
/// One does not, or it finds something.
pub async fn hold(world: &World) {
    settled(world).await;
    let broken = Books::open(world).await.broken().await;
    assert!(broken.is_empty(), "{broken:#?}");
    let report = world.reconcile().await;
    assert_eq!(report["differences"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["complete"], true, "{report:#}");
}

async fn rows<R, T>(database: &mut PgConnection, query: &'static str) -> T
where
    R: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    T: FromIterator<R>,
{
    let rows: Vec<R> = sqlx::query_as(AssertSqlSafe(query))
        .fetch_all(database)
        .await
        .unwrap();
    rows.into_iter().collect()
}

async fn all(database: &mut PgConnection, query: &'static str) -> Vec<String> {
    let rows: Vec<(String,)> = rows(database, query).await;
    rows.into_iter().map(|(row,)| row).collect()
}
