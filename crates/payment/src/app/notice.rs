//! A hint that something may have happened at the payment provider. Nobody vouches for it, so nothing in it is believed: what
//! waits for the provider to tell about that order is resumed now instead of later, and asks the provider itself.

use std::time::Duration;

use super::App;
use crate::domain::OrderId;
use crate::store::StoreError;

/// Hints of one order that follow sooner change nothing: a flood of them makes one look-up in this time.
const PAUSE: Duration = Duration::from_secs(10);

impl App {
    /// Takes a hint about an order. An order that nothing waits for changes nothing.
    ///
    /// # Errors
    /// The store.
    pub async fn take_hint(&self, order_id: &OrderId) -> Result<(), StoreError> {
        let woken = self.store.take_hint(order_id, PAUSE).await?;
        let outcome = if woken > 0 { "taken" } else { "ignored" };
        metrics::counter!("payment_provider_hints_total", "outcome" => outcome).increment(1);
        Ok(())
    }
}
