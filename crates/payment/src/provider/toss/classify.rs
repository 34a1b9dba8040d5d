//! What Toss Payments' codes mean. By code, never by HTTP status: `PROVIDER_ERROR` (come again) and
//! `ALREADY_PROCESSED_PAYMENT` (look it up) are both 400, and cards are declined with 400 and 403 alike.
//!
//! A code that is not listed is not known to mean "nothing captured": the payment is looked up.

/// What a refusal says about the capture that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing was captured and this payment is dead.
    Declined,
    /// The request was turned away unread.
    Rejected,
    /// The payment key was captured before.
    AlreadyProcessed,
    /// The order was captured before, by this payment key or by another.
    OrderUsed,
    /// The first request with this Idempotency-Key is still running.
    StillRunning,
    /// Temporary, or not known to us: look it up, then try under a new key.
    TryAgain,
}

/// The codes of a refused confirmation; docs/provider.md shows this table.
const CONFIRMATION: &[(Meaning, &[&str])] = &[
    (Meaning::AlreadyProcessed, &["ALREADY_PROCESSED_PAYMENT"]),
    (Meaning::OrderUsed, &["DUPLICATED_ORDER_ID"]),
    (
        Meaning::StillRunning,
        &["IDEMPOTENT_REQUEST_PROCESSING", "ALREADY_PROCESSING_REQUEST"],
    ),
    (
        Meaning::TryAgain,
        &[
            "PROVIDER_ERROR",
            "CARD_PROCESSING_ERROR",
            "COMMON_ERROR",
            "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING",
            "FAILED_INTERNAL_SYSTEM_PROCESSING",
            "UNKNOWN_PAYMENT_ERROR",
        ],
    ),
    (
        Meaning::Rejected,
        &[
            "INVALID_REQUEST",
            "INVALID_API_KEY",
            "INVALID_AUTHORIZE_AUTH",
            "INVALID_IDEMPOTENCY_KEY",
            "UNAUTHORIZED_KEY",
            "INCORRECT_BASIC_AUTH_FORMAT",
            "FORBIDDEN_REQUEST",
            "FORBIDDEN_CONSECUTIVE_REQUEST",
        ],
    ),
    (
        Meaning::Declined,
        &[
            "BELOW_MINIMUM_AMOUNT",
            "EXCEED_MAX_AMOUNT",
            "EXCEED_MAX_AUTH_COUNT",
            "EXCEED_MAX_CARD_INSTALLMENT_PLAN",
            "EXCEED_MAX_DAILY_PAYMENT_COUNT",
            "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT",
            "EXCEED_MAX_ONE_DAY_AMOUNT",
            "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT",
            "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT",
            "EXCEED_MAX_PAYMENT_AMOUNT",
            "FDS_ERROR",
            "INVALID_ACCOUNT_INFO_RE_REGISTER",
            "INVALID_CARD_EXPIRATION",
            "INVALID_CARD_INSTALLMENT_PLAN",
            "INVALID_CARD_LOST_OR_STOLEN",
            "INVALID_CARD_NUMBER",
            "INVALID_PASSWORD",
            "INVALID_REJECT_CARD",
            "INVALID_STOPPED_CARD",
            "INVALID_UNREGISTERED_SUBMALL",
            "NOT_ALLOWED_POINT_USE",
            "NOT_AVAILABLE_BANK",
            "NOT_AVAILABLE_PAYMENT",
            "NOT_FOUND_PAYMENT",
            "NOT_FOUND_PAYMENT_SESSION",
            "NOT_FOUND_TERMINAL_ID",
            "NOT_REGISTERED_BUSINESS",
            "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT",
            "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN",
            "REJECT_ACCOUNT_PAYMENT",
            "REJECT_CARD_COMPANY",
            "REJECT_CARD_PAYMENT",
            "REJECT_TOSSPAY_INVALID_ACCOUNT",
            "RESTRICTED_TRANSFER_ACCOUNT",
            "UNAPPROVED_ORDER_ID",
        ],
    ),
];

/// The meaning of a refused confirmation.
pub(super) fn confirmation(code: &str) -> Meaning {
    meaning(CONFIRMATION, code).unwrap_or(Meaning::TryAgain)
}

/// What a refusal says about money that was asked to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelMeaning {
    /// Less was left than we took to be: look again.
    LookAgain,
    /// The first request with this Idempotency-Key is still running.
    StillRunning,
    /// Never, as things are.
    Refused,
    /// Temporary, or not known to us: look again, then try under a new key.
    TryAgain,
}

