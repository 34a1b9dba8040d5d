//! A demonstration: a hall and concerts of the demonstration organiser, made through the same use cases as everybody's.

use time::macros::time;
use time::{Duration, Time};
use vocabulary::demo::ORGANISER_ID;
use vocabulary::{ConcertId, ScheduleId, VenueId};

use super::{App, AppError, ConcertForm, CreateConcert, CreateSchedule, CreateVenue};
use crate::domain::refund_policy::RefundPolicy;
use crate::domain::waiting_room::WaitingRoom;
use crate::store::{IdempotencyKey, Route};

/// A seating plan as an editor exports it.
const HALL: &[u8] = include_bytes!("../../seed/aurora-hall.json");
const HALL_NAME: &str = "오로라홀 Aurora Hall";
const ROOM_CAPACITY: u32 = 50;
const ROOM_ADMITS_PER_SECOND: u32 = 50;
/// 19:00 in Seoul.
const BEGINNING_UTC: Time = time!(10:00);

/// A concert of the programme.
struct Act {
    title: &'static str,
    /// Prices of VIP, R, S and A in KRW.
    prices: [i64; 4],
    /// Days from the seeding to each date.
    days_ahead: [i64; 2],
}

const GRADES: [&str; 4] = ["VIP", "R", "S", "A"];

/// The last one is the newest: it comes first in every list.
const PROGRAMME: [Act; 8] = [
    Act {
        title: "달빛극장 실내악의 밤",
        prices: [88_000, 66_000, 44_000, 22_000],
        days_ahead: [150, 151],
    },
    Act {
        title: "The Paper Lanterns: Quiet Streets Tour",
        prices: [143_000, 121_000, 99_000, 77_000],
        days_ahead: [120, 121],
    },
    Act {
        title: "서린 첫 단독 콘서트 〈여름의 온도〉",
        prices: [132_000, 110_000, 99_000, 66_000],
        days_ahead: [95, 96],
    },
    Act {
        title: "Velvet Orbit World Tour: Zero Gravity in Seoul",
        prices: [198_000, 165_000, 143_000, 110_000],
        days_ahead: [80, 81],
    },
    Act {
        title: "밴드 모래시계 10주년 기념 공연 Sandglass X",
        prices: [143_000, 121_000, 99_000, 77_000],
        days_ahead: [66, 67],
    },
    Act {
        title: "Mina Hale & the Night Ferry",
        prices: [121_000, 99_000, 77_000, 55_000],
        days_ahead: [52, 53],
    },
    Act {
        title: "하늘정원 전국 투어 〈새벽의 편지〉 서울",
        prices: [154_000, 132_000, 110_000, 88_000],
        days_ahead: [45, 46],
    },
    Act {
        title: "네온하버 NEON HARBOR Live: Afterglow",
        prices: [165_000, 143_000, 121_000, 99_000],
        days_ahead: [30, 31],
    },
];

impl App {
    /// Makes what the demonstration lacks. Repeating it, also after a failure in the middle, adds nothing twice.
    ///
    /// # Errors
    /// The store or a peer failed: come again.
    pub async fn seed_demo(&self) -> Result<(), AppError> {
        let venue_id = self.seed_hall().await?;
        for (number, act) in (1..).zip(&PROGRAMME) {
            let concert_id = self.seed_concert(venue_id, number, act).await?;
            for (date, days_ahead) in (1..).zip(act.days_ahead) {
                self.seed_date(
                    concert_id,
                    &format!("demo-concert-{number}-date-{date}"),
                    days_ahead,
                )
                .await?;
            }
        }
        Ok(())
    }

    async fn seed_hall(&self) -> Result<VenueId, AppError> {
        let key = "demo-hall";
        if let Some(id) = self.seeded(Route::CreateVenue, key).await? {
            return Ok(VenueId::from_uuid(id));
        }
        let request = CreateVenue::new(ORGANISER_ID, HALL_NAME, HALL.to_vec(), key)?;
        Ok(self.create_venue(request).await?.venue_id)
    }

    async fn seed_concert(&self, venue_id: VenueId, number: u32, act: &Act) -> Result<ConcertId, AppError> {
        let key = format!("demo-concert-{number}");
        if let Some(id) = self.seeded(Route::CreateConcert, &key).await? {
            return self.finish_concert_made_before(ConcertId::from_uuid(id)).await;
        }
        let prices = GRADES.map(str::to_owned).into_iter().zip(act.prices).collect();
        let room = WaitingRoom::new("waitingRoom.", ROOM_CAPACITY, ROOM_ADMITS_PER_SECOND, None);
        let form = ConcertForm {
            organiser_id: ORGANISER_ID,
            title: act.title,
            venue_id,
            currency: "KRW",
            prices,
            room,
            refund_policy: Ok(RefundPolicy::default()),
            key: &key,
        };
        self.create_concert(CreateConcert::new(form)?).await
    }

    async fn seed_date(&self, concert_id: ConcertId, key: &str, days_ahead: i64) -> Result<(), AppError> {
        if let Some(id) = self.seeded(Route::CreateSchedule, key).await? {
            self.finish_schedule_made_before(ScheduleId::from_uuid(id))
                .await?;
            return Ok(());
        }
        let day = self.store.now().await?.date() + Duration::days(days_ahead);
        let starts_at = day.with_time(BEGINNING_UTC).assume_utc();
        let request = CreateSchedule::new(ORGANISER_ID, concert_id, starts_at, key)?;
        self.create_schedule(request).await?;
        Ok(())
    }

    // By the key alone: dates are counted from the day of the first seeding, so that a later one asks for others.
    async fn seeded(&self, route: Route, key: &str) -> Result<Option<uuid::Uuid>, AppError> {
        let Some(key) = IdempotencyKey::parse(key).map_err(|fault| vec![fault])? else {
            return Ok(None);
        };
        Ok(self.store.made_under(ORGANISER_ID, route, &key).await?)
    }
}
