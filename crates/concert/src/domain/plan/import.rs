//! Reads pretix's open seating plan format: zones hold rows, rows hold seats, each placed relative to what holds it.
//!
//! Keys that are not read here (areas, colours, an editor's own) are passed over. What is read must be right: a fault
//! is named by its path in the plan.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_path_to_error::{Path, Segment};
use service_kit::problem::FieldError;
use vocabulary::{Grade, SeatId};

use super::{MAX_GRADES, MAX_SEATS, PlanRow, PlanSeat, SeatPlan};
use crate::domain::text::{fault, shortened};

/// Faults that one refusal names; more would not help.
pub const MAX_FAULTS: usize = 20;
const MAX_GUID_CHARS: usize = 255;
const MAX_SECTION_CHARS: usize = 200;
const MAX_LABEL_CHARS: usize = 64;
/// Coordinates beyond are nobody's hall.
const MAX_COORDINATE: f64 = 1_000_000.0;
/// A refusal may quote the plan, but not at length.
const MAX_RULE_CHARS: usize = 200;

// Required keys are required by type: text that breaks the format is refused before much of it is in memory.

#[derive(Deserialize)]
struct RawPlan<'a> {
    #[serde(borrow)]
    zones: Vec<RawZone<'a>>,
    #[serde(borrow)]
    categories: Vec<RawCategory<'a>>,
    size: Option<RawSize>,
}

#[derive(Deserialize)]
struct RawSize {
    width: f64,
    height: f64,
}

#[derive(Deserialize)]
struct RawCategory<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawZone<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    position: RawPosition,
    #[serde(borrow)]
    rows: Vec<RawRow<'a>>,
}

#[derive(Deserialize)]
struct RawRow<'a> {
    #[serde(borrow)]
    row_number: Cow<'a, str>,
    position: Option<RawPosition>,
    #[serde(borrow)]
    seats: Vec<RawSeat<'a>>,
}

#[derive(Deserialize)]
struct RawSeat<'a> {
    #[serde(borrow)]
    seat_guid: Cow<'a, str>,
    #[serde(borrow)]
    seat_number: Cow<'a, str>,
    #[serde(borrow)]
    category: Cow<'a, str>,
    position: RawPosition,
}

#[derive(Deserialize, Clone, Copy, Default)]
struct RawPosition {
    x: f64,
    y: f64,
}

impl RawPosition {
    fn moved_by(self, other: Self) -> Self {
        Self {
            x: self.x + other.x,
            y: self.y + other.y,
        }
    }
}

/// Where in the plan a fault is; written out only when there is one.
#[derive(Clone, Copy)]
struct At {
    zone: usize,
    row: usize,
    seat: usize,
}

impl At {
    fn zone_path(self) -> String {
        format!("plan.zones[{}]", self.zone)
    }

    fn row_path(self) -> String {
        format!("{}.rows[{}]", self.zone_path(), self.row)
    }

    fn seat_path(self) -> String {
        format!("{}.seats[{}]", self.row_path(), self.seat)
    }
}

/// Reads a plan and gives each seat an id.
///
/// # Errors
/// The faults of the plan, [`MAX_FAULTS`] at most. A fault of the format itself comes alone: nothing behind it was read.
pub fn import(json: &[u8]) -> Result<SeatPlan, Vec<FieldError>> {
    let raw = parse(json).map_err(|fault| vec![fault])?;
    let mut import = Import::new(&raw);
    for (zone, raw_zone) in raw.zones.iter().enumerate() {
        import.zone(zone, raw_zone);
    }
    import.finish()
}

fn parse(json: &[u8]) -> Result<RawPlan<'_>, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let raw = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = path_of(error.path());
        format_fault(path, error.inner())
    })?;
    deserializer
        .end()
        .map_err(|error| format_fault("plan".to_owned(), &error))?;
    Ok(raw)
}

