//! What a run found, for people and for machines.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;
use time::serde::rfc3339;

use crate::domain::reconcile::Difference;

/// What a run found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was made from here on; none is everything.
    #[serde(with = "rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// When the run began.
    #[serde(with = "rfc3339")]
    pub until: OffsetDateTime,
    /// How much was compared.
    pub compared: Compared,
    /// Orders and reservations that seemed to differ and were looked at again.
    pub second_looks: u64,
    /// Sagas under way, by kind.
    pub open: Vec<Open>,
    /// Whether all was compared; a run that finds too many differences ends early.
    pub complete: bool,
    /// Empty when all books tell the same story.
    pub differences: Vec<Difference>,
}

/// How much was compared.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Of the provider.
    pub transactions: u64,
    /// Our own.
    pub payments: u64,
    /// Our own.
    pub charges: u64,
    /// Our own.
    pub wallets: u64,
    /// That are or were paid, of booking.
    pub reservations: u64,
}

/// Sagas of one kind that are under way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// `payment`, `charge` or `refund`.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// How long the oldest has been.
    pub oldest_seconds: i64,
}

impl Report {
    /// Whether all books tell the same story.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.complete
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compared {
            transactions,
            payments,
            charges,
            wallets,
            reservations,
        } = &self.compared;
        for difference in &self.differences {
            writeln!(f, "{}", difference.code())?;
            writeln!(f, "  cause   {}", difference.cause())?;
            writeln!(f, "  cure    {}\n", difference.cure())?;
        }
        writeln!(
            f,
            "compared  {transactions} transactions of the provider, {payments} payments, {charges} charges, {wallets} wallets, \
             {reservations} paid reservations"
        )?;
        for open in &self.open {
            let Open {
                what,
                count,
                oldest_seconds,
            } = open;
            writeln!(
                f,
                "open      {count} {what}(s), the oldest for {oldest_seconds} s"
            )?;
        }
        if !self.complete {
            writeln!(f, "not all was compared: there are too many differences")?;
        }
        match self.differences.len() {
            0 => f.write_str("equal"),
            1 => f.write_str("1 difference"),
            count => write!(f, "{count} differences"),
        }
    }
}
