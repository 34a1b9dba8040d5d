//! One service with its environment: its configuration, the stores it uses, and whether it is ready.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::{Method, StatusCode};
use local_servers::http::{HttpError, Response, request};
use local_servers::topology::{Role, Service};
use local_servers::{Kind, ask};
use tokio::process::Command;
use url::Url;

use super::finding::Finding;
use super::{postgres, redis};

const PROGRAM_BOUND: Duration = Duration::from_secs(20);
const READY_BOUND: Duration = Duration::from_secs(3);
/// Makes the delayed queues, so it is the one that knows how they should be.
const QUEUES_OWNER: &str = "booking";

pub(crate) struct Subject {
    pub(crate) service: &'static Service,
    pub(crate) env: BTreeMap<String, String>,
    /// One that does not serve is wrong; otherwise there is nothing to ask.
    pub(crate) should_run: bool,
}

impl Subject {
    /// The error is one of this workspace, not of what is looked at.
    pub(crate) async fn check(&self, root: &Path) -> Result<Vec<Finding>> {
        let name = self.service.name;
        let mut findings = Vec::new();
        if self.service.role != Role::Provider {
            findings.push(judge_configuration(
                name,
                &self.run(&["config", "--check"]).await?,
            ));
        }
        // A URL that is missing is a mistake of the configuration, said above.
        let url = |used: bool, key: &str| self.env.get(key).filter(|url| used && !url.is_empty());
        if let Some(url) = url(self.service.database, "DATABASE_URL") {
            findings.extend(postgres::check(name, url, root).await?);
        }
        if let Some(url) = url(self.service.redis, "REDIS_URL") {
            findings.extend(redis::check(name, url).await);
        }
        if let Some(url) = url(self.service.amqp, "AMQP_URL") {
            findings.extend(rabbitmq(name, url).await);
            if name == QUEUES_OWNER {
                findings.push(judge_queues(name, &self.run(&["check-queues"]).await?));
            }
        }
        findings.push(self.readiness().await);
        Ok(findings)
    }

    async fn readiness(&self) -> Finding {
        let (key, default, path) = match self.service.role {
            Role::Provider => ("SIMULATOR_ADDR", "127.0.0.1:9090", "/healthz"),
            _ => ("ADMIN_ADDR", "127.0.0.1:9100", "/readyz"),
        };
        let address = self.env.get(key).map_or(default, String::as_str);
        let Ok(mut address) = address.parse::<SocketAddr>() else {
            let why = format!("{key} is no address");
            return Finding::not_checked(self.service.name, "readiness", why);
        };
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let answer = request(address, Method::GET, path, &[], None, READY_BOUND).await;
        judge_readiness(self.service.name, self.should_run, &answer)
    }

    /// Runs the service's own program beside this one; `None` when it is not built.
    async fn run(&self, arguments: &[&str]) -> Result<Option<Output>> {
        let program = program(self.service.name)?;
        if !program.is_file() {
            return Ok(None);
        }
        let output = Command::new(&program)
            .args(arguments)
            .env_clear()
            .envs(&self.env)
            // Its log is not what is asked for.
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PROGRAM_BOUND, output).await;
        let output = output.with_context(|| format!("{} does not end", program.display()))?;
        Ok(Some(output.with_context(|| {
            format!("cannot start {}", program.display())
        })?))
    }
}

fn program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    Ok(this.with_file_name(name))
}

async fn rabbitmq(subject: &str, url: &str) -> Option<Finding> {
    // What is no URL is said by the configuration's own check.
    let url = Url::parse(url).ok()?;
    let check = "rabbitmq";
    if url.scheme() != "amqp" {
        let why = "it is reached by TLS, which this command does not speak";
        return Some(Finding::not_checked(subject, check, why));
    }
    Some(match ask(Kind::RabbitMq, &url).await {
        Ok(()) => Finding::ok(subject, check, "it speaks AMQP"),
        Err(why) => Finding::wrong(
            subject,
            check,
            format!("it does not answer: {why}"),
            "start it, or correct AMQP_URL",
        ),
    })
}

/// What a program said of itself: its errors in one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

const BUILD: &str = "`cargo build --workspace`";

/// A program that does not know the command (2) is older than this one.
fn unusable(subject: &str, check: &'static str, output: &Option<Output>) -> Option<Finding> {
    match output {
        None => Some(Finding::not_checked(subject, check, "its program is not built").mend(BUILD)),
        Some(output) if output.status.code() == Some(2) => {
            Some(Finding::not_checked(subject, check, "its program is older than this command").mend(BUILD))
        }
        Some(_) => None,
    }
}

fn judge_configuration(subject: &str, output: &Option<Output>) -> Finding {
    let check = "configuration";
    match (unusable(subject, check, output), output) {
        (None, Some(output)) if !output.status.success() => {
            let mend = format!("`{subject} config` and docs/configuration.md say what each key takes");
            Finding::wrong(subject, check, said(output), mend)
        }
        (Some(unusable), _) => unusable,
        _ => Finding::ok(subject, check, "every key is right"),
    }
}

