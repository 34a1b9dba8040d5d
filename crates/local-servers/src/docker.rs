//! Servers in containers, for a machine that has a Docker engine and not their programs.

use std::time::Duration;

use tokio::process::Command;
use url::Url;

use crate::acquire::Progress;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::server::{Durability, ask, parse_own_url};
use crate::{Kind, postgres, rabbitmq};

const START_BOUND: Duration = Duration::from_secs(90);
const LABEL: &str = "frontrow.home";

/// One server in a container of ours. Its Postgres data is in a volume that outlives it.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    url: Url,
    stopped: bool,
}

/// The error says why there is no engine.
pub(crate) async fn answers() -> Result<(), String> {
    let info = Command::new("docker")
        .args(["info", "--format", "{{.ServerVersion}}"])
        .output();
    match tokio::time::timeout(Duration::from_secs(10), info).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!(
                "no Docker engine answers: {}",
                errors.lines().next_back().unwrap_or_default().trim()
            ))
        }
        Ok(Err(_)) => Err("there is no docker command".to_owned()),
        Err(_) => Err("no Docker engine answers within 10 s".to_owned()),
    }
}

impl Container {
    /// Runs the official image, its port published on 127.0.0.1 alone. Replaces a container of this home that a crash
    /// has left behind.
    pub(crate) async fn start(
        kind: Kind,
        home: &Home,
        durability: Durability,
        progress: Progress<'_>,
    ) -> Result<Container> {
        let name = name(kind, home);
        let _ = docker(&["rm", "--force", &name]).await;
        let port = home.port(kind.slug())?;
        let password = home.secret(&format!("{}-password", kind.slug()))?;
        let (image, inside, url) = match kind {
            Kind::Postgres => (
                "postgres:17",
                5432,
                format!(
                    "postgres://{}:{password}@127.0.0.1:{port}/postgres",
                    postgres::USER
                ),
            ),
            Kind::Redis => ("redis:7", 6379, format!("redis://:{password}@127.0.0.1:{port}/0")),
            Kind::RabbitMq => (
                "rabbitmq:3.13",
                5672,
                format!("amqp://{}:{password}@127.0.0.1:{port}/%2f", rabbitmq::USER),
            ),
        };
        if docker(&["image", "inspect", image]).await.is_err() {
            progress(&format!("{kind}: pulling the image {image}"));
            docker(&["pull", "--quiet", image]).await?;
        }
        let label = format!("{LABEL}={}", home.dir().display());
        let publish = format!("127.0.0.1:{port}:{inside}");
        let volume = format!("{name}:/var/lib/postgresql/data");
        let mut run = vec![
            "run",
            "--detach",
            "--rm",
            "--name",
            &name,
            "--label",
            &label,
            "--publish",
            &publish,
        ];
        let settings: Vec<String> = match kind {
            Kind::Postgres => vec![
                format!("POSTGRES_USER={}", postgres::USER),
                format!("POSTGRES_PASSWORD={password}"),
                "POSTGRES_DB=postgres".to_owned(),
            ],
            Kind::Redis => Vec::new(),
            Kind::RabbitMq => vec![
                format!("RABBITMQ_DEFAULT_USER={}", rabbitmq::USER),
                format!("RABBITMQ_DEFAULT_PASS={password}"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-rabbit dead_letter_worker_publisher_confirm_timeout 5000"
                    .to_owned(),
            ],
        };
        for setting in &settings {
            run.extend(["--env", setting]);
        }
        // Without a name of its own, a volume goes with its container.
        if kind == Kind::Postgres && !home.is_temporary() {
            run.extend(["--volume", &volume]);
        }
        run.push(image);
        match kind {
            Kind::Postgres if durability == Durability::Off => {
                run.extend([
                    "-c",
                    "max_connections=500",
                    "-c",
                    "fsync=off",
                    "-c",
                    "full_page_writes=off",
                ]);
            }
            Kind::Postgres => run.extend(["-c", "max_connections=500"]),
            Kind::Redis => run.extend([
                "redis-server",
                "--save",
                "",
                "--appendonly",
                "no",
                "--maxmemory-policy",
                "noeviction",
                "--databases",
                "1024",
                "--requirepass",
                &password,
            ]),
            Kind::RabbitMq => {}
        }
        docker(&run).await?;
        let container = Container {
            name,
            url: parse_own_url(&url),
            stopped: false,
        };
        container.ready(kind, home).await?;
        Ok(container)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) async fn stop(&mut self) {
        // `--rm` deletes it when it has stopped.
        let _ = docker(&["stop", "--time", "15", &self.name]).await;
        self.stopped = true;
    }

    async fn ready(&self, kind: Kind, home: &Home) -> Result<()> {
        let end = tokio::time::Instant::now() + START_BOUND;
        while let Err(reason) = ask(kind, &self.url).await {
            if tokio::time::Instant::now() >= end {
                let tail = docker(&["logs", "--tail", "25", &self.name])
                    .await
                    .unwrap_or(reason);
                let log = home.log_of(kind.slug());
                return Err(Error::NotReady {
                    what: kind.to_string(),
                    after: START_BOUND,
                    log,
                    tail,
                });
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = std::process::Command::new("docker")
                .args(["rm", "--force", &self.name])
                .output();
        }
    }
}

/// Deletes the volumes of a home, if there is a Docker engine that has any.
pub(crate) async fn remove_data(home: &Home) {
    if answers().await.is_ok() {
        let _ = docker(&["rm", "--force", &name(Kind::Postgres, home)]).await;
        let _ = docker(&["volume", "rm", "--force", &name(Kind::Postgres, home)]).await;
    }
}

fn name(kind: Kind, home: &Home) -> String {
    format!("frontrow-{}-{}", home.key(), kind.slug())
}

async fn docker(arguments: &[&str]) -> Result<String> {
    let failed = |output: String| Error::Command {
        command: format!("docker {}", arguments[0]),
        output,
    };
    let output = Command::new("docker")
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        .trim()
        .to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(failed(text))
    }
}
