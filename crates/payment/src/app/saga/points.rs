//! Points between the steps of a saga where a test can end the process, as a power cut would: before each transition is
//! recorded, when whatever it tells of has been done, and after, when whatever comes next has not.
//!
//! They are there with the feature `failpoints` only, which no released program has. What `FAILPOINTS` names, for example
//! `payment.CAPTURED.recorded=return`, ends the process where it comes by.

use super::Saga;

/// Where the process is about to record that a saga stands where `next` says.
pub(in crate::app) fn recording<S: Saga>(next: &S) {
    reach::<S>(next.position().state, "recording");
}

/// Where it has just done so.
pub(in crate::app) fn recorded<S: Saga>(next: &S) {
    reach::<S>(next.position().state, "recorded");
}

/// Where it has just recorded sagas that nobody drives yet.
pub(in crate::app) fn begun<S: Saga>() {
    reach::<S>("CREATED", "recorded");
}

#[cfg(feature = "failpoints")]
fn reach<S: Saga>(state: &str, side: &str) {
    fail::fail_point!(&name(S::KIND, state, side), |_| std::process::abort());
}

#[cfg(not(feature = "failpoints"))]
const fn reach<S: Saga>(_: &str, _: &str) {}

#[cfg(feature = "failpoints")]
fn name(kind: &str, state: &str, side: &str) -> String {
    format!("{kind}.{state}.{side}")
}

/// Every point of a kind of saga.
#[cfg(feature = "failpoints")]
pub fn points(kind: &str, states: impl IntoIterator<Item = &'static str>) -> Vec<String> {
    states
        .into_iter()
        .flat_map(|state| ["recording", "recorded"].map(|side| name(kind, state, side)))
        .collect()
}

/// Arms what `FAILPOINTS` names, for as long as the answer is kept.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn arm() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}
