//! One private server: a process of our own with its own data, port and password, on 127.0.0.1 only.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use url::Url;

use crate::account::Account;
use crate::error::{Doing, Error, Result};
use crate::home::{Home, make_dir, remove_dir};
use crate::process::Process;
use crate::rabbitmq::RabbitPorts;
use crate::{Kind, postgres, programs, rabbitmq, redis};

/// How long a server may take to come up, and to go down before it is killed.
const START_BOUND: Duration = Duration::from_secs(60);
const STOP_BOUND: Duration = Duration::from_secs(15);

/// Whether Postgres waits for the disk. Off is faster and loses data when the machine (not the server) crashes: for
/// tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    On,
    Off,
}

/// Killed when dropped. Its port, password and data stay the same over [`stop`](PrivateServer::stop),
/// [`kill`](PrivateServer::kill) and [`start`](PrivateServer::start), so that what is connected to it can come back.
#[derive(Debug)]
pub struct PrivateServer {
    kind: Kind,
    home: Home,
    program: PathBuf,
    epmd_program: Option<PathBuf>,
    durability: Durability,
    dir: PathBuf,
    password: String,
    ports: RabbitPorts,
    process: Option<Process>,
    // Dropped after the broker: fields drop in order.
    epmd: Option<Process>,
}

impl PrivateServer {
    /// Starts one from the programs of this machine ([`Error::MissingPrograms`] when there are none) and waits until
    /// it answers. Its data is in the home, one server of a kind in each.
    pub async fn launch(kind: Kind, home: &Home, durability: Durability) -> Result<PrivateServer> {
        let program = programs::find(kind);
        let program = program.ok_or_else(|| Error::MissingPrograms {
            missing: vec![kind],
            reasons: Vec::new(),
        })?;
        let purpose = |part: &str| format!("{}{part}", kind.slug());
        let rabbit = kind == Kind::RabbitMq;
        let mut server = PrivateServer {
            kind,
            program,
            epmd_program: programs::epmd().filter(|_| rabbit),
            durability,
            dir: home.data_of(kind),
            password: home.secret(&format!("{}-password", kind.slug()))?,
            ports: RabbitPorts {
                amqp: home.port(kind.slug())?,
                distribution: if rabbit {
                    home.port(&purpose("-distribution"))?
                } else {
                    0
                },
                epmd: if rabbit { home.port(&purpose("-epmd"))? } else { 0 },
            },
            home: home.clone(),
            process: None,
            epmd: None,
        };
        server.start().await?;
        Ok(server)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// How to reach it with all rights: the superuser's database in Postgres, database 0 in Redis, the default virtual
    /// host in RabbitMQ.
    pub fn url(&self) -> Url {
        let (port, password) = (self.port(), &self.password);
        let text = match self.kind {
            Kind::Postgres => format!(
                "postgres://{}:{password}@127.0.0.1:{port}/postgres",
                postgres::USER
            ),
            Kind::Redis => format!("redis://:{password}@127.0.0.1:{port}/0"),
            Kind::RabbitMq => format!("amqp://{}:{password}@127.0.0.1:{port}/%2f", rabbitmq::USER),
        };
        parse_own_url(&text)
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), with the data it had; does nothing when it
    /// runs. Answers when it is ready.
    pub async fn start(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        self.process = None;
        let account = Account::for_server(self.kind);
        make_dir(&self.dir, 0o700)?;
        if let Some(account) = &account {
            account.own(&self.dir)?;
        }
        let launch = Launch {
            program: &self.program,
            dir: &self.dir,
            password: &self.password,
            durability: self.durability,
            account: account.as_ref(),
        };
        let (command, stop) = match self.kind {
            Kind::Postgres => {
                postgres::prepare(&launch).await?;
                postgres::remove_stale_pid_file(&launch)?;
                (postgres::command(&launch, self.ports.amqp), Signal::INT)
            }
            Kind::Redis => {
                redis::prepare(&launch, self.ports.amqp)?;
                (redis::command(&launch), Signal::TERM)
            }
            Kind::RabbitMq => {
                rabbitmq::prepare(&launch)?;
                (rabbitmq::command(&launch, self.ports), Signal::TERM)
            }
        };
        if let Some(epmd) = &self.epmd_program
            && self.epmd.as_mut().is_none_or(|process| process.ended().is_some())
        {
            let command = rabbitmq::epmd_command(&launch, epmd, self.ports.epmd);
            self.epmd = Some(Process::spawn(
                &self.home,
                "epmd",
                command,
                self.home.log_of("epmd"),
                Signal::TERM,
            )?);
        }
        let log = self.home.log_of(self.kind.slug());
        self.process = Some(Process::spawn(&self.home, self.kind.slug(), command, log, stop)?);
        self.ready().await
    }

    /// Starts it, or starts it again, without the data it had: as after a loss of its disk. Same port and password.
    pub async fn start_empty(&mut self) -> Result<()> {
        self.kill().await;
        remove_dir(&self.dir)?;
        self.start().await
    }

    /// Has it shut down in an orderly way, in bounded time.
    pub async fn stop(&mut self) {
        let signal = if self.kind == Kind::Postgres {
            Signal::INT
        } else {
            Signal::TERM
        };
        if let Some(mut process) = self.process.take() {
            process.stop(signal, STOP_BOUND).await;
        }
        if let Some(mut epmd) = self.epmd.take() {
            epmd.kill().await;
        }
    }

    /// SIGKILL, to it and all its processes.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn pause(&self) {
        if let Some(process) = &self.process {
            process.freeze();
        }
    }

    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.thaw();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    /// How it ended, when it ended without being asked to.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.ended()
    }

    /// The pid of its first process, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The end of its log since it was last started.
    pub fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::tail).unwrap_or_default()
    }

    async fn ready(&mut self) -> Result<()> {
        let url = self.url();
        let end = tokio::time::Instant::now() + START_BOUND;
        let mut pause = Duration::from_millis(10);
        loop {
            let Some(process) = &mut self.process else {
                return Ok(());
            };
            if let Some(status) = process.ended() {
                let (what, log, tail) = (self.kind.to_string(), process.log().to_owned(), process.tail());
                self.process = None;
                return Err(Error::Exited {
                    what,
                    status,
                    log,
                    tail,
                });
            }
            if ask(self.kind, &url).await.is_ok() {
                return if self.kind == Kind::RabbitMq {
                    rabbitmq::note_complete(&self.dir)
                } else {
                    Ok(())
                };
            }
            if tokio::time::Instant::now() >= end {
                let (what, log, tail) = (self.kind.to_string(), process.log().to_owned(), process.tail());
                self.process = None;
                return Err(Error::NotReady {
                    what,
                    after: START_BOUND,
                    log,
                    tail,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

/// Asks a server once whether it serves; the error says why not.
pub async fn ask(kind: Kind, url: &Url) -> Result<(), String> {
    match kind {
        Kind::Postgres => postgres::ask(url).await,
        Kind::Redis => redis::ask(url).await,
        Kind::RabbitMq => rabbitmq::ask(url).await,
    }
}

/// What the three kinds need to know to be started.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) dir: &'a Path,
    pub(crate) password: &'a str,
    pub(crate) durability: Durability,
    pub(crate) account: Option<&'a Account>,
}

impl Launch<'_> {
    /// A command that runs as the server's user, in its folder, without our environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir)
            .env_clear()
            .env("HOME", self.dir)
            .env("LANG", "C.UTF-8");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        command
    }

    /// A file that the server alone reads.
    pub(crate) fn write_file(&self, path: &Path, text: &str) -> Result<()> {
        let action = || format!("write {}", path.display());
        let _ = fs::remove_file(path);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .doing(action)?;
        self.account.map_or(Ok(()), |account| account.own(path))
    }

    pub(crate) fn make_dir(&self, path: &Path) -> Result<()> {
        make_dir(path, 0o700)?;
        self.account.map_or(Ok(()), |account| account.own(path))
    }
}

/// Parses a URL made of our own words and URL-safe secrets.
pub(crate) fn parse_own_url(text: &str) -> Url {
    #[allow(clippy::expect_used, reason = "every part is our own and URL-safe")]
    Url::parse(text).expect("a URL")
}
