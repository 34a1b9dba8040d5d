//! The arithmetic of what was measured.

use std::fmt;

use serde::Serialize;

/// Of some rounds of the same: the one in the middle, and how far the others are from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Zeros for no values at all.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let (count, middle) = (values.len(), values.len() / 2);
        let median = if count % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.saturating_sub(1)), at(middle))
        };
        Spread {
            median,
            min: at(0),
            max: at(count.saturating_sub(1)),
        }
    }
}

/// The median and, in brackets, the extremes; all with as many decimal places as are asked for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = *self;
        let digits = f.precision().unwrap_or_default();
        write!(f, "{median:.digits$} ({min:.digits$} to {max:.digits$})")
    }
}

/// Parts of a whole that was counted; zero of nothing.
pub(crate) fn per(amount: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { amount / count as f64 }
}

/// Commits of one side per second by those of the other: 1 means that the services get as many commits out of Postgres
/// as a client that does nothing else.
pub(crate) fn commit_ratio(ours: Commits, pgbench: Commits) -> f64 {
    let reference = pgbench.runs_per_second * pgbench.commits_per_run;
    if reference > 0.0 {
        ours.runs_per_second * ours.commits_per_run / reference
    } else {
        0.0
    }
}

/// How often something is done, and how many commits each time takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commits {
    pub(crate) runs_per_second: f64,
    pub(crate) commits_per_run: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two_in_the_middle() {
        let spread = Spread::of([3.0, 1.0, 9.0]);
        assert_eq!((spread.median, spread.min, spread.max), (3.0, 1.0, 9.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]).median, 7.0);
        assert_eq!(Spread::of([]).max, 0.0);
    }

    #[test]
    fn the_ratio_compares_commits_and_not_runs() {
        let ours = Commits {
            runs_per_second: 800.0,
            commits_per_run: 5.0,
        };
        let pgbench = |runs_per_second, commits_per_run| Commits {
            runs_per_second,
            commits_per_run,
        };
        assert_eq!(commit_ratio(ours, pgbench(1_000.0, 5.0)), 0.8);
        // The same reference, measured with another length of script.
        assert_eq!(commit_ratio(ours, pgbench(5_000.0, 1.0)), 0.8);
        assert_eq!(commit_ratio(ours, pgbench(0.0, 5.0)), 0.0);
    }

    #[test]
    fn a_part_of_nothing_is_zero() {
        assert_eq!(per(10.0, 4), 2.5);
        assert_eq!(per(10.0, 0), 0.0);
    }
}
