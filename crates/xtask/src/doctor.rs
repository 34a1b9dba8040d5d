//! `cargo xtask doctor`: what is wrong with this machine, with the system that `up` runs, or with one service as this
//! environment configures it, and how to mend it. It only looks: it starts, makes and changes nothing.

mod finding;
mod machine;
mod postgres;
pub(crate) mod redis;
mod service;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use local_servers::topology::{SERVICES, Service};
use local_servers::{environment_of, running};

use self::finding::{Finding, Verdict};
use self::service::Subject;
use crate::cargo;
use crate::report::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Look at this service as the environment of this command configures it (DATABASE_URL, REDIS_URL, ...), instead
    /// of the system that `cargo xtask up` runs.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SERVICES.map(|service| service.name)))]
    service: Option<String>,
    /// Write the findings as JSON into this file, or with `-` to the output, in the place of the text.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Fails when something is wrong; what could not be checked is no failure.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let root = cargo::root()?;
    let findings = match &options.service {
        Some(name) => one_service(name, &root).await?,
        None => {
            let mut findings = machine::check().await;
            findings.extend(running_system(&root).await?);
            findings
        }
    };
    let wrong = count(&findings, Verdict::Wrong);
    let json = || serde_json::to_string_pretty(&findings).context("cannot write JSON");
    if options.json.as_deref() == Some(Path::new("-")) {
        say(&json()?);
    } else {
        for finding in &findings {
            say(&finding.to_string());
        }
        say(&format!(
            "\n{wrong} wrong, {} not checked, {} ok",
            count(&findings, Verdict::NotChecked),
            count(&findings, Verdict::Ok)
        ));
        if let Some(path) = &options.json {
            fs::write(path, json()?).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .count()
}

/// Of production or wherever: its environment is ours.
async fn one_service(name: &str, root: &Path) -> Result<Vec<Finding>> {
    let service = SERVICES.iter().find(|service| service.name == name);
    let subject = Subject {
        service: service.context("there is no such service")?,
        env: std::env::vars().collect(),
        should_run: false,
    };
    subject.check(root).await
}

async fn running_system(root: &Path) -> Result<Vec<Finding>> {
    let home = root.join(".frontrow");
    let running = running(&home);
    let runs = |service: &&Service| running.iter().any(|what| what == service.name);
    let (up, down): (Vec<_>, Vec<_>) = SERVICES.iter().partition(runs);
    if up.is_empty() {
        return Ok(vec![
            Finding::not_checked("system", "running", "no system runs in .frontrow/")
                .mend("`cargo xtask up`"),
        ]);
    }
    let mut findings = Vec::new();
    for service in up {
        let Some(env) = environment_of(&home, service.name) else {
            let text = "its environment is not in .frontrow/env/";
            findings.push(Finding::not_checked(service.name, "configuration", text).mend("start `up` again"));
            continue;
        };
        let subject = Subject {
            service,
            env,
            should_run: true,
        };
        findings.extend(subject.check(root).await?);
    }
    for service in down {
        findings.push(Finding::not_checked(service.name, "running", "not started here"));
    }
    Ok(findings)
}
