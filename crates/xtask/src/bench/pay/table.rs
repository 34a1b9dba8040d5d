//! What `bench pay` found, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::report::{AIM, Figures, PayRound, PgbenchRound, Settings};
use crate::bench::stats::Spread;

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        let changed = if facts.changed { " with changes" } else { "" };
        writeln!(
            f,
            "\n{} · commit {}{changed} · {} cores, {} · {} MiB · Linux {} · Postgres {}, fsync {}",
            facts.date,
            facts.commit.get(..12).unwrap_or("unknown"),
            facts.cores,
            facts.processor,
            facts.memory_mib,
            facts.kernel,
            facts.postgres,
            facts.fsync,
        )?;
        let Settings {
            seconds,
            rounds,
            concurrency,
            ..
        } = self.settings;
        writeln!(
            f,
            "{rounds} rounds of {seconds} s each, {concurrency} at once; medians (least to most)\n"
        )?;

        let pgbench = |figure: fn(&PgbenchRound) -> f64| Spread::of(self.pgbench.iter().map(figure));
        let scripts = pgbench(|round| round.per_second);
        table(f, "", ["points only", "card", "pgbench"].map(str::to_owned))?;
        table(
            f,
            "payments (scripts) per second",
            [
                spread(self.points.over(|round| round.per_second), 0),
                spread(self.card.over(|round| round.per_second), 0),
                spread(scripts, 0),
            ],
        )?;
        let latency = |f: &mut fmt::Formatter<'_>, name, figure: fn(&PayRound) -> f64| {
            let [points, card] = [&self.points, &self.card].map(|paid| spread(paid.over(figure), 1));
            table(f, name, [points, card, String::new()])
        };
        latency(f, "p50, ms", |round| round.p50_ms)?;
        latency(f, "p99, ms", |round| round.p99_ms)?;
        latency(f, "longest, ms", |round| round.max_ms)?;
        let failures = [&self.points, &self.card].map(|paid| paid.failures().to_string());
        let [points, card] = failures;
        table(f, "failures", [points, card, "0".to_owned()])?;
        table(
            f,
            "commits each",
            [
                spread(self.points.over(|round| round.writes_per_payment), 2),
                spread(self.card.over(|round| round.writes_per_payment), 2),
                spread(pgbench(|round| round.writes_per_script), 2),
            ],
        )?;
        table(
            f,
            "written ahead each, bytes",
            [
                spread(self.points.over(|round| round.wal_bytes_per_payment), 0),
                spread(self.card.over(|round| round.wal_bytes_per_payment), 0),
                spread(pgbench(|round| round.wal_bytes_per_script), 0),
            ],
        )?;
        table(
            f,
            "cores used by others",
            [
                spread(self.points.over(|round| round.other_cores), 2),
                spread(self.card.over(|round| round.other_cores), 2),
                spread(pgbench(|round| round.other_cores), 2),
            ],
        )?;

        writeln!(f, "\nCPU each, microseconds")?;
        let columns = [self.points.cpu(), self.card.cpu(), self.pgbench_cpu()];
        let mut names: Vec<&str> = columns.iter().flat_map(BTreeMap::keys).copied().collect();
        names.sort_unstable();
        names.dedup();
        let figure = |value: Option<&f64>| value.map(|micros| format!("{micros:.0}")).unwrap_or_default();
        for name in names {
            let row = [0, 1, 2].map(|column| figure(columns[column].get(name)));
            table(f, &format!("  {name}"), row)?;
        }
        let together = columns.map(|column| figure(Some(&column.values().sum())));
        table(f, "  together", together)?;

        writeln!(
            f,
            "\nTransactions of one payment, by database; those that only read included"
        )?;
        for (name, paid) in [("points only", &self.points), ("card", &self.card)] {
            let each: Vec<String> = paid
                .counted
                .transactions_per_payment
                .iter()
                .filter(|(_, count)| **count >= 0.05)
                .map(|(database, count)| format!("{database} {count:.1}"))
                .collect();
            let writes = paid.counted.writes_per_payment;
            writeln!(f, "  {name:<12} {}; {writes:.1} wrote", each.join(", "))?;
        }

        let ratio = self.points.ratio(&self.pgbench);
        writeln!(
            f,
            "\nratio to pgbench, points only   {}   (aim: {AIM})",
            spread(ratio, 2)
        )?;
        write!(
            f,
            "ratio to pgbench, card          {}",
            spread(self.card.ratio(&self.pgbench), 2)
        )
    }
}

fn table(f: &mut fmt::Formatter<'_>, name: &str, [one, two, three]: [String; 3]) -> fmt::Result {
    writeln!(f, "{name:<32}{one:>24}{two:>24}{three:>24}")
}

fn spread(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
}
