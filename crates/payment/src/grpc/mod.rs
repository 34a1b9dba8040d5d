//! The gRPC surface: contract messages in, contract messages or problems out, and no rule.

mod charges;
mod convert;
mod errors;
mod refunds;

use contracts::payment as proto;
use contracts::payment::payment_service_server::{PaymentService, PaymentServiceServer};
use contracts::{parse_id, timestamp};
use service_kit::problem::Problem;
use tonic::{Request, Response, Status};
use vocabulary::{LedgerEntryId, UserId};

use crate::app::App;
use crate::store::StoreError;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// The service on `app`.
#[must_use]
pub(crate) fn server(app: App) -> PaymentServiceServer<Payments> {
    PaymentServiceServer::new(Payments { app })
}

/// Answers by asking the use cases.
#[derive(Debug)]
pub(crate) struct Payments {
    app: App,
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn pay(&self, request: Request<proto::PayRequest>) -> Result<Response<proto::PayResponse>, Status> {
        let request = convert::pay_request(request.into_inner())?;
        let paid = self.app.pay(request).await.map_err(Problem::from)?;
        Ok(Response::new(proto::PayResponse {
            payment: Some(convert::payment(&paid.payment)),
            reservation: paid.reservation.map(crate::booking::Sealed::open),
        }))
    }

    async fn get_payment(
        &self,
        request: Request<proto::GetPaymentRequest>,
    ) -> Result<Response<proto::GetPaymentResponse>, Status> {
        let request = request.into_inner();
        let user_id: UserId = parse_id("userId", &request.user_id)?;
        let payment_id = parse_id("paymentId", &request.payment_id)?;
        let found = self
            .app
            .payment(user_id, payment_id)
            .await
            .map_err(errors::of_store)?;
        let payment = found.ok_or_else(errors::no_such_payment)?;
        Ok(Response::new(proto::GetPaymentResponse {
            payment: Some(convert::payment(&payment)),
        }))
    }

    async fn get_wallet(
        &self,
        request: Request<proto::GetWalletRequest>,
    ) -> Result<Response<proto::GetWalletResponse>, Status> {
        let user_id: UserId = parse_id("userId", &request.into_inner().user_id)?;
        let wallet = self.app.wallet(user_id).await.map_err(errors::of_store)?;
        Ok(Response::new(proto::GetWalletResponse {
            wallet: Some(charges::wallet(wallet)),
        }))
    }

    async fn list_wallet_entries(
        &self,
        request: Request<proto::ListWalletEntriesRequest>,
    ) -> Result<Response<proto::ListWalletEntriesResponse>, Status> {
        let request = request.into_inner();
        let user_id: UserId = parse_id("userId", &request.user_id)?;
        let before = match request.cursor.as_str() {
            "" => None,
            cursor => Some(
                cursor
                    .parse::<LedgerEntryId>()
                    .map_err(|_| Problem::field("cursor", "must come from the answer before"))?,
            ),
        };
        let limit = match request.limit {
            0 => DEFAULT_LIMIT,
            limit @ 1..=MAX_LIMIT => limit,
            _ => return Err(Problem::field("limit", format!("must be 1 to {MAX_LIMIT}")).into()),
        };
        let page = self.app.wallet_entries(user_id, before, limit);
        let page = page.await.map_err(|error: StoreError| errors::of_store(error))?;
        let entries = page.entries.into_iter().map(|entry| proto::WalletEntry {
            entry_id: entry.entry_id.to_string(),
            amount: entry.amount,
            kind: entry.kind,
            payment_id: entry.payment_id.map(|id| id.to_string()).unwrap_or_default(),
            created_at: Some(timestamp(entry.created_at)),
            charge_id: entry.charge_id.map(|id| id.to_string()).unwrap_or_default(),
            refund_id: entry.refund_id.map(|id| id.to_string()).unwrap_or_default(),
        });
        Ok(Response::new(proto::ListWalletEntriesResponse {
            entries: entries.collect(),
            next_cursor: page.next.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    async fn create_charge(
        &self,
        request: Request<proto::CreateChargeRequest>,
    ) -> Result<Response<proto::CreateChargeResponse>, Status> {
        let request = charges::request(request.into_inner())?;
        let charged = self.app.create_charge(request).await.map_err(Problem::from)?;
        Ok(Response::new(charges::response(charged)))
    }

    async fn get_charge(
        &self,
        request: Request<proto::GetChargeRequest>,
    ) -> Result<Response<proto::GetChargeResponse>, Status> {
        let request = request.into_inner();
        let user_id: UserId = parse_id("userId", &request.user_id)?;
        let charge_id = parse_id("chargeId", &request.charge_id)?;
        let found = self.app.charge(user_id, charge_id).await;
        let charge = found
            .map_err(errors::of_store)?
            .ok_or_else(errors::no_such_charge)?;
        Ok(Response::new(proto::GetChargeResponse {
            charge: Some(charges::charge(&charge)),
        }))
    }

    async fn cancel_reservation(
        &self,
        request: Request<proto::CancelReservationRequest>,
    ) -> Result<Response<proto::CancelReservationResponse>, Status> {
        let request = refunds::request(request.into_inner())?;
        let canceled = self
            .app
            .cancel_reservation(request)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(refunds::response(&canceled)))
    }

    async fn get_refund(
        &self,
        request: Request<proto::GetRefundRequest>,
    ) -> Result<Response<proto::GetRefundResponse>, Status> {
        let request = request.into_inner();
        let user_id: UserId = parse_id("userId", &request.user_id)?;
        let reservation_id = parse_id("reservationId", &request.reservation_id)?;
        let found = self.app.refund(user_id, reservation_id).await;
        let refund = found
            .map_err(errors::of_store)?
            .ok_or_else(errors::no_such_refund)?;
        Ok(Response::new(proto::GetRefundResponse {
            refund: Some(refunds::refund(&refund)),
        }))
    }

    async fn notify_provider_event(
        &self,
        request: Request<proto::NotifyProviderEventRequest>,
    ) -> Result<Response<proto::NotifyProviderEventResponse>, Status> {
        let order_id = convert::provider_event(&request.into_inner())?;
        self.app.take_hint(&order_id).await.map_err(errors::of_store)?;
        Ok(Response::new(proto::NotifyProviderEventResponse {}))
    }
}
