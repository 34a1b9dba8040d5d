//! What goes back of a paid reservation when its owner cancels it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::problem::FieldError;

use super::text::fault;

/// The most tiers of one policy.
pub const MAX_TIERS: usize = 10;
/// The longest time before the beginning that a tier can name: ten years.
pub const MAX_HOURS: u32 = 87_600;

/// Who cancels at least this long before the beginning gets this share back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundTier {
    /// 0 to [`MAX_HOURS`].
    pub hours_before_start: u32,
    /// 1 to 100.
    pub percent: u32,
}

/// Tiers, the longest time first; a longer one never gives less back. Without any, nothing can be canceled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPolicy(Vec<RefundTier>);

/// Everything until the beginning.
impl Default for RefundPolicy {
    fn default() -> Self {
        Self(vec![RefundTier {
            hours_before_start: 0,
            percent: 100,
        }])
    }
}

impl RefundPolicy {
    /// `tiers` come in any order; faults name them in the order in which they came.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn new(tiers: Vec<RefundTier>) -> Result<Self, Vec<FieldError>> {
        if tiers.len() > MAX_TIERS {
            let rule = format!("must have at most {MAX_TIERS} tiers");
            return Err(vec![fault("refundPolicy", rule)]);
        }
        let mut faults = Vec::new();
        for (index, tier) in tiers.iter().enumerate() {
            if tier.hours_before_start > MAX_HOURS {
                let rule = format!("must be 0 to {MAX_HOURS}");
                faults.push(fault(format!("refundPolicy[{index}].hoursBeforeStart"), rule));
            }
            if !(1..=100).contains(&tier.percent) {
                faults.push(fault(
                    format!("refundPolicy[{index}].percent"),
                    "must be 1 to 100",
                ));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut sorted: Vec<_> = tiers.into_iter().enumerate().collect();
        sorted.sort_by_key(|(_, tier)| std::cmp::Reverse(tier.hours_before_start));
        for ((longer, long), (shorter, short)) in sorted.iter().zip(sorted.iter().skip(1)) {
            if long.hours_before_start == short.hours_before_start {
                let rule = "must be different from the others";
                faults.push(fault(format!("refundPolicy[{shorter}].hoursBeforeStart"), rule));
            } else if long.percent < short.percent {
                let rule = "must not be less than that of a shorter time";
                faults.push(fault(format!("refundPolicy[{longer}].percent"), rule));
            }
        }
        if faults.is_empty() {
            Ok(Self(sorted.into_iter().map(|(_, tier)| tier).collect()))
        } else {
            Err(faults)
        }
    }

    /// The longest time first.
    #[must_use]
    pub fn tiers(&self) -> &[RefundTier] {
        &self.0
    }

    /// The policy as the audit log keeps it.
    #[must_use]
    pub fn details(&self) -> Value {
        let tiers = self
            .0
            .iter()
            .map(|tier| json!({ "hoursBeforeStart": tier.hours_before_start, "percent": tier.percent }));
        tiers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(asked: &[(u32, u32)]) -> Vec<RefundTier> {
        let tier = |&(hours_before_start, percent)| RefundTier {
            hours_before_start,
            percent,
        };
        asked.iter().map(tier).collect()
    }

    #[test]
    fn tiers_stand_with_the_longest_time_first() {
        let policy = RefundPolicy::new(tiers(&[(24, 50), (0, 10), (240, 100)])).unwrap();
        assert_eq!(policy.tiers(), tiers(&[(240, 100), (24, 50), (0, 10)]));
        // A longer time may give the same.
        assert!(RefundPolicy::new(tiers(&[(24, 50), (0, 50)])).is_ok());
        assert!(RefundPolicy::new(tiers(&[(MAX_HOURS, 100)])).is_ok());
        assert!(RefundPolicy::new(Vec::new()).unwrap().tiers().is_empty());
        assert_eq!(
            RefundPolicy::new(tiers(&[(0, 100)])).unwrap(),
            RefundPolicy::default()
        );
    }

    #[test]
    fn every_broken_rule_is_named_where_it_was_asked_for() {
        let fields = |asked: &[(u32, u32)]| -> Vec<String> {
            let faults = RefundPolicy::new(tiers(asked)).unwrap_err();
            faults.into_iter().map(|fault| fault.field).collect()
        };
        assert_eq!(
            fields(&[(MAX_HOURS + 1, 100), (1, 0), (0, 101)]),
            [
                "refundPolicy[0].hoursBeforeStart",
                "refundPolicy[1].percent",
                "refundPolicy[2].percent"
            ]
        );
        assert_eq!(
            fields(&[(24, 50), (24, 50)]),
            ["refundPolicy[1].hoursBeforeStart"]
        );
        assert_eq!(fields(&[(0, 60), (24, 50)]), ["refundPolicy[1].percent"]);
        assert_eq!(fields(&[(1, 1); 11]), ["refundPolicy"]);
    }
}
