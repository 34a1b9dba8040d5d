//! `cargo xtask bench pay`: payments per second through the gateway, by points alone and by card, beside pgbench making
//! the same number of commits on the same Postgres. docs/performance.md says what is counted and what the ratio means.

mod crowd;
mod report;
mod table;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::json;

use self::crowd::{Crowd, Hold};
use self::report::{Counted, Figures, PayRound, PgbenchRound, Settings};
use super::client::Connection;
use super::cpu::{Reading, Watched};
use super::facts::Facts;
use super::load::{Job, closed_loop};
use super::pgbench::{self, Pgbench};
use super::postgres::{COUNTED_WITHIN, Postgres, between, per_run};
use super::stage::Stage;
use super::stats::per;
use super::{FROM_ONE_ADDRESS, positive, publish};
use crate::report::Report;

/// Buyers, and so also seats of a concert and holds of each.
const BUYERS: usize = 256;
/// Payments, one after another, whose transactions are counted one database at a time.
const COUNTED: usize = 256;
/// Long enough to know how many holds a round will need.
const WARM_UP: Duration = Duration::from_secs(2);
/// A guess at what nobody has measured yet.
const PAYMENTS_PER_SECOND_AT_MOST: usize = 3_000;

/// What is held waits long to be paid.
const LONG_HOLDS: (&str, &str) = ("HOLD_SECONDS", "3600");

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Also write everything that was measured to this file; docs/performance.md describes its fields.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// How long each round pays.
    #[arg(long, default_value_t = 5, value_parser = positive)]
    pub(super) seconds: u32,
    /// Payments under way at once.
    #[arg(long, default_value_t = 256, value_parser = positive)]
    pub(super) concurrency: u32,
    /// Clients of pgbench: by default as many as the three services that commit have connections.
    #[arg(long, default_value_t = 48, value_parser = positive)]
    pub(super) clients: u32,
    /// Rounds of each: points, pgbench, card.
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub(super) rounds: u32,
}

pub(crate) async fn run(
    options: &Options,
    root: &Path,
    bin_dir: PathBuf,
    stage: &mut Stage,
    report: &Report,
) -> Result<()> {
    // Before the long part.
    pgbench::program()?;
    report.heading("a system of its own");
    // The provider is asked for as many cards at once as there are clients, and sagas are resumed beside them.
    let cards = (u64::from(options.concurrency) + 512).to_string();
    let cards = ("PROVIDER_MAX_CONCURRENT_CALLS", cards.as_str());
    let environment = [&FROM_ONE_ADDRESS[..], &[LONG_HOLDS, cards]].concat();
    stage.start(root, bin_dir, &environment, report).await?;
    let postgres = Postgres::connect(&stage.postgres()?).await?;
    let facts = Facts::gather(root, &postgres).await?;
    ensure!(
        facts.fsync == "on" && facts.synchronous_commit == "on",
        "Postgres does not wait for its disk"
    );

    report.heading("buyers");
    let crowd = Crowd::gather(stage.address()?, BUYERS, report).await?;
    let mut bench = Bench {
        options,
        processes: stage.processes()?,
        stage,
        postgres,
        crowd,
        report,
    };
    let figures = bench.measure(root, facts).await?;
    publish(&figures, &figures.json()?, options.json.as_deref())?;
    ensure!(figures.failures() == 0, "{} payments failed", figures.failures());
    Ok(())
}

/// How a payment is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Points,
    Card,
}

impl Means {
    fn name(self) -> &'static str {
        match self {
            Means::Points => "points",
            Means::Card => "card",
        }
    }
}

struct Bench<'a> {
    options: &'a Options,
    stage: &'a Stage,
    processes: Vec<Watched>,
    postgres: Postgres,
    crowd: Crowd,
    report: &'a Report,
}

