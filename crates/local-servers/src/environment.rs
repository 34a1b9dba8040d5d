//! The environment of each service of a home, kept as `env/SERVICE.env`: for an editor that starts a service by itself,
//! and for whoever looks at a running system.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Doing, Result};
use crate::home::make_dir;

/// Where the environment of a service is kept: lines `NAME=value`, which a shell reads, too.
pub fn environment_file(home: &Path, service: &str) -> PathBuf {
    folder(home).join(format!("{service}.env"))
}

/// The environment of a service that was last started in this home; `None` when there is none.
pub fn environment_of(home: &Path, service: &str) -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(environment_file(home, service)).ok()?;
    Some(text.lines().filter_map(read_line).collect())
}

pub(crate) fn folder(home: &Path) -> PathBuf {
    home.join("env")
}

/// Later values of a name win. It holds secrets: only its owner reads it.
pub(crate) fn keep(home: &Path, service: &str, env: &[(String, String)]) -> Result<()> {
    make_dir(&folder(home), 0o700)?;
    let path = environment_file(home, service);
    let by_name: BTreeMap<_, _> = env.iter().map(|(name, value)| (name, value)).collect();
    let text: String = by_name
        .into_iter()
        .map(|(name, value)| format!("{name}={}\n", quoted(value)))
        .collect();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .doing(|| format!("write {}", path.display()))
}

fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%=+".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

fn read_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let value = inner.map_or_else(|| value.to_owned(), |inner| inner.replace("'\\''", "'"));
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_environment_reads_as_it_was_kept_and_only_its_owner_reads_it() {
        let home = tempfile::tempdir().unwrap();
        let env = [
            ("AMQP_URL", "amqp://u:p-_@127.0.0.1:1/%2f"),
            ("RUST_LOG", "replaced"),
            ("RUST_LOG", "info,booking[hold]=debug it's"),
            ("EMPTY", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        keep(home.path(), "booking", &env).unwrap();

        let read = environment_of(home.path(), "booking").unwrap();
        let kept: BTreeMap<_, _> = env.into_iter().collect();
        assert_eq!(read, kept);
        assert_eq!(environment_of(home.path(), "queue"), None);

        let path = environment_file(home.path(), "booking");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let script = format!(". {}; printf %s \"$RUST_LOG\"", path.display());
        let shell = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(shell.stdout, b"info,booking[hold]=debug it's");
    }
}
