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

/// The figures of a room that its pace follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The most admissions per second that the organiser allows.
    pub admit_per_second: u32,
    /// Admissions per second over the last minute, times 1,000; 0 when nothing was measured.
    pub admitted_per_second_milli: u32,
    /// Seconds that a called number has to claim its turn.
    pub claim_seconds: u32,
}

impl Pace {
    /// Seconds until the turn of the one at `position` (1 = the next to be called), as the last minute went; `None`
    /// when nothing was measured.
    #[must_use]
    pub fn eta_seconds(&self, position: u64) -> Option<u32> {
        let rate = u64::from(self.admitted_per_second_milli);
        let seconds = (rate > 0).then(|| position.saturating_mul(1_000).div_ceil(rate))?;
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// Milliseconds until the one at `position` asks again: longer with distance, and never beyond half the claim
    /// window for one who could be called before then. `jitter`, from 0 to 1, spreads those who came together.
    #[must_use]
    pub fn poll_after_ms(&self, position: u64, jitter: f64) -> u32 {
        // Nobody is called faster than the organiser allows.
        let soonest_ms =
            position.saturating_sub(1).saturating_mul(1_000) / u64::from(self.admit_per_second.max(1));
        let expected_ms = self
            .eta_seconds(position)
            .map_or(soonest_ms, |seconds| u64::from(seconds) * 1_000);
        let wanted_ms = (expected_ms / POLLS_IN_A_WAIT).clamp(SHORTEST_MS, LONGEST_MS);
        let half_claim_ms = u64::from(self.claim_seconds) * 1_000 / 2;
        let bound_ms = soonest_ms.max(half_claim_ms);
        // From 80 to 100 percent: jitter never breaks the bound.
        let percent = 80 + (jitter.clamp(0.0, 1.0) * 20.0) as u64;
        u32::try_from(wanted_ms.min(bound_ms) * percent / 100).unwrap_or(u32::MAX)
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
    use super::*;

    const PACE: Pace = Pace {
        admit_per_second: 10,
        admitted_per_second_milli: 500,
        claim_seconds: 30,
    };

    #[test]
    fn the_wait_is_estimated_from_what_was_measured() {
        assert_eq!(PACE.eta_seconds(1), Some(2));
        assert_eq!(PACE.eta_seconds(1_000), Some(2_000));
        assert_eq!(PACE.eta_seconds(u64::MAX), Some(u32::MAX));
        let new_room = Pace {
            admitted_per_second_milli: 0,
            ..PACE
        };
        assert_eq!(new_room.eta_seconds(1), None);
    }

    #[test]
    fn polls_stretch_with_distance_up_to_a_bound() {
        let at = |position| PACE.poll_after_ms(position, 1.0);
        assert_eq!(at(1), 1_000);
        assert_eq!(at(20), 10_000);
        assert_eq!(at(60), 15_000);
        assert_eq!(at(u64::MAX), 30_000);
    }

    #[test]
    fn nobody_who_could_be_called_before_the_next_poll_waits_longer_than_half_the_claim_window() {
        for admit_per_second in [1, 7, 100, 100_000] {
            for admitted_per_second_milli in [0, 1, 900, 1_000_000] {
                for claim_seconds in [1, 2, 30, 600] {
                    let pace = Pace {
                        admit_per_second,
                        admitted_per_second_milli,
                        claim_seconds,
                    };
                    for position in [1, 2, 10, 99, 5_000, 1_000_000] {
                        let after_ms = u64::from(pace.poll_after_ms(position, 1.0));
                        let soonest_ms = (position - 1) * 1_000 / u64::from(admit_per_second);
                        assert!(
                            after_ms <= soonest_ms || after_ms <= u64::from(claim_seconds) * 500,
                            "{pace:?} at {position}: {after_ms}"
                        );
                    }
                }
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
        assert_eq!(PACE.poll_after_ms(20, 0.0), 8_000);
        assert!((0..=10).all(|tenth| PACE.poll_after_ms(20, f64::from(tenth) / 10.0) <= 10_000));
    }
}
