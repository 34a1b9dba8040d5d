//! What a buyer sees of a hall: its plan with one concert's prices. Immutable, so it can be kept for ever.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use vocabulary::{Currency, Grade, SeatIndex};

use super::concert::Price;
use super::plan::{PlanSeat, SeatPlan};

/// Grows when layouts are made otherwise from the same plan and prices.
const FORMAT: u8 = 1;
const VERSION_BYTES: usize = 16;

/// SHA-256 of a stored plan.
pub type PlanHash = [u8; 32];

/// Names a layout: equal versions mean equal layouts.
#[must_use]
pub fn layout_version(plan: &PlanHash, currency: Currency, prices: &[Price]) -> String {
    let mut hash = Sha256::new();
    hash.update([FORMAT]);
    hash.update(plan);
    hash.update(currency.as_str());
    for price in prices {
        let grade = price.grade.as_str().as_bytes();
        hash.update((grade.len() as u64).to_be_bytes());
        hash.update(grade);
        hash.update(price.amount.get().to_be_bytes());
    }
    hash.finalize().iter().take(VERSION_BYTES).fold(
        String::with_capacity(2 * VERSION_BYTES),
        |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        },
    )
}

/// The layout of a date.
#[derive(Debug, Clone)]
pub struct Layout {
    version: String,
    currency: Currency,
    // By the plan's own numbering of grades.
    prices: Vec<Price>,
    plan: Arc<SeatPlan>,
}

/// A seat with everything that a buyer is told of it.
#[derive(Debug, Clone, Copy)]
pub struct LayoutSeat<'a> {
    /// Position in the layout.
    pub index: SeatIndex,
    /// Zone of the plan.
    pub section: &'a str,
    /// Row within the zone.
    pub row: &'a str,
    /// The seat itself.
    pub seat: &'a PlanSeat,
    /// Its grade, with the price.
    pub price: &'a Price,
}

impl Layout {
    /// A plan with prices; `None` when a grade of the plan has none.
    #[must_use]
    pub fn new(version: String, currency: Currency, prices: &[Price], plan: Arc<SeatPlan>) -> Option<Self> {
        let of_grade = |grade: &Grade| prices.iter().find(|price| price.grade == *grade).cloned();
        let prices = plan.grades().iter().map(of_grade).collect::<Option<Vec<_>>>()?;
        Some(Self {
            version,
            currency,
            prices,
            plan,
        })
    }

    /// Names this layout for caches.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the prices are in.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// Width and height of the plan's canvas; 0 when the plan names none.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        self.plan.size()
    }

    /// Every seat, in the order of the index.
    pub fn seats(&self) -> impl ExactSizeIterator<Item = LayoutSeat<'_>> {
        self.plan.seats().iter().enumerate().map(|(index, seat)| {
            let row = &self.plan.rows()[seat.row as usize];
            LayoutSeat {
                // A plan has at most 100,000 seats.
                index: SeatIndex(index as u32),
                section: &self.plan.sections()[row.section as usize],
                row: &row.number,
                seat,
                price: &self.prices[seat.grade as usize],
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::Amount;

    use super::*;
    use crate::domain::plan::import;

    fn plan() -> SeatPlan {
        let json = r#"{"zones": [{"name": "Floor", "position": {"x": 10, "y": 20}, "rows": [
            {"row_number": "A", "position": {"x": 1, "y": 2}, "seats": [
                {"seat_guid": "a1", "seat_number": "1", "category": "R", "position": {"x": 100, "y": 200}},
                {"seat_guid": "a2", "seat_number": "2", "category": "VIP", "position": {"x": 110.5, "y": 200}}]}]}],
            "categories": [{"name": "VIP"}, {"name": "R"}]}"#;
        import(json.as_bytes()).unwrap()
    }

    fn price(grade: &str, units: i64) -> Price {
        Price {
            grade: grade.to_owned().try_into().unwrap(),
            amount: Amount::new(units).unwrap(),
        }
    }

    #[test]
    fn a_layout_tells_everything_of_a_seat() {
        let prices = [price("R", 90_000), price("VIP", 150_000)];
        let layout = Layout::new("v".to_owned(), Currency::KRW, &prices, Arc::new(plan())).unwrap();
        let seats: Vec<_> = layout.seats().collect();
        assert_eq!(seats.len(), 2);
        let seat = seats[1];
        assert_eq!((seat.index, seat.section, seat.row), (SeatIndex(1), "Floor", "A"));
        assert_eq!(
            (seat.seat.number.as_str(), seat.seat.x, seat.seat.y),
            ("2", 121.5, 222.0)
        );
        assert_eq!(*seat.price, prices[1]);
    }

    #[test]
    fn a_layout_without_a_price_for_a_grade_is_none() {
        assert!(Layout::new(String::new(), Currency::KRW, &[price("R", 1)], Arc::new(plan())).is_none());
    }

    #[test]
    fn the_version_changes_with_anything_in_the_layout() {
        let prices = [price("VIP", 2), price("R", 1)];
        let version = layout_version(&[0; 32], Currency::KRW, &prices);
        assert_eq!(version, layout_version(&[0; 32], Currency::KRW, &prices));
        let usd = "USD".parse().unwrap();
        for other in [
            layout_version(&[1; 32], Currency::KRW, &prices),
            layout_version(&[0; 32], usd, &prices),
            layout_version(&[0; 32], Currency::KRW, &[price("VIP", 2), price("R", 2)]),
            layout_version(&[0; 32], Currency::KRW, &[price("VIP", 2)]),
        ] {
            assert_ne!(version, other);
        }
    }
}
