//! How a private Redis is set up, started and asked whether it is ready.

use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::error::Result;
use crate::server::Launch;

/// Nothing is saved: the system rebuilds what is in Redis from Postgres. Many numbered databases, so that tests can
/// have one each.
pub(crate) fn prepare(launch: &Launch<'_>, port: u16) -> Result<()> {
    let config = format!(
        "bind 127.0.0.1\nport {port}\nunixsocket \"\"\nprotected-mode yes\nrequirepass {}\ndir {}\nsave \"\"\n\
         appendonly no\ndaemonize no\nlogfile \"\"\nloglevel notice\nmaxmemory-policy noeviction\ndatabases 1024\n",
        launch.password,
        launch.dir.display(),
    );
    launch.write_file(&launch.dir.join("redis.conf"), &config)
}

pub(crate) fn command(launch: &Launch<'_>) -> Command {
    let mut command = launch.command(launch.program);
    command.arg(launch.dir.join("redis.conf"));
    command
}

/// Connects, logs in and pings once; the error says why it is not ready.
pub(crate) async fn ask(url: &Url) -> Result<(), String> {
    let ask = async {
        let address = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6379));
        let mut stream = TcpStream::connect(address).await?;
        let password = url.password().unwrap_or_default();
        let login = match (url.username(), password) {
            ("", "") => String::new(),
            ("", password) => resp(&["AUTH", password]),
            (user, password) => resp(&["AUTH", user, password]),
        };
        stream
            .write_all(format!("{login}{}", resp(&["PING"])).as_bytes())
            .await?;
        let mut answer = Vec::new();
        let mut part = [0; 512];
        while !contains(&answer, b"+PONG") && !answer.starts_with(b"-") {
            match stream.read(&mut part).await? {
                0 => break,
                read => answer.extend_from_slice(&part[..read]),
            }
        }
        std::io::Result::Ok(answer)
    };
    match tokio::time::timeout(Duration::from_secs(2), ask).await {
        Ok(Ok(answer)) if contains(&answer, b"+PONG") => Ok(()),
        Ok(Ok(answer)) => Err(format!(
            "it answers PING with `{}`",
            String::from_utf8_lossy(&answer).trim()
        )),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within 2 s".to_owned()),
    }
}

fn resp(words: &[&str]) -> String {
    let words: String = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    // One `$` a word; a password cannot add one that stands at a line's beginning, being URL-safe or given by hand.
    format!("*{}\r\n{words}", words.matches("\r\n").count() / 2)
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
