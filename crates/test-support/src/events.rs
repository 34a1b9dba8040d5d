//! Reading server-sent events, as a browser does.

use std::time::Duration;

use serde_json::Value;

// Longer than the longest silence that a stream allows itself.
const BOUND: Duration = Duration::from_secs(25);

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    unread: String,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct SentEvent {
    /// Its name.
    pub name: String,
    /// Its data, which is JSON.
    pub data: Value,
    /// After how many milliseconds to come again when the stream ends.
    pub retry_ms: Option<u64>,
}

impl Events {
    /// The events of an answer.
    ///
    /// # Panics
    /// It is no stream of events.
    #[must_use]
    pub fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers());
        assert_eq!(
            (status.as_u16(), headers["content-type"].as_bytes()),
            (200, &b"text/event-stream"[..])
        );
        Self {
            response,
            unread: String::new(),
        }
    }

    /// The next event; `None` when the stream has ended. Comments are passed over.
    ///
    /// # Panics
    /// Nothing came for 25 s, or the connection broke.
    pub async fn next(&mut self) -> Option<SentEvent> {
        loop {
            let block = self.next_block().await?;
            if block.lines().any(|line| !line.starts_with(':')) {
                return Some(read(&block));
            }
        }
    }

    /// The lines up to the next empty one, comments too; `None` when the stream has ended.
    ///
    /// # Panics
    /// As [`next`](Self::next).
    pub async fn next_block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(BOUND, self.response.chunk()).await;
            let chunk = chunk.expect("the stream is silent").expect("the stream broke")?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event that is as wanted.
    ///
    /// # Panics
    /// The stream ends before it.
    pub async fn until(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> SentEvent {
        loop {
            let event = self.next().await;
            let event = event.unwrap_or_else(|| panic!("the stream ended before {what}"));
            if wanted(&event.data) {
                return event;
            }
        }
    }
}

fn read(block: &str) -> SentEvent {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    SentEvent {
        name: field("event").unwrap_or_default().to_owned(),
        data: serde_json::from_str(field("data").unwrap()).unwrap(),
        retry_ms: field("retry").map(|retry| retry.parse().unwrap()),
    }
}
