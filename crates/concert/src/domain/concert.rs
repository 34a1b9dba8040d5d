//! Concerts as everybody sees them, and the prices that an organiser may set.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use service_kit::problem::FieldError;
use time::OffsetDateTime;
use vocabulary::{Amount, ConcertId, Currency, Grade, ScheduleId, VenueId};

use super::refund_policy::RefundPolicy;
use super::text::{fault, shortened};

/// The longest title, in characters.
pub const TITLE_MAX_CHARS: usize = 200;
/// The most dates of one concert.
pub const MAX_SCHEDULES: i64 = 100;
/// Prices that one refusal names; more would not help, and a refusal travels in headers of bounded size.
const MAX_FAULTS: usize = 10;
const UNKNOWN_GRADE_CHARS: usize = 32;

/// A concert with its dates on sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concert {
    /// Its id.
    pub concert_id: ConcertId,
    /// Its title.
    pub title: String,
    /// Where it takes place.
    pub venue_id: VenueId,
    /// The name of the place.
    pub venue_name: String,
    /// What its prices are in.
    pub currency: Currency,
    /// What each grade costs, in the order of the plan.
    pub prices: Vec<Price>,
    /// What goes back to whoever cancels.
    pub refund_policy: RefundPolicy,
    /// Its dates, in the order of their beginning.
    pub schedules: Vec<Schedule>,
}

/// What a grade costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The price class.
    pub grade: Grade,
    /// In the currency's smallest unit.
    pub amount: Amount,
}

/// A date of a concert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub schedule_id: ScheduleId,
    /// When it begins.
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    /// When its sale ended, by itself or with the date.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub closed_at: Option<OffsetDateTime>,
    /// When it was canceled.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub canceled_at: Option<OffsetDateTime>,
}

/// A date with what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatsLeft {
    /// The date.
    pub schedule: Schedule,
    /// By grade, in the order of the plan.
    pub grades: Vec<GradeSeats>,
}

/// Seats of one grade at one date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GradeSeats {
    /// The price class, with its price.
    pub price: Price,
    /// Seats in all.
    pub total: u32,
    /// Seats that can be held now.
    pub available: u32,
}

/// Prices for exactly the grades of a venue, in the venue's order.
///
/// # Errors
/// Grades that are missing, unknown, named twice or priced out of range; ten at most.
pub fn price_list(grades: &[Grade], asked: &[(String, i64)]) -> Result<Vec<Price>, Vec<FieldError>> {
    let known: HashSet<_> = grades.iter().map(Grade::as_str).collect();
    let named: HashSet<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
    let mut faults = Vec::new();
    let mut amounts = HashMap::new();
    for (name, units) in asked {
        if !known.contains(name.as_str()) {
            let path = format!("prices.{}", shortened(name, UNKNOWN_GRADE_CHARS));
            faults.push(fault(path, "is not a category of this venue's plan"));
            continue;
        }
        let path = format!("prices.{name}");
        match Amount::new(*units) {
            Err(error) => faults.push(fault(path, error.to_string())),
            Ok(amount) => {
                if amounts.insert(name.as_str(), amount).is_some() {
                    faults.push(fault(path, "stands twice"));
                }
            }
        }
    }
    let mut prices = Vec::with_capacity(grades.len());
    for grade in grades {
        if let Some(amount) = amounts.get(grade.as_str()) {
            prices.push(Price {
                grade: grade.clone(),
                amount: *amount,
            });
        } else if !named.contains(grade.as_str()) {
            faults.push(fault(format!("prices.{grade}"), "is required"));
        }
    }
    faults.truncate(MAX_FAULTS);
    if faults.is_empty() {
        Ok(prices)
    } else {
        Err(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(names: &[&str]) -> Vec<Grade> {
        names
            .iter()
            .map(|name| Grade::try_from((*name).to_owned()).unwrap())
            .collect()
    }

    fn asked(prices: &[(&str, i64)]) -> Vec<(String, i64)> {
        prices
            .iter()
            .map(|(name, units)| ((*name).to_owned(), *units))
            .collect()
    }

    #[test]
    fn prices_come_in_the_order_of_the_plan() {
        let prices = price_list(&grades(&["VIP", "R석"]), &asked(&[("R석", 0), ("VIP", 5)])).unwrap();
        let names: Vec<_> = prices.iter().map(|price| price.grade.as_str()).collect();
        assert_eq!(names, ["VIP", "R석"]);
    }

    #[test]
    fn every_wrong_price_is_named() {
        let faults = price_list(
            &grades(&["VIP", "R", "S"]),
            &asked(&[("VIP", -1), ("R", 1), ("R", 2), ("X", 1)]),
        )
        .unwrap_err();
        assert_eq!(
            faults,
            [
                fault("prices.VIP", "must not be negative"),
                fault("prices.R", "stands twice"),
                fault("prices.X", "is not a category of this venue's plan"),
                fault("prices.S", "is required"),
            ]
        );
    }
}
