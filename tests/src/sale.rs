//! A concert on sale, made through the organiser's own API.

use serde_json::{Value, json};
use test_support::unique_name;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::people::text;
use crate::world::World;

/// What a test's concert is like.
#[derive(Debug, Clone)]
pub struct SaleOptions {
    /// Part of its title.
    pub title: String,
    /// Visitors at once.
    pub capacity: u32,
    /// Seats of grade VIP (a front row) and R (the others).
    pub seats: (u32, u32),
    /// Their prices in KRW.
    pub prices: (i64, i64),
    /// In how many seconds the room opens; none = it is open.
    pub opens_in_seconds: Option<i64>,
    /// Hours before the beginning and percent of each tier; `None` = the API's default.
    pub refund_policy: Option<&'static [(u32, u32)]>,
}

impl Default for SaleOptions {
    fn default() -> Self {
        Self {
            title: "Night Ferry".to_owned(),
            capacity: 10,
            seats: (4, 8),
            prices: (150_000, 90_000),
            opens_in_seconds: None,
            refund_policy: None,
        }
    }
}

/// A concert with one date on sale.
#[derive(Debug, Clone)]
pub struct Sale {
    /// Its whole title, which no other test uses.
    pub title: String,
    /// The hall.
    pub venue_id: String,
    /// The concert.
    pub concert_id: String,
    /// The date.
    pub schedule_id: String,
}

impl Sale {
    /// Puts a concert of its own on sale.
    pub async fn open(world: &World, options: SaleOptions) -> Self {
        let organiser = world.organiser().await;
        let venue = json!({ "name": "Harbour Hall", "plan": plan_of(options.seats) });
        let venue = organiser.post("/v1/admin/venues", &venue).await.expect(201);
        assert_eq!(venue["seats"], options.seats.0 + options.seats.1);

        let title = format!("{} {}", options.title, unique_name("x"));
        let mut concert = json!({
            "title": title,
            "venueId": venue["venueId"],
            "currency": "KRW",
            "prices": { "VIP": options.prices.0, "R": options.prices.1 },
            "waitingRoom": { "capacity": options.capacity, "admitPerSecond": 1000 },
        });
        if let Some(tiers) = options.refund_policy {
            let tier =
                |(hours, percent): &(u32, u32)| json!({ "hoursBeforeStart": hours, "percent": percent });
            concert["refundPolicy"] = tiers.iter().map(tier).collect();
        }
        if let Some(seconds) = options.opens_in_seconds {
            concert["waitingRoom"]["opensAt"] = json!(from_now(Duration::seconds(seconds)));
        }
        let concert_id = text(
            &organiser.post("/v1/admin/concerts", &concert).await.expect(201),
            "concertId",
        );
        let schedule_id = Self::add_date(world, &concert_id, 30).await;
        Self {
            title,
            venue_id: text(&venue, "venueId"),
            concert_id,
            schedule_id,
        }
    }

    /// Where the date is canceled.
    pub fn cancellation_path(&self) -> String {
        let Self {
            concert_id,
            schedule_id,
            ..
        } = self;
        format!("/v1/admin/concerts/{concert_id}/schedules/{schedule_id}/cancellation")
    }

    /// Puts one more date on sale; answers its id.
    pub async fn add_date(world: &World, concert_id: &str, in_days: i64) -> String {
        let date = json!({ "startsAt": in_days_from_now(in_days) });
        let path = format!("/v1/admin/concerts/{concert_id}/schedules");
        text(
            &world.organiser().await.post(&path, &date).await.expect(201),
            "scheduleId",
        )
    }
}

/// A time as the API takes it.
fn in_days_from_now(days: i64) -> String {
    from_now(Duration::days(days))
}

fn from_now(span: Duration) -> String {
    (OffsetDateTime::now_utc() + span)
        .replace_nanosecond(0)
        .unwrap()
        .format(&Rfc3339)
        .unwrap()
}

/// A plan with one row of VIP seats and one of R seats, as an editor exports it.
pub fn plan_of((vip, r): (u32, u32)) -> Value {
    let row = |name: &str, category: &str, y: i32, seats: u32| {
        let seats: Vec<_> = (1..=seats)
            .map(|number| {
                json!({
                    "seat_guid": format!("{name}-{number}"), "seat_number": number.to_string(),
                    "position": { "x": number * 20, "y": 0 }, "category": category, "radius": 8,
                })
            })
            .collect();
        json!({ "row_number": name, "row_number_position": "start", "position": { "x": 0, "y": y }, "seats": seats })
    };
    json!({
        "name": "Harbour Hall",
        "categories": [{ "name": "VIP", "color": "#d4af37" }, { "name": "R", "color": "#3366cc" }],
        "zones": [{
            "name": "Floor", "position": { "x": 100, "y": 100 },
            "rows": [row("A", "VIP", 0, vip), row("B", "R", 30, r)],
            "areas": [],
        }],
        "size": { "width": 800, "height": 600 },
    })
}
