//! The stable codes of problem answers: the one list that gRPC, HTTP and the docs are made from.

use std::fmt;
use std::str::FromStr;

macro_rules! problem_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $code:literal, $title:literal;)+) => {
        /// Why a request was refused, as callers may rely on it. Once published a code keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as it stands in answers, metrics and docs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// A short sentence for people; the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// What the code means, for the reference.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }

        impl FromStr for ProblemCode {
            type Err = ();

            fn from_str(code: &str) -> Result<Self, Self::Err> {
                match code {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(()),
                }
            }
        }
    };
}

problem_codes! {
    /// The request could not be read: broken JSON, a missing or wrong header.
    MalformedRequest => "malformed-request", "The request could not be read";
    /// A field breaks a rule; `errors` names each field and its rule.
    InvalidField => "invalid-field", "A field is missing or wrong";
    /// The body is larger than the route allows.
    BodyTooLarge => "body-too-large", "The body is too large";
    /// The body is not of the media type that the route reads.
    UnsupportedMediaType => "unsupported-media-type", "The media type is not supported";
    /// There is no such route.
    RouteNotFound => "route-not-found", "There is no such route";
    /// The route exists, but not for this method.
    MethodNotAllowed => "method-not-allowed", "The method is not allowed here";
    /// What was asked for does not exist, or belongs to somebody else.
    NotFound => "not-found", "Not found";
    /// No access token, or one that is not ours.
    Unauthenticated => "unauthenticated", "An access token is required";
    /// The access token is out of date: trade the refresh token for a new one.
    AccessTokenExpired => "access-token-expired", "The access token has expired";
    /// E-mail and password do not belong together, or there is no such account.
    InvalidCredentials => "invalid-credentials", "E-mail or password is wrong";
    /// The refresh token is unknown, used before, or out of date.
    InvalidRefreshToken => "invalid-refresh-token", "The refresh token is not valid";
    /// The user lacks the role that the route needs.
    Forbidden => "forbidden", "Not allowed";
    /// An account with this e-mail exists.
    EmailTaken => "email-taken", "The e-mail address is taken";
    /// No queue token.
    QueueTokenMissing => "queue-token-missing", "A queue token is required";
    /// The queue token is no token, or not all of one.
    QueueTokenMalformed => "queue-token-malformed", "The queue token is not whole";
    /// The queue token names no algorithm, or another than ours.
    QueueTokenUnsigned => "queue-token-unsigned", "The queue token is not signed";
    /// The queue token was not signed by a key of ours, or for another use.
    QueueTokenInvalid => "queue-token-invalid", "The queue token is not valid";
    /// The queue token belongs to another user.
    QueueTokenForeign => "queue-token-foreign", "The queue token belongs to somebody else";
    /// The queue token is of another concert's line.
    QueueTokenOtherConcert => "queue-token-other-concert", "The queue token is for another concert";
    /// The queue token's turn has not come yet.
    NotAdmitted => "not-admitted", "It is not your turn yet";
    /// The queue token's time is over, or its purchase is complete.
    QueueTokenExpired => "queue-token-expired", "The queue token has expired";
    /// A hold was made with this queue token, so its page is behind it.
    PageLeft => "page-left", "The page was left with a hold";
    /// The waiting room drains: nobody joins anew, and who has a place keeps it.
    RoomClosed => "room-closed", "The waiting room is closed";
    /// The lobby's draw has not come so far: its root is not published yet.
    DrawPending => "draw-pending", "The draw is not done yet";
    /// The organiser has closed the sale of this date; what was held before may still be paid.
    SaleClosed => "sale-closed", "The sale is closed";
    /// Some of the seats are held or sold; `seatIds` names them.
    SeatUnavailable => "seat-unavailable", "A seat is no longer available";
    /// The user would hold or own more seats of this schedule than allowed.
    SeatCapExceeded => "seat-cap-exceeded", "Too many seats";
    /// The reservation is not in a state that allows this.
    ReservationNotReleasable => "reservation-not-releasable", "The reservation cannot be released now";
    /// The reservation is not paid, or was canceled before.
    ReservationNotCancelable => "reservation-not-cancelable", "The reservation cannot be canceled";
    /// The date's refund policy gives nothing back any more.
    CancellationWindowClosed => "cancellation-window-closed", "The time to cancel is over";
    /// The organiser has canceled the date; what was paid for it goes back.
    ScheduleCanceled => "schedule-canceled", "The date was canceled";
    /// The payment token is forged, or belongs to another reservation.
    PaymentTokenInvalid => "payment-token-invalid", "A payment token is required";
    /// The wallet holds fewer points than were asked for; the hold stays.
    InsufficientPoints => "insufficient-points", "Not enough points";
    /// Another payment of this reservation has not ended yet.
    PaymentInProgress => "payment-in-progress", "A payment is in progress";
    /// The reservation is paid.
    AlreadyPaid => "already-paid", "The reservation is already paid";
    /// The time to pay is over; the seats are back on sale.
    PaymentWindowClosed => "payment-window-closed", "The time to pay is over";
    /// Points do not cover the total and no card was given.
    CardRequired => "card-required", "A card is required";
    /// The provider declined; points were given back and the hold stands while time is left.
    PaymentFailed => "payment-failed", "The payment failed";
    /// The order was used for another payment before; each needs its own.
    OrderUsed => "order-used", "The order was used before";
    /// The same Idempotency-Key came with another body.
    IdempotencyKeyReused => "idempotency-key-reused", "The Idempotency-Key was used for another request";
    /// A request with the same Idempotency-Key is still running.
    IdempotencyKeyInProgress => "idempotency-key-in-progress", "A request with this Idempotency-Key is running";
    /// Too many requests of this kind; `Retry-After` says when to come again.
    TooManyRequests => "too-many-requests", "Too many requests";
    /// A part of the system is away or overloaded; `Retry-After` says when to come again.
    Unavailable => "unavailable", "Temporarily unavailable";
    /// The answer did not come in time; whether the request had an effect is not known.
    DeadlineExceeded => "deadline-exceeded", "The request took too long";
    /// A fault of ours. It was logged under the trace id.
    Internal => "internal", "Internal error";
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_survives_text() {
        for code in ProblemCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }
}
