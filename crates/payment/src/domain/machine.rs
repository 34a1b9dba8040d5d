//! What the machines of payments, charges and refunds have in common: a word for each state, and how an event is refused.

/// Declares the states of one kind of saga: the word that stands for each in SQL and metrics, and which of them are ends.
macro_rules! states {
    (
        $(#[$about:meta])* $name:ident of $saga:literal, ended when $($ended:ident)|+ {
            $($(#[$meta:meta])* $variant:ident => $word:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$meta])* $variant,)+
        }

        impl $name {
            /// Every state.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as it stands in SQL and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Whether nothing is left to do.
            #[must_use]
            pub const fn has_ended(self) -> bool {
                matches!(self, $(Self::$ended)|+)
            }

            /// That this state does not know an event.
            pub(in $crate::domain) const fn refuses(self) -> $crate::domain::Refused {
                $crate::domain::Refused { saga: $saga, state: self.as_str() }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownState;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::UnknownState),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use states;

/// A word that is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a state")]
pub struct UnknownState;

/// An event that a state does not know: what it happened to moved on meanwhile, or the caller is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {saga} that is {state} cannot take this event")]
pub struct Refused {
    /// What it would have happened to: a payment, a charge or a refund.
    pub saga: &'static str,
    /// The word of the state where that stands.
    pub state: &'static str,
}
