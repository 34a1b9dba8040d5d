//! How fast a room admits, measured over the last minute.

use std::collections::VecDeque;

/// What is measured.
const WINDOW_MS: i64 = 60_000;
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
    /// Notes that `admitted` admissions were counted at `now_ms` in the count begun with `epoch`; answers admissions
    /// per second, times 1,000, over the last minute, 0 while nothing was measured.
    pub fn note(&mut self, epoch: i64, now_ms: i64, admitted: u64) -> u32 {
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
        let Some((begun_ms, begun)) = self.samples.front() else {
            return 0;
        };
        let span_ms = now_ms - begun_ms;
        if span_ms < SHORTEST_MS {
            return 0;
        }
        let milli = admitted.saturating_sub(*begun).saturating_mul(1_000_000) / span_ms.unsigned_abs();
        u32::try_from(milli).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_as_it_is() {
        let mut meter = AdmissionMeter::default();
        let rates: Vec<_> = (0..200)
            .map(|s| meter.note(1, s * 1_000, s.unsigned_abs() * 3))
            .collect();
        assert!(rates[..5].iter().all(|rate| *rate == 0), "too early to say");
        assert!(rates[5..].iter().all(|rate| *rate == 3_000), "{rates:?}");
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let mut meter = AdmissionMeter::default();
        for second in 0..60 {
            meter.note(1, second * 1_000, 1_000);
        }
        let rates: Vec<_> = (60..130).map(|s| meter.note(1, s * 1_000, 1_000)).collect();
        assert_eq!(rates.last(), Some(&0));
        assert!(meter.samples.len() <= 62);
    }

    #[test]
    fn a_count_that_begins_anew_is_measured_anew() {
        let mut meter = AdmissionMeter::default();
        meter.note(1, 0, 500);
        assert!(meter.note(1, 10_000, 600) > 0);
        assert_eq!(meter.note(2, 11_000, 0), 0);
    }

    #[test]
    fn many_looks_a_second_are_one_sample() {
        let mut meter = AdmissionMeter::default();
        for tick in 0..40 {
            meter.note(1, tick * 25, 0);
        }
        assert_eq!(meter.samples.len(), 1);
    }
}
