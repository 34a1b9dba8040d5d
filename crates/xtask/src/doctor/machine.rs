//! What this machine has: the compilers, and the three servers or a way to them.

use local_servers::{Given, Kind, Offer, offer};
use tokio::process::Command;

use super::finding::Finding;

const SUBJECT: &str = "machine";
/// What Cargo.toml asks for: `1.95`.
const RUST_NEEDED: &str = env!("CARGO_PKG_RUST_VERSION");

pub(crate) async fn check() -> Vec<Finding> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut findings = vec![
        judge_rustc(first_line(&rustc).await.as_deref()),
        judge_c_compiler(first_line("cc").await.as_deref()),
    ];
    let given = Given::from_env();
    for kind in Kind::ALL {
        findings.push(judge_offer(kind, offer(kind, &given).await));
    }
    findings
}

/// Of `PROGRAM --version`; `None` when it cannot be run.
async fn first_line(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn judge_rustc(version: Option<&str>) -> Finding {
    let found = version.and_then(|line| line.split_whitespace().nth(1));
    match found {
        Some(found) if numbers(found) >= numbers(RUST_NEEDED) => {
            Finding::ok(SUBJECT, "rustc", format!("{found}, needed {RUST_NEEDED}"))
        }
        Some(found) => Finding::wrong(
            SUBJECT,
            "rustc",
            format!("{found} is older than {RUST_NEEDED}"),
            "`rustup update stable`",
        ),
        None => Finding::wrong(
            SUBJECT,
            "rustc",
            "it does not say its version",
            "install Rust with rustup",
        ),
    }
}

/// `1.95.0-nightly` is 1, 95, 0.
fn numbers(version: &str) -> Vec<u32> {
    let release = version.split('-').next().unwrap_or_default();
    release
        .split('.')
        .map(|part| part.parse().unwrap_or_default())
        .collect()
}

fn judge_c_compiler(version: Option<&str>) -> Finding {
    match version {
        Some(version) => Finding::ok(SUBJECT, "C compiler", version),
        None => Finding::wrong(
            SUBJECT,
            "C compiler",
            "there is no `cc`",
            "on Debian or Ubuntu: sudo apt-get install gcc libc6-dev",
        ),
    }
}

fn judge_offer(kind: Kind, offer: local_servers::Result<Offer>) -> Finding {
    let check = kind.slug();
    match offer {
        Ok(Offer::Given(variable)) => Finding::ok(SUBJECT, check, format!("the one of {variable}")),
        Ok(Offer::Program(program)) => Finding::ok(SUBJECT, check, program.display().to_string()),
        Ok(Offer::Package) => Finding::ok(SUBJECT, check, "`up` will install it with apt"),
        Ok(Offer::Docker) => Finding::ok(SUBJECT, check, "`up` will run it in a container"),
        Ok(Offer::Nowhere(reasons)) => Finding::wrong(
            SUBJECT,
            check,
            format!("no program of it is here; {}", reasons.join("; ")),
            format!(
                "sudo apt-get install --no-install-recommends {}, or start Docker, or name one in {}",
                kind.debian_package(),
                kind.variable()
            ),
        ),
        Err(error) => Finding::wrong(
            SUBJECT,
            check,
            error.to_string(),
            format!("correct {}, or unset it", kind.variable()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_compiler_is_as_good_as_its_numbers_say() {
        for (version, verdict) in [
            (Some("rustc 1.95.0 (59807616e 2026-04-14)"), Verdict::Ok),
            (Some("rustc 1.100.0-nightly (abc 2026-11-01)"), Verdict::Ok),
            (Some("rustc 2.0.0"), Verdict::Ok),
            (Some("rustc 1.94.1 (abc 2026-03-01)"), Verdict::Wrong),
            (Some("rustc 1.9.0"), Verdict::Wrong),
            (Some(""), Verdict::Wrong),
            (None, Verdict::Wrong),
        ] {
            assert_eq!(judge_rustc(version).verdict, verdict, "{version:?}");
        }
        assert_eq!(judge_c_compiler(Some("cc 12")).verdict, Verdict::Ok);
        assert_eq!(judge_c_compiler(None).verdict, Verdict::Wrong);
    }

    #[test]
    fn a_server_that_comes_from_nowhere_is_wrong_and_says_what_to_install() {
        for offer in [
            Offer::Given("REDIS_URL"),
            Offer::Program("/usr/bin/redis-server".into()),
            Offer::Package,
            Offer::Docker,
        ] {
            assert_eq!(judge_offer(Kind::Redis, Ok(offer)).verdict, Verdict::Ok);
        }
        let nowhere = judge_offer(Kind::Redis, Ok(Offer::Nowhere(vec!["no apt-get".to_owned()])));
        assert_eq!(nowhere.verdict, Verdict::Wrong);
        assert!(nowhere.mend.unwrap().contains("redis-server"));
    }
}
