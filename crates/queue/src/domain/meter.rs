//! How fast a room admits: over the last minute, and in the slowest and the fastest part of it.

use std::collections::VecDeque;

use queue_token::pace::AdmissionRates;

/// What is measured.
const WINDOW_MS: i64 = 60_000;
/// A part of it, which may begin at any sample. A freed place is called within a quarter of a second and claimed by a poll
/// about a second later: a much shorter part would measure the rhythm of polls, a much longer one would hide the rushes
/// and the lulls that people wait through.
const PART_MS: i64 = 10_000;
/// Samples closer together are one.
const SAMPLE_EVERY_MS: i64 = 1_000;
/// A shorter measurement says nothing yet.
const SHORTEST_MS: i64 = 5_000;

/// Samples of one room's count of admissions.
#[derive(Debug, Default)]
pub struct AdmissionMeter {
    epoch: i64,
    samples: VecDeque<(i64, u64)>,
}

impl AdmissionMeter {
    /// Notes that `admitted` admissions were counted at `now_ms` in the count begun with `epoch`; answers how fast they
    /// were over the last minute.
    pub fn note(&mut self, epoch: i64, now_ms: i64, admitted: u64) -> AdmissionRates {
        if epoch != self.epoch {
            self.samples.clear();
            self.epoch = epoch;
        }
        let last = self.samples.back().map(|(at, _)| *at);
        if last.is_none_or(|last| now_ms >= last + SAMPLE_EVERY_MS) {
            self.samples.push_back((now_ms, admitted));
        }
        // One sample older than the window stays: the measurement spans at least a minute once there was one.
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| *at <= now_ms - WINDOW_MS)
        {
            self.samples.pop_front();
        }
        let now = (now_ms, admitted);
        let measured = self.samples.front().filter(|(at, _)| now_ms - at >= SHORTEST_MS);
        let Some(begun) = measured else {
            return AdmissionRates::default();
        };
        let mean_milli = rate_milli(*begun, now);
        let parts = || self.parts(now);
        AdmissionRates {
            mean_milli,
            // Before a whole part was measured nobody knows how slow one can be.
            slowest_milli: parts().min().unwrap_or(0).min(mean_milli),
            fastest_milli: parts().max().unwrap_or(0).max(mean_milli),
        }
    }

    /// Forgets what was measured: while nobody is called nothing is, and what was before says little of what comes after.
    pub fn begin_anew(&mut self) {
        self.samples.clear();
    }

    /// The rate of each part: from every sample to the first that is far enough from it.
    fn parts(&self, now: (i64, u64)) -> impl Iterator<Item = u32> {
        let mut ends = self.samples.iter().copied().chain([now]).peekable();
        self.samples.iter().map_while(move |begun| {
            while ends.peek()?.0 < begun.0 + PART_MS {
                ends.next();
            }
            Some(rate_milli(*begun, *ends.peek()?))
        })
    }
}

/// Admissions per second, times 1,000, from one sample to a later one.
fn rate_milli((from_ms, before): (i64, u64), (to_ms, after): (i64, u64)) -> u32 {
    let milli =
        after.saturating_sub(before).saturating_mul(1_000_000) / (to_ms - from_ms).unsigned_abs().max(1);
    u32::try_from(milli).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rates after each second of these many admissions.
    fn seconds(admissions: impl IntoIterator<Item = u64>) -> Vec<AdmissionRates> {
        let mut meter = AdmissionMeter::default();
        let mut admitted = 0;
        let mut now_ms = 0;
        meter.note(1, now_ms, admitted);
        admissions
            .into_iter()
            .map(|more| {
                now_ms += 1_000;
                admitted += more;
                meter.note(1, now_ms, admitted)
            })
            .collect()
    }

    #[test]
    fn a_steady_stream_is_measured_as_it_is() {
        let rates = seconds([3; 200]);
        assert!(rates[..4].iter().all(|rates| *rates == AdmissionRates::default()));
        assert!(
            rates[4..9]
                .iter()
                .all(|rates| rates.mean_milli == 3_000 && rates.slowest_milli == 0)
        );
        let steady = AdmissionRates {
            mean_milli: 3_000,
            slowest_milli: 3_000,
            fastest_milli: 3_000,
        };
        assert!(rates[9..].iter().all(|rates| *rates == steady), "{rates:?}");
    }

    #[test]
    fn a_rush_and_a_lull_are_told_apart() {
        // 100 at once, nobody for 20 s, then one a second.
        let rates = seconds([100].into_iter().chain([0; 20]).chain([1; 29]));
        let last = rates.last().unwrap();
        assert_eq!(
            (last.mean_milli, last.slowest_milli, last.fastest_milli),
            (2_580, 0, 10_000)
        );
        // A minute later neither is there.
        let rates = seconds([100].into_iter().chain([0; 20]).chain([1; 90]));
        let last = rates.last().unwrap();
        assert_eq!((last.slowest_milli, last.fastest_milli), (1_000, 1_000));
    }

    #[test]
    fn a_measurement_with_a_gap_counts_the_gap_as_one_part() {
        let mut meter = AdmissionMeter::default();
        meter.note(1, 0, 0);
        let rates = meter.note(1, 40_000, 20);
        assert_eq!(
            (rates.mean_milli, rates.slowest_milli, rates.fastest_milli),
            (500, 500, 500)
        );
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let mut meter = AdmissionMeter::default();
        for second in 0..60 {
            meter.note(1, second * 1_000, 1_000);
        }
        let rates: Vec<_> = (60..130).map(|s| meter.note(1, s * 1_000, 1_000)).collect();
        assert_eq!(rates.last(), Some(&AdmissionRates::default()));
        assert!(meter.samples.len() <= 62);
    }

    #[test]
    fn a_count_that_begins_anew_is_measured_anew() {
        let mut meter = AdmissionMeter::default();
        meter.note(1, 0, 500);
        assert!(meter.note(1, 10_000, 600).mean_milli > 0);
        assert_eq!(meter.note(2, 11_000, 0), AdmissionRates::default());
        assert!(meter.note(2, 21_000, 10).mean_milli > 0);
        meter.begin_anew();
        assert_eq!(meter.note(2, 22_000, 20), AdmissionRates::default());
    }

    #[test]
    fn many_looks_a_second_are_one_sample() {
        let mut meter = AdmissionMeter::default();
        for tick in 0..40 {
            meter.note(1, tick * 25, 0);
        }
        assert_eq!(meter.samples.len(), 1);
    }

    proptest! {
        #[test]
        fn the_mean_is_between_its_slowest_and_fastest_part(
            looks in proptest::collection::vec((1..5_000_i64, 0..100_u64), 1..200),
        ) {
            let (mut meter, mut now_ms, mut admitted) = (AdmissionMeter::default(), 0, 0);
            for (later_ms, more) in looks {
                now_ms += later_ms;
                admitted += more;
                let rates = meter.note(1, now_ms, admitted);
                prop_assert!(rates.slowest_milli <= rates.mean_milli);
                prop_assert!(rates.mean_milli <= rates.fastest_milli);
            }
        }
    }
}
