//! The program: what holds is accepted, and each kind of tampering is named by its own words.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fair_draw::{
    Bytes, CHUNK, Chunks, Hash, Permutation, ReceiptKey, commitment, commitment_of_secret, leaf, seed,
};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

const COUNT: u64 = 700;
const ME: u64 = 412;

fn concert() -> Uuid {
    Uuid::from_u128(0xc0ce47)
}

fn user(index: u64) -> Uuid {
    Uuid::from_u128(u128::from(index) + 1)
}

/// A whole draw, as it would be published.
struct Published {
    before: Value,
    record: Value,
    receipt: Value,
    proof: Value,
    leaves: Vec<u8>,
}

fn publish() -> Published {
    let (concert, key) = (concert(), ReceiptKey::new(&[5; 64]).unwrap());
    let commitments: Vec<Hash> = (0..COUNT)
        .map(|index| commitment(&key.salt(user(index)), user(index)))
        .collect();
    let leaves: Vec<Hash> = (0..)
        .zip(&commitments)
        .map(|(index, c)| leaf(concert, index, c))
        .collect();
    let mut chunks = Chunks::default();
    leaves.chunks(CHUNK).for_each(|chunk| chunks.push(chunk));
    let (secret, root) = (Bytes([7; 32]), chunks.root());
    let seed = seed(concert, &secret, COUNT, &root, None);
    let number = Permutation::new(&seed, COUNT).unwrap().number_of(ME).unwrap();
    let mine = usize::try_from(ME).unwrap();
    let first = mine / CHUNK * CHUNK;

    let before = json!({
        "concertId": concert, "state": "SCHEDULED", "servingNumber": 0,
        "fairness": {
            "version": 1, "state": "GATHERING", "receiptKey": key.public(),
            "commitment": commitment_of_secret(&secret),
            "operatorTrusted": true, "operatorTrustedBecause": "NO_BEACON",
        },
    });
    let mut record = before.clone();
    let fairness = record["fairness"].as_object_mut().unwrap();
    fairness.extend([
        ("state".to_owned(), json!("OPEN")),
        ("count".to_owned(), json!(COUNT)),
        ("root".to_owned(), json!(root)),
        ("secret".to_owned(), json!(secret)),
        ("seed".to_owned(), json!(seed)),
    ]);
    let receipt = json!({
        "version": 1, "concertId": concert, "index": ME, "salt": key.salt(user(ME)),
        "commitment": commitments[mine], "signature": key.sign(&leaves[mine]),
    });
    let path = chunks.path(ME, &leaves[first..leaves.len().min(first + CHUNK)]);
    Published {
        before,
        record,
        receipt,
        proof: json!({ "concertId": concert, "index": ME, "path": path, "number": number }),
        leaves: commitments.iter().flat_map(|commitment| commitment.0).collect(),
    }
}

