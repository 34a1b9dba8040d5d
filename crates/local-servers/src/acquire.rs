//! All three servers, from wherever this machine offers them.

use std::path::PathBuf;
use std::process::ExitStatus;

use url::Url;

use crate::docker::Container;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::server::{Durability, PrivateServer, ask};
use crate::{Kind, docker, install, programs};

/// Servers that somebody names by URL instead of having them started: Postgres with the right to make databases and
/// roles.
#[derive(Debug, Clone, Default)]
pub struct Given {
    urls: Vec<(Kind, &'static str, String)>,
}

impl Given {
    /// From `POSTGRES_URL`, `REDIS_URL` and `AMQP_URL`, each by itself; an empty one does not count.
    pub fn from_env() -> Given {
        Given::from_variables(Kind::variable)
    }

    /// From other variables of the same meaning.
    pub fn from_variables(name: impl Fn(Kind) -> &'static str) -> Given {
        let read = |kind| {
            let url = std::env::var(name(kind)).ok().filter(|url| !url.is_empty())?;
            Some((kind, name(kind), url))
        };
        Given {
            urls: Kind::ALL.into_iter().filter_map(read).collect(),
        }
    }

    fn url(&self, kind: Kind) -> Result<Option<(&'static str, Url)>> {
        let Some((_, variable, text)) = self.urls.iter().find(|(given, ..)| *given == kind) else {
            return Ok(None);
        };
        let url = Url::parse(text)
            .map_err(|error| error.to_string())
            .and_then(|url| match (kind, url.scheme()) {
                (Kind::Postgres, "postgres" | "postgresql")
                | (Kind::Redis, "redis")
                | (Kind::RabbitMq, "amqp") => Ok(url),
                (_, scheme) => Err(format!("its scheme is `{scheme}`")),
            });
        let url = url.map_err(|reason| Error::GivenIsNotAUrl {
            kind,
            variable,
            reason,
        })?;
        Ok(Some((variable, url)))
    }
}

/// Where a server would come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// The URL in this variable.
    Given(&'static str),
    /// This program of this machine.
    Program(PathBuf),
    /// Its Debian package, which apt can install without asking anybody.
    Package,
    /// A container.
    Docker,
    /// Nowhere, for these reasons.
    Nowhere(Vec<String>),
}

/// Where [`Servers::acquire`] would take a server from; starts and installs nothing.
pub async fn offer(kind: Kind, given: &Given) -> Result<Offer> {
    if let Some((variable, _)) = given.url(kind)? {
        return Ok(Offer::Given(variable));
    }
    if let Some(program) = programs::find(kind) {
        return Ok(Offer::Program(program));
    }
    let Err(no_package) = install::possible().await else {
        return Ok(Offer::Package);
    };
    match docker::answers().await {
        Ok(()) => Ok(Offer::Docker),
        Err(no_docker) => Ok(Offer::Nowhere(vec![no_package, no_docker])),
    }
}

/// Hears in one line what is being done, when that takes long or comes as a surprise.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// The three servers. Those that we started stop with [`Servers::stop`], or are killed on drop.
#[derive(Debug)]
pub struct Servers {
    postgres: Source,
    redis: Source,
    rabbitmq: Source,
}

#[derive(Debug)]
enum Source {
    Given(Url),
    Private(Box<PrivateServer>),
    Docker(Container),
}

enum Plan {
    Given(&'static str, Url),
    Private,
    Docker,
}

impl Servers {
    /// Takes each server from the first of these that has it: a URL, the programs of this machine, the same after
    /// installing them with apt, a Docker engine. Answers when all three do; [`Error::MissingPrograms`] says what to
    /// install when none has one.
    pub async fn acquire(
        home: &Home,
        given: &Given,
        durability: Durability,
        progress: Progress<'_>,
    ) -> Result<Servers> {
        let mut missing = Vec::new();
        for kind in Kind::ALL {
            if given.url(kind)?.is_none() && programs::find(kind).is_none() {
                missing.push(kind);
            }
        }
        let mut reasons = Vec::new();
        if !missing.is_empty() {
            match install::install(&missing, progress).await {
                Ok(()) => missing.retain(|kind| programs::find(*kind).is_none()),
                Err(reason) => reasons.push(reason),
            }
        }
        if !missing.is_empty()
            && let Err(reason) = docker::answers().await
        {
            reasons.push(reason);
            return Err(Error::MissingPrograms { missing, reasons });
        }
        let plan = |kind| -> Result<Plan> {
            Ok(match given.url(kind)? {
                Some((variable, url)) => Plan::Given(variable, url),
                None if missing.contains(&kind) => Plan::Docker,
                None => Plan::Private,
            })
        };
        if home.data() != home.dir()
            && Kind::ALL
                .into_iter()
                .any(|kind| matches!(plan(kind), Ok(Plan::Private)))
        {
            progress(&format!(
                "the servers run as users that cannot reach {}: their data is in {}",
                home.dir().display(),
                home.data().display()
            ));
        }
        let start = async |kind| start(kind, plan(kind)?, home, durability, progress).await;
        let (postgres, redis, rabbitmq) =
            tokio::join!(start(Kind::Postgres), start(Kind::Redis), start(Kind::RabbitMq));
        Ok(Servers {
            postgres: postgres?,
            redis: redis?,
            rabbitmq: rabbitmq?,
        })
    }

