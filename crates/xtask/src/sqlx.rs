//! `cargo xtask sqlx`: the committed `.sqlx` folders, which let the workspace compile without a database.
//!
//! Every crate with a `sqlx.toml` gets a scratch database with its migrations applied; then the compiler checks each
//! query against it and writes down what it found. One compilation does all crates: cargo calls the compiler through
//! this program ([`as_compiler`]), which tells it the folder of the crate at hand.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use local_servers::{Durability, Home, Kind, PrivateServer, scratch_database};

use crate::cargo;
use crate::report::Report;
use crate::stop::Stop;

/// The clock that every service's migrations begin with.
const CLOCK: &str = "crates/service-kit/sql/clock.sql";

/// Tells [`as_compiler`] where to put what it finds.
const FOUND_IN: &str = "FRONTROW_QUERIES_FOUND_IN";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Fail when what is committed differs, instead of writing it.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let report = Report::new();
    let mut stop = Stop::listen()?;
    tokio::select! {
        outcome = renew(options.check, &report) => outcome.map(|()| ExitCode::SUCCESS),
        // Servers and compilers end when the future is dropped.
        signal = stop.wished() => bail!("stopped by {signal}"),
    }
}

/// Checks every query against a database; writes what was found, or with `only_check` fails when that differs from
/// what is committed.
pub(crate) async fn renew(only_check: bool, report: &Report) -> Result<()> {
    let root = cargo::root()?;
    let crates = Checked::find(&root)?;
    let home = Home::temporary().await?;
    let postgres = PrivateServer::launch(Kind::Postgres, &home, Durability::Off).await?;
    report.step("a scratch Postgres is up");

    let mut urls = BTreeMap::new();
    for checked in &crates {
        let migrations = checked.migrations(&root)?;
        let url = scratch_database(&postgres.url(), &checked.name, &migrations)
            .await
            .with_context(|| format!("the migrations of {}", checked.name))?;
        urls.insert(checked.variable.clone(), url.to_string());
    }
    report.step(&format!("migrated {} scratch databases", crates.len()));

    let found = home.dir().join("queries");
    for checked in &crates {
        fs::create_dir_all(found.join(&checked.name)).context("cannot make a scratch folder")?;
    }
    // Always at the same place, since cargo keeps what each compiler has made apart.
    let compiler = root.join(".frontrow/xtask-as-compiler");
    fs::create_dir_all(root.join(".frontrow")).context("cannot make .frontrow/")?;
    let _ = fs::remove_file(&compiler);
    // Not by its path: a build in the meantime has put another file there.
    fs::copy("/proc/self/exe", &compiler).context("cannot copy this program")?;

    let mut command = cargo::cargo(&root);
    command
        .args(["check", "--workspace", "--all-targets", "--quiet"])
        .env("RUSTC_WORKSPACE_WRAPPER", &compiler)
        .env(FOUND_IN, &found)
        .env("SQLX_OFFLINE", "false")
        .envs(&urls);
    let touched = crates
        .iter()
        .map(|checked| Touched::new(&checked.dir))
        .collect::<Result<Vec<_>>>()?;
    let outcome = cargo::succeed(command).await;
    drop(touched);
    outcome?;
    report.step("checked every query");

    let mut stale = Vec::new();
    for checked in &crates {
        let committed = checked.dir.join(".sqlx");
        let (old, new) = (queries(&committed)?, queries(&found.join(&checked.name))?);
        if old == new {
            report.step(&format!("{}: {} queries, unchanged", checked.name, new.len()));
        } else if only_check {
            stale.push(checked.name.clone());
        } else {
            replace(&committed, &old, &new)?;
            report.step(&format!("{}: wrote {} queries", checked.name, new.len()));
        }
    }
    if !stale.is_empty() {
        bail!(
            "the committed queries of {} are stale; run `cargo xtask sqlx`",
            stale.join(", ")
        );
    }
    Ok(())
}

/// When cargo calls this program in the place of the compiler, becomes the compiler; answers only when it cannot.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    let found = PathBuf::from(std::env::var_os(FOUND_IN)?);
    let mut arguments = std::env::args_os().skip(1);
    let mut compiler = std::process::Command::new(arguments.next()?);
    compiler.args(arguments).env_remove(FOUND_IN);
    if let Some(folder) = std::env::var_os("CARGO_PKG_NAME")
        .map(|name| found.join(name))
        .filter(|dir| dir.is_dir())
    {
        compiler.env("SQLX_OFFLINE_DIR", folder);
    }
    let error = compiler.exec();
    eprintln!("cannot start the compiler: {error}");
    Some(ExitCode::FAILURE)
}

/// A crate whose queries are checked.
struct Checked {
    name: String,
    dir: PathBuf,
    /// The variable by which the compiler is told its database.
    variable: String,
}

impl Checked {
    fn find(root: &Path) -> Result<Vec<Checked>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(root.join("crates")).context("cannot read crates/")? {
            let dir = entry?.path();
            let Ok(settings) = fs::read_to_string(dir.join("sqlx.toml")) else {
                continue;
            };
            let variable = settings
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| key.trim() == "database-url-var")
                .map(|(_, value)| value.trim().trim_matches('"').to_owned())
                .with_context(|| format!("{} names no database-url-var", dir.join("sqlx.toml").display()))?;
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push(Checked { name, dir, variable });
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The SQL that makes its schema, in order.
    fn migrations(&self, root: &Path) -> Result<Vec<String>> {
        let dir = self.dir.join("migrations");
        let mut files: Vec<PathBuf> = fs::read_dir(&dir)
            .with_context(|| format!("cannot read {}", dir.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
            .collect();
        files.sort();
        files.insert(0, root.join(CLOCK));
        let read = |path: &PathBuf| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        files.iter().map(read).collect()
    }
}

/// A crate that cargo takes for changed, until this is dropped.
struct Touched(Vec<(PathBuf, SystemTime)>);

impl Touched {
    fn new(dir: &Path) -> Result<Touched> {
        let mut touched = Touched(Vec::new());
        for name in ["src/lib.rs", "src/main.rs", "tests/it/main.rs"] {
            let path = dir.join(name);
            let Ok(meta) = fs::metadata(&path) else { continue };
            touched.0.push((path.clone(), meta.modified()?));
            set_modified(&path, SystemTime::now())
                .with_context(|| format!("cannot touch {}", path.display()))?;
        }
        Ok(touched)
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        for (path, time) in &self.0 {
            // Otherwise one more compilation, nothing worse.
            let _ = set_modified(path, *time);
        }
    }
}

fn set_modified(path: &Path, time: SystemTime) -> std::io::Result<()> {
    File::options().append(true).open(path)?.set_modified(time)
}

/// File names and texts of a `.sqlx` folder; one that is not there is empty.
fn queries(dir: &Path) -> Result<BTreeMap<String, String>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(BTreeMap::new());
    };
    entries
        .map(|entry| {
            let path = entry?.path();
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok((
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                text.trim_end().to_owned(),
            ))
        })
        .collect()
}

fn replace(dir: &Path, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Result<()> {
    let write = || {
        fs::create_dir_all(dir)?;
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            fs::remove_file(dir.join(name))?;
        }
        for (name, text) in new {
            fs::write(dir.join(name), format!("{text}\n"))?;
        }
        std::io::Result::Ok(())
    };
    write().with_context(|| format!("cannot write {}", dir.display()))
}
