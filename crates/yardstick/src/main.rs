//! `cargo xtask bench queue` measures polls and joins by these: the same gateway around a handler that does nothing, or
//! around one that asks Redis; a caller of queue's own gRPC; a caller of the line's own script.
//!
//! It is part of no system and in no image. It says what it measured as one line of JSON.

mod join;
mod poll;
mod script;
mod tally;

use std::process::ExitCode;

use clap::Parser;
use service_kit::cli;

// As the gateway's: what is compared differs in its handler alone.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(version, about = "What `cargo xtask bench queue` measures by")]
enum Command {
    /// Serve polls that are all answered alike, at HTTP_ADDR.
    Constant(poll::Constant),
    /// Serve polls that ask Redis for a rank each, at HTTP_ADDR.
    Rank(poll::Rank),
    /// Make rooms, or change one's settings, over queue's gRPC; prints their concerts' ids.
    Rooms(join::Rooms),
    /// Have people join a room over queue's gRPC.
    Join(join::Join),
    /// Have people join by the line's own script alone, in a Redis database of its own.
    Script(script::Script),
}

#[tokio::main]
async fn main() -> ExitCode {
    cli::exit(match Command::parse() {
        Command::Constant(options) => options.serve().await,
        Command::Rank(options) => options.serve().await,
        Command::Rooms(options) => options.run().await,
        Command::Join(options) => options.run().await,
        Command::Script(options) => options.run().await,
    })
}
