//! What Redis counts about itself.

use anyhow::{Context, Result};
use url::Url;

use crate::doctor::redis::info;

#[derive(Debug)]
pub(super) struct Redis(Url);

/// Everything that `INFO` says.
#[derive(Debug)]
pub(super) struct Look(String);

impl Redis {
    pub(super) fn at(url: Url) -> Redis {
        Redis(url)
    }

    /// Takes two commands, which count.
    pub(super) async fn look(&self) -> Result<Look> {
        Ok(Look(info(&self.0).await.context("Redis does not answer")?))
    }

    /// Another numbered database of this server.
    pub(super) fn database(&self, number: u32) -> String {
        let mut url = self.0.clone();
        url.set_path(&number.to_string());
        url.to_string()
    }
}

impl Look {
    pub(super) fn version(&self) -> Result<String> {
        Ok(self.text("redis_version")?.to_owned())
    }

    /// Commands since it began, those of scripts included.
    pub(super) fn commands(&self) -> Result<u64> {
        self.number("total_commands_processed")
    }

    /// Bytes in use, but for what it keeps for its clients' connections.
    pub(super) fn bytes(&self) -> Result<u64> {
        Ok(self
            .number("used_memory")?
            .saturating_sub(self.number("mem_clients_normal")?))
    }

    /// Microseconds in scripts since it began.
    pub(super) fn script_micros(&self) -> Result<u64> {
        let all = self.text("cmdstat_evalsha")?;
        let micros = all.split(',').find_map(|part| part.strip_prefix("usec="));
        micros
            .and_then(|micros| micros.parse().ok())
            .context("INFO without the time of scripts")
    }

    fn number(&self, name: &str) -> Result<u64> {
        let text = self.text(name)?;
        text.parse().with_context(|| format!("INFO's {name} is {text}"))
    }

    fn text(&self, name: &str) -> Result<&str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find_map(|(this, value)| (this == name).then_some(value.trim()));
        found.with_context(|| format!("INFO has no {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_understood() {
        let look = Look(
            "# Server\r\nredis_version:7.0.15\r\nused_memory:5000\r\nused_memory_human:5K\r\nmem_clients_normal:800\r\n\
             total_commands_processed:77\r\ncmdstat_evalsha:calls=10,usec=250,usec_per_call=25.00,rejected_calls=0\r\n"
                .to_owned(),
        );
        assert_eq!(look.version().unwrap(), "7.0.15");
        assert_eq!((look.commands().unwrap(), look.bytes().unwrap()), (77, 4_200));
        assert_eq!(look.script_micros().unwrap(), 250);
        assert!(look.number("used_memory_human").is_err() && look.number("absent").is_err());
    }
}
