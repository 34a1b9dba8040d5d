//! What goes back of a paid reservation when it is canceled: the policy that its date was opened with.

use time::{Duration, OffsetDateTime};
use vocabulary::Amount;

/// A share of an amount, 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// All of it.
    pub const WHOLE: Self = Self(100);

    /// `None` unless it is 1 to 100.
    #[must_use]
    pub fn new(percent: u32) -> Option<Self> {
        let percent = u8::try_from(percent).ok()?;
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    /// The bare number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// This share of `total`, rounded down to the currency's smallest unit.
    #[must_use]
    pub fn of(self, total: Amount) -> Amount {
        // A share is never more than the whole, and a hundred times the largest amount is no overflow.
        Amount::new(total.get() * i64::from(self.0) / 100).unwrap_or(total)
    }
}

/// Whoever cancels at least this long before the beginning gets this share back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundTier {
    /// 0 to [`RefundPolicy::MAX_HOURS`].
    pub hours_before_start: u32,
    /// The share.
    pub percent: Percent,
}

/// Tiers, the longest time first; a longer one never gives less back. Without any, nothing can be canceled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundPolicy(Vec<RefundTier>);

/// Why tiers are no policy. Positions count from 0 in the order the tiers were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More than anybody can be told.
    #[error("must be at most {} tiers", RefundPolicy::MAX_TIERS)]
    Count,
    /// A time that is too long.
    #[error("must be 0 to {}", RefundPolicy::MAX_HOURS)]
    Hours {
        /// Whose.
        position: usize,
    },
    /// A time stands there twice.
    #[error("must be different from the others")]
    RepeatedHours {
        /// The second one.
        position: usize,
    },
    /// Nothing, or more than all.
    #[error("must be 1 to 100")]
    Percent {
        /// Whose share.
        position: usize,
    },
    /// Waiting would give more back.
    #[error("must not be less than that of a shorter time")]
    LessForLonger {
        /// The longer one.
        position: usize,
    },
}

impl RefundPolicy {
    /// The most tiers.
    pub const MAX_TIERS: usize = 10;
    /// The longest time that a tier can name: ten years.
    pub const MAX_HOURS: u32 = 87_600;

    /// Hours and percent of each tier, in any order.
    ///
    /// # Errors
    /// Too many tiers, a number out of range, a time twice, less for a longer time.
    pub fn new(tiers: &[(u32, u32)]) -> Result<Self, PolicyError> {
        if tiers.len() > Self::MAX_TIERS {
            return Err(PolicyError::Count);
        }
        let mut sorted = Vec::with_capacity(tiers.len());
        for (position, &(hours_before_start, percent)) in tiers.iter().enumerate() {
            if hours_before_start > Self::MAX_HOURS {
                return Err(PolicyError::Hours { position });
            }
            let percent = Percent::new(percent).ok_or(PolicyError::Percent { position })?;
            let tier = RefundTier {
                hours_before_start,
                percent,
            };
            sorted.push((position, tier));
        }
        sorted.sort_by_key(|(_, tier)| std::cmp::Reverse(tier.hours_before_start));
        for ((longer, long), (shorter, short)) in sorted.iter().zip(sorted.iter().skip(1)) {
            if long.hours_before_start == short.hours_before_start {
                return Err(PolicyError::RepeatedHours { position: *shorter });
            }
            if long.percent < short.percent {
                return Err(PolicyError::LessForLonger { position: *longer });
            }
        }
        Ok(Self(sorted.into_iter().map(|(_, tier)| tier).collect()))
    }

    /// The longest time first.
    #[must_use]
    pub fn tiers(&self) -> &[RefundTier] {
        &self.0
    }
}

/// When a date begins, and what goes back before that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundTerms {
    /// The beginning.
    pub starts_at: OffsetDateTime,
    /// What it counts back from there.
    pub policy: RefundPolicy,
}

impl RefundTerms {
    /// The share that goes back to whoever cancels at `now`: that of the longest time that is still met. `None` when
    /// none is.
    #[must_use]
    pub fn share_at(&self, now: OffsetDateTime) -> Option<Percent> {
        let left = self.starts_at - now;
        let met = |tier: &&RefundTier| Duration::hours(tier.hours_before_start.into()) <= left;
        self.policy.tiers().iter().find(met).map(|tier| tier.percent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn tiers_come_in_any_order_and_every_broken_rule_is_named_where_it_was_given() {
        let policy = RefundPolicy::new(&[(24, 50), (0, 10), (240, 100)]).unwrap();
        let hours: Vec<u32> = policy
            .tiers()
            .iter()
            .map(|tier| tier.hours_before_start)
            .collect();
        assert_eq!(hours, [240, 24, 0]);
        assert!(RefundPolicy::new(&[]).is_ok(), "nothing can be canceled");
        assert!(
            RefundPolicy::new(&[(24, 50), (0, 50)]).is_ok(),
            "the same is not less"
        );
        assert!(RefundPolicy::new(&[(RefundPolicy::MAX_HOURS, 100)]).is_ok());

        use PolicyError::{Count, Hours, LessForLonger, Percent, RepeatedHours};
        let cases: [(&[(u32, u32)], PolicyError); 6] = [
            (&[(1, 1); 11], Count),
            (&[(0, 1), (RefundPolicy::MAX_HOURS + 1, 1)], Hours { position: 1 }),
            (&[(0, 0)], Percent { position: 0 }),
            (&[(1, 100), (0, 101)], Percent { position: 1 }),
            (&[(24, 50), (0, 1), (24, 50)], RepeatedHours { position: 2 }),
            (&[(0, 60), (24, 50)], LessForLonger { position: 1 }),
        ];
        for (tiers, error) in cases {
            assert_eq!(RefundPolicy::new(tiers), Err(error), "{tiers:?}");
        }
    }

    #[test]
    fn the_longest_time_that_is_still_met_decides_and_its_last_instant_counts() {
        const START: OffsetDateTime = datetime!(2026-12-24 20:00 UTC);
        let terms = RefundTerms {
            starts_at: START,
            policy: RefundPolicy::new(&[(240, 100), (24, 50), (1, 10)]).unwrap(),
        };
        let cases = [
            (START - Duration::hours(999), Some(100)),
            (START - Duration::hours(240), Some(100)),
            (START - Duration::hours(240) + Duration::NANOSECOND, Some(50)),
            (START - Duration::hours(24), Some(50)),
            (START - Duration::hours(24) + Duration::NANOSECOND, Some(10)),
            (START - Duration::hours(1), Some(10)),
            (START - Duration::hours(1) + Duration::NANOSECOND, None),
            (START + Duration::hours(1), None),
        ];
        for (now, percent) in cases {
            assert_eq!(terms.share_at(now).map(Percent::get), percent, "{now}");
        }
    }

    proptest! {
        #[test]
        fn a_share_is_rounded_down_and_never_more_than_all(
            total in 0..=Amount::MAX.get(), percent in 1..=100_u32,
        ) {
            let share = Percent::new(percent).unwrap().of(Amount::new(total).unwrap()).get();
            prop_assert!(share * 100 <= total * i64::from(percent));
            prop_assert!((share + 1) * 100 > total * i64::from(percent));
            prop_assert!(share <= total);
        }
    }
}