/// The codes of a refused cancellation; docs/provider.md shows this table.
const CANCELLATION: &[(CancelMeaning, &[&str])] = &[
    (
        CancelMeaning::LookAgain,
        &[
            "ALREADY_CANCELED_PAYMENT",
            "ALREADY_REFUND_PAYMENT",
            "NOT_MATCHES_REFUNDABLE_AMOUNT",
        ],
    ),
    (
        CancelMeaning::StillRunning,
        &["IDEMPOTENT_REQUEST_PROCESSING", "ALREADY_PROCESSING_REQUEST"],
    ),
    (
        CancelMeaning::TryAgain,
        &[
            "PROVIDER_ERROR",
            "COMMON_ERROR",
            "FAILED_INTERNAL_SYSTEM_PROCESSING",
            "FAILED_METHOD_HANDLING_CANCEL",
            "FAILED_PARTIAL_REFUND",
            "FAILED_REFUND_PROCESS",
            "FORBIDDEN_CONSECUTIVE_REQUEST",
            "NOT_AVAILABLE_BANK",
        ],
    ),
    (
        CancelMeaning::Refused,
        &[
            "EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT",
            "EXCEED_MAX_REFUND_DUE",
            "FAILED_CLOSED_ACCOUNT_REFUND",
            "FORBIDDEN_BANK_REFUND_REQUEST",
            "FORBIDDEN_REQUEST",
            "INCORRECT_BASIC_AUTH_FORMAT",
            "INVALID_API_KEY",
            "INVALID_BANK",
            "INVALID_IDEMPOTENCY_KEY",
            "INVALID_REFUND_ACCOUNT_INFO",
            "INVALID_REFUND_ACCOUNT_NUMBER",
            "INVALID_REQUEST",
            "NOT_ALLOWED_PARTIAL_REFUND",
            "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT",
            "NOT_CANCELABLE_AMOUNT",
            "NOT_CANCELABLE_PAYMENT",
            "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER",
            "NOT_FOUND_PAYMENT",
            "REFUND_REJECTED",
            "UNAUTHORIZED_KEY",
        ],
    ),
];

/// The meaning of a refused cancellation.
pub(super) fn cancellation(code: &str) -> CancelMeaning {
    meaning(CANCELLATION, code).unwrap_or(CancelMeaning::TryAgain)
}

fn meaning<M: Copy>(table: &[(M, &[&str])], code: &str) -> Option<M> {
    let found = table.iter().find(|(_, codes)| codes.contains(&code));
    found.map(|&(meaning, _)| meaning)
}

/// What the status of the provider's payment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All of it was captured and is there.
    Captured,
    /// Declined, expired or given back.
    NotCaptured,
    /// Not decided.
    Open,
    /// A part went back, or a word that we do not know.
    Odd,
}

/// The meaning of a payment's `status`.
pub(super) fn standing(status: &str) -> Standing {
    match status {
        "DONE" => Standing::Captured,
        "ABORTED" | "EXPIRED" | "CANCELED" => Standing::NotCaptured,
        "READY" | "IN_PROGRESS" | "WAITING_FOR_DEPOSIT" => Standing::Open,
        _ => Standing::Odd,
    }
}

