//! What Postgres counts: transactions, and what they write ahead.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};
use url::Url;

/// A session that has gone idle reports what it counted within this time.
pub(crate) const COUNTED_WITHIN: Duration = Duration::from_secs(11);

#[derive(Debug)]
pub(crate) struct Postgres {
    client: Client,
}

/// Counted at once and exactly, for the whole server.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Written {
    /// Transactions that changed something. Each takes a number, and only those do.
    pub(crate) transactions: u64,
    pub(crate) wal_bytes: u64,
}

impl Written {
    pub(crate) fn since(self, earlier: Written) -> Written {
        Written {
            transactions: self.transactions.saturating_sub(earlier.transactions),
            wal_bytes: self.wal_bytes.saturating_sub(earlier.wal_bytes),
        }
    }
}

/// Ended transactions by database, those included that only read; late by up to [`COUNTED_WITHIN`].
pub(crate) type Transactions = BTreeMap<String, u64>;

impl Postgres {
    pub(crate) async fn connect(url: &Url) -> Result<Postgres> {
        let connecting = tokio_postgres::connect(url.as_str(), NoTls).await;
        let (client, connection) = connecting.context("cannot connect to Postgres")?;
        tokio::spawn(connection);
        Ok(Postgres { client })
    }

    /// Taken without becoming a transaction that counts.
    pub(crate) async fn written(&self) -> Result<Written> {
        let row = self
            .client
            .query_one(
                "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
                &[],
            )
            .await?;
        Ok(Written {
            transactions: row.get::<_, i64>(0).unsigned_abs(),
            wal_bytes: row.get::<_, i64>(1).unsigned_abs(),
        })
    }

    pub(crate) async fn transactions(&self) -> Result<Transactions> {
        let rows = self
            .client
            .query(
                "SELECT datname::text, xact_commit FROM pg_stat_database
                 WHERE datname IS NOT NULL AND datname <> current_database() AND datname NOT LIKE 'template%'",
                &[],
            )
            .await?;
        let count =
            |row: &tokio_postgres::Row| (row.get::<_, String>(0), row.get::<_, i64>(1).unsigned_abs());
        Ok(rows.iter().map(count).collect())
    }

    /// So that none falls into the middle of a round, and every round begins alike.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        Ok(self.client.batch_execute("CHECKPOINT").await?)
    }

    /// A setting, such as `fsync`.
    pub(crate) async fn setting(&self, name: &str) -> Result<String> {
        let row = self
            .client
            .query_one("SELECT current_setting($1)", &[&name])
            .await?;
        Ok(row.get(0))
    }

    /// UTC, as `2026-11-20T09:30:00Z`.
    pub(crate) async fn date(&self) -> Result<String> {
        let date = r#"SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#;
        Ok(self.client.query_one(date, &[]).await?.get(0))
    }
}

/// How many more transactions each database had per run, less what it has anyway in the same time.
pub(crate) fn per_run(idle: &Transactions, busy: &Transactions, runs: u64) -> BTreeMap<String, f64> {
    let extra = |(name, count): (&String, &u64)| {
        let anyway = idle.get(name).copied().unwrap_or_default();
        let extra = *count as f64 - anyway as f64;
        (name.clone(), super::stats::per(extra.max(0.0), runs))
    };
    busy.iter().map(extra).collect()
}

/// From one count to a later one.
pub(crate) fn between(earlier: &Transactions, later: &Transactions) -> Transactions {
    let more = |(name, count): (&String, &u64)| {
        let before = earlier.get(name).copied().unwrap_or_default();
        (name.clone(), count.saturating_sub(before))
    };
    later.iter().map(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(payment: u64, booking: u64) -> Transactions {
        BTreeMap::from([("payment".to_owned(), payment), ("booking".to_owned(), booking)])
    }

    #[test]
    fn what_happens_anyway_is_no_part_of_a_run() {
        let (start, idle, end) = (counts(100, 10), counts(120, 10), counts(540, 30));
        let idle_part = between(&start, &idle);
        let busy_part = between(&idle, &end);
        assert_eq!(busy_part, counts(420, 20));
        let each = per_run(&idle_part, &busy_part, 100);
        assert_eq!((each["payment"], each["booking"]), (4.0, 0.2));
        // Less than usual is none at all.
        assert_eq!(per_run(&counts(50, 0), &counts(10, 0), 10)["payment"], 0.0);
    }

    #[test]
    fn written_is_the_difference() {
        let at = |transactions, wal_bytes| Written {
            transactions,
            wal_bytes,
        };
        assert_eq!(at(7, 500).since(at(5, 100)), at(2, 400));
    }
}
