//! Sessions on a connection that is made again for as long as the process runs.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use lapin::Connection;
use tokio_util::sync::CancellationToken;

use super::{ANSWER_TIMEOUT, AmqpConfig, ConnectError, close, connect};

/// What is done on each new connection.
pub trait Session<C = Connection>: Send {
    /// What the work is done with.
    type Ready: Send;
    /// Why the work ended.
    type Error: Display + Send;

    /// Makes the connection ready: channels, declarations, subscriptions. Given up after 10 seconds, since a broker that
    /// has just come back may leave a declaration unanswered for ever.
    fn prepare(&self, connection: &C) -> impl Future<Output = Result<Self::Ready, lapin::Error>> + Send;

    /// Works until the connection breaks, which every operation on it then tells, or until it is time to stop.
    fn work(&self, ready: Self::Ready) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Runs `session` on a connection, and again on a new one whenever it ends, until `stop`.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn keep_connected(
    config: AmqpConfig,
    purpose: &'static str,
    stop: CancellationToken,
    session: impl Session,
) -> anyhow::Result<()> {
    let connect = || connect(&config, purpose);
    let close = |connection: Connection| async move { close(&connection).await };
    keep(connect, close, PACE, purpose, stop, session).await;
    Ok(())
}

async fn keep<C, Connecting, Closing>(
    connect: impl Fn() -> Connecting,
    close: impl Fn(C) -> Closing,
    pace: Pace,
    purpose: &'static str,
    stop: CancellationToken,
    session: impl Session<C>,
) where
    Connecting: Future<Output = Result<C, ConnectError>>,
    Closing: Future<Output = ()>,
{
    let mut backoff = pace.delays();
    while !stop.is_cancelled() {
        match connect().await {
            Ok(connection) => {
                let ended = attempt(&connection, pace, purpose, &session).await;
                close(connection).await;
                match ended {
                    Ended::Unprepared(error) => {
                        tracing::warn!(purpose, %error, "RabbitMQ does not serve");
                    }
                    Ended::Worked { long } => {
                        if long {
                            backoff = pace.delays();
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(purpose, %error, "RabbitMQ does not answer"),
        }
        let wait = backoff.next().unwrap_or(pace.backoff_max);
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

/// How far one connection got.
enum Ended {
    Unprepared(ConnectError),
    Worked {
        /// As long as work does, and not failing again and again.
        long: bool,
    },
}

async fn attempt<C>(connection: &C, pace: Pace, purpose: &'static str, session: &impl Session<C>) -> Ended {
    let ready = match tokio::time::timeout(pace.prepare, session.prepare(connection)).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(error)) => return Ended::Unprepared(error.into()),
        Err(elapsed) => return Ended::Unprepared(elapsed.into()),
    };
    tracing::info!(purpose, "connected to RabbitMQ");
    let begun = Instant::now();
    if let Err(error) = session.work(ready).await {
        tracing::warn!(purpose, %error, "the RabbitMQ session ended");
    }
    Ended::Worked {
        long: begun.elapsed() >= pace.worked,
    }
}

/// How long things may take, and how soon they are tried again.
#[derive(Clone, Copy)]
struct Pace {
    prepare: Duration,
    /// Work that lasted so long was no failure to begin with: the tries after it start anew.
    worked: Duration,
    backoff_min: Duration,
    backoff_max: Duration,
}

const PACE: Pace = Pace {
    prepare: ANSWER_TIMEOUT,
    worked: Duration::from_secs(5),
    backoff_min: Duration::from_millis(100),
    backoff_max: Duration::from_secs(5),
};

impl Pace {
    fn delays(&self) -> backon::ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.backoff_min)
            .with_max_delay(self.backoff_max)
            .without_max_times()
            .with_jitter()
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Short enough for a test, far enough apart to be told from each other on a busy machine.
    const QUICK: Pace = Pace {
        prepare: Duration::from_millis(20),
        worked: Duration::from_millis(20),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_secs(3_600),
    };

    /// Each entry is one session: how long it takes to prepare, and how long it works then. After the last, all stops.
    struct Script<'a> {
        sessions: &'a [(Duration, Duration)],
        number: AtomicUsize,
        worked: Mutex<Vec<usize>>,
        stop: CancellationToken,
    }

    impl Session<usize> for &Script<'_> {
        type Ready = usize;
        type Error = &'static str;

        async fn prepare(&self, number: &usize) -> Result<usize, lapin::Error> {
            if *number + 1 >= self.sessions.len() {
                self.stop.cancel();
            }
            tokio::time::sleep(self.sessions[*number].0).await;
            Ok(*number)
        }

        async fn work(&self, number: usize) -> Result<(), &'static str> {
            self.worked.lock().unwrap().push(number);
            tokio::time::sleep(self.sessions[number].1).await;
            Err("the connection broke")
        }
    }

    /// Plays the sessions; answers which of them came to work.
    async fn play(sessions: &[(Duration, Duration)], pace: Pace) -> Vec<usize> {
        let script = Script {
            sessions,
            number: AtomicUsize::new(0),
            worked: Mutex::default(),
            stop: CancellationToken::new(),
        };
        let connect = || async { Ok(script.number.fetch_add(1, Ordering::Relaxed)) };
        let close = |_| async {};
        keep(connect, close, pace, "a test", script.stop.clone(), &script).await;
        script.worked.into_inner().unwrap()
    }

    const NEVER: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_session_that_is_not_ready_in_time_is_given_up_for_the_next() {
        let sessions = [(NEVER, Duration::ZERO), (Duration::ZERO, Duration::ZERO)];
        assert_eq!(play(&sessions, QUICK).await, [1]);
    }

    #[tokio::test]
    async fn after_a_session_that_worked_the_tries_start_anew() {
        // Were the pauses to go on growing, the last of these would come after days.
        let sessions = [(Duration::ZERO, QUICK.worked); 24];
        let played = tokio::time::timeout(Duration::from_secs(60), play(&sessions, QUICK));
        assert_eq!(played.await.unwrap().len(), 24);
    }

    #[tokio::test]
    async fn sessions_that_break_at_once_are_tried_ever_more_slowly() {
        let pace = Pace {
            worked: NEVER,
            ..QUICK
        };
        let sessions = [(Duration::ZERO, Duration::ZERO); 24];
        let played = tokio::time::timeout(Duration::from_millis(500), play(&sessions, pace));
        assert!(played.await.is_err(), "24 tries within half a second");
    }
}
