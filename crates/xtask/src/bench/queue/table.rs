//! What `bench queue` found, as tables.

use std::fmt;

use super::super::cpu::CLIENT;
use super::super::stats::Spread;
use super::measured::{Measured, YARDSTICK};
use super::report::{BYTES_AIM, Figures, GROWTH_AIM, POLLS_AIM};
use super::sizes::Size;

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quick = if self.settings.quick {
            " · QUICK: no figures to keep"
        } else {
            ""
        };
        writeln!(f, "\n{} · Redis {}{quick}", self.facts, self.redis)?;
        writeln!(
            f,
            "{} rounds of {} s each, {} connections; medians (least to most)",
            self.settings.rounds, self.settings.seconds, self.settings.connections
        )?;
        self.polls(f)?;
        self.joins(f)?;
        self.sizes(f)?;
        self.lag(f)
    }
}

impl Figures {
    fn polls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let polls = &self.polls;
        writeln!(f)?;
        let all = [&polls.gateway, &polls.constant, &polls.bare, &polls.rank];
        let heads = ["gateway", "constant, layers", "constant, bare", "ZRANK, layers"];
        row(f, "POLLS", heads.map(str::to_owned))?;
        rounds(f, all)?;
        row(
            f,
            "others, cores",
            all.map(|of| format!("{:.2}", of.over(|round| round.other_cores))),
        )?;

        let cpu = |of: &Measured, process| of.over(|round| round.cpu(process)).median;
        let bare = cpu(&polls.bare, YARDSTICK);
        let layers = cpu(&polls.constant, YARDSTICK) - bare;
        let poll = cpu(&polls.gateway, "gateway") - layers - bare;
        let rank = cpu(&polls.rank, YARDSTICK) - layers - bare;
        writeln!(
            f,
            "where the server's CPU goes: {bare:.1} HTTP alone, {layers:.1} the layers (trace, metrics, log, bounds, headers), \
             {poll:.1} the poll (token, room, answer); ZRANK's handler {rank:.1}"
        )?;
        let to_constant = polls.ratio(&polls.constant);
        writeln!(
            f,
            "to the constant handler   {to_constant:.2}   {}",
            aim(to_constant.median >= POLLS_AIM, format!("{POLLS_AIM}"))
        )?;
        writeln!(f, "  by the servers' CPU     {:.2}", polls.server_ratio())?;
        writeln!(f, "to the bare handler       {:.2}", polls.ratio(&polls.bare))?;
        writeln!(f, "to a ZRANK for each       {:.2}", polls.ratio(&polls.rank))?;
        writeln!(
            f,
            "Redis commands per poll   {:.4} ({} during {} polls, {:.0} of them as at rest; {:.2} % from memory)",
            polls.redis_commands_each(),
            polls.redis_commands,
            polls.polls(),
            polls.redis_commands_at_rest,
            polls.part_from_memory() * 100.0,
        )
    }

    fn joins(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joins = &self.joins;
        writeln!(f)?;
        let all = [&joins.http, &joins.script];
        row(f, "JOINS", ["HTTP", "the script alone"].map(str::to_owned))?;
        rounds(f, all)?;
        writeln!(f, "to the script alone       {:.2}", joins.ratio())
    }

    fn sizes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = &self.sizes.sizes;
        let over = |values: &Vec<f64>, digits| format!("{:.digits$}", Spread::of(values.iter().copied()));
        let row = |f: &mut fmt::Formatter<'_>, name: &str, cell: &dyn Fn(&Size) -> String| {
            write!(f, "{name:<26}")?;
            for size in sizes {
                write!(f, "{:>24}", cell(size))?;
            }
            writeln!(f)
        };
        writeln!(f)?;
        row(f, "LINES", &|size| format!("{} people", size.people))?;
        row(f, "bytes of Redis each", &|size| {
            format!("{:.1}", size.bytes_each)
        })?;
        row(f, "joined per second", &|size| {
            format!("{:.0}", size.filled_per_second)
        })?;
        row(f, "a join, us", &|size| over(&size.join_micros, 0))?;
        row(f, "a poll, us", &|size| over(&size.poll_micros, 0))?;
        row(f, "a tick that admits, us", &|size| over(&size.tick_micros, 0))?;
        row(f, "  in Redis' scripts, us", &|size| {
            over(&size.tick_script_micros, 0)
        })?;
        writeln!(f, "a tick at rest, us        {:>24.0}", self.sizes.rest_micros)?;
        let bytes = sizes.last().map_or(0.0, |size| size.bytes_each);
        writeln!(
            f,
            "bytes in the longest      {bytes:.1}   {}",
            aim(bytes <= BYTES_AIM, format!("at most {BYTES_AIM}"))
        )?;
        let growths = [
            ("join", self.sizes.growth(|size| &size.join_micros)),
            ("poll", self.sizes.growth(|size| &size.poll_micros)),
            ("tick", self.sizes.growth(|size| &size.tick_micros)),
        ];
        for (name, growth) in growths {
            writeln!(
                f,
                "{name}, longest to shortest {growth:.2}   {}",
                aim(growth.median <= GROWTH_AIM, format!("at most {GROWTH_AIM}"))
            )?;
        }
        Ok(())
    }

    fn lag(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lag = &self.lag;
        writeln!(f)?;
        writeln!(
            f,
            "LAG from a freed place to PROCESSING: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms, over {} places ({:.0} per second)",
            lag.p50_ms, lag.p99_ms, lag.max_ms, lag.taken, lag.taken_per_second
        )?;
        writeln!(
            f,
            "  those let in had been told to wait: p50 {:.0} ms, p99 {:.0} ms; {:.0} polls per second, {} pollers left, {} calls refused",
            lag.told_p50_ms, lag.told_p99_ms, lag.polls_per_second, lag.pollers_left, lag.refused
        )?;
        let cores: Vec<String> = lag
            .cpu_cores
            .iter()
            .filter(|(_, cores)| **cores >= 0.005)
            .map(|(name, cores)| format!("{name} {cores:.2}"))
            .collect();
        write!(f, "  cores: {}", cores.join(", "))
    }
}

