//! A process that takes so many turns and no more: each time it would wait for a store is one. It then sleeps until it
//! is let go on, or dies where it is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    asleep: Notify,
}

#[derive(Debug, Default)]
struct State {
    turns: usize,
    waker: Option<Waker>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

struct Gated<T> {
    inner: BoxFuture<'static, T>,
    gate: Arc<Gate>,
}

impl<T> Future for Gated<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        {
            let mut state = self.gate.state();
            if state.turns == 0 {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        let polled = self.inner.as_mut().poll(context);
        if polled.is_pending() {
            let mut state = self.gate.state();
            state.turns -= 1;
            if state.turns == 0 {
                self.gate.asleep.notify_one();
            }
        }
        polled
    }
}

/// Something that a replica does.
pub(super) struct Process<T> {
    gate: Arc<Gate>,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Process<T> {
    /// Begins it, with so many turns.
    pub(super) fn begin(turns: usize, inner: BoxFuture<'static, T>) -> Self {
        let gate = Arc::new(Gate::default());
        gate.state().turns = turns;
        let gated = Gated {
            inner,
            gate: Arc::clone(&gate),
        };
        let task = tokio::spawn(gated);
        Self { gate, task }
    }

    /// Until it is done, or sleeps: `None`.
    pub(super) async fn run(&mut self) -> Option<T> {
        tokio::select! {
            biased;
            done = &mut self.task => Some(done.unwrap()),
            () = self.gate.asleep.notified() => None,
        }
    }

    /// Lets it go on to its end.
    pub(super) fn wake(&self) {
        let waker = {
            let mut state = self.gate.state();
            state.turns = usize::MAX;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing of it is left. What it has told a store is told.
    pub(super) async fn die(mut self) {
        self.task.abort();
        // It may just have ended.
        let _ = (&mut self.task).await;
    }
}

/// Nobody sleeps on when the history is over.
impl<T> Drop for Process<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
