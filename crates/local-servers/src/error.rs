use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::Kind;

/// Why a server or a service could not be had. The text is complete: it is shown to a developer as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {action}: {source}")]
    Io { action: String, source: io::Error },

    #[error("{dir} is in use by process {owner}; stop that one first (Ctrl-C there, or `kill {owner}`)", dir = dir.display())]
    InUse { dir: PathBuf, owner: String },

    #[error("{what} ended ({status}); the end of {log}:\n{tail}", log = log.display())]
    Exited {
        what: String,
        status: ExitStatus,
        log: PathBuf,
        tail: String,
    },

    #[error("{what} was not ready after {} s; the end of {log}:\n{tail}", after.as_secs(), log = log.display())]
    NotReady {
        what: String,
        after: Duration,
        log: PathBuf,
        tail: String,
    },

    #[error("the {kind} of {variable} does not answer: {reason}")]
    GivenDoesNotAnswer {
        kind: Kind,
        variable: &'static str,
        reason: String,
    },

    #[error("{variable} is not a URL of {kind}: {reason}")]
    GivenIsNotAUrl {
        kind: Kind,
        variable: &'static str,
        reason: String,
    },

    #[error("{}", missing_programs(missing, reasons))]
    MissingPrograms {
        missing: Vec<Kind>,
        reasons: Vec<String>,
    },

    #[error("`{command}` failed: {output}")]
    Command { command: String, output: String },

    #[error("no free port between {from} and {to}", from = range.0, to = range.1)]
    NoFreePort { range: (u16, u16) },

    #[error("the database refused to {action}: {}", crate::postgres::describe(source))]
    Database {
        action: String,
        source: tokio_postgres::Error,
    },

    #[error("{path} does not read as JSON: {source}; delete it, or start with --fresh", path = path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },

    #[error(
        "{address} is taken by another program; free it, or choose another with {variable}=127.0.0.1:PORT"
    )]
    AddressTaken { address: String, variable: &'static str },

    #[error("there is no service called `{0}`")]
    UnknownService(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when the system refused: `fs::read(p).doing(|| format!("read {p}"))`.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            action: action(),
            source,
        })
    }
}

fn missing_programs(missing: &[Kind], reasons: &[String]) -> String {
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let packages: Vec<_> = missing.iter().map(|kind| kind.debian_package()).collect();
    let variables: Vec<_> = missing.iter().map(|kind| kind.variable()).collect();
    let mut text = format!("these servers are missing: {}\n", names.join(", "));
    for reason in reasons {
        text.push_str(&format!("  - {reason}\n"));
    }
    text.push_str(&format!(
        "Do one of these, then try again:\n  \
         - install their programs, on Debian or Ubuntu: sudo apt-get install --no-install-recommends {}\n  \
         - start a Docker engine that `docker info` reaches\n  \
         - name running servers by URL in {}",
        packages.join(" "),
        variables.join(", "),
    ));
    text
}