fn format_fault(path: String, error: &serde_json::Error) -> FieldError {
    let message = error.to_string();
    // The format's own words for a key that is not there; a test holds them.
    if let Some((key, _)) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
    {
        return fault(format!("{path}.{key}"), "is required");
    }
    // The position stands at the end, where a long quotation pushes it out.
    let message = match shortened(&message, MAX_RULE_CHARS) {
        Cow::Borrowed(whole) => whole.to_owned(),
        Cow::Owned(start) => format!("{start} at line {} column {}", error.line(), error.column()),
    };
    match error.classify() {
        serde_json::error::Category::Data => fault(path, format!("has a wrong type: {message}")),
        _ => fault(path, format!("is not valid JSON: {message}")),
    }
}

fn path_of(path: &Path) -> String {
    path.iter().fold("plan".to_owned(), |mut text, segment| {
        // Writing to a String does not fail.
        let _ = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key } => write!(text, ".{}", shortened(key, MAX_LABEL_CHARS)),
            Segment::Enum { variant } => write!(text, ".{variant}"),
            Segment::Unknown => Ok(()),
        };
        text
    })
}

struct Import<'a> {
    raw: &'a RawPlan<'a>,
    categories: HashMap<&'a str, Category>,
    guids: HashMap<&'a str, At>,
    grades: Vec<Option<Grade>>,
    plan: SeatPlan,
    seats: usize,
    grades_used: usize,
    faults: Vec<FieldError>,
}

/// A category of the plan, by its position there.
struct Category {
    index: usize,
    used: bool,
}

impl<'a> Import<'a> {
    fn new(raw: &'a RawPlan<'a>) -> Self {
        let mut categories = HashMap::new();
        for (index, category) in raw.categories.iter().enumerate() {
            // The same name twice means the same category.
            categories
                .entry(category.name.as_ref())
                .or_insert(Category { index, used: false });
        }
        let mut import = Self {
            raw,
            categories,
            guids: HashMap::new(),
            grades: vec![None; raw.categories.len()],
            plan: SeatPlan {
                width: 0.0,
                height: 0.0,
                grades: Vec::new(),
                sections: Vec::new(),
                rows: Vec::new(),
                seats: Vec::new(),
            },
            seats: 0,
            grades_used: 0,
            faults: Vec::new(),
        };
        if let Some(size) = &raw.size {
            import.plan.width = import.length("plan.size.width", size.width);
            import.plan.height = import.length("plan.size.height", size.height);
        }
        import
    }

    fn zone(&mut self, zone: usize, raw: &'a RawZone<'a>) {
        let at = At {
            zone,
            row: 0,
            seat: 0,
        };
        let name = raw.name.as_deref().unwrap_or_default();
        self.label(name, MAX_SECTION_CHARS, || format!("{}.name", at.zone_path()));
        let section = self.plan.sections.len() as u32;
        self.plan.sections.push(name.to_owned());
        for (row, raw_row) in raw.rows.iter().enumerate() {
            self.row(At { row, ..at }, section, raw.position, raw_row);
        }
    }

    fn row(&mut self, at: At, section: u32, zone: RawPosition, raw: &'a RawRow<'a>) {
        self.label(&raw.row_number, MAX_LABEL_CHARS, || {
            format!("{}.row_number", at.row_path())
        });
        let row = self.plan.rows.len() as u32;
        self.plan.rows.push(PlanRow {
            section,
            number: raw.row_number.to_string(),
        });
        let origin = zone.moved_by(raw.position.unwrap_or_default());
        for (seat, raw_seat) in raw.seats.iter().enumerate() {
            self.seats += 1;
            if self.seats == MAX_SEATS + 1 {
                let path = At { seat, ..at }.seat_path();
                self.fault(|| {
                    fault(
                        path,
                        format!("is one too many: a plan has at most {MAX_SEATS} seats"),
                    )
                });
            }
            if self.seats > MAX_SEATS {
                return;
            }
            self.seat(At { seat, ..at }, row, origin, raw_seat);
        }
    }