impl Bench<'_> {
    async fn measure(&mut self, root: &Path, facts: Facts) -> Result<Figures> {
        let report = self.report;
        report.heading("warm-up");
        let guess = PAYMENTS_PER_SECOND_AT_MOST * WARM_UP.as_secs() as usize;
        let warm_points = self.pay(Means::Points, WARM_UP, guess).await?;
        let warm_card = self.pay(Means::Card, WARM_UP, guess).await?;

        report.heading("transactions of a payment");
        let (points, card) = self.count().await?;
        let commits = (points.writes_per_payment.round() as u32).max(1);
        let clients = self.options.clients as usize;
        let pgbench = Pgbench::prepare(&self.stage.postgres()?, root, clients, commits).await?;
        self.by_pgbench(&pgbench, root, WARM_UP).await?;

        let mut figures = Figures {
            facts,
            settings: Settings {
                seconds: self.options.seconds,
                rounds: self.options.rounds,
                concurrency: self.options.concurrency,
                pgbench_clients: self.options.clients,
                buyers: BUYERS,
                pgbench_commits_per_script: commits,
            },
            points: report::Paid::new(points),
            card: report::Paid::new(card),
            pgbench: Vec::new(),
        };
        let time = Duration::from_secs(self.options.seconds.into());
        for round in 1..=self.options.rounds {
            report.heading(&format!("round {round} of {}", self.options.rounds));
            let paid = self
                .pay(Means::Points, time, self.needed(time, &warm_points))
                .await?;
            figures.points.rounds.push(paid);
            figures.pgbench.push(self.by_pgbench(&pgbench, root, time).await?);
            let paid = self.pay(Means::Card, time, self.needed(time, &warm_card)).await?;
            figures.card.rounds.push(paid);
        }
        Ok(figures)
    }

    /// Some payments of both kinds, and what each database did for one of them, less what it does anyway.
    async fn count(&mut self) -> Result<(Counted, Counted)> {
        self.crowd.holds(2 * COUNTED, self.report).await?;
        let cores = self.stage.quiet().await?;
        let lull = COUNTED_WITHIN.as_secs();
        self.report.step(&format!(
            "at rest the system uses {cores:.2} cores; sessions count late: {lull} s, three times"
        ));
        tokio::time::sleep(COUNTED_WITHIN).await;
        let (start, written) = (
            self.postgres.transactions().await?,
            self.postgres.written().await?,
        );
        tokio::time::sleep(COUNTED_WITHIN).await;
        let mut last = self.postgres.transactions().await?;
        let idle = between(&start, &last);
        let idle_writes = self.postgres.written().await?.since(written).transactions;
        let mut counted = Vec::new();
        for means in [Means::Points, Means::Card] {
            let jobs = self.crowd.holds(COUNTED, self.report).await?;
            let mut jobs = jobs.drain(..COUNTED).map(|hold| Pay { hold, means }).collect();
            let (address, forever) = (self.stage.address()?, Duration::from_secs(60));
            let before = self.postgres.written().await?;
            let load = closed_loop(address, 1, forever, &mut jobs).await?;
            ensure!(load.failed.is_empty(), "payments failed: {:?}", load.failed);
            tokio::time::sleep(COUNTED_WITHIN).await;
            let after = self.postgres.transactions().await?;
            let writes = self.postgres.written().await?.since(before).transactions;
            counted.push(Counted {
                writes_per_payment: per(writes.saturating_sub(idle_writes) as f64, load.done),
                transactions_per_payment: per_run(&idle, &between(&last, &after), load.done),
            });
            last = after;
        }
        let [points, card] = counted.try_into().map_err(|_| anyhow::anyhow!("two kinds"))?;
        Ok((points, card))
    }

    /// Holds for a round, with room for a faster one.
    fn needed(&self, time: Duration, warm: &PayRound) -> usize {
        (warm.per_second * time.as_secs_f64() * 1.5) as usize + self.options.concurrency as usize
    }

    /// One round through the gateway.
    async fn pay(&mut self, means: Means, time: Duration, holds: usize) -> Result<PayRound> {
        let address = self.stage.address()?;
        let stock = self.crowd.holds(holds, self.report).await?;
        let mut jobs: VecDeque<Pay> = stock.drain(..holds).map(|hold| Pay { hold, means }).collect();
        self.stage.quiet().await?;
        self.postgres.checkpoint().await?;
        let (written, cpu) = (self.postgres.written().await?, Reading::take(&self.processes)?);
        let load = closed_loop(address, self.options.concurrency as usize, time, &mut jobs).await?;
        let used = Reading::take(&self.processes)?.since(&cpu);
        let written = self.postgres.written().await?.since(written);
        self.crowd.take_back(jobs.into_iter().map(|job| job.hold));
        let round = PayRound::of(&load, &used, written);
        self.report.step(&format!("{:<8} {round}", means.name()));
        Ok(round)
    }

    /// One round of pgbench, while the system rests.
    async fn by_pgbench(&self, pgbench: &Pgbench, root: &Path, time: Duration) -> Result<PgbenchRound> {
        self.stage.quiet().await?;
        self.postgres.checkpoint().await?;
        let (written, cpu) = (self.postgres.written().await?, Reading::take(&self.processes)?);
        let ran = pgbench.run(root, time).await?;
        let used = Reading::take(&self.processes)?.since(&cpu);
        let written = self.postgres.written().await?.since(written);
        let round = PgbenchRound::of(&ran, &used, written);
        self.report.step(&format!("{:<8} {round}", "pgbench"));
        Ok(round)
    }
}

/// One payment of one hold.
struct Pay {
    hold: Hold,
    means: Means,
}

#[derive(Deserialize)]
struct Answered {
    status: String,
}

impl Job for Pay {
    type Done = ();

    async fn run(self, connection: &mut Connection) -> Result<()> {
        let Pay { hold, means } = self;
        let body = match means {
            Means::Points => json!({ "reservationId": hold.reservation_id, "points": hold.total }),
            Means::Card => json!({
                "reservationId": hold.reservation_id,
                "points": 0,
                "card": { "paymentKey": format!("test_ok_{}", hold.reservation_id), "orderId": hold.order_id },
            }),
        };
        let headers = [
            ("Payment-Token", hold.payment_token.as_str()),
            ("Idempotency-Key", hold.reservation_id.as_str()),
        ];
        let answer = connection
            .post("/v1/payments", &headers, body.to_string())
            .await?;
        let paid: Answered = answer.read(&[201])?;
        ensure!(
            paid.status == "SUCCEEDED",
            "answered 201 with status {}",
            paid.status
        );
        Ok(())
    }
}
