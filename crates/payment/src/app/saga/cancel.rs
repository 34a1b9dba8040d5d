//! Card money that goes back at the provider, once.
//!
//! The balance at the provider tells a repeat from a second refund, so a lost answer is simply asked for again: under the
//! same Idempotency-Key if none came, under the next one if the provider answered and would repeat itself. Books that say
//! something else than ours are for people, never for a guess.

use super::driver::{Saga, for_people};
use crate::app::App;
use crate::provider::{Cancel, Cancellation};

/// What is known of money that was asked to go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Returned {
    /// It went back, now or before.
    Yes,
    /// It has to be asked for again.
    NotKnown {
        /// There was an answer, and it would be repeated: the next try needs its own key.
        answered: bool,
    },
}

impl App {
    /// Asks for card money to go back: that it is about to was recorded before.
    pub(in crate::app) async fn ask_to_cancel<S: Saga>(&self, saga: &S, cancel: &Cancel) -> Returned {
        match self.provider.cancel(cancel).await {
            Cancellation::Canceled => Returned::Yes,
            Cancellation::Unknown { answered } => Returned::NotKnown { answered },
            // Asked for again, in case somebody has mended it.
            Cancellation::Mismatch => {
                for_people(
                    saga,
                    "the payment provider's books do not match what is to go back",
                    None,
                );
                Returned::NotKnown { answered: false }
            }
            Cancellation::Refused { code } => {
                for_people(
                    saga,
                    "the payment provider won't give a capture back",
                    Some(&code),
                );
                Returned::NotKnown { answered: true }
            }
        }
    }
}
