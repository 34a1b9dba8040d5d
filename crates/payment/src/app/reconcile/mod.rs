//! Reconciliation: the provider's books, the ledger, our own rows and booking's reservations side by side.
//!
//! A run goes over each pair of books once, in pages, and keeps of them only what seems to differ. Books are read one after
//! the other while payments go on, so what seems to differ is then looked at again by itself, as all books had it at one
//! moment ([`recheck`], page by page), and only what still differs is told. It only looks: it mends nothing.

mod job;
mod recheck;
mod report;
mod span;
mod sweep;

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::App;
use crate::booking::BookingError;
use crate::domain::reconcile::{CardSums, Difference};
use crate::provider::NoAnswer;
use crate::store::StoreError;

pub use job::ReconcileSettings;
pub use report::{Compared, Open, Report};
use span::Span;
pub use span::since;

/// Rows that are read at once.
const PAGE: i64 = 1_000;
/// Differences, and what seems to be one, that a run keeps; a run that finds more ends early.
const MOST_KEPT: usize = 10_000;
/// How far back the provider is asked where our own tables begin later: a lost database is a difference.
const AT_LEAST_BACK: time::Duration = time::Duration::days(31);

/// What a run looks at, and how.
#[derive(Debug, Clone)]
pub struct Scope {
    /// What was made from here on; `None` is everything.
    pub since: Option<OffsetDateTime>,
    /// What is under way for longer than this is stuck.
    pub stuck_after: Duration,
}

/// Why books could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The payment provider.
    #[error(transparent)]
    Provider(#[from] NoAnswer),
    /// Booking.
    #[error(transparent)]
    Booking(#[from] BookingError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a run has so far.
#[derive(Debug, Default)]
struct Findings {
    compared: Compared,
    differences: Vec<Difference>,
    /// Orders that seem to differ, by what the provider seems to have more.
    orders: HashMap<String, CardSums>,
    second_looks: u64,
    most_kept: usize,
    cut_short: bool,
}

impl Findings {
    /// Whether there is room for more. Where there is none, the run says that it did not see all.
    fn has_room(&mut self) -> bool {
        let kept = self.differences.len() + self.orders.len();
        self.cut_short |= kept > self.most_kept;
        !self.cut_short
    }
}

impl App {
    /// Compares all books. `progress` is told what is being compared.
    ///
    /// # Errors
    /// A book cannot be read.
    pub async fn reconcile(
        &self,
        scope: &Scope,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Report, ReconcileError> {
        self.reconcile_keeping(MOST_KEPT, scope, progress).await
    }

    /// The same, in less memory: a run that keeps more than `most_kept` ends early.
    ///
    /// # Errors
    /// A book cannot be read.
    pub async fn reconcile_keeping(
        &self,
        most_kept: usize,
        scope: &Scope,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Report, ReconcileError> {
        let span = Span::of(scope.since, OffsetDateTime::now_utc());
        let mut findings = Findings {
            most_kept,
            ..Findings::default()
        };

        progress("the provider's transactions and the ledger");
        self.sweep_transactions(&span, &mut findings).await?;
        progress("payments, charges, refunds and the ledger");
        self.sweep_payments(&span, &mut findings).await?;
        self.sweep_charges(&span, &mut findings).await?;
        progress("wallets and their entries");
        self.sweep_wallets(&span, &mut findings).await?;
        progress("reservations and payments");
        self.sweep_reservations(&span, &mut findings).await?;
        progress("orders that seem to differ, again");
        self.recheck_orders(&mut findings).await?;
        let open = self.look_at_open(scope.stuck_after, &mut findings).await?;

        findings.differences.sort_by_key(Difference::code);
        Ok(Report {
            since: scope.since,
            until: span.until,
            compared: findings.compared,
            second_looks: findings.second_looks,
            open,
            complete: !findings.cut_short,
            differences: findings.differences,
        })
    }

    async fn look_at_open(
        &self,
        stuck_after: Duration,
        findings: &mut Findings,
    ) -> Result<Vec<Open>, ReconcileError> {
        let bound = i64::try_from(stuck_after.as_secs()).unwrap_or(i64::MAX);
        let old = self.store.open_longer_than(bound).await?;
        let stuck = old.iter().filter_map(|open| open.compare(bound));
        findings.differences.extend(stuck);
        let under_way = self.store.under_way().await?.into_iter().map(|open| Open {
            what: open.what,
            count: open.count,
            oldest_seconds: open.oldest_seconds,
        });
        Ok(under_way.collect())
    }
}
