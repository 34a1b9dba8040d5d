//! How a private Postgres is set up, started and asked whether it is ready.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio_postgres::NoTls;
use url::Url;

use crate::error::{Doing, Error, Result};
use crate::server::{Durability, Launch};

pub(crate) const USER: &str = "frontrow";

/// Makes the cluster; does nothing when there is one.
pub(crate) async fn prepare(launch: &Launch<'_>) -> Result<()> {
    let cluster = launch.dir.join("cluster");
    if cluster.is_dir() {
        return Ok(());
    }
    // It gets its name when it is complete: an interrupted `initdb` is begun anew.
    let incomplete = launch.dir.join("incomplete");
    crate::home::remove_dir(&incomplete)?;
    let password_file = launch.dir.join("initdb-password");
    launch.write_file(&password_file, launch.password)?;
    let mut initdb = launch.command(&launch.program.with_file_name("initdb"));
    initdb
        .arg("--pgdata")
        .arg(&incomplete)
        .arg("--username")
        .arg(USER)
        .arg("--pwfile")
        .arg(&password_file)
        .args([
            "--auth-local=reject",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
    if launch.durability == Durability::Off {
        initdb.arg("--no-sync");
    }
    let output = tokio::process::Command::from(initdb)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .doing(|| "start initdb".to_owned())?;
    fs::remove_file(&password_file).doing(|| format!("delete {}", password_file.display()))?;
    if !output.status.success() {
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        return Err(Error::Command {
            command: "initdb".to_owned(),
            output: text,
        });
    }
    fs::rename(&incomplete, &cluster).doing(|| format!("name {}", cluster.display()))
}

pub(crate) fn command(launch: &Launch<'_>, port: u16) -> Command {
    let mut command = launch.command(launch.program);
    command
        .arg("-D")
        .arg(launch.dir.join("cluster"))
        .arg("-p")
        .arg(port.to_string());
    let mut set = |setting: &str| {
        command.arg("-c").arg(setting);
    };
    set("listen_addresses=127.0.0.1");
    set("unix_socket_directories=");
    set("max_connections=500");
    set("log_min_messages=warning");
    // Logs belong into our file, whatever the distribution prefers.
    set("logging_collector=off");
    set("log_destination=stderr");
    if launch.durability == Durability::Off {
        // Commits still reach the system's cache (synchronous_commit stays on): a killed server loses nothing.
        set("fsync=off");
        set("full_page_writes=off");
    }
    command
}

/// Connects and asks once; the error says why it is not ready.
pub(crate) async fn ask(url: &Url) -> Result<(), String> {
    let ask = async {
        let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query("SELECT 1").await;
        drop(client);
        connection.abort();
        answer
    };
    match tokio::time::timeout(Duration::from_secs(2), ask).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err("no answer within 2 s".to_owned()),
    }
}

pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Removes a `postmaster.pid` whose pid meanwhile belongs to another program: Postgres would take that for a running
/// server and refuse. In every other case it finds out by itself, and more carefully.
pub(crate) fn remove_stale_pid_file(launch: &Launch<'_>) -> Result<()> {
    let path = launch.dir.join("cluster/postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let pid = text.lines().next().unwrap_or_default();
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) if name.trim() != "postgres" => {
            fs::remove_file(&path).doing(|| format!("delete {}", path.display()))
        }
        _ => Ok(()),
    }
}
