//! A public randomness beacon (drand's HTTP API): nobody knows a round's value before its time, everybody after.

use std::time::Duration;

use fair_draw::Hash;
use reqwest::redirect;
use serde::Deserialize;
use service_kit::config::Environment;
use time::OffsetDateTime;
use url::Url;

use crate::domain::BeaconChain;

/// How long one try may take.
const TRY_FOR: Duration = Duration::from_secs(2);
/// Tries in a row; whoever draws comes again as long as the round is waited for.
const TRIES: u32 = 2;
/// Between two tries, with as much again of jitter.
const PAUSE_MS: u64 = 150;
/// A round is a few hundred bytes.
const MOST_BYTES: usize = 16 * 1024;
/// drand's "quicknet", which most of the world uses.
const QUICKNET: &str = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971";
const QUICKNET_GENESIS: i64 = 1_692_803_367;

/// A beacon and its chain.
#[derive(Debug, Clone)]
pub struct BeaconConfig {
    url: Url,
    chain: BeaconChain,
}

impl BeaconConfig {
    /// Reads the keys; none without `BEACON_URL`.
    pub fn read(env: &mut Environment) -> Option<Self> {
        let url = env.optional_url(
            "BEACON_URL",
            &["http", "https"],
            "A relay of drand's HTTP API, whose randomness goes into draws; without it their records say operatorTrusted.",
        );
        let chain = BeaconChain {
            chain: env.choice(
                "BEACON_CHAIN",
                QUICKNET.parse().unwrap_or(fair_draw::Bytes([0; 32])),
                "64 hexadecimal digits",
                "The hash of the beacon's chain.",
            ),
            genesis: OffsetDateTime::from_unix_timestamp(env.number(
                "BEACON_GENESIS",
                QUICKNET_GENESIS,
                0..=32_503_680_000,
                "When the chain's first round came, in seconds since 1970.",
            ))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            period: env.seconds("BEACON_PERIOD_SECONDS", 3, 1..=3_600, "From one round of the chain to the next."),
            after: env.seconds(
                "BEACON_AFTER_SECONDS",
                10,
                1..=3_600,
                "How long after an opening the round comes that its draw waits for; the root must be published before.",
            ),
            patience: env.seconds(
                "BEACON_WAIT_SECONDS",
                30,
                1..=3_600,
                "How long a round is waited for after its time; then the draw goes on without, and says so.",
            ),
        };
        url.map(|url| Self { url, chain })
    }
}

/// Why a round was not had.
#[derive(Debug, thiserror::Error)]
pub enum BeaconError {
    /// The relay did not answer in time, or refused.
    #[error("the beacon is away")]
    Away(#[from] reqwest::Error),
    /// It answered something else.
    #[error("the beacon's answer is not its round")]
    Nonsense,
}

/// A beacon that is asked.
#[derive(Debug, Clone)]
pub struct Beacon {
    http: reqwest::Client,
    config: BeaconConfig,
}

#[derive(Deserialize)]
struct Round {
    round: u64,
    randomness: Hash,
    signature: String,
}

impl Beacon {
    /// Asks this one.
    ///
    /// # Errors
    /// There is no TLS.
    pub fn new(config: BeaconConfig) -> Result<Self, BeaconError> {
        let http = reqwest::Client::builder()
            .timeout(TRY_FOR)
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { http, config })
    }

    /// Its chain.
    #[must_use]
    pub const fn chain(&self) -> &BeaconChain {
        &self.config.chain
    }

    /// The value of a round that has come.
    ///
    /// # Errors
    /// It was not had by a few tries.
    pub async fn value(&self, round: u64) -> Result<Hash, BeaconError> {
        let mut last = BeaconError::Nonsense;
        for attempt in 0..TRIES {
            if attempt > 0 {
                let pause_ms = PAUSE_MS + rand::random_range(0..=PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            match self.ask(round).await {
                Ok(value) => return Ok(value),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask(&self, round: u64) -> Result<Hash, BeaconError> {
        let mut url = self.config.url.clone();
        let path = format!(
            "{}/{}/public/{round}",
            url.path().trim_end_matches('/'),
            self.config.chain.chain
        );
        url.set_path(&path);
        let mut response = self.http.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(BeaconError::Nonsense);
            }
        }
        let answer: Round = serde_json::from_slice(&body).map_err(|_| BeaconError::Nonsense)?;
        let randomness = fair_draw::randomness_of(&answer.signature).ok_or(BeaconError::Nonsense)?;
        if (answer.round, answer.randomness) == (round, randomness) {
            Ok(randomness)
        } else {
            Err(BeaconError::Nonsense)
        }
    }
}
