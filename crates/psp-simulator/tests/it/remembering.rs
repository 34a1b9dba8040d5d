//! What a restart forgets: nothing that was answered.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use psp_simulator::{
    config::Config,
    startup::{Application, BuildError, JournalError},
};
use reqwest::{Client, Method};
use serde_json::Value;

use crate::simulator::{
    CONFIRM, SECRET_KEY, Simulator, answer, assert_refused, assert_status, cancellation, config, confirmation,
};

#[tokio::test]
async fn a_restart_on_the_journal_forgets_no_payment_and_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");

    let simulator = Simulator::start_on(journal.clone()).await;
    let confirmed = simulator
        .confirm_under("key", "test_ok_1", "order-1", 1_000)
        .await;
    let part = || {
        simulator.post(
            "/v1/payments/test_ok_1/cancel",
            Some("part"),
            &cancellation(Some(300)),
        )
    };
    let part_back = answer(part()).await;
    simulator.confirm("test_declined_1", "order-2", 500).await;
    simulator
        .confirm_under("unavailable", "test_unavailable_1", "order-3", 700)
        .await;
    simulator
        .confirm_under("slow", "test_slow_1", "order-4", 200)
        .await;
    let before = books(&simulator).await;
    simulator.stop().await;

    let simulator = Simulator::start_on(journal.clone()).await;
    assert_eq!(books(&simulator).await, before);
    assert_eq!(
        simulator
            .confirm_under("key", "test_ok_1", "order-1", 1_000)
            .await,
        confirmed
    );
    let part = simulator.post(
        "/v1/payments/test_ok_1/cancel",
        Some("part"),
        &cancellation(Some(300)),
    );
    assert_eq!(answer(part).await, part_back);
    let again = simulator.confirm("test_ok_1", "order-1", 1_000).await;
    assert_refused(&again, 400, "ALREADY_PROCESSED_PAYMENT");
    let other_key = simulator.confirm("test_ok_2", "order-1", 1_000).await;
    assert_refused(&other_key, 400, "DUPLICATED_ORDER_ID");
    let replayed = simulator
        .confirm_under("unavailable", "test_unavailable_1", "order-3", 700)
        .await;
    assert_refused(&replayed, 400, "PROVIDER_ERROR");
    let second_fault = simulator.confirm("test_unavailable_1", "order-3", 700).await;
    assert_refused(&second_fault, 400, "PROVIDER_ERROR");
    assert_status(
        &simulator.confirm("test_unavailable_1", "order-3", 700).await,
        "DONE",
    );
    assert_status(&simulator.cancel("test_ok_1", None).await, "PARTIAL_CANCELED");
    assert_eq!(simulator.totals().await, (1_900, 1_000));
}

#[tokio::test]
async fn a_restart_forgets_neither_a_late_capture_nor_faults_of_cancellations() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let late = Config {
        journal: Some(journal),
        late: Duration::from_secs(2),
        ..config()
    };

    let simulator = Simulator::start_with(late.clone()).await;
    let lost = simulator
        .post(
            CONFIRM,
            Some("late"),
            &confirmation("test_late_1", "order-1", 1_000),
        )
        .send()
        .await;
    assert!(lost.is_err());
    simulator
        .confirm("test_cancel_unavailable_1", "order-2", 1_000)
        .await;
    let fault = simulator.cancel("test_cancel_unavailable_1", None).await;
    assert_refused(&fault, 400, "PROVIDER_ERROR");
    simulator.stop().await;

    let simulator = Simulator::start_with(late).await;
    let again = simulator
        .confirm_under("late", "test_late_1", "order-1", 1_000)
        .await;
    assert_refused(&again, 409, "IDEMPOTENT_REQUEST_PROCESSING");
    let fault = simulator.cancel("test_cancel_unavailable_1", None).await;
    assert_refused(&fault, 400, "PROVIDER_ERROR");
    assert_status(
        &simulator.cancel("test_cancel_unavailable_1", None).await,
        "CANCELED",
    );
    simulator.until_captured("order-1").await;
    let again = simulator
        .confirm_under("late", "test_late_1", "order-1", 1_000)
        .await;
    assert_status(&again, "DONE");
    assert_eq!(simulator.totals().await, (2_000, 1_000));
}

#[tokio::test]
async fn without_a_journal_a_restart_begins_anew() {
    let simulator = Simulator::start().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    simulator.stop().await;
    let simulator = Simulator::start().await;
    assert_eq!(simulator.totals().await, (0, 0));
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let simulator = Simulator::start_on(journal.clone()).await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    simulator.stop().await;

    let whole = fs::read(&journal).unwrap();
    let mut file = OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(&whole[..whole.len() / 2]).unwrap();
    drop(file);

    let simulator = Simulator::start_on(journal.clone()).await;
    assert_eq!(fs::read(&journal).unwrap(), whole);
    simulator.confirm("test_ok_2", "order-2", 500).await;
    simulator.stop().await;
    let simulator = Simulator::start_on(journal).await;
    assert_eq!(simulator.totals().await, (1_500, 0));
}

#[tokio::test]
async fn a_journal_with_a_broken_line_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let simulator = Simulator::start_on(journal.clone()).await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    simulator.stop().await;
    let mut file = OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(b"{\"at\": \"yesterday\"}\n").unwrap();

    let refused = Application::build(Config {
        journal: Some(journal),
        ..config()
    })
    .await
    .unwrap_err();
    assert!(
        matches!(
            refused,
            BuildError::Journal(JournalError::Corrupt { line: 2, .. })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_journal_belongs_to_one_simulator_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let _holder = Simulator::start_on(journal.clone()).await;
    let refused = Application::build(Config {
        journal: Some(journal),
        ..config()
    })
    .await
    .unwrap_err();
    assert!(
        matches!(refused, BuildError::Journal(JournalError::InUse { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_killed_process_has_journalled_all_that_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let (mut process, base) = spawn(&journal);
    let client = Client::new();
    for number in 0..20 {
        let body = confirmation(&format!("test_ok_{number}"), &format!("order-{number}"), 100);
        let request = client
            .post(format!("{base}{CONFIRM}"))
            .basic_auth(SECRET_KEY, Some(""))
            .json(&body);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    process.kill().unwrap();
    process.wait().unwrap();

    let simulator = Simulator::start_on(journal).await;
    assert_eq!(simulator.totals().await, (2_000, 0));
}

#[tokio::test]
async fn a_process_ends_well_on_sigterm_and_on_sigint() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let (mut process, _) = spawn(&folder.path().join("journal"));
        let sent = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        assert!(process.wait().unwrap().success(), "{signal}");
    }
}

async fn books(simulator: &Simulator) -> Value {
    answer(simulator.anonymous(Method::GET, "/simulator/payments"))
        .await
        .1
}

/// The program itself, and where it listens, which it says in its log.
fn spawn(journal: &Path) -> (Child, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_psp-simulator"))
        .arg("serve")
        .env("SIMULATOR_ADDR", "127.0.0.1:0")
        .env("SIMULATOR_JOURNAL", journal)
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(process.stdout.as_mut().unwrap());
    let addr = log.lines().find_map(|line| {
        line.unwrap()
            .split_once("serving addr=")
            .map(|(_, addr)| addr.to_owned())
    });
    (process, format!("http://{}", addr.unwrap()))
}
