//! Choice of ports: free, on loopback, outside the range that the kernel hands to outgoing connections (so that a
//! server that is stopped for a while finds its port free again), never a standard one, and remembered where a home
//! is kept.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::error::{Doing, Error, Result};

const RANGE: (u16, u16) = (20_000, 31_999);

/// Where other people's servers of these kinds are expected.
const STANDARD: [u16; 7] = [4369, 5432, 5672, 6379, 8080, 15672, 25672];

/// Chosen by this process and perhaps not yet bound.
static CHOSEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The ports of one home by what they are for.
#[derive(Debug)]
pub(crate) struct Ports {
    remembered_in: Option<PathBuf>,
    by_purpose: Mutex<BTreeMap<String, u16>>,
}

impl Ports {
    /// A file that is missing or does not read is an empty memory.
    pub(crate) fn open(remembered_in: Option<PathBuf>) -> Ports {
        let by_purpose = remembered_in
            .as_ref()
            .and_then(|path| fs::read(path).ok())
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ports {
            remembered_in,
            by_purpose: Mutex::new(by_purpose),
        }
    }

    /// The port for this purpose: the one remembered when it is free, else a new one. Ask once per process and
    /// purpose, before anything listens on it.
    pub(crate) fn choose(&self, purpose: &str) -> Result<u16> {
        let mut ports = self.by_purpose.lock().unwrap_or_else(PoisonError::into_inner);
        let port = match ports.get(purpose) {
            Some(port) if reserve(*port) && is_free(*port) => return Ok(*port),
            _ => new_port()?,
        };
        ports.insert(purpose.to_owned(), port);
        if let Some(path) = &self.remembered_in {
            let action = || format!("remember ports in {}", path.display());
            let text = serde_json::to_vec_pretty(&*ports)
                .map_err(std::io::Error::from)
                .doing(action)?;
            fs::write(path, text).doing(action)?;
        }
        Ok(port)
    }
}

fn reserve(port: u16) -> bool {
    CHOSEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port)
}

fn new_port() -> Result<u16> {
    let (first, last) = RANGE;
    let count = last - first + 1;
    // On a machine that hands out every port there is nothing to keep away from.
    let outgoing = outgoing_range().filter(|(from, to)| *from > first || *to < last);
    // Processes that choose at the same time begin at different places.
    let random = RandomState::new().build_hasher().finish();
    let start = u16::try_from(random % u64::from(count)).unwrap_or_default();
    (0..count)
        .map(|step| first + (start + step) % count)
        .find(|port| {
            !STANDARD.contains(port)
                && !outgoing.is_some_and(|(from, to)| (from..=to).contains(port))
                // In this order: whether a port is free is asked by binding it, and that must not meet its owner.
                && reserve(*port)
                && is_free(*port)
        })
        .ok_or(Error::NoFreePort { range: RANGE })
}

/// Free on loopback and on every other address: a stranger who listens on all of them counts.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

fn outgoing_range() -> Option<(u16, u16)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_remembered_while_it_is_free_and_chosen_anew_when_it_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ports.json");
        let port = Ports::open(Some(path.clone())).choose("redis").unwrap();
        assert!((RANGE.0..=RANGE.1).contains(&port) && !STANDARD.contains(&port));

        // Another process, later.
        CHOSEN.lock().unwrap().remove(&port);
        assert_eq!(Ports::open(Some(path.clone())).choose("redis").unwrap(), port);

        CHOSEN.lock().unwrap().remove(&port);
        let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(Ports::open(Some(path)).choose("redis").unwrap(), port);
    }

    #[test]
    fn two_purposes_never_share_a_port() {
        let ports = Ports::open(None);
        let chosen: BTreeSet<_> = (0..50)
            .map(|n| ports.choose(&format!("service {n}")).unwrap())
            .collect();
        assert_eq!(chosen.len(), 50);
    }
}
