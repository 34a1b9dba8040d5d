//! Seat layouts, each kept once by its version, with every seat's JSON ready to be joined with a status.
//!
//! A layout never changes once its schedule is on sale, so what is here is never out of date.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use contracts::ConcertClient;
use contracts::concert::{self, GetLayoutRequest};
use moka::future::Cache;
use serde::Serialize;
use service_kit::problem::Problem;
use utoipa::ToSchema;
use vocabulary::ScheduleId;

use crate::problem::ApiProblem;
use crate::wire::{self, BrokenContract};

/// A seat as its venue has it, with the price at this concert.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayoutSeat {
    #[schema(format = Uuid)]
    seat_id: String,
    /// Position in the layout, from 0, without gaps.
    index: u32,
    /// Zone of the plan.
    section: String,
    row: String,
    number: String,
    /// The price class.
    grade: String,
    /// In the currency's smallest unit.
    price: i64,
    /// Position in the plan's own coordinates.
    x: f64,
    /// Position in the plan's own coordinates.
    y: f64,
}

/// A layout as JSON that lacks only the seats' statuses.
#[derive(Debug)]
pub(crate) struct Layout {
    version: String,
    /// The members before `seats`, as JSON without the closing brace.
    head: Vec<u8>,
    /// Every seat's JSON without its closing brace, one after the other.
    seats: Vec<u8>,
    /// Where each seat ends in `seats`.
    ends: Vec<usize>,
}

#[derive(Serialize)]
struct Head<'a> {
    version: &'a str,
    currency: &'a str,
    width: f64,
    height: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeatsHead<'a> {
    version: u64,
    layout_version: &'a str,
}

/// The longest status with the punctuation around it.
const STATUS_BYTES: usize = r#","status":"AVAILABLE"},"#.len();

impl Layout {
    fn new(layout: concert::Layout) -> Result<Self, BrokenContract> {
        let unserialisable = |_| BrokenContract("Layout.seats");
        let head = Head {
            version: &layout.version,
            currency: &layout.currency,
            width: layout.width,
            height: layout.height,
        };
        let mut head = serde_json::to_vec(&head).map_err(unserialisable)?;
        head.pop();
        let mut seats = Vec::new();
        let mut ends = Vec::with_capacity(layout.seats.len());
        for (position, seat) in layout.seats.into_iter().enumerate() {
            if usize::try_from(seat.index) != Ok(position) {
                return Err(BrokenContract("Layout.seats.index"));
            }
            let seat = LayoutSeat {
                seat_id: seat.seat_id,
                index: seat.index,
                section: seat.section,
                row: seat.row,
                number: seat.number,
                grade: seat.grade,
                price: seat.price,
                x: seat.x,
                y: seat.y,
            };
            serde_json::to_writer(&mut seats, &seat).map_err(unserialisable)?;
            seats.pop();
            ends.push(seats.len());
        }
        seats.shrink_to_fit();
        Ok(Self {
            version: layout.version,
            head,
            seats,
            ends,
        })
    }

