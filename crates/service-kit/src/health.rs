//! Whether this process may be sent requests: every gate is open and it is not draining.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The gates of one process. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default, Clone)]
struct State {
    gates: BTreeMap<&'static str, bool>,
    draining: bool,
}

impl State {
    fn is_ready(&self) -> bool {
        !self.draining && self.gates.values().all(|open| *open)
    }
}

/// Something that must be done before the process is ready: a seed, a first connection.
#[derive(Debug, Clone)]
pub struct Gate {
    name: &'static str,
    state: Arc<watch::Sender<State>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Ready, as there are no gates yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(State::default())),
        }
    }

    /// A new closed gate.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        self.state.send_modify(|state| {
            state.gates.insert(name, false);
        });
        Gate {
            name,
            state: Arc::clone(&self.state),
        }
    }

    /// Whether requests may be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.borrow().is_ready()
    }

    /// Why not: closed gates, and "draining".
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let state = self.state.borrow();
        let closed = state
            .gates
            .iter()
            .filter(|(_, open)| !**open)
            .map(|(name, _)| *name);
        closed.chain(state.draining.then_some("draining")).collect()
    }

    /// From now on not ready, whatever the gates say.
    pub fn drain(&self) {
        self.state.send_modify(|state| state.draining = true);
    }

    /// Runs `tell` with the readiness of now and of every change after.
    pub async fn follow<F: Future<Output = ()>>(&self, mut tell: impl FnMut(bool) -> F) {
        let mut changes = self.state.subscribe();
        loop {
            let ready = changes.borrow_and_update().is_ready();
            tell(ready).await;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Gate {
    /// What it waited for is there.
    pub fn open(&self) {
        self.set(true);
    }

    /// What it waited for is gone.
    pub fn close(&self) {
        self.set(false);
    }

    fn set(&self, open: bool) {
        self.state
            .send_if_modified(|state| state.gates.insert(self.name, open) != Some(open));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_gate_open_and_not_draining() {
        let readiness = Readiness::new();
        let (seed, store) = (readiness.gate("seed"), readiness.gate("store"));
        seed.open();
        assert_eq!(readiness.waiting_for(), ["store"]);
        store.open();
        assert!(readiness.is_ready());
        readiness.drain();
        assert_eq!(readiness.waiting_for(), ["draining"]);
        assert!(!readiness.is_ready());
    }
}
