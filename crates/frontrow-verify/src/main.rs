//! Checks a fair opening from what was published: the record, a receipt and its proof, or the whole lobby.
//!
//! It asks no server. Exit codes: 0 all holds, 1 something does not (it says what), 2 an input could not be read.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use fair_draw::{Flaw, Hash, Proof, Receipt, Room, Verified};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Checks a fair opening from what was published.
///
/// Save the answers of GET /v1/concerts/{id}/queue (the record), of joining (the receipt), of GET /v1/queue/proof and of
/// GET /v1/concerts/{id}/queue/leaves.
#[derive(Debug, Parser)]
#[command(name = "frontrow-verify", version)]
struct Arguments {
    /// The room's published record; `-` or nothing reads standard input.
    #[arg(default_value = "-")]
    record: PathBuf,
    /// A record of the same room, kept from before the opening: nothing it says may have changed.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// A receipt, or the whole answer of joining that has it.
    #[arg(long, value_name = "FILE", requires = "proof")]
    receipt: Option<PathBuf>,
    /// The receipt's proof.
    #[arg(long, value_name = "FILE", requires = "receipt")]
    proof: Option<PathBuf>,
    /// Whose receipt it must be.
    #[arg(long, value_name = "USER-ID", requires = "receipt")]
    user: Option<Uuid>,
    /// The list of all leaves: checks the root and everybody's number.
    #[arg(long, value_name = "FILE")]
    all: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// An input that could not be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}: {error}")]
    Json { path: String, error: serde_json::Error },
    #[error("{path}: {bytes} bytes are no whole number of leaves")]
    Leaves { path: String, bytes: usize },
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_trusted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flaw: Option<String>,
}

/// The answer of joining has the receipt inside.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum HasReceipt {
    Bare(Receipt),
    Within { receipt: Receipt },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match check(&arguments) {
        Ok(Ok((verdict, record))) => {
            say(&arguments, &verdict, || lines(&verdict, &record));
            ExitCode::SUCCESS
        }
        Ok(Err(flaw)) => {
            let verdict = Verdict {
                holds: false,
                number: None,
                count: None,
                operator_trusted: None,
                flaw: Some(flaw.to_string()),
            };
            say(&arguments, &verdict, || format!("does not hold: {flaw}"));
            ExitCode::FAILURE
        }
        Err(unreadable) => {
            eprintln!("{unreadable}");
            ExitCode::from(2)
        }
    }
}

fn say(arguments: &Arguments, verdict: &Verdict, text: impl FnOnce() -> String) {
    match serde_json::to_string(verdict) {
        Ok(json) if arguments.json => println!("{json}"),
        _ => println!("{}", text()),
    }
}

fn lines(verdict: &Verdict, room: &Room) -> String {
    let mut lines = vec!["the record holds".to_owned()];
    if let Some(number) = verdict.number {
        lines.push(format!(
            "the receipt is under the published root; its number is {number}"
        ));
    }
    if let Some(count) = verdict.count {
        lines.push(format!(
            "all {count} leaves give the published root, and every number from 1 to {count} is given once"
        ));
    }
    let record = room.fairness.as_ref();
    match record.and_then(|record| record.beacon.as_ref()) {
        Some(beacon) if verdict.operator_trusted == Some(false) => lines.push(format!(
            "compare the beacon's value with round {} of drand's chain {}: this program asks nobody",
            beacon.round, beacon.chain
        )),
        _ => lines.push("no beacon has a say: the operator is trusted not to have tried secrets".to_owned()),
    }
    lines.join("\n")
}

fn check(arguments: &Arguments) -> Result<Result<(Verdict, Room), Flaw>, Unreadable> {
    let room: Room = json(&arguments.record)?;
    let before: Option<Room> = arguments.before.as_deref().map(json).transpose()?;
    let receipt = arguments.receipt.as_deref().map(json).transpose()?;
    let receipt = receipt.map(|receipt| match receipt {
        HasReceipt::Bare(receipt) | HasReceipt::Within { receipt } => receipt,
    });
    let proof: Option<Proof> = arguments.proof.as_deref().map(json).transpose()?;
    let list = arguments.all.as_deref().map(leaves).transpose()?;

    let holds = || {
        let verified = fair_draw::verify_record(&room, before.as_ref())?;
        let number = member(&verified, receipt.as_ref(), proof.as_ref(), arguments.user)?;
        let count = list
            .as_deref()
            .map(|list| fair_draw::verify_all(&verified, list, receipt.as_ref()))
            .transpose()?
            .map(|all| all.count);
        Ok(Verdict {
            holds: true,
            number,
            count,
            operator_trusted: room.fairness.as_ref().map(|record| record.operator_trusted),
            flaw: None,
        })
    };
    Ok(holds().map(|verdict| (verdict, room.clone())))
}

fn member(
    verified: &Verified,
    receipt: Option<&Receipt>,
    proof: Option<&Proof>,
    user: Option<Uuid>,
) -> Result<Option<u64>, Flaw> {
    let (Some(receipt), Some(proof)) = (receipt, proof) else {
        return Ok(None);
    };
    fair_draw::verify_receipt(verified, receipt, proof, user).map(Some)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let read = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Unreadable::File {
        path: path.display().to_string(),
        error,
    })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Unreadable> {
    serde_json::from_slice(&bytes(path)?).map_err(|error| Unreadable::Json {
        path: path.display().to_string(),
        error,
    })
}

fn leaves(path: &Path) -> Result<Vec<Hash>, Unreadable> {
    let bytes = bytes(path)?;
    let (leaves, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(leaves.iter().copied().map(fair_draw::Bytes).collect())
    } else {
        Err(Unreadable::Leaves {
            path: path.display().to_string(),
            bytes: bytes.len(),
        })
    }
}
