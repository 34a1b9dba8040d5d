//! Secrets made once and kept in a file that only its owner reads.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Doing, Error, Result};

pub(crate) struct Secrets {
    path: PathBuf,
    by_name: Mutex<BTreeMap<String, String>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    pub(crate) fn open(path: PathBuf) -> Result<Secrets> {
        let by_name = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| Error::Json {
                path: path.clone(),
                source,
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).doing(|| format!("read {}", path.display())),
        };
        Ok(Secrets {
            path,
            by_name: Mutex::new(by_name),
        })
    }

    /// 32 random bytes in URL-safe base64, the same on every later call with this name.
    pub(crate) fn get(&self, name: &str) -> Result<String> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = by_name.get(name) {
            return Ok(secret.clone());
        }
        let mut bytes = [0; 32];
        fs::File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut bytes))
            .doing(|| "read /dev/urandom".to_owned())?;
        let secret = URL_SAFE_NO_PAD.encode(bytes);
        by_name.insert(name.to_owned(), secret.clone());

        let action = || format!("keep secrets in {}", self.path.display());
        let text = serde_json::to_vec_pretty(&*by_name)
            .map_err(std::io::Error::from)
            .doing(action)?;
        let new = self.path.with_extension("new");
        let _ = fs::remove_file(&new);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, &self.path))
            .doing(action)?;
        Ok(secret)
    }

    pub(crate) fn forget_all(&self) {
        self.by_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.json");
        let secret = Secrets::open(path.clone()).unwrap().get("queue-token").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(&secret).unwrap().len(), 32);
        let again = Secrets::open(path.clone()).unwrap();
        assert_eq!(again.get("queue-token").unwrap(), secret);
        assert_ne!(again.get("payment-token").unwrap(), secret);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
