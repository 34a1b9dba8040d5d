//! A home: one folder that holds the data of a set of servers and all that is remembered about them. One process uses
//! it at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::Kind;
use crate::account::{is_root, servers_reach};
use crate::error::{Doing, Error, Result};
use crate::guardian::Guardian;
use crate::ledger::{self, Ledger};
use crate::ports::Ports;
use crate::secrets::Secrets;

/// How long the guardian of a kept home lets processes end by themselves.
const GUARDIAN_GRACE_SECONDS: u64 = 15;

/// How long a former run may take to let go of a home after it has ended (its guardian is stopping servers).
const HANDOVER: Duration = Duration::from_secs(1);

/// Cheap to clone; the home is left when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Home(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    data: PathBuf,
    temporary: bool,
    _lock: File,
    leftovers: Vec<String>,
    ledger: Ledger,
    ports: Ports,
    secrets: Secrets,
    guardian: Guardian,
}

impl Home {
    /// Opens, or makes, a home that is kept. Stops what a crashed run left behind here. Refused with
    /// [`Error::InUse`] while another process has it open.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Home> {
        let dir = std::path::absolute(dir.as_ref()).doing(|| "find the current folder".to_owned())?;
        make_dir(&dir, 0o755)?;
        let lock = take_lock(&dir).await?;
        let ledger = Ledger::open(ledger::path_in(&dir));
        let leftovers = ledger.stop_leftovers().await?;
        let data = if servers_reach(&dir) {
            dir.clone()
        } else {
            fallback(&dir)?
        };
        let home = Home(Arc::new(Inner {
            ports: Ports::open(Some(dir.join("ports.json"))),
            secrets: Secrets::open(dir.join("secrets.json"))?,
            guardian: Guardian::start(GUARDIAN_GRACE_SECONDS, None)?,
            temporary: false,
            _lock: lock,
            leftovers,
            ledger,
            data,
            dir,
        }));
        make_dir(&home.logs(), 0o755)?;
        Ok(home)
    }

    /// A home of its own that is gone, with all servers in it, when it is dropped or this process ends.
    pub async fn temporary() -> Result<Home> {
        let parent = Some(std::env::temp_dir()).filter(|dir| servers_reach(dir));
        let parent = parent.unwrap_or_else(|| PathBuf::from("/var/tmp"));
        let mut tries = 0..100;
        let dir = loop {
            let dir = parent.join(format!("frontrow-{}-{}", std::process::id(), unique()));
            match fs::DirBuilder::new().mode(0o755).create(&dir) {
                Ok(()) => break dir,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && tries.next().is_some() => {
                }
                Err(error) => return Err(error).doing(|| format!("make {}", dir.display())),
            }
        };
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))
            .doing(|| format!("open {}", dir.display()))?;
        let home = Home(Arc::new(Inner {
            _lock: take_lock(&dir).await?,
            leftovers: Vec::new(),
            ledger: Ledger::open(ledger::path_in(&dir)),
            ports: Ports::open(None),
            secrets: Secrets::open(dir.join("secrets.json"))?,
            guardian: Guardian::start(0, Some((&dir, &dir)))?,
            temporary: true,
            data: dir.clone(),
            dir,
        }));
        make_dir(&home.logs(), 0o755)?;
        Ok(home)
    }

    /// The folder given to [`Home::open`].
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Where the servers keep their data: [`Home::dir`], or a folder under `/var/tmp` when we are root and the users
    /// that the servers run as cannot get to it.
    pub fn data(&self) -> &Path {
        &self.0.data
    }

    /// Where every process writes its log.
    pub fn logs(&self) -> PathBuf {
        self.0.dir.join("logs")
    }

    /// What a crashed run had left behind and [`Home::open`] has stopped.
    pub fn leftovers(&self) -> &[String] {
        &self.0.leftovers
    }

    /// A random secret (32 bytes in URL-safe base64), the same whenever this home is asked for this name.
    pub fn secret(&self, name: &str) -> Result<String> {
        self.0.secrets.get(name)
    }

    /// A free port on 127.0.0.1 for this purpose, the same as last time if it can be.
    pub fn port(&self, purpose: &str) -> Result<u16> {
        self.0.ports.choose(purpose)
    }

    /// Deletes all data and secrets. Nothing may run in the home.
    pub async fn empty(&self) -> Result<()> {
        crate::docker::remove_data(self).await;
        for kind in Kind::ALL {
            remove_dir(&self.data_of(kind))?;
        }
        remove_dir(&self.logs())?;
        remove_dir(&crate::environment::folder(&self.0.dir))?;
        make_dir(&self.logs(), 0o755)?;
        // What the stand-in for the provider remembers belongs to payments that are gone.
        remove_file(&self.provider_journal())?;
        remove_file(&self.0.dir.join("secrets.json"))?;
        self.0.secrets.forget_all();
        Ok(())
    }

    /// What the stand-in for the payment provider remembers.
    pub(crate) fn provider_journal(&self) -> PathBuf {
        self.0.dir.join("psp-simulator.journal")
    }

    pub(crate) fn data_of(&self, kind: Kind) -> PathBuf {
        self.0.data.join(kind.slug())
    }

    /// Names this home among others on the machine.
    pub(crate) fn key(&self) -> String {
        key(&self.0.dir)
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.0.temporary
    }

    pub(crate) fn log_of(&self, what: &str) -> PathBuf {
        self.logs().join(format!("{what}.log"))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(crate) fn guardian(&self) -> &Guardian {
        &self.0.guardian
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.temporary {
            // Every server holds a clone, so none is left; what remains is to delete the folder.
            let _ = fs::remove_dir_all(&self.dir);
        }
        self.guardian.finish();
    }
}

