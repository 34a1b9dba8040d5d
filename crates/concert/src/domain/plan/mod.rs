//! A hall's seats as they are kept: the zones, rows and seats of an imported plan, flattened in the plan's order.

mod import;
#[cfg(test)]
mod tests;

pub use import::{MAX_FAULTS, import};

use serde::{Deserialize, Serialize};
use vocabulary::{Grade, SeatId};

/// The most seats of a plan.
pub const MAX_SEATS: usize = 100_000;
/// The most grades that its seats may use.
pub const MAX_GRADES: usize = 1_000;

/// An imported seating plan. It is never empty, its grades are those that seats use, and its references hold:
/// only [`import`] makes one, and a store gives back what [`import`] made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeatPlan {
    width: f64,
    height: f64,
    grades: Vec<Grade>,
    sections: Vec<String>,
    rows: Vec<PlanRow>,
    seats: Vec<PlanSeat>,
}

/// A row of a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// Which of the plan's sections.
    pub section: u32,
    /// What is written on it.
    pub number: String,
}

/// A seat of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSeat {
    /// Made at the import.
    pub seat_id: SeatId,
    /// The name that the plan's editor gave it.
    pub guid: String,
    /// Which of the plan's rows.
    pub row: u32,
    /// What is written on it.
    pub number: String,
    /// Which of the plan's grades.
    pub grade: u32,
    /// From the left of the canvas.
    pub x: f64,
    /// From the top of the canvas.
    pub y: f64,
}

impl SeatPlan {
    /// Width and height of the canvas; 0 when the plan names none.
    #[must_use]
    pub const fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// The grades that seats use, in the order of the plan's categories.
    #[must_use]
    pub fn grades(&self) -> &[Grade] {
        &self.grades
    }

    /// The names of the zones.
    #[must_use]
    pub fn sections(&self) -> &[String] {
        &self.sections
    }

    /// The rows of all sections.
    #[must_use]
    pub fn rows(&self) -> &[PlanRow] {
        &self.rows
    }

    /// The seats of all rows, in the plan's order.
    #[must_use]
    pub fn seats(&self) -> &[PlanSeat] {
        &self.seats
    }
}