    fn seat(&mut self, at: At, row: u32, origin: RawPosition, raw: &'a RawSeat<'a>) {
        self.guid(at, &raw.seat_guid);
        self.label(&raw.seat_number, MAX_LABEL_CHARS, || {
            format!("{}.seat_number", at.seat_path())
        });
        let position = origin.moved_by(raw.position);
        for (axis, value) in [("x", position.x), ("y", position.y)] {
            // Also what is not finite is not within.
            if !(-MAX_COORDINATE..=MAX_COORDINATE).contains(&value) {
                self.fault(|| {
                    fault(
                        format!("{}.position.{axis}", at.seat_path()),
                        format!(
                            "must lie within {MAX_COORDINATE} of the canvas' corner, zone and row included"
                        ),
                    )
                });
            }
        }
        let Some(category) = self.categories.get_mut(raw.category.as_ref()) else {
            self.fault(|| {
                fault(
                    format!("{}.category", at.seat_path()),
                    "is not the name of one of the plan's categories",
                )
            });
            return;
        };
        let index = category.index;
        if !std::mem::replace(&mut category.used, true) {
            self.grade(index);
        }
        self.plan.seats.push(PlanSeat {
            seat_id: SeatId::new(),
            guid: raw.seat_guid.to_string(),
            row,
            number: raw.seat_number.to_string(),
            grade: index as u32,
            x: position.x,
            y: position.y,
        });
    }

    fn guid(&mut self, at: At, guid: &'a str) {
        let path = || format!("{}.seat_guid", at.seat_path());
        if guid.is_empty() {
            self.fault(|| fault(path(), "is required"));
            return;
        }
        self.label(guid, MAX_GUID_CHARS, path);
        if let Some(first) = self.guids.insert(guid, at) {
            // Every repetition names the first one.
            self.guids.insert(guid, first);
            self.fault(|| {
                fault(
                    path(),
                    format!("stands twice; first at {}.seat_guid", first.seat_path()),
                )
            });
        }
    }

    // A category becomes a grade when a seat uses it: one that no seat uses may be as it likes.
    fn grade(&mut self, index: usize) {
        let path = || format!("plan.categories[{index}].name");
        self.grades_used += 1;
        if self.grades_used == MAX_GRADES + 1 {
            self.fault(|| {
                fault(
                    path(),
                    format!("is one too many: seats use at most {MAX_GRADES} categories"),
                )
            });
        }
        let name = self.raw.categories[index].name.as_ref();
        self.label(name, Grade::MAX_CHARS, path);
        match Grade::try_from(name.to_owned()) {
            Ok(grade) => self.grades[index] = Some(grade),
            Err(_) if name.trim().is_empty() => self.fault(|| fault(path(), "is required")),
            // Too long, as said above.
            Err(_) => {}
        }
    }

    fn length(&mut self, path: &str, length: f64) -> f64 {
        if !(0.0..=MAX_COORDINATE).contains(&length) {
            self.fault(|| fault(path, format!("must be 0 to {MAX_COORDINATE}")));
        }
        length
    }

    fn label(&mut self, text: &str, max_chars: usize, path: impl Fn() -> String) {
        // Bytes are counted first: they bound the characters.
        if text.len() > max_chars && text.chars().count() > max_chars {
            self.fault(|| fault(path(), format!("must be at most {max_chars} characters")));
        }
        if text.chars().any(char::is_control) {
            self.fault(|| fault(path(), "must not contain control characters"));
        }
    }

    fn fault(&mut self, fault: impl FnOnce() -> FieldError) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault());
        }
    }

    fn finish(mut self) -> Result<SeatPlan, Vec<FieldError>> {
        if self.seats == 0 {
            self.fault(|| fault("plan.zones", "must have at least one seat"));
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        // Only used categories are grades: seats are renumbered from the one list to the other.
        let mut number_of = vec![0; self.grades.len()];
        for (index, grade) in self.grades.into_iter().enumerate() {
            if let Some(grade) = grade {
                number_of[index] = self.plan.grades.len() as u32;
                self.plan.grades.push(grade);
            }
        }
        for seat in &mut self.plan.seats {
            seat.grade = number_of[seat.grade as usize];
        }
        Ok(self.plan)
    }
}
