//! A history, readably.

use super::answers::{Answer, Asked};
use super::plan::What;

pub(super) fn words(asked: &Asked) -> String {
    let whose = asked
        .token
        .map(|(user, number)| format!(" number {number} of user {user}"));
    let whose = whose.unwrap_or_default();
    match asked.what {
        What::Join { user } => format!("user {user} joins"),
        What::Poll(_) => format!("polls{whose}"),
        What::Leave(_) => format!("leaves{whose}"),
        What::Hold { made: true, .. } => format!("makes a hold{whose}"),
        What::Hold { made: false, .. } => format!("is refused a hold{whose}"),
        What::EndVisit { outcome, .. } => format!("visit ends {outcome:?}{whose}"),
        What::Trespass { .. } => format!("somebody shows{whose}"),
        What::PutRoom(settings) => format!("{settings:?}"),
        What::Tick => "ticks".to_owned(),
        What::Upkeep => "ticks, compares, ticks".to_owned(),
    }
}

pub(super) fn told(answer: &Answer) -> String {
    match answer {
        Answer::Joined(Ok(ticket)) => {
            let new = if ticket.joined_now { "new" } else { "old" };
            let view = &ticket.view;
            format!(
                "{new} number {}, {} at {}",
                view.number.0, view.state, view.position
            )
        }
        Answer::Polled(Ok(view)) => format!("{} at {}", view.state, view.position),
        Answer::Put(Ok(_)) => "done".to_owned(),
        answer => format!("{answer:?}"),
    }
}
