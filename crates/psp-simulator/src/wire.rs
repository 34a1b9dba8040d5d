//! The provider's Payment object as it appears in answers. Fields that a card payment never fills are null, as with the
//! provider.

use serde_json::{Value, json};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::{format_description, offset},
};

use crate::{
    errors::{ErrorCode, ErrorObject},
    payments::{Cancel, Payment, Status},
    transactions::Transaction,
};

/// The version of the provider's API that the simulator speaks.
const VERSION: &str = "2022-11-16";

pub(crate) fn payment_object(payment: &Payment) -> Value {
    let balance = payment.balance();
    let vat = (balance + 5) / 11;
    let last_cancel = payment.cancels.last().map(|cancel| &cancel.transaction_key);
    let last_transaction = last_cancel.or(payment.capture.as_ref().map(|capture| &capture.transaction_key));
    let cancels: Vec<_> = payment.cancels.iter().map(cancel_object).collect();
    let declined = payment.status == Status::Aborted;
    json!({
        "mId": "frontrow",
        "version": VERSION,
        "type": "NORMAL",
        "paymentKey": payment.payment_key,
        "orderId": payment.order_id,
        "orderName": "Frontrow",
        "status": payment.status,
        "method": "카드",
        "currency": "KRW",
        "country": "KR",
        "totalAmount": payment.amount,
        "balanceAmount": balance,
        "suppliedAmount": balance - vat,
        "vat": vat,
        "taxFreeAmount": 0,
        "taxExemptionAmount": 0,
        "requestedAt": korean_time(payment.requested_at),
        "approvedAt": payment.capture.as_ref().map(|capture| korean_time(capture.approved_at)),
        "lastTransactionKey": last_transaction,
        "isPartialCancelable": true,
        "cancels": if cancels.is_empty() { Value::Null } else { Value::Array(cancels) },
        "card": {
            "amount": payment.amount,
            "issuerCode": "71",
            "acquirerCode": "71",
            "number": "12345678****000*",
            "installmentPlanMonths": 0,
            "isInterestFree": false,
            "interestPayer": null,
            "approveNo": "00000000",
            "useCardPoint": false,
            "cardType": "신용",
            "ownerType": "개인",
            "acquireStatus": "READY",
        },
        "failure": declined.then_some(ErrorObject::from(ErrorCode::RejectCardPayment)),
        "useEscrow": false,
        "cultureExpense": false,
        "virtualAccount": null,
        "transfer": null,
        "mobilePhone": null,
        "giftCertificate": null,
        "cashReceipt": null,
        "cashReceipts": null,
        "discount": null,
        "easyPay": null,
        "secret": null,
        "receipt": null,
        "checkout": null,
        "metadata": null,
    })
}

fn cancel_object(cancel: &Cancel) -> Value {
    json!({
        "transactionKey": cancel.transaction_key,
        "cancelAmount": cancel.amount,
        "cancelReason": cancel.reason,
        "canceledAt": korean_time(cancel.canceled_at),
        "cancelStatus": "DONE",
        "cancelRequestId": null,
        "refundableAmount": cancel.balance_after,
        "taxFreeAmount": 0,
        "taxExemptionAmount": 0,
        "cardDiscountAmount": 0,
        "transferDiscountAmount": 0,
        "easyPayDiscountAmount": 0,
        "receiptKey": null,
    })
}

pub(crate) fn transaction_object(transaction: &Transaction<'_>) -> Value {
    json!({
        "mId": "frontrow",
        "transactionKey": transaction.key,
        "paymentKey": transaction.payment.payment_key,
        "orderId": transaction.payment.order_id,
        "method": "카드",
        "customerKey": null,
        "useEscrow": false,
        "receiptUrl": null,
        "status": transaction.status,
        "transactionAt": korean_time(transaction.at),
        "currency": "KRW",
        "amount": transaction.amount,
    })
}

/// When an event was made: Korean time to the microsecond, and without saying so.
pub(crate) fn korean_moment(at: OffsetDateTime) -> Option<String> {
    const FORMAT: &[BorrowedFormatItem<'static>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
    at.to_offset(offset!(+9)).format(FORMAT).ok()
}

/// The provider writes times to the second, in Korean time.
fn korean_time(at: OffsetDateTime) -> Option<String> {
    at.to_offset(offset!(+9))
        .truncate_to_second()
        .format(&Rfc3339)
        .ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_written_as_the_provider_writes_them() {
        let at = datetime!(2024-02-13 03:18:14.987 UTC);
        assert_eq!(korean_time(at).unwrap(), "2024-02-13T12:18:14+09:00");
    }
}
