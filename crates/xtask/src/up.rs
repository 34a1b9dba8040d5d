//! `cargo xtask up`: from nothing to a served, walked-through system, and an orderly end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use local_servers::topology::{GATEWAY, Role, SERVICES, Service};
use local_servers::{
    Durability, Endpoints, Error, Given, Home, Servers, System, SystemOptions, check_free, environment_file,
};

use crate::cargo::{self, Built};
use crate::report::{Report, say};
use crate::stop::Stop;
use crate::walk;

/// Handed on to every service from our own environment.
const PASSED_THROUGH: [&str; 7] = [
    "PAGE_SECONDS",
    "CLAIM_SECONDS",
    "LATE_SECONDS",
    "HOLD_SECONDS",
    "PAYING_GRACE_SECONDS",
    "RUST_LOG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

const HTTP_ADDR: &str = "FRONTROW_HTTP_ADDR";
const DEFAULT_HTTP_ADDR: &str = "127.0.0.1:8080";

/// How often a running system is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Begin with empty data: everything in .frontrow/ is deleted first.
    #[arg(long)]
    fresh: bool,
    /// Do not buy seats as a demonstration.
    #[arg(long)]
    no_walk: bool,
    /// Build and run optimised programs.
    #[arg(long)]
    release: bool,
    /// Start these services alone, with their servers and migrations, for a team that owns them. Whom they call is not
    /// started: QUEUE_URL, BOOKING_URL, ... say where else it is. Nothing is bought.
    #[arg(
        long,
        value_name = "NAME[,NAME...]",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(SERVICES.map(|service| service.name))
    )]
    only: Vec<String>,
}

