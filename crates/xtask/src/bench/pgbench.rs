//! Postgres' own load generator, as the measure of what this Postgres on this machine can do.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local_servers::{postgres_program, scratch_database};
use url::Url;

use crate::cargo;

const DATABASE: &str = "pgbench";

/// A row like those that a payment leaves behind, with one index more than its key.
const TABLE: &str = "
CREATE TABLE sagas (
    saga_id    bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    subject_id uuid        NOT NULL DEFAULT gen_random_uuid(),
    state      text        NOT NULL,
    version    bigint      NOT NULL DEFAULT 1,
    amount     bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resume_at  timestamptz
) WITH (fillfactor = 70);
CREATE INDEX sagas_to_resume ON sagas (resume_at) WHERE resume_at IS NOT NULL;
";

/// A script of `commits` commits: a row is made and then changed, guarded, once for each further one. No statement does
/// more than one of a saga, and none is in a transaction of its own making.
pub(crate) fn script(commits: u32) -> String {
    let mut script =
        "INSERT INTO sagas (state, amount, resume_at) VALUES ('CREATED', 90000, now() + interval '10 s')\n\
                      \x20   RETURNING saga_id AS saga_id \\gset\n"
            .to_owned();
    for version in 1..commits {
        let (state, resume_at) = if version + 1 == commits {
            ("SUCCEEDED", "NULL")
        } else {
            ("RUNNING", "now() + interval '10 s'")
        };
        script.push_str(&format!(
            "UPDATE sagas SET state = '{state}', version = version + 1, resume_at = {resume_at}\n\
             \x20   WHERE saga_id = :saga_id AND version = {version};\n"
        ));
    }
    script
}

#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    script: PathBuf,
    url: Url,
    clients: usize,
}

/// What one run of it said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ran {
    pub(crate) scripts: u64,
    pub(crate) scripts_per_second: f64,
    pub(crate) mean_ms: f64,
}

impl Pgbench {
    /// Makes its database beside those of the services.
    pub(crate) async fn prepare(
        postgres: &Url,
        root: &Path,
        clients: usize,
        commits: u32,
    ) -> Result<Pgbench> {
        let url = scratch_database(postgres, DATABASE, &[TABLE.to_owned()]).await?;
        let path = root.join(".frontrow/bench/pgbench.sql");
        std::fs::write(&path, script(commits)).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Pgbench {
            program: program()?,
            script: path,
            url,
            clients,
        })
    }

    /// One round: as many clients as the services have, each with a connection of its own, prepared statements.
    pub(crate) async fn run(&self, root: &Path, time: Duration) -> Result<Ran> {
        let mut command = cargo::program(root, &self.program);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        command
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={}", self.clients))
            .arg(format!("--jobs={}", threads.min(self.clients)))
            .arg(format!("--time={}", time.as_secs().max(1)))
            .arg("--file")
            .arg(&self.script)
            .arg(DATABASE)
            .env("PGHOST", self.url.host_str().unwrap_or_default())
            .env("PGPORT", self.url.port().unwrap_or_default().to_string())
            .env("PGUSER", self.url.username())
            .env("PGPASSWORD", self.url.password().unwrap_or_default())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = command.output().await.context("cannot start pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "pgbench failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let ran = read(&text).with_context(|| format!("what pgbench says is not understood:\n{text}"))?;
        Ok(ran)
    }
}

/// Beside the server that is measured.
pub(crate) fn program() -> Result<PathBuf> {
    postgres_program("pgbench")
        .context("pgbench is not here; Debian has it in `postgresql-contrib` or `postgresql`")
}

/// Nothing when a transaction failed: then it is no measure.
fn read(text: &str) -> Option<Ran> {
    let after = |label: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
        rest.split_whitespace().next()
    };
    let failed = after("number of failed transactions: ").unwrap_or("0");
    (failed == "0").then_some(Ran {
        scripts: after("number of transactions actually processed: ")?
            .parse()
            .ok()?,
        scripts_per_second: after("tps = ")?.parse().ok()?,
        mean_ms: after("latency average = ")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "pgbench (15.14)
transaction type: pay.sql
number of clients: 16
number of transactions actually processed: 12345
number of failed transactions: 0 (0.000%)
latency average = 6.480 ms
initial connection time = 30.1 ms
tps = 2469.123456 (without initial connection time)
";

    #[test]
    fn pgbench_is_understood() {
        let ran = Ran {
            scripts: 12_345,
            scripts_per_second: 2_469.123_456,
            mean_ms: 6.48,
        };
        assert_eq!(read(SAID), Some(ran));
        assert_eq!(
            read(&SAID.replace("transactions: 0 (", "transactions: 3 (")),
            None
        );
        assert_eq!(read("pgbench (15.14)"), None);
    }

    #[test]
    fn a_script_has_as_many_statements_as_commits() {
        for commits in [1, 2, 6] {
            let script = script(commits);
            let inserts = script.matches("INSERT").count();
            let updates = script.matches("UPDATE").count();
            assert_eq!((inserts, updates + 1), (1, commits as usize));
        }
        assert!(script(3).ends_with("AND version = 2;\n"));
    }
}
