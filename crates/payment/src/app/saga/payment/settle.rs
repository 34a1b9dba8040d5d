//! CAPTURED, and POINTS_TAKEN without a card: booking makes the seats the buyer's, then the points are spent for good.

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};

impl App {
    pub(super) async fn settle(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        match self.booking.confirm(payment).await {
            Ok(confirmed) => Ok(Next::Moved {
                saga: self.record_payment(payment, Event::SeatsConfirmed).await?,
                seen: Some(confirmed.sealed),
            }),
            Err(error) => match verdict(payment, error) {
                Some(reason) => {
                    let gone = Event::SeatsGone { reason };
                    Ok(Next::moved(self.record_payment(payment, gone).await?))
                }
                None => Ok(Next::later(payment.attempt)),
            },
        }
    }
}
