//! Finds server programs on this machine: in PATH, and where Debian puts them out of PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Kind;

/// The program that starts a server of this kind, if it is here.
pub(crate) fn find(kind: Kind) -> Option<PathBuf> {
    match kind {
        // `initdb` must stand beside it; a link in PATH does not say where that is, hence the real path.
        Kind::Postgres => newest_postgres().or_else(|| fs::canonicalize(in_path("postgres")?).ok()),
        Kind::Redis => in_path("redis-server").or_else(|| executable("/usr/bin/redis-server")),
        // In PATH, Debian has a wrapper that insists on the user `rabbitmq` and the machine's own configuration.
        Kind::RabbitMq => executable("/usr/lib/rabbitmq/bin/rabbitmq-server")
            .or_else(newest_rabbitmq)
            .or_else(|| in_path("rabbitmq-server")),
    }
    .filter(|program| match kind {
        Kind::Postgres => program.with_file_name("initdb").is_file(),
        Kind::Redis => true,
        Kind::RabbitMq => epmd().is_some(),
    })
}

/// A program that comes with the Postgres server, such as `pgbench`.
pub fn postgres_program(name: &str) -> Option<PathBuf> {
    let server = find(Kind::Postgres)?;
    executable(server.with_file_name(name)).or_else(|| in_path(name))
}

/// Erlang's port mapper, which RabbitMQ needs.
pub(crate) fn epmd() -> Option<PathBuf> {
    in_path("epmd").or_else(|| {
        let versions = fs::read_dir("/usr/lib/erlang").ok()?;
        versions
            .filter_map(|entry| executable(entry.ok()?.path().join("bin/epmd")))
            .next()
    })
}

pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|dir| executable(dir.join(name)))
}

fn newest_postgres() -> Option<PathBuf> {
    newest(
        "/usr/lib/postgresql",
        |version| version.parse::<u32>().ok(),
        "bin/postgres",
    )
}

fn newest_rabbitmq() -> Option<PathBuf> {
    let number = |name: &str| {
        let version = name.strip_prefix("rabbitmq_server-")?;
        version
            .split('.')
            .map(|part| part.parse::<u32>().ok())
            .collect::<Option<Vec<_>>>()
    };
    newest("/usr/lib/rabbitmq/lib", number, "sbin/rabbitmq-server")
}

fn newest<V: Ord>(parent: &str, version: impl Fn(&str) -> Option<V>, program: &str) -> Option<PathBuf> {
    fs::read_dir(parent)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = version(entry.file_name().to_str()?)?;
            Some((version, executable(entry.path().join(program))?))
        })
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, program)| program)
}

fn executable(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    let meta = fs::metadata(path).ok()?;
    (meta.is_file() && meta.permissions().mode() & 0o111 != 0).then(|| path.to_owned())
}