fn judge_queues(subject: &str, output: &Option<Output>) -> Finding {
    let check = "queues";
    match (unusable(subject, check, output), output) {
        (None, Some(output)) if !output.status.success() => {
            let said = said(output);
            if said.contains("the configuration has") {
                return Finding::not_checked(subject, check, "its configuration is wrong");
            }
            let mend = if said.contains("NOT_FOUND") {
                "start booking, which makes them"
            } else if said.contains("PRECONDITION_FAILED") {
                "stop booking, delete the queue that is named (`rabbitmqctl delete_queue`), start booking: it makes it \
                 anew, and what waited in it is brought to mind by booking's sweep"
            } else {
                "start RabbitMQ, or correct AMQP_URL"
            };
            Finding::wrong(subject, check, said, mend)
        }
        (Some(unusable), _) => unusable,
        _ => Finding::ok(
            subject,
            check,
            "those of the holds' end are there, with every argument as configured",
        ),
    }
}

fn judge_readiness(subject: &str, should_run: bool, answer: &Result<Response, HttpError>) -> Finding {
    let check = "readiness";
    match answer {
        Ok(response) if response.status == StatusCode::OK => Finding::ok(subject, check, "ready"),
        Ok(response) => Finding::wrong(
            subject,
            check,
            format!("not ready: {}", String::from_utf8_lossy(&response.body)),
            "mend what it waits for; its log says more",
        ),
        Err(HttpError::Connect(_)) if !should_run => {
            Finding::not_checked(subject, check, "it does not run on this machine")
        }
        Err(error) => Finding::wrong(
            subject,
            check,
            format!("it does not answer: {error}"),
            "its log says why",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::super::finding::Verdict;
    use super::*;

    fn ended(code: i32, stderr: &str) -> Option<Output> {
        Some(Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            stderr: stderr.into(),
        })
    }

    #[test]
    fn a_configuration_is_judged_by_what_its_program_says() {
        let mistakes = "error: the configuration has 1 mistake(s):\n  HOLD_SECONDS: must be 1 to 3600\n";
        for (output, verdict) in [
            (ended(0, ""), Verdict::Ok),
            (ended(1, mistakes), Verdict::Wrong),
            (
                ended(2, "error: unexpected argument '--check'"),
                Verdict::NotChecked,
            ),
            (None, Verdict::NotChecked),
        ] {
            assert_eq!(judge_configuration("booking", &output).verdict, verdict);
        }
        let wrong = judge_configuration("booking", &ended(1, mistakes));
        assert_eq!(
            wrong.what,
            "the configuration has 1 mistake(s): HOLD_SECONDS: must be 1 to 3600"
        );
    }

    #[test]
    fn a_queue_that_is_missing_is_mended_otherwise_than_one_that_differs() {
        let missing = judge_queues("booking", &ended(1, "error: NOT_FOUND - no queue 'x'"));
        let differs = judge_queues(
            "booking",
            &ended(1, "error: PRECONDITION_FAILED - inequivalent arg"),
        );
        let away = judge_queues("booking", &ended(1, "error: RabbitMQ does not answer"));
        for (finding, mend) in [
            (missing, "start booking"),
            (differs, "stop booking"),
            (away, "start RabbitMQ"),
        ] {
            assert_eq!(finding.verdict, Verdict::Wrong);
            assert!(finding.mend.unwrap().starts_with(mend));
        }
        let mistakes = judge_queues("booking", &ended(1, "error: the configuration has 1 mistake(s):"));
        assert_eq!(mistakes.verdict, Verdict::NotChecked);
        assert_eq!(judge_queues("booking", &ended(0, "")).verdict, Verdict::Ok);
        assert_eq!(judge_queues("booking", &None).verdict, Verdict::NotChecked);
    }

    #[test]
    fn a_service_that_need_not_run_is_not_blamed_for_that() {
        let refused = || Err(HttpError::Connect(std::io::ErrorKind::ConnectionRefused.into()));
        let answered = |status| {
            Ok(Response {
                status,
                headers: hyper::HeaderMap::new(),
                body: hyper::body::Bytes::new(),
            })
        };
        for (should_run, answer, verdict) in [
            (true, answered(StatusCode::OK), Verdict::Ok),
            (false, answered(StatusCode::SERVICE_UNAVAILABLE), Verdict::Wrong),
            (true, refused(), Verdict::Wrong),
            (false, refused(), Verdict::NotChecked),
            (false, Err(HttpError::Late(READY_BOUND)), Verdict::Wrong),
        ] {
            assert_eq!(judge_readiness("auth", should_run, &answer).verdict, verdict);
        }
    }
}