impl Published {
    fn verify(&self, folder: &Path, more: &[&str]) -> Output {
        let keep = |name: &str, content: &[u8]| -> PathBuf {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        Command::new(env!("CARGO_BIN_EXE_frontrow-verify"))
            .arg(keep("record", self.record.to_string().as_bytes()))
            .arg("--before")
            .arg(keep("before", self.before.to_string().as_bytes()))
            .arg("--receipt")
            .arg(keep("receipt", self.receipt.to_string().as_bytes()))
            .arg("--proof")
            .arg(keep("proof", self.proof.to_string().as_bytes()))
            .arg("--all")
            .arg(keep("leaves", &self.leaves))
            .arg("--user")
            .arg(user(ME).to_string())
            .args(more)
            .output()
            .unwrap()
    }
}

#[test]
fn what_was_drawn_by_the_rules_holds() {
    let (folder, published) = (tempfile::tempdir().unwrap(), publish());
    let held = published.verify(folder.path(), &["--json"]);
    assert!(held.status.success(), "{held:?}");
    let verdict: Value = serde_json::from_slice(&held.stdout).unwrap();
    let number = &published.proof["number"];
    assert_eq!(
        verdict,
        json!({ "holds": true, "number": number, "count": COUNT, "operatorTrusted": true })
    );
    let text = String::from_utf8(published.verify(folder.path(), &[]).stdout).unwrap();
    assert!(text.contains(&format!("its number is {number}")), "{text}");
}

fn flip(value: &mut Value) {
    let text = value.as_str().unwrap();
    let other = if text.starts_with('0') { "1" } else { "0" };
    *value = json!(format!("{other}{}", &text[1..]));
}

type Tamper = fn(&mut Published);

#[rstest]
#[case::no_lobby(|p: &mut Published| { p.record["fairness"].take(); }, "had no lobby")]
#[case::version(|p: &mut Published| p.record["fairness"]["version"] = json!(2), "version 2")]
#[case::not_drawn(|p: &mut Published| p.record["fairness"]["state"] = json!("SEALED"), "numbers are known once it is DRAWN")]
#[case::no_root(|p: &mut Published| { p.record["fairness"]["root"].take(); }, "has no root")]
#[case::commitment_exchanged(|p: &mut Published| flip(&mut p.record["fairness"]["commitment"]), "commitment is not the one that was published before")]
#[case::key_exchanged(|p: &mut Published| flip(&mut p.record["fairness"]["receiptKey"]), "receiptKey is not the one")]
#[case::beacon_dropped(|p: &mut Published| p.before["fairness"]["beacon"] = json!({ "chain": "c", "round": 7 }), "beacon is not the one")]
#[case::other_room(|p: &mut Published| p.before["concertId"] = json!(Uuid::max()), "earlier record is of another concert")]
#[case::secret_exchanged(|p: &mut Published| flip(&mut p.record["fairness"]["secret"]), "not the one that was committed to")]
#[case::trust(|p: &mut Published| p.record["fairness"]["operatorTrusted"] = json!(false), "operatorTrusted contradicts")]
#[case::seed_chosen(|p: &mut Published| flip(&mut p.record["fairness"]["seed"]), "seed does not follow")]
#[case::root_exchanged(|p: &mut Published| flip(&mut p.record["fairness"]["root"]), "seed does not follow")]
#[case::count_changed(|p: &mut Published| p.record["fairness"]["count"] = json!(COUNT + 1), "seed does not follow")]
#[case::others_receipt(|p: &mut Published| p.receipt["concertId"] = json!(Uuid::max()), "receipt is of another concert")]
#[case::others_proof(|p: &mut Published| p.proof["concertId"] = json!(Uuid::max()), "proof is of another concert")]
#[case::proof_of_another(|p: &mut Published| p.proof["index"] = json!(1), "proof is for index 1")]
#[case::forged(|p: &mut Published| flip(&mut p.receipt["signature"]), "signature is not the room's")]
#[case::moved(|p: &mut Published| { p.receipt["index"] = json!(3); p.proof["index"] = json!(3); }, "signature is not the room's")]
#[case::somebody_elses(|p: &mut Published| flip(&mut p.receipt["salt"]), "does not stand for this user")]
#[case::no_salt(|p: &mut Published| { p.receipt["salt"].take(); }, "has no salt")]
#[case::path(|p: &mut Published| flip(&mut p.proof["path"][2]), "not under the published root")]
#[case::path_cut(|p: &mut Published| { p.proof["path"].as_array_mut().unwrap().pop(); }, "not under the published root")]
#[case::number(|p: &mut Published| p.proof["number"] = json!(COUNT + 1), "the number is")]
#[case::leaf_dropped(|p: &mut Published| p.leaves.truncate(32 * 699), "the list has 699 leaves")]
#[case::leaf_exchanged(|p: &mut Published| p.leaves[40] ^= 1, "another root")]
#[case::leaves_swapped(|p: &mut Published| p.leaves.rotate_left(32), "another root")]
fn tampering_is_named(#[case] tamper: Tamper, #[case] says: &str) {
    let (folder, mut published) = (tempfile::tempdir().unwrap(), publish());
    tamper(&mut published);
    let refused = published.verify(folder.path(), &["--json"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let verdict: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(verdict["holds"], false);
    let flaw = verdict["flaw"].as_str().unwrap();
    assert!(flaw.contains(says), "{flaw}");
}

#[test]
fn a_receipt_that_was_given_and_left_out_of_the_tree_is_found_out() {
    let (folder, mut published) = (tempfile::tempdir().unwrap(), publish());
    // Signed by the room, for a place that somebody else has in the tree.
    let key = ReceiptKey::new(&[5; 64]).unwrap();
    let left_out = Bytes([9; 32]);
    published.receipt["commitment"] = json!(left_out);
    published.receipt["signature"] = json!(key.sign(&leaf(concert(), ME, &left_out)));
    published.receipt["salt"].take();
    let record = folder.path().join("record");
    std::fs::write(&record, published.record.to_string()).unwrap();
    let (receipt, proof) = (folder.path().join("receipt"), folder.path().join("proof"));
    std::fs::write(&receipt, published.receipt.to_string()).unwrap();
    std::fs::write(&proof, published.proof.to_string()).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_frontrow-verify"))
        .arg(record)
        .arg("--receipt")
        .arg(receipt)
        .arg("--proof")
        .arg(proof)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stdout)
            .unwrap()
            .contains("not under the published root")
    );
}

#[test]
fn what_cannot_be_read_is_told_apart_from_what_does_not_hold() {
    let (folder, mut published) = (tempfile::tempdir().unwrap(), publish());
    published.leaves.push(0);
    assert_eq!(published.verify(folder.path(), &[]).status.code(), Some(2));
    published.leaves.pop();
    published.proof = json!("no proof");
    assert_eq!(published.verify(folder.path(), &[]).status.code(), Some(2));
}
