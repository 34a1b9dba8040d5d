//! How a private RabbitMQ is set up, started and asked whether it is ready. It has its own Erlang port mapper (epmd)
//! on its own port, so it neither finds nor disturbs another Erlang system on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::error::{Doing, Result};
use crate::server::Launch;

pub(crate) const USER: &str = "frontrow";

/// A file that says that the broker has once come up on its data.
const COMPLETE: &str = "complete";

#[derive(Debug, Clone, Copy)]
pub(crate) struct RabbitPorts {
    pub(crate) amqp: u16,
    pub(crate) distribution: u16,
    pub(crate) epmd: u16,
}

pub(crate) fn prepare(launch: &Launch<'_>) -> Result<()> {
    // A broker that was killed while it came up for the first time does not come up again on what it wrote.
    if !launch.dir.join(COMPLETE).exists() {
        crate::home::remove_dir(&launch.dir.join("mnesia"))?;
    }
    for folder in ["mnesia", "log"] {
        launch.make_dir(&launch.dir.join(folder))?;
    }
    let config = format!(
        "default_user = {USER}\ndefault_pass = {}\nloopback_users = none\n\
         vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n\
         log.file = false\nlog.console = true\nlog.console.level = warning\n",
        launch.password
    );
    launch.write_file(&launch.dir.join("rabbitmq.conf"), &config)?;
    // An unroutable dead letter is offered again after 5 s; the broker's own default is three minutes.
    launch.write_file(
        &launch.dir.join("advanced.config"),
        "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n",
    )?;
    launch.write_file(&launch.dir.join("enabled_plugins"), "[].\n")?;
    let cookie = launch.dir.join(".erlang.cookie");
    if !cookie.exists() {
        launch.write_file(&cookie, launch.password)?;
    }
    Ok(())
}

/// To be called when the broker serves.
pub(crate) fn note_complete(dir: &Path) -> Result<()> {
    let path = dir.join(COMPLETE);
    fs::write(&path, "").doing(|| format!("write {}", path.display()))
}

pub(crate) fn epmd_command(launch: &Launch<'_>, epmd: &Path, port: u16) -> Command {
    let mut command = launch.command(epmd);
    command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    command
}

pub(crate) fn command(launch: &Launch<'_>, ports: RabbitPorts) -> Command {
    let mut command = launch.command(launch.program);
    let dir = launch.dir;
    command
        .env("RABBITMQ_NODENAME", "frontrow@localhost")
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", ports.amqp.to_string())
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_BASE", dir)
        .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_PID_FILE", dir.join("rabbitmq.pid"))
        .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
        // A file that is not there: the machine's own settings in /etc/rabbitmq are not ours.
        .env("RABBITMQ_CONF_ENV_FILE", dir.join("none"))
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        );
    command
}

/// Offers the AMQP 0-9-1 header and waits for the broker's first frame.
pub(crate) async fn ask(url: &Url) -> Result<(), String> {
    let ask = async {
        let address = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5672));
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"AMQP\0\0\x09\x01").await?;
        stream.read_u8().await
    };
    match tokio::time::timeout(Duration::from_secs(2), ask).await {
        // 1 is a method frame: `Connection.Start`.
        Ok(Ok(1)) => Ok(()),
        Ok(Ok(_)) => Err("it does not speak AMQP 0-9-1".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within 2 s".to_owned()),
    }
}
