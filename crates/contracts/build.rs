//! Compiles proto/ without a system protoc.

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .extern_path(".google.rpc", "::tonic_types::pb")
        // Requests travel through generic layers that log with Debug: secrets must not be part of it.
        .skip_debug([
            "frontrow.auth.v1.Tokens",
            "frontrow.auth.v1.SignUpRequest",
            "frontrow.auth.v1.LogInRequest",
            "frontrow.auth.v1.RefreshRequest",
            "frontrow.auth.v1.LogOutRequest",
            "frontrow.queue.v1.Ticket",
            "frontrow.queue.v1.GetTokenRequest",
            "frontrow.queue.v1.LeaveRequest",
            "frontrow.queue.v1.CheckVisitRequest",
            "frontrow.queue.v1.GetProofRequest",
            "frontrow.queue.v1.Receipt",
            "frontrow.concert.v1.ListSchedulesRequest",
            "frontrow.concert.v1.GetSeatsRequest",
            "frontrow.booking.v1.HoldSeatsRequest",
            "frontrow.booking.v1.Reservation",
            "frontrow.booking.v1.PaymentCredential",
            "frontrow.payment.v1.Card",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
