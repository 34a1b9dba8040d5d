//! How often one who waits asks again, and how long the wait may be: one rule for `queue`, which answers from its
//! store, and for the gateway, which answers from memory.
//!
//! Pure: the caller brings the room's figures and the randomness.

/// The shortest interval, in milliseconds: a poll a second is as close as anybody gets.
const SHORTEST_MS: u64 = 1_000;
/// The longest interval, in milliseconds: settings may change while people wait.
const LONGEST_MS: u64 = 30_000;
/// An interval is this part of the wait, so that the estimate is renewed a few times before the turn comes.
const POLLS_IN_A_WAIT: u64 = 4;

/// At the front an interval is at most this for each position: whoever may be called next asks about every second, and all
/// of the front together ask a few times a second, however slow the room is.
const FRONT_STEP_MS: u64 = 250;
/// How often one asks whom only the organiser or the opening can bring nearer, in milliseconds.
const HALTED_MS: u64 = 5_000;
/// A room calls at most this part of a second's numbers at once.
const BURSTS_A_SECOND: u32 = 4;

/// How fast a room let people in over the last minute, in admissions per second times 1,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionRates {
    /// Over all of it; 0 when nothing was measured.
    pub mean_milli: u32,
    /// In its slowest part; 0 when that let nobody in, or is not known yet.
    pub slowest_milli: u32,
    /// In its fastest part.
    pub fastest_milli: u32,
}

/// The figures of a room that its pace follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The most admissions per second that the organiser allows.
    pub admit_per_second: u32,
    /// What was measured.
    pub rates: AdmissionRates,
    /// Seconds that a called number has to claim its turn.
    pub claim_seconds: u32,
    /// Nobody is called for now: the room is paused, or not open yet.
    pub halted: bool,
}

/// When a turn may come, in seconds from now: `from <= expected <= to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eta {
    /// As the fastest part of the last minute went.
    pub from_seconds: u32,
    /// As the last minute went.
    pub expected_seconds: u32,
    /// As its slowest part went; `None` where that let nobody in.
    pub to_seconds: Option<u32>,
}

impl Pace {
    /// When the turn of the one at `position` (1 = the next to be called) may come: as was measured, and never sooner than
    /// the organiser allows. `None` while nobody is called or nothing was measured.
    #[must_use]
    pub fn eta(&self, position: u64) -> Option<Eta> {
        let AdmissionRates {
            mean_milli,
            slowest_milli,
            fastest_milli,
        } = self.rates;
        if self.halted || mean_milli == 0 {
            return None;
        }
        // Whoever measured on two clocks may have a mean outside of its parts.
        let (slowest_milli, fastest_milli) = (slowest_milli.min(mean_milli), fastest_milli.max(mean_milli));
        let soonest_seconds = self
            .behind_a_burst(position)
            .div_ceil(u64::from(self.admit_per_second.max(1)));
        let at = |rate_milli: u32| {
            let seconds = position
                .saturating_mul(1_000)
                .div_ceil(u64::from(rate_milli.max(1)));
            u32::try_from(seconds.max(soonest_seconds)).unwrap_or(u32::MAX)
        };
        Some(Eta {
            from_seconds: at(fastest_milli),
            expected_seconds: at(mean_milli),
            to_seconds: (slowest_milli > 0).then(|| at(slowest_milli)),
        })
    }

    /// Milliseconds until the one at `position` asks again: longer with distance, about a second at the front, and never
    /// beyond half the claim window for one who could be called before then. Numbers that were given up are passed over, so
    /// a line may jump; nobody's interval is as long as the claim window, and whoever asks as told misses no turn. `jitter`,
    /// from 0 to 1, spreads those who came together.
    #[must_use]
    pub fn poll_after_ms(&self, position: u64, jitter: f64) -> u32 {
        let soonest_ms = self.soonest_ms(position);
        let wanted_ms = if self.halted {
            (soonest_ms / POLLS_IN_A_WAIT).max(HALTED_MS)
        } else {
            let estimated_ms = self.eta(position).map_or(soonest_ms / POLLS_IN_A_WAIT, |eta| {
                let ms = |seconds: u32| u64::from(seconds) * 1_000;
                // A room may go on as its fastest part went: nobody sleeps beyond that.
                (ms(eta.expected_seconds) / POLLS_IN_A_WAIT).min(ms(eta.from_seconds))
            });
            estimated_ms.min(position.saturating_mul(FRONT_STEP_MS).max(soonest_ms))
        };
        let claim_ms = u64::from(self.claim_seconds) * 1_000;
        let bound_ms = soonest_ms.max(claim_ms / 2).min(claim_ms * 9 / 10);
        // From 80 to 100 percent: jitter never breaks the bound.
        let percent = 80 + (jitter.clamp(0.0, 1.0) * 20.0) as u64;
        let wanted_ms = wanted_ms.clamp(SHORTEST_MS, LONGEST_MS);
        u32::try_from(wanted_ms.min(bound_ms) * percent / 100).unwrap_or(u32::MAX)
    }