    /// Names the layout for caches.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The layout as JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        self.join(&self.head, |_| Some("")).unwrap_or_default()
    }

    /// The seats with their statuses as JSON.
    pub(crate) fn seats_json(&self, version: u64, statuses: &[u8]) -> Result<Vec<u8>, BrokenContract> {
        let broken = BrokenContract("GetSeatsResponse.statuses");
        if statuses.len() != self.ends.len() {
            return Err(broken);
        }
        let head = SeatsHead {
            version,
            layout_version: &self.version,
        };
        let mut head = serde_json::to_vec(&head).map_err(|_| BrokenContract("Layout.version"))?;
        head.pop();
        let status = |index: usize| match statuses.get(index)? {
            b'A' => Some(r#","status":"AVAILABLE""#),
            b'P' => Some(r#","status":"PENDING""#),
            b'O' => Some(r#","status":"OCCUPIED""#),
            _ => None,
        };
        self.join(&head, status).ok_or(broken)
    }

    /// `head`, then every seat with what `more` adds to it.
    fn join(&self, head: &[u8], more: impl Fn(usize) -> Option<&'static str>) -> Option<Vec<u8>> {
        let size = head.len() + self.seats.len() + self.ends.len() * STATUS_BYTES + 16;
        let mut json = Vec::with_capacity(size);
        json.extend_from_slice(head);
        json.extend_from_slice(br#","seats":["#);
        let mut start = 0;
        for (index, end) in self.ends.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.seats[start..*end]);
            json.extend_from_slice(more(index)?.as_bytes());
            json.push(b'}');
            start = *end;
        }
        json.extend_from_slice(b"]}");
        Some(json)
    }

    fn bytes(&self) -> usize {
        self.seats.len() + self.ends.len() * size_of::<usize>()
    }
}

/// Layouts by schedule; dates of one concert share theirs.
pub(crate) struct Layouts {
    concert: ConcertClient,
    by_schedule: Cache<ScheduleId, Arc<Layout>>,
    by_version: Mutex<HashMap<String, Weak<Layout>>>,
}

impl Layouts {
    pub(crate) fn new(concert: ConcertClient, max_mib: u64) -> Self {
        let by_schedule = Cache::builder()
            .max_capacity(max_mib * 1024)
            // In KiB, as weights are small numbers; at least one, so that the number of entries is bound too.
            .weigher(|_, layout: &Arc<Layout>| u32::try_from(layout.bytes() / 1024 + 1).unwrap_or(u32::MAX))
            .build();
        Self {
            concert,
            by_schedule,
            by_version: Mutex::default(),
        }
    }

    /// The layout of a schedule; many who ask at once make one call.
    pub(crate) async fn of(&self, schedule_id: ScheduleId) -> Result<Arc<Layout>, ApiProblem> {
        let fetched = self
            .by_schedule
            .try_get_with(schedule_id, self.fetch(schedule_id));
        fetched.await.map_err(|problem: Arc<ApiProblem>| {
            let problem: &Problem = &problem.0;
            problem.clone().into()
        })
    }

    /// The layout of a schedule, which must have this version.
    pub(crate) async fn of_version(
        &self,
        schedule_id: ScheduleId,
        version: &str,
    ) -> Result<Arc<Layout>, ApiProblem> {
        let layout = self.of(schedule_id).await?;
        if layout.version != version {
            return Err(BrokenContract("GetSeatsResponse.layout_version").into());
        }
        Ok(layout)
    }

    async fn fetch(&self, schedule_id: ScheduleId) -> Result<Arc<Layout>, ApiProblem> {
        let request = GetLayoutRequest {
            schedule_id: schedule_id.to_string(),
        };
        let answer = self.concert.clone().get_layout(request).await?.into_inner();
        let layout = wire::required("GetLayoutResponse.layout", answer.layout)?;
        if let Some(known) = self.known(&layout.version) {
            return Ok(known);
        }
        let layout = Arc::new(Layout::new(layout)?);
        let mut by_version = self.by_version.lock().unwrap_or_else(PoisonError::into_inner);
        by_version.retain(|_, layout| layout.strong_count() > 0);
        by_version.insert(layout.version.clone(), Arc::downgrade(&layout));
        Ok(layout)
    }

    fn known(&self, version: &str) -> Option<Arc<Layout>> {
        let by_version = self.by_version.lock().unwrap_or_else(PoisonError::into_inner);
        by_version.get(version)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn layout(seats: u32) -> concert::Layout {
        concert::Layout {
            version: "v\"1".to_owned(),
            currency: "KRW".to_owned(),
            width: 100.5,
            height: 0.0,
            seats: (0..seats)
                .map(|index| concert::LayoutSeat {
                    seat_id: format!("seat-{index}"),
                    index,
                    section: "1층 \"A\"".to_owned(),
                    row: "3".to_owned(),
                    number: index.to_string(),
                    grade: "R석".to_owned(),
                    price: 99_000,
                    x: 1.25,
                    y: -2.0,
                })
                .collect(),
        }
    }

    #[test]
    fn statuses_are_joined_to_their_seats() {
        let layout = Layout::new(layout(3)).unwrap();
        let seats: Value = serde_json::from_slice(&layout.seats_json(7, b"APO").unwrap()).unwrap();
        assert_eq!(seats["version"], 7);
        assert_eq!(seats["layoutVersion"], "v\"1");
        let statuses: Vec<_> = seats["seats"]
            .as_array()
            .unwrap()
            .iter()
            .map(|seat| &seat["status"])
            .collect();
        assert_eq!(statuses, ["AVAILABLE", "PENDING", "OCCUPIED"]);
        assert_eq!(
            seats["seats"][2],
            json!({
                "seatId": "seat-2", "index": 2, "section": "1층 \"A\"", "row": "3", "number": "2", "grade": "R석",
                "price": 99_000, "x": 1.25, "y": -2.0, "status": "OCCUPIED",
            })
        );
    }

    #[test]
    fn a_layout_of_any_size_is_json() {
        for size in [0, 1, 2] {
            let layout = Layout::new(layout(size)).unwrap();
            let json: Value = serde_json::from_slice(&layout.json()).unwrap();
            assert_eq!(json["seats"].as_array().unwrap().len(), size as usize);
            assert_eq!(json["width"], 100.5);
        }
    }

    #[test]
    fn statuses_that_do_not_fit_the_layout_are_refused() {
        let layout = Layout::new(layout(2)).unwrap();
        for wrong in [&b"A"[..], b"AAA", b"AX"] {
            assert!(layout.seats_json(1, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_layout_with_gaps_is_refused() {
        let mut gap = layout(2);
        gap.seats[1].index = 5;
        assert!(Layout::new(gap).is_err());
    }
}