/// Whether a payment of this status was ever captured; `None` for a word that we do not know.
pub(super) fn money(status: &str) -> Option<bool> {
    match status {
        "DONE" | "PARTIAL_CANCELED" | "CANCELED" => Some(true),
        "READY" | "IN_PROGRESS" | "WAITING_FOR_DEPOSIT" | "ABORTED" | "EXPIRED" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;

    /// The rows below a heading of the page, as codes and meanings.
    fn documented(heading: &str) -> BTreeMap<String, String> {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/provider.md"));
        let (_, section) = page.split_once(heading).unwrap();
        let section = section.split("\n#").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| {
            let (code, meaning) = row.split_once("` | ").unwrap();
            (code.to_owned(), meaning.trim_end_matches(" |").to_owned())
        })
        .collect()
    }

    fn told<M: Copy>(table: &[(M, &[&str])], word: fn(M) -> &'static str) -> BTreeMap<String, String> {
        let rows = table.iter().flat_map(|&(meaning, codes)| {
            codes
                .iter()
                .map(move |code| ((*code).to_owned(), word(meaning).to_owned()))
        });
        rows.collect()
    }

    #[test]
    fn the_page_shows_every_code_with_its_meaning() {
        let confirmations = told(CONFIRMATION, |meaning| match meaning {
            Meaning::Declined => "declined",
            Meaning::Rejected => "rejected",
            Meaning::AlreadyProcessed => "captured before",
            Meaning::OrderUsed => "order used",
            Meaning::StillRunning => "still running",
            Meaning::TryAgain => "try again",
        });
        assert_eq!(documented("### Confirmations\n"), confirmations);
        let cancellations = told(CANCELLATION, |meaning| match meaning {
            CancelMeaning::LookAgain => "look again",
            CancelMeaning::StillRunning => "still running",
            CancelMeaning::Refused => "refused",
            CancelMeaning::TryAgain => "try again",
        });
        assert_eq!(documented("### Cancellations\n"), cancellations);
    }

    #[test]
    fn a_code_has_one_meaning() {
        let codes = |tables: Vec<&[&str]>| tables.concat().len();
        let confirmation = CONFIRMATION.iter().map(|(_, codes)| *codes).collect();
        assert_eq!(codes(confirmation), told(CONFIRMATION, |_| "").len());
        let cancellation = CANCELLATION.iter().map(|(_, codes)| *codes).collect();
        assert_eq!(codes(cancellation), told(CANCELLATION, |_| "").len());
    }

    #[rstest]
    // Both 400, and the opposite of one another.
    #[case("PROVIDER_ERROR", Meaning::TryAgain)]
    #[case("ALREADY_PROCESSED_PAYMENT", Meaning::AlreadyProcessed)]
    // Declined with 400, 403 and 404.
    #[case("INVALID_STOPPED_CARD", Meaning::Declined)]
    #[case("REJECT_CARD_PAYMENT", Meaning::Declined)]
    #[case("NOT_FOUND_PAYMENT_SESSION", Meaning::Declined)]
    // Perhaps by ourselves.
    #[case("DUPLICATED_ORDER_ID", Meaning::OrderUsed)]
    // Ours to mend; nothing about the card.
    #[case("UNAUTHORIZED_KEY", Meaning::Rejected)]
    #[case("INVALID_REQUEST", Meaning::Rejected)]
    // 409: the first request goes on.
    #[case("IDEMPOTENT_REQUEST_PROCESSING", Meaning::StillRunning)]
    // 500.
    #[case("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", Meaning::TryAgain)]
    #[case("UNKNOWN_PAYMENT_ERROR", Meaning::TryAgain)]
    // Not in our list.
    #[case("A_CODE_OF_NEXT_YEAR", Meaning::TryAgain)]
    #[case("", Meaning::TryAgain)]
    fn a_refused_confirmation_is_understood_by_its_code(#[case] code: &str, #[case] meaning: Meaning) {
        assert_eq!(confirmation(code), meaning);
    }

    #[rstest]
    #[case("ALREADY_CANCELED_PAYMENT", CancelMeaning::LookAgain)]
    #[case("NOT_MATCHES_REFUNDABLE_AMOUNT", CancelMeaning::LookAgain)]
    #[case("FORBIDDEN_CONSECUTIVE_REQUEST", CancelMeaning::TryAgain)]
    #[case("NOT_CANCELABLE_PAYMENT", CancelMeaning::Refused)]
    #[case("PROVIDER_ERROR", CancelMeaning::TryAgain)]
    #[case("IDEMPOTENT_REQUEST_PROCESSING", CancelMeaning::StillRunning)]
    #[case("A_CODE_OF_NEXT_YEAR", CancelMeaning::TryAgain)]
    fn a_refused_cancellation_is_understood_by_its_code(#[case] code: &str, #[case] meaning: CancelMeaning) {
        assert_eq!(cancellation(code), meaning);
    }

    #[rstest]
    #[case("DONE", Standing::Captured)]
    #[case("IN_PROGRESS", Standing::Open)]
    #[case("READY", Standing::Open)]
    #[case("WAITING_FOR_DEPOSIT", Standing::Open)]
    #[case("ABORTED", Standing::NotCaptured)]
    #[case("EXPIRED", Standing::NotCaptured)]
    #[case("CANCELED", Standing::NotCaptured)]
    #[case("PARTIAL_CANCELED", Standing::Odd)]
    #[case("A_STATUS_OF_NEXT_YEAR", Standing::Odd)]
    fn a_status_says_where_the_money_is(#[case] status: &str, #[case] meaning: Standing) {
        assert_eq!(standing(status), meaning);
    }
}