    /// Milliseconds before which nobody at `position` is called: some may be called at once, the others no faster than the
    /// organiser allows.
    fn soonest_ms(&self, position: u64) -> u64 {
        self.behind_a_burst(position).saturating_mul(1_000) / u64::from(self.admit_per_second.max(1))
    }

    fn behind_a_burst(&self, position: u64) -> u64 {
        let at_once = self.admit_per_second.div_ceil(BURSTS_A_SECOND).max(1);
        position.saturating_sub(u64::from(at_once))
    }
}

/// Polls of a lobby that may come within one millisecond after the opening.
const LOBBY_POLLS_PER_MS: u64 = 50;

/// Milliseconds until one of `people` in a lobby asks again: rarely while the opening is far, and soon enough after it
/// for everybody to learn of their number within half the claim window. `jitter`, from 0 to 1, spreads them, the wider
/// the more there are.
#[must_use]
pub fn lobby_poll_after_ms(until_opening_ms: u64, people: u64, claim_seconds: u32, jitter: f64) -> u32 {
    let half_claim_ms = (u64::from(claim_seconds) * 1_000 / 2).max(1);
    let spread_ms = (people / LOBBY_POLLS_PER_MS).clamp(SHORTEST_MS.min(half_claim_ms), half_claim_ms);
    let part = |of_ms: u64| (of_ms as f64 * jitter.clamp(0.0, 1.0)) as u64;
    let after_ms = if until_opening_ms > LONGEST_MS {
        LONGEST_MS - part(LONGEST_MS / 5)
    } else {
        // One who asks before the opening only asks again: all come after it.
        until_opening_ms + part(spread_ms).max(SHORTEST_MS.min(half_claim_ms))
    };
    u32::try_from(after_ms).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace {
        admit_per_second: 10,
        rates: AdmissionRates {
            mean_milli: 500,
            slowest_milli: 200,
            fastest_milli: 2_000,
        },
        claim_seconds: 30,
        halted: false,
    };

    fn eta(pace: Pace, position: u64) -> Option<(u32, u32, Option<u32>)> {
        let eta = pace.eta(position)?;
        Some((eta.from_seconds, eta.expected_seconds, eta.to_seconds))
    }

    #[test]
    fn the_wait_is_estimated_from_what_was_measured() {
        assert_eq!(eta(PACE, 1), Some((1, 2, Some(5))));
        assert_eq!(eta(PACE, 1_000), Some((500, 2_000, Some(5_000))));
        let longest = (u32::MAX, u32::MAX, Some(u32::MAX));
        assert_eq!(eta(PACE, u64::MAX), Some(longest));
        let rates = AdmissionRates::default();
        assert_eq!(eta(Pace { rates, ..PACE }, 1), None, "nothing was measured");
    }

    #[test]
    fn a_wait_has_no_end_where_the_slowest_part_let_nobody_in() {
        let rates = AdmissionRates {
            slowest_milli: 0,
            ..PACE.rates
        };
        assert_eq!(eta(Pace { rates, ..PACE }, 10), Some((5, 20, None)));
    }

    #[test]
    fn a_room_that_calls_nobody_estimates_nothing_and_is_asked_rarely() {
        let halted = Pace { halted: true, ..PACE };
        assert_eq!(eta(halted, 1), None);
        assert_eq!(halted.poll_after_ms(1, 1.0), 5_000);
        assert_eq!(halted.poll_after_ms(u64::MAX, 1.0), 27_000);
    }

    #[test]
    fn nobody_is_told_of_a_turn_sooner_than_the_organiser_allows() {
        let slowed_down = Pace {
            admit_per_second: 1,
            ..PACE
        };
        assert_eq!(eta(slowed_down, 101), Some((100, 202, Some(505))));
    }

    #[test]
    fn polls_stretch_with_distance_up_to_a_bound() {
        let at = |position| PACE.poll_after_ms(position, 1.0);
        assert_eq!(at(1), 1_000);
        assert_eq!(at(8), 2_000);
        assert_eq!(at(20), 5_000);
        assert_eq!(at(60), 15_000);
        assert_eq!(at(u64::MAX), 27_000);
        let patient = Pace {
            claim_seconds: 60,
            ..PACE
        };
        assert_eq!(patient.poll_after_ms(u64::MAX, 1.0), 30_000);
    }

    #[test]
    fn the_front_of_a_room_asks_about_every_second_however_long_nobody_left() {
        let rates = AdmissionRates {
            mean_milli: 16,
            slowest_milli: 0,
            fastest_milli: 100,
        };
        for admit_per_second in [10, 1_000] {
            let pace = Pace {
                admit_per_second,
                rates,
                ..PACE
            };
            for position in 1..=5 {
                let after_ms = pace.poll_after_ms(position, 1.0);
                assert!((1_000..=1_250).contains(&after_ms), "{position}: {after_ms}");
            }
            let polls_a_second: f64 = (1..=60)
                .map(|position| 1_000.0 / f64::from(pace.poll_after_ms(position, 0.0)))
                .sum();
            assert!(polls_a_second < 25.0, "{polls_a_second}");
        }
    }

    fn rooms() -> impl Strategy<Value = Pace> {
        let rate = || prop_oneof![Just(0_u32), 1..2_000_u32, any::<u32>()];
        (
            1..=100_000_u32,
            [rate(), rate(), rate()],
            1..=3_600_u32,
            any::<bool>(),
        )
            .prop_map(
                |(admit_per_second, [mean_milli, slowest_milli, fastest_milli], claim_seconds, halted)| {
                    Pace {
                        admit_per_second,
                        rates: AdmissionRates {
                            mean_milli,
                            slowest_milli,
                            fastest_milli,
                        },
                        claim_seconds,
                        halted,
                    }
                },
            )
    }

    fn positions() -> impl Strategy<Value = u64> {
        prop_oneof![1..=100_u64, 1..=2_000_000_u64, any::<u64>()]
    }

    proptest! {
        #[test]
        fn nobody_who_could_be_called_before_the_next_poll_waits_longer_than_half_the_claim_window(
            pace in rooms(), position in positions(), jitter in 0.0..=1.0,
        ) {
            // As the line calls: a quarter of a second's numbers at once, then so many a second.
            let at_once = u64::from(pace.admit_per_second.div_ceil(4));
            let called_ms = position.saturating_sub(at_once).saturating_mul(1_000) / u64::from(pace.admit_per_second);
            let after_ms = u64::from(pace.poll_after_ms(position, jitter));
            prop_assert!(after_ms > 0);
            prop_assert!(after_ms <= called_ms || after_ms <= u64::from(pace.claim_seconds) * 500);
            prop_assert!(after_ms <= 30_000);
            // Whatever is passed over before it.
            prop_assert!(after_ms < u64::from(pace.claim_seconds) * 1_000);
        }

        #[test]
        fn a_range_holds_its_estimate_and_is_never_sooner_than_the_organiser_allows(
            pace in rooms(), position in positions(),
        ) {
            let eta = pace.eta(position);
            prop_assert_eq!(eta.is_some(), !pace.halted && pace.rates.mean_milli > 0);
            if let Some(eta) = eta {
                prop_assert!(eta.from_seconds <= eta.expected_seconds);
                prop_assert!(eta.to_seconds.is_none_or(|to| eta.expected_seconds <= to));
                let called_in_time = u64::from(pace.admit_per_second) * u64::from(eta.from_seconds)
                    + u64::from(pace.admit_per_second.div_ceil(4));
                prop_assert!(eta.from_seconds == u32::MAX || called_in_time >= position);
            }
        }

        #[test]
        fn an_estimate_never_grows_as_the_position_falls(pace in rooms(), position in 2..u64::MAX) {
            if let (Some(now), Some(next)) = (pace.eta(position), pace.eta(position - 1)) {
                prop_assert!(next.from_seconds <= now.from_seconds);
                prop_assert!(next.expected_seconds <= now.expected_seconds);
                prop_assert!(next.to_seconds <= now.to_seconds);
            }
        }
    }

    #[test]
    fn a_lobby_learns_of_its_opening_within_half_the_claim_window() {
        for until_ms in [0, 1, 900, 29_999, 30_000, 30_001, 31_000, 86_400_000] {
            for people in [0, 1, 20_000, 1_000_000, u64::MAX] {
                for claim_seconds in [1, 30, 600] {
                    for jitter in [0.0, 0.5, 1.0] {
                        let after_ms =
                            u64::from(lobby_poll_after_ms(until_ms, people, claim_seconds, jitter));
                        let half_claim_ms = u64::from(claim_seconds) * 500;
                        assert!(
                            after_ms <= until_ms + half_claim_ms,
                            "{until_ms} {people} {claim_seconds}"
                        );
                        assert!(after_ms >= 500 && after_ms <= 30_000 + half_claim_ms);
                    }
                }
            }
        }
    }

    #[test]
    fn a_crowd_is_spread_over_more_time_than_a_few() {
        let latest = |people| lobby_poll_after_ms(0, people, 30, 1.0);
        assert_eq!(
            (latest(100), latest(500_000), latest(1_000_000)),
            (1_000, 10_000, 15_000)
        );
    }

    #[test]
    fn jitter_only_shortens() {
        assert_eq!(PACE.poll_after_ms(20, 0.0), 4_000);
        assert!((0..=10).all(|tenth| PACE.poll_after_ms(20, f64::from(tenth) / 10.0) <= 5_000));
    }
}