/// What has been started so far; what is here is stopped in an orderly way, whatever happens.
#[derive(Default)]
struct Running {
    servers: Option<Servers>,
    system: Option<System>,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let report = Report::new();
    let mut stop = Stop::listen()?;
    let mut running = Running::default();
    let outcome = tokio::select! {
        outcome = serve(&options, &report, &mut running) => outcome,
        signal = stop.wished() => {
            report.heading(&format!("{signal}: stopping"));
            Ok(())
        }
    };
    // Before the goodbyes, so that the reason is not the last of many lines.
    if let Err(error) = &outcome {
        eprintln!("\nerror: {error:#}\n");
    }
    tokio::select! {
        () = running.stop(&report) => {}
        // A second wish is one for haste: what is left is killed.
        _ = stop.wished() => report.step("killing what is left"),
    }
    Ok(if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns only with an error: once it serves, something has ended that should not have.
async fn serve(options: &Options, report: &Report, running: &mut Running) -> Result<()> {
    let http_addr: SocketAddr = match std::env::var(HTTP_ADDR) {
        Ok(addr) => addr
            .parse()
            .with_context(|| format!("{HTTP_ADDR}={addr} is not ip:port"))?,
        Err(_) => DEFAULT_HTTP_ADDR.parse()?,
    };
    let root = cargo::root()?;
    let home = match Home::open(root.join(".frontrow")).await {
        Err(Error::InUse { owner, .. }) => bail!(
            "the system is already up, as process {owner}; stop that one first (Ctrl-C there, or `kill {owner}`)"
        ),
        home => home?,
    };
    for leftover in home.leftovers() {
        report.step(&format!("stopped what a crashed run had left: {leftover}"));
    }
    let edge = options.starts(GATEWAY);
    if edge {
        check_free(http_addr)?;
    }
    if options.fresh {
        report.heading("emptying the data");
        home.empty().await?;
    }

    report.heading("servers and programs");
    let progress = |line: &str| report.step(line);
    let given = Given::from_env();
    let servers = async {
        running.servers = Some(Servers::acquire(&home, &given, Durability::On, &progress).await?);
        anyhow::Ok(())
    };
    // Without servers there is no reason to wait for the build; but a failed build waits for the servers, since an
    // installation is not to be left half done.
    let build = async { anyhow::Ok(build(&root, options.release, report).await) };
    let ((), built) = tokio::try_join!(servers, build)?;
    let bin_dir = built?;
    let endpoints = match &running.servers {
        Some(servers) => Endpoints::from(servers),
        None => bail!("the servers are gone"),
    };

    report.heading("services");
    let mut system_options = SystemOptions::new(home.clone(), bin_dir, endpoints);
    system_options.http_addr = edge.then_some(http_addr);
    system_options.only = (!options.only.is_empty()).then(|| {
        let chosen = SERVICES.iter().filter(|service| options.starts(service.name));
        chosen.map(|service| service.name).collect()
    });
    let elsewhere = SERVICES
        .iter()
        .filter(|service| service.grpc && !options.starts(service.name))
        .map(url_variable);
    system_options.env = PASSED_THROUGH
        .iter()
        .map(|name| (*name).to_owned())
        .chain(elsewhere)
        .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
        .collect();
    let system = running
        .system
        .insert(System::start(system_options, &progress).await?);
    report.step(&format!(
        "everything is ready after {:.1} s",
        report.elapsed().as_secs_f64()
    ));

    if !options.only.is_empty() {
        say_what_runs(system, &home);
        return watch(&mut running.servers, system).await;
    }
    if !options.no_walk {
        report.heading("a buyer buys two seats");
        tokio::select! {
            walked = walk::walk(http_addr) => walked.context("the walk did not get to its end")?,
            ended = watch(&mut running.servers, system) => return ended,
        }
    }
    say_what_next(&system.base_url(), &home);
    watch(&mut running.servers, system).await
}

impl Options {
    fn starts(&self, service: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == service)
    }
}

/// By which a service is told where another one is: `QUEUE_URL`.
fn url_variable(service: &Service) -> String {
    format!("{}_URL", service.name.to_uppercase())
}

async fn build(root: &std::path::Path, release: bool, report: &Report) -> Result<PathBuf> {
    report.step("building the workspace (the first time takes some minutes)");
    let built = if release {
        Built::OptimisedPrograms
    } else {
        Built::Programs
    };
    let bin_dir = cargo::build(root, built).await?;
    report.step(&format!("programs are in {}", bin_dir.display()));
    Ok(bin_dir)
}

/// Answers, with an error, when a process has ended that should not have.
async fn watch(servers: &mut Option<Servers>, system: &mut System) -> Result<()> {
    loop {
        if let Some((service, status, tail)) = system.ended() {
            bail!("{service} has ended ({status}); the end of its log:\n{tail}");
        }
        if let Some((kind, status, tail)) = servers.as_mut().and_then(Servers::ended) {
            bail!("{kind} has ended ({status}); the end of its log:\n{tail}");
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

impl Running {
    async fn stop(&mut self, report: &Report) {
        if let Some(system) = self.system.take() {
            let killed = system.shutdown().await;
            report.step("the services have stopped");
            for service in killed {
                report.step(&format!("{service} did not stop by itself and was killed"));
            }
        }
        if let Some(servers) = self.servers.take() {
            servers.stop().await;
            report.step("the servers have stopped; the data is kept");
        }
    }
}

/// For the team that owns what was started.
fn say_what_runs(system: &System, home: &Home) {
    for service in system.services() {
        let name = service.name;
        say(&format!("\n{name}"));
        if let Ok(url) = system.grpc_url(name) {
            say(&format!("  gRPC          {url}"));
        }
        if service.name == GATEWAY {
            say(&format!("  HTTP          {}", system.base_url()));
        }
        if let Ok(url) = system.admin_url(name) {
            say(&format!("  health        {url}{}", health_path(service)));
        }
        say(&format!(
            "  environment   {}",
            environment_file(home.dir(), name).display()
        ));
        for called in service.calls {
            let missing = SERVICES
                .iter()
                .find(|other| other.name == *called && system.grpc_url(called).is_err());
            if let Some(missing) = missing {
                let variable = url_variable(missing);
                let text = match std::env::var(&variable) {
                    Ok(url) => format!("is not started here; {variable}={url}"),
                    Err(_) => format!("is NOT started; {variable} would say where else it is"),
                };
                say(&format!("  it calls      {called}, which {text}"));
            }
        }
    }
    say(&format!(
        r#"
Every service has such a file, also those that are not started. To run one from an editor or a shell, leave it out of
--only and give it its file; for booking:
  set -a; . {booking}; set +a
  cargo run -p booking -- migrate && cargo run -p booking -- serve

`cargo xtask doctor` looks at what runs. Ctrl-C stops it and keeps the data.
"#,
        booking = environment_file(home.dir(), "booking").display(),
    ));
}

fn health_path(service: &Service) -> &'static str {
    match service.role {
        Role::Provider => "/healthz",
        _ => "/readyz",
    }
}

fn say_what_next(base: &str, home: &Home) {
    say(&format!(
        r#"
Frontrow serves on {base}

  API description     {base}/docs   ({base}/openapi.json)
  accounts            buyer@frontrow.test and organiser@frontrow.test, password frontrow-demo-1
  logs                {logs}

  curl -s '{base}/v1/concerts?limit=3'
  curl -s {base}/v1/auth/login -H 'Content-Type: application/json' \
       -d '{{"email":"buyer@frontrow.test","password":"frontrow-demo-1"}}'

Ctrl-C stops it and keeps the data; `cargo xtask up --fresh` begins with none.
"#,
        logs = home.logs().display(),
    ));
}