/// Held until the file is closed, also by a crash.
async fn take_lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let action = || format!("lock {}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .doing(action)?;
    let end = tokio::time::Instant::now() + HANDOVER;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(fs::TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                return Err(Error::InUse {
                    dir: dir.to_owned(),
                    owner: owner.trim().to_owned(),
                });
            }
            Err(fs::TryLockError::Error(error)) => return Err(error).doing(action),
        }
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .doing(action)?;
    Ok(file)
}

/// A folder that the servers' users can reach, always the same for one home.
fn fallback(dir: &Path) -> Result<PathBuf> {
    let canonical = fs::canonicalize(dir).doing(|| format!("find {}", dir.display()))?;
    let data = PathBuf::from(format!(
        "/var/tmp/frontrow-{:016x}",
        fnv1a(canonical.as_os_str().as_encoded_bytes())
    ));
    make_dir(&data, 0o755)?;
    // Anybody may make folders in /var/tmp: one that was waiting for us there is not ours to trust.
    let meta = fs::symlink_metadata(&data).doing(|| format!("look at {}", data.display()))?;
    if !meta.is_dir() || (is_root() && meta.uid() != 0) {
        return Err(std::io::Error::other("it belongs to another user"))
            .doing(|| format!("use {}", data.display()));
    }
    // Whatever our umask is.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755))
        .doing(|| format!("open {}", data.display()))?;
    Ok(data)
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .doing(|| format!("make {}", path.display()))
}

pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("delete {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("delete {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn unique() -> String {
    use std::hash::{BuildHasher, Hasher};
    format!(
        "{:08x}",
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
            >> 32
    )
}

fn key(dir: &Path) -> String {
    let canonical = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    format!("{:016x}", fnv1a(canonical.as_os_str().as_encoded_bytes()))
}

/// Stable over versions of the compiler, unlike the standard library's hashes.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_home_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Home::open(dir.path().join("home")).await.unwrap();
        let second = Home::open(dir.path().join("home")).await;
        let me = std::process::id().to_string();
        assert!(matches!(second, Err(Error::InUse { owner, .. }) if owner == me));
        drop(first);
        Home::open(dir.path().join("home")).await.unwrap();
    }

    #[tokio::test]
    async fn an_emptied_home_remembers_no_secret_and_no_capture() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path().join("home")).await.unwrap();
        let secret = home.secret("a").unwrap();
        fs::write(home.provider_journal(), "captured").unwrap();
        home.empty().await.unwrap();
        assert!(!home.provider_journal().exists());
        assert_ne!(home.secret("a").unwrap(), secret);
        home.empty().await.unwrap();
    }

    #[tokio::test]
    async fn a_temporary_home_is_gone_when_dropped() {
        let home = Home::temporary().await.unwrap();
        let dir = home.dir().to_owned();
        assert!(dir.is_dir());
        drop(home);
        assert!(!dir.exists());
    }
}