    /// Where a server is to be had: Postgres as one who may make databases and roles.
    pub fn url(&self, kind: Kind) -> Url {
        match self.source(kind) {
            Source::Given(url) => url.clone(),
            Source::Private(server) => server.url(),
            Source::Docker(container) => container.url().clone(),
        }
    }

    /// The pid of a server's first process, where it is a process of ours.
    pub fn pid(&self, kind: Kind) -> Option<i32> {
        match self.source(kind) {
            Source::Private(server) => server.pid(),
            Source::Given(_) | Source::Docker(_) => None,
        }
    }

    /// The first server of ours that has ended without being asked to, and the end of its log.
    pub fn ended(&mut self) -> Option<(Kind, ExitStatus, String)> {
        [&mut self.postgres, &mut self.redis, &mut self.rabbitmq]
            .into_iter()
            .find_map(|source| match source {
                Source::Private(server) => Some((server.kind(), server.ended()?, server.log_tail())),
                Source::Given(_) | Source::Docker(_) => None,
            })
    }

    /// Shuts down what we started, all at the same time, in bounded time.
    pub async fn stop(mut self) {
        tokio::join!(self.postgres.stop(), self.redis.stop(), self.rabbitmq.stop());
    }

    fn source(&self, kind: Kind) -> &Source {
        match kind {
            Kind::Postgres => &self.postgres,
            Kind::Redis => &self.redis,
            Kind::RabbitMq => &self.rabbitmq,
        }
    }
}

impl Source {
    async fn stop(&mut self) {
        match self {
            Source::Given(_) => {}
            Source::Private(server) => server.stop().await,
            Source::Docker(container) => container.stop().await,
        }
    }
}

async fn start(
    kind: Kind,
    plan: Plan,
    home: &Home,
    durability: Durability,
    progress: Progress<'_>,
) -> Result<Source> {
    let begun = std::time::Instant::now();
    let source = match plan {
        Plan::Given(variable, url) => {
            ask(kind, &url)
                .await
                .map_err(|reason| Error::GivenDoesNotAnswer {
                    kind,
                    variable,
                    reason,
                })?;
            progress(&format!("{kind}: the one of {variable}"));
            return Ok(Source::Given(url));
        }
        Plan::Private => Source::Private(Box::new(PrivateServer::launch(kind, home, durability).await?)),
        Plan::Docker => Source::Docker(Container::start(kind, home, durability, progress).await?),
    };
    let (how, port) = match &source {
        Source::Given(_) => return Ok(source),
        Source::Private(server) => ("private server", server.port()),
        Source::Docker(container) => ("container", container.url().port().unwrap_or_default()),
    };
    progress(&format!(
        "{kind}: {how} on 127.0.0.1:{port} ({:.1} s)",
        begun.elapsed().as_secs_f64()
    ));
    Ok(source)
}
