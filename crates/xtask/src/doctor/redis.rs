//! Whether a Redis answers, is of a version that the scripts were written for, and never throws keys away by itself: a
//! line or a seat lock that is evicted is worse than a write that is refused.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use url::Url;

use super::finding::Finding;

const BOUND: Duration = Duration::from_secs(5);
const OLDEST: u32 = 7;

pub(crate) async fn check(subject: &str, url: &str) -> Vec<Finding> {
    let url = match Url::parse(url) {
        Ok(url) if url.scheme() == "redis" => url,
        Ok(_) => {
            return vec![Finding::not_checked(
                subject,
                "redis",
                "it is reached by TLS, which this command does not speak",
            )];
        }
        // The configuration's own check says so.
        Err(_) => return Vec::new(),
    };
    let asked = tokio::time::timeout(BOUND, info(&url)).await;
    match asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(info) => judge(subject, &info),
        Err(error) => vec![Finding::wrong(
            subject,
            "redis",
            format!("it does not answer: {error}"),
            "start it, or correct REDIS_URL",
        )],
    }
}

/// The answer to `INFO everything`: lines `name:value`.
pub(crate) async fn info(url: &Url) -> std::io::Result<String> {
    let address = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6379));
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let words: Vec<&str> = match (url.username(), url.password()) {
        (_, None) => Vec::new(),
        ("", Some(password)) => vec!["AUTH", password],
        (user, Some(password)) => vec!["AUTH", user, password],
    };
    if !words.is_empty() {
        stream.write_all(command(&words).as_bytes()).await?;
        read_line(&mut stream, '+').await?;
    }
    stream
        .write_all(command(&["INFO", "everything"]).as_bytes())
        .await?;
    let length = read_line(&mut stream, '$').await?;
    let length: usize = length.parse().map_err(std::io::Error::other)?;
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    String::from_utf8(text).map_err(std::io::Error::other)
}

fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text
}

/// The rest of a line of this kind; any other, such as an error, is the error.
async fn read_line(stream: &mut BufReader<TcpStream>, kind: char) -> std::io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    match line.trim_end().strip_prefix(kind) {
        Some(rest) => Ok(rest.to_owned()),
        None => Err(std::io::Error::other(line.trim_end().to_owned())),
    }
}

fn judge(subject: &str, info: &str) -> Vec<Finding> {
    let value = |name: &str| {
        let mut pairs = info.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    };
    let version = match value("redis_version") {
        Some(version) if version.split('.').next().and_then(|major| major.parse().ok()) >= Some(OLDEST) => {
            Finding::ok(subject, "redis", format!("version {version} answers"))
        }
        Some(version) => Finding::wrong(
            subject,
            "redis",
            format!("version {version} is older than {OLDEST}"),
            format!("install Redis {OLDEST} or newer"),
        ),
        None => Finding::not_checked(subject, "redis", "it answers, and does not say its version"),
    };
    let check = "redis eviction";
    let policy = match value("maxmemory_policy") {
        Some("noeviction") => Finding::ok(subject, check, "noeviction"),
        Some(policy) => Finding::wrong(
            subject,
            check,
            format!("maxmemory-policy is {policy}: lines and seat locks may vanish when memory is short"),
            "`redis-cli CONFIG SET maxmemory-policy noeviction`, and the same in its redis.conf",
        ),
        None => Finding::not_checked(subject, check, "it does not say its maxmemory-policy"),
    };
    vec![version, policy]
}

#[cfg(test)]
mod tests {
    use local_servers::{Durability, Home, Kind, PrivateServer};

    use super::super::finding::Verdict::{NotChecked, Ok, Wrong};
    use super::*;

    #[test]
    fn versions_and_policies_are_judged() {
        for (info, expected) in [
            (
                "redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\n",
                [Ok, Ok],
            ),
            ("redis_version:8.2.1\nmaxmemory_policy:allkeys-lru\n", [Ok, Wrong]),
            (
                "redis_version:6.2.7\nmaxmemory_policy:volatile-ttl\n",
                [Wrong, Wrong],
            ),
            ("# Server\r\n", [NotChecked, NotChecked]),
        ] {
            let verdicts: Vec<_> = judge("queue", info)
                .iter()
                .map(|finding| finding.verdict)
                .collect();
            assert_eq!(verdicts, expected, "{info}");
        }
    }

    #[tokio::test]
    async fn a_redis_that_may_evict_is_found_out() {
        let home = Home::temporary().await.unwrap();
        let mut server = PrivateServer::launch(Kind::Redis, &home, Durability::Off)
            .await
            .unwrap();
        let url = server.url();
        let verdicts = async || -> Vec<_> {
            let findings = check("queue", url.as_str()).await;
            findings.iter().map(|finding| finding.verdict).collect()
        };
        assert_eq!(verdicts().await, [Ok, Ok]);

        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", server.port())).await.unwrap());
        for words in [
            vec!["AUTH", url.password().unwrap()],
            vec!["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
        ] {
            stream.write_all(command(&words).as_bytes()).await.unwrap();
            assert_eq!(read_line(&mut stream, '+').await.unwrap(), "OK");
        }
        assert_eq!(verdicts().await, [Ok, Wrong]);

        server.stop().await;
        assert_eq!(verdicts().await, [Wrong]);
    }
}
