//! Whether a service's database answers, has every migration of this source, and tells the time that this machine
//! tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{error, fs};

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};
use url::Url;

use super::finding::Finding;

const BOUND: Duration = Duration::from_secs(5);
/// A clock that is off by more is not kept in step by anybody.
const SKEW_ALLOWED_SECONDS: f64 = 2.0;

pub(crate) async fn check(subject: &str, url: &str, root: &Path) -> Result<Vec<Finding>> {
    let Ok(parsed) = Url::parse(url) else {
        // The configuration's own check says so.
        return Ok(Vec::new());
    };
    let wants_tls = parsed
        .query_pairs()
        .any(|(name, value)| name == "sslmode" && ["require", "verify-ca", "verify-full"].contains(&&*value));
    if wants_tls {
        let why = "it wants TLS, which this command does not speak";
        return Ok(vec![Finding::not_checked(subject, "postgres", why)]);
    }
    let wanted = migrations(&root.join("crates").join(subject).join("migrations"))?;
    let seen = tokio::time::timeout(BOUND, look(url, &wanted)).await;
    let seen = match seen {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => return Ok(vec![away(subject, &described(&error))]),
        Err(_) => return Ok(vec![away(subject, "no answer in time")]),
    };
    let mut findings = vec![Finding::ok(
        subject,
        "postgres",
        format!("version {} answers", seen.version),
    )];
    findings.push(judge_migrations(subject, &wanted, seen.applied.as_ref()));
    findings.push(judge_skew(subject, seen.skew_seconds));
    findings.push(judge_step(subject, seen.step_seconds));
    Ok(findings)
}

fn away(subject: &str, why: &str) -> Finding {
    Finding::wrong(
        subject,
        "postgres",
        format!("it does not let {subject} in: {why}"),
        "start it, or correct DATABASE_URL",
    )
}

/// One file of a `migrations` folder.
#[derive(Debug)]
struct Migration {
    version: i64,
    name: String,
    text: Vec<u8>,
}

/// In order; a file whose name does not begin with a number is none.
fn migrations(dir: &Path) -> Result<Vec<Migration>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path: PathBuf = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(version) = name
            .strip_suffix(".sql")
            .and_then(|name| name.split('_').next()?.parse().ok())
        else {
            continue;
        };
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        found.push(Migration { version, name, text });
    }
    found.sort_by_key(|migration| migration.version);
    Ok(found)
}

/// A migration as the database has recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Applied {
    success: bool,
    /// Its text is that of the source; `None` when the source has none of this version.
    same: Option<bool>,
}

#[derive(Debug)]
struct Seen {
    version: String,
    /// How far this machine's clock is ahead of the database's.
    skew_seconds: f64,
    /// `None` without the table.
    step_seconds: Option<f64>,
    /// By version; `None` without the table.
    applied: Option<BTreeMap<i64, Applied>>,
}

async fn look(url: &str, wanted: &[Migration]) -> Result<Seen, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let seen = look_with(&client, wanted).await;
    connection.abort();
    seen
}

async fn look_with(client: &Client, wanted: &[Migration]) -> Result<Seen, tokio_postgres::Error> {
    let version = client.query_one("SHOW server_version", &[]).await?.get(0);
    // The database's time lies between our times before and after: half of the way is the best guess.
    let before = unix_seconds();
    let theirs: f64 = client
        .query_one("SELECT extract(epoch FROM clock_timestamp())::float8", &[])
        .await?
        .get(0);
    let skew_seconds = f64::midpoint(before, unix_seconds()) - theirs;

    let is_there = async |table: &str| -> Result<bool, tokio_postgres::Error> {
        let row = client
            .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table])
            .await?;
        Ok(row.get(0))
    };
    let step_seconds = if is_there("clock_step").await? {
        let row = client
            .query_opt("SELECT extract(epoch FROM step)::float8 FROM clock_step", &[])
            .await?;
        row.map(|row| row.get(0))
    } else {
        None
    };
    let applied = if is_there("_sqlx_migrations").await? {
        let mut applied = BTreeMap::new();
        for row in client
            .query("SELECT version, success FROM _sqlx_migrations", &[])
            .await?
        {
            let success = row.get(1);
            applied.insert(row.get(0), Applied { success, same: None });
        }
        for migration in wanted {
            // The database computes the checksum, so that this command needs no crate for it.
            let row = client
                .query_opt(
                    "SELECT checksum = sha384($2::bytea) FROM _sqlx_migrations WHERE version = $1",
                    &[&migration.version, &migration.text],
                )
                .await?;
            if let (Some(row), Some(applied)) = (row, applied.get_mut(&migration.version)) {
                applied.same = row.get(0);
            }
        }
        Some(applied)
    } else {
        None
    };
    Ok(Seen {
        version,
        skew_seconds,
        step_seconds,
        applied,
    })
}

fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// The driver's own text is short; the cause says more.
fn described(error: &tokio_postgres::Error) -> String {
    match error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn judge_migrations(
    subject: &str,
    wanted: &[Migration],
    applied: Option<&BTreeMap<i64, Applied>>,
) -> Finding {
    let check = "migrations";
    let none = BTreeMap::new();
    let applied = applied.unwrap_or(&none);
    let migrate = format!("`{subject} migrate`");
    for migration in wanted {
        let name = &migration.name;
        match applied.get(&migration.version) {
            None => return Finding::wrong(subject, check, format!("{name} is not applied"), migrate),
            Some(Applied { success: false, .. }) => {
                let mend =
                    format!("see what it left behind, delete its row in _sqlx_migrations, then {migrate}");
                return Finding::wrong(subject, check, format!("{name} was begun and has failed"), mend);
            }
            Some(Applied { same: Some(true), .. }) => {}
            Some(_) => {
                let mend = "put back the file as it was released, and write the change as a new migration; \
                            on a developer's machine `cargo xtask up --fresh`";
                let what = format!("{name} is not the file that was applied: its checksum differs");
                return Finding::wrong(subject, check, what, mend);
            }
        }
    }
    let unknown = applied
        .keys()
        .find(|version| !wanted.iter().any(|known| known.version == **version));
    match unknown {
        Some(version) => Finding::wrong(
            subject,
            check,
            format!("the database has migration {version}, which this source does not know"),
            "use the release that made it, or a newer one",
        ),
        None => Finding::ok(subject, check, format!("all {} applied", wanted.len())),
    }
}

fn judge_skew(subject: &str, skew_seconds: f64) -> Finding {
    let check = "clock";
    if skew_seconds.abs() <= SKEW_ALLOWED_SECONDS {
        let what = format!(
            "this machine's and the database's differ by {:.3} s",
            skew_seconds.abs()
        );
        return Finding::ok(subject, check, what);
    }
    let side = if skew_seconds > 0.0 { "ahead of" } else { "behind" };
    Finding::wrong(
        subject,
        check,
        format!(
            "this machine's clock is {:.1} s {side} the database's",
            skew_seconds.abs()
        ),
        "have both follow NTP (`timedatectl set-ntp true`)",
    )
}

fn judge_step(subject: &str, step_seconds: Option<f64>) -> Finding {
    let check = "clock step";
    match step_seconds {
        Some(0.0) => Finding::ok(subject, check, "zero"),
        Some(step) => Finding::wrong(
            subject,
            check,
            format!("the database's deadlines are stepped by {step} s, which is for tests alone"),
            "`UPDATE clock_step SET step = '0'` in this database",
        ),
        None => Finding::wrong(
            subject,
            check,
            "there is no clock in this database",
            format!("`{subject} migrate`"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use local_servers::{Durability, Home, Kind, PrivateServer, scratch_database};

    use super::super::finding::Verdict;
    use super::*;

    fn migration(version: i64) -> Migration {
        Migration {
            version,
            name: format!("{version:04}_x.sql"),
            text: Vec::new(),
        }
    }

    #[test]
    fn every_state_of_a_migration_is_judged() {
        let wanted = [migration(1), migration(2)];
        let good = Applied {
            success: true,
            same: Some(true),
        };
        let failed = Applied {
            success: false,
            same: Some(true),
        };
        let other = Applied {
            success: true,
            same: Some(false),
        };
        let unknown = Applied {
            success: true,
            same: None,
        };
        let all = |states: &[(i64, Applied)]| Some(states.iter().copied().collect::<BTreeMap<_, _>>());
        for (applied, said) in [
            (None, Some("0001_x.sql is not applied")),
            (all(&[(1, good)]), Some("0002_x.sql is not applied")),
            (all(&[(1, good), (2, failed)]), Some("0002_x.sql was begun")),
            (all(&[(1, other), (2, good)]), Some("0001_x.sql is not the file")),
            (
                all(&[(1, good), (2, good), (3, unknown)]),
                Some("the database has migration 3"),
            ),
            (all(&[(1, good), (2, good)]), None),
        ] {
            let finding = judge_migrations("booking", &wanted, applied.as_ref());
            match said {
                None => assert_eq!(finding.verdict, Verdict::Ok, "{finding}"),
                Some(said) => {
                    assert_eq!(finding.verdict, Verdict::Wrong, "{finding}");
                    assert!(finding.what.starts_with(said), "{finding}");
                }
            }
        }
        let missing = judge_migrations("booking", &wanted, None);
        assert_eq!(missing.mend.as_deref(), Some("`booking migrate`"));
    }

    #[test]
    fn two_seconds_of_skew_are_borne_and_no_step_is() {
        for (skew, verdict) in [
            (0.0, Verdict::Ok),
            (2.0, Verdict::Ok),
            (-1.9, Verdict::Ok),
            (2.1, Verdict::Wrong),
            (-60.0, Verdict::Wrong),
        ] {
            assert_eq!(judge_skew("auth", skew).verdict, verdict, "{skew}");
        }
        assert!(judge_skew("auth", -60.0).what.contains("behind"));
        for (step, verdict) in [
            (Some(0.0), Verdict::Ok),
            (Some(0.5), Verdict::Wrong),
            (Some(-300.0), Verdict::Wrong),
            (None, Verdict::Wrong),
        ] {
            assert_eq!(judge_step("auth", step).verdict, verdict, "{step:?}");
        }
    }

    /// What `booking migrate` leaves, as far as it is looked at; the checksum is the library's, SHA-384 of the file.
    fn migrated(files: &[Migration]) -> String {
        let mut script = String::from(
            "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, success boolean NOT NULL, checksum bytea NOT NULL);",
        );
        for file in files {
            let text = String::from_utf8_lossy(&file.text);
            script.push_str(&format!(
                "INSERT INTO _sqlx_migrations VALUES ({}, true, sha384(convert_to($file${text}$file$, 'UTF8')));",
                file.version
            ));
        }
        script
    }

    #[tokio::test]
    async fn a_stepped_clock_and_a_changed_migration_are_found_out() {
        let root = crate::cargo::root().unwrap();
        let home = Home::temporary().await.unwrap();
        let mut server = PrivateServer::launch(Kind::Postgres, &home, Durability::Off)
            .await
            .unwrap();
        let files = migrations(&root.join("crates/booking/migrations")).unwrap();
        assert!(!files.is_empty());
        let clock = fs::read_to_string(root.join("crates/service-kit/sql/clock.sql")).unwrap();
        let url = scratch_database(&server.url(), "booking", &[clock, migrated(&files)])
            .await
            .unwrap();
        let wrong = async || -> Vec<_> {
            let findings = check("booking", url.as_str(), &root).await.unwrap();
            assert_eq!(findings.len(), 4, "{findings:?}");
            findings
                .into_iter()
                .filter(|finding| finding.verdict == Verdict::Wrong)
                .map(|finding| finding.check)
                .collect()
        };
        assert_eq!(wrong().await, [""; 0]);

        let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let script =
            "UPDATE clock_step SET step = '90 seconds'; UPDATE _sqlx_migrations SET checksum = '\\x00'";
        client.batch_execute(script).await.unwrap();
        assert_eq!(wrong().await, ["migrations", "clock step"]);

        let empty = scratch_database(&server.url(), "empty", &[]).await.unwrap();
        let findings = check("booking", empty.as_str(), &root).await.unwrap();
        assert_eq!(findings[1].mend.as_deref(), Some("`booking migrate`"));

        server.stop().await;
        let findings = check("booking", url.as_str(), &root).await.unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].verdict, Verdict::Wrong);
    }
}