/// What every kind of call is measured by.
fn rounds<const N: usize>(f: &mut fmt::Formatter<'_>, all: [&Measured; N]) -> fmt::Result {
    row(
        f,
        "per second",
        all.map(|of| format!("{:.0}", of.over(|round| round.per_second))),
    )?;
    row(
        f,
        "p50, ms",
        all.map(|of| format!("{:.2}", of.over(|round| round.p50_ms))),
    )?;
    row(
        f,
        "p99, ms",
        all.map(|of| format!("{:.2}", of.over(|round| round.p99_ms))),
    )?;
    row(f, "failures", all.map(|of| of.failures().to_string()))?;
    writeln!(f, "CPU each, microseconds")?;
    for name in names(all) {
        row(f, &format!("  {name}"), all.map(|of| micros(of, name)))?;
    }
    Ok(())
}

/// Whoever used a tenth of a microsecond anywhere, servers before the client.
fn names<const N: usize>(all: [&Measured; N]) -> Vec<&'static str> {
    let used = all.map(Measured::cpu);
    let mut names: Vec<&'static str> = used
        .iter()
        .flatten()
        .filter(|(_, micros)| **micros >= 0.1)
        .map(|(name, _)| *name)
        .collect();
    names.sort_unstable_by_key(|name| (*name == CLIENT, *name));
    names.dedup();
    names
}

fn micros(of: &Measured, name: &str) -> String {
    of.cpu()
        .get(name)
        .map(|micros| format!("{micros:.1}"))
        .unwrap_or_default()
}

fn aim(met: bool, aim: String) -> String {
    let word = if met { "met" } else { "MISSED" };
    format!("(aim: {aim}; {word})")
}

fn row<const N: usize>(f: &mut fmt::Formatter<'_>, name: &str, cells: [String; N]) -> fmt::Result {
    write!(f, "{name:<26}")?;
    for cell in cells {
        write!(f, "{cell:>24}")?;
    }
    writeln!(f)
}
