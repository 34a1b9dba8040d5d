//! CAPTURED, and POINTS_TAKEN without a card: booking makes the seats the buyer's, then the points are spent for good.

use super::{Next, SagaError, verdict};
use crate::app::App;
use crate::domain::{Event, Payment};

impl App {
    pub(super) async fn settle(&self, payment: &Payment) -> Result<Next, SagaError> {
        match self.booking.confirm(payment).await {
            Ok(confirmed) => Ok(Next::Moved {
                payment: self.record(payment, Event::SeatsConfirmed).await?,
                reservation: Some(confirmed.sealed),
            }),
            Err(error) => match verdict(payment, error) {
                Some(reason) => {
                    let gone = Event::SeatsGone { reason };
                    Ok(Next::moved(self.record(payment, gone).await?))
                }
                None => Ok(Next::later(payment)),
            },
        }
    }
}
