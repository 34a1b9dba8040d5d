//! Messages that carry a password, a token or a payment key show nothing of themselves in Debug.
//!
//! The list has its twin in `build.rs`, which keeps the generator from deriving Debug for them: a message that stands
//! in one list only does not compile.

use std::fmt;

macro_rules! redacted {
    ($($module:ident::$message:ident),+ $(,)?) => {
        $(
            impl fmt::Debug for crate::$module::$message {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(concat!(stringify!($message), " { .. }"))
                }
            }
        )+
    };
}

redacted!(
    auth::Tokens,
    auth::SignUpRequest,
    auth::LogInRequest,
    auth::RefreshRequest,
    auth::LogOutRequest,
    queue::Ticket,
    queue::GetTokenRequest,
    queue::LeaveRequest,
    queue::CheckVisitRequest,
    queue::GetProofRequest,
    queue::Receipt,
    concert::ListSchedulesRequest,
    concert::GetSeatsRequest,
    booking::HoldSeatsRequest,
    booking::Reservation,
    booking::PaymentCredential,
    payment::Card,
);
