//! What `bench pay` found, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::report::{AIM, Figures, PayRound, PgbenchRound, Settings};
use crate::bench::stats::Spread;

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.facts)?;
        let Settings {
            seconds,
            rounds,
            concurrency,
            pgbench_clients,
            ..
        } = self.settings;
        writeln!(
            f,
            "{rounds} rounds of {seconds} s each, {concurrency} at once, {pgbench_clients} clients of pgbench; medians (least to most)\n"
        )?;

        let pgbench = |figure: fn(&PgbenchRound) -> f64| Spread::of(self.pgbench.iter().map(figure));
        let scripts = pgbench(|round| round.per_second);
        table(f, "", ["points only", "card", "pgbench"].map(str::to_owned))?;
        table(
            f,
            "payments (scripts) per second",
            [
                format!("{:.0}", self.points.over(|round| round.per_second)),
                format!("{:.0}", self.card.over(|round| round.per_second)),
                format!("{scripts:.0}"),
            ],
        )?;
        let latency = |f: &mut fmt::Formatter<'_>, name, figure: fn(&PayRound) -> f64| {
            let [points, card] = [&self.points, &self.card].map(|paid| format!("{:.1}", paid.over(figure)));
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
                format!("{:.2}", self.points.over(|round| round.writes_per_payment)),
                format!("{:.2}", self.card.over(|round| round.writes_per_payment)),
                format!("{:.2}", pgbench(|round| round.writes_per_script)),
            ],
        )?;
        table(
            f,
            "written ahead each, bytes",
            [
                format!("{:.0}", self.points.over(|round| round.wal_bytes_per_payment)),
                format!("{:.0}", self.card.over(|round| round.wal_bytes_per_payment)),
                format!("{:.0}", pgbench(|round| round.wal_bytes_per_script)),
            ],
        )?;
        table(
            f,
            "cores used by others",
            [
                format!("{:.2}", self.points.over(|round| round.other_cores)),
                format!("{:.2}", self.card.over(|round| round.other_cores)),
                format!("{:.2}", pgbench(|round| round.other_cores)),
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
        writeln!(f, "\nratio to pgbench, points only   {ratio:.2}   (aim: {AIM})")?;
        write!(
            f,
            "ratio to pgbench, card          {:.2}",
            self.card.ratio(&self.pgbench)
        )
    }
}

fn table(f: &mut fmt::Formatter<'_>, name: &str, [one, two, three]: [String; 3]) -> fmt::Result {
    writeln!(f, "{name:<32}{one:>24}{two:>24}{three:>24}")
}
