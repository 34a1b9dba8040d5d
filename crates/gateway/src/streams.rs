//! Streams of events that stay open: how many there may be, and for how long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use queue_token::Claims;
use service_kit::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use vocabulary::{ConcertId, ProblemCode, UserId};

/// Tabs and devices of one place in line. More are a mistake, or somebody who wants all streams.
const OF_ONE_PLACE: u32 = 4;
/// Polls are answered meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Whose stream it is.
type Place = (ConcertId, UserId);

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Streams {
    free: Arc<Semaphore>,
    of_places: Arc<Mutex<HashMap<Place, u32>>>,
    life: Duration,
    stop: CancellationToken,
}

/// A stream that counts until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream {
    place: Place,
    of_places: Arc<Mutex<HashMap<Place, u32>>>,
    _free: OwnedSemaphorePermit,
}

impl Streams {
    /// At most `most` streams, each open for `life` at most, and none after `stop`.
    pub(crate) fn new(most: usize, life: Duration, stop: CancellationToken) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            of_places: Arc::default(),
            life,
            stop,
        }
    }

    /// Counts one more stream of this place, if there may be one.
    pub(crate) fn open(&self, claims: &Claims) -> Result<OpenStream, Problem> {
        let Ok(free) = Arc::clone(&self.free).try_acquire_owned() else {
            return Err(refused(
                "gateway",
                ProblemCode::Unavailable,
                "Too many streams are open: poll GET /v1/queue",
            ));
        };
        let place = (claims.concert_id, claims.user_id);
        {
            let mut of_places = self.of_places.lock().unwrap_or_else(PoisonError::into_inner);
            let open = of_places.entry(place).or_default();
            if *open >= OF_ONE_PLACE {
                let problem = refused(
                    "place",
                    ProblemCode::TooManyRequests,
                    "Too many streams of this place are open",
                );
                return Err(problem.with("limit", "place"));
            }
            *open += 1;
        }
        metrics::gauge!("gateway_event_streams").increment(1.0);
        Ok(OpenStream {
            place,
            of_places: Arc::clone(&self.of_places),
            _free: free,
        })
    }

    /// Ends when a stream that begins now is to end: when the process stops, or when its time is over. Not all that began
    /// together end together.
    pub(crate) fn end(&self) -> impl Future<Output = ()> + Send + 'static {
        let stop = self.stop.clone();
        let life = self.life.mul_f64(1.0 - 0.2 * rand::random::<f64>());
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(life) => {}
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("gateway_event_streams").decrement(1.0);
        let mut of_places = self.of_places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = of_places.get_mut(&self.place) {
            *open -= 1;
            if *open == 0 {
                of_places.remove(&self.place);
            }
        }
    }
}

fn refused(limit: &'static str, code: ProblemCode, detail: &str) -> Problem {
    metrics::counter!("gateway_event_streams_refused_total", "limit" => limit).increment(1);
    Problem::new(code, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use vocabulary::QueueNumber;

    use super::*;

    fn claims() -> Claims {
        Claims {
            concert_id: ConcertId::new(),
            user_id: UserId::new(),
            number: QueueNumber(1),
        }
    }

    #[test]
    fn neither_all_nor_one_place_have_more_streams_than_they_may() {
        let streams = Streams::new(6, Duration::from_secs(1), CancellationToken::new());
        let (one, other) = (claims(), claims());
        let code = |claims| streams.open(claims).map_err(|problem| problem.code);
        let mut of_one: Vec<_> = (0..4).map(|_| code(&one).unwrap()).collect();
        assert_eq!(code(&one).unwrap_err(), ProblemCode::TooManyRequests);
        let of_other = [code(&other).unwrap(), code(&other).unwrap()];
        assert_eq!(code(&other).unwrap_err(), ProblemCode::Unavailable);

        of_one.pop();
        of_one.push(code(&one).unwrap());
        drop((of_one, of_other));
        assert!(
            streams.of_places.lock().unwrap().is_empty(),
            "nobody is remembered for nothing"
        );
        assert_eq!(streams.free.available_permits(), 6);
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_time_is_over_or_the_process_stops() {
        let (stop, began) = (CancellationToken::new(), Instant::now());
        Streams::new(1, Duration::from_millis(100), stop.clone())
            .end()
            .await;
        assert!(
            began.elapsed() >= Duration::from_millis(80),
            "{:?}",
            began.elapsed()
        );
        let end = Streams::new(1, Duration::from_secs(86_400), stop.clone()).end();
        stop.cancel();
        end.await;
    }
}
