//! The file that outlives the process: one JSON line for every decision worth remembering, written before its answer
//! goes out.
//!
//! A line is handed to the operating system, not forced to the disk: it survives a killed process, not a lost machine.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{idempotency::Scope, ledger::Decision};

/// One decision: when, under which `Idempotency-Key` if any, and what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    #[serde(flatten)]
    pub decision: Decision,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Opening, locking or reading it failed.
    #[error("the journal {path} cannot be read")]
    Io {
        /// The journal.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Another simulator writes to it.
    #[error("the journal {path} is in use by another simulator")]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// A whole line is not a record; nothing after it can be trusted.
    #[error("line {line} of the journal {path} is not a record")]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// An open journal, held exclusively.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Length of the whole lines, in bytes; the file is cut back to it when a write fails half-way.
    length: u64,
}

impl Journal {
    /// Opens or creates the journal and hands each record to `replay`, oldest first. A torn last line, left by a process
    /// that was killed while writing it, was never answered and is cut off.
    pub(crate) fn open(path: &Path, mut replay: impl FnMut(Record)) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => failed(source),
        })?;

        let mut reader = BufReader::new(&file);
        let mut length = 0;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if !line.ends_with(b"\n") {
                break;
            }
            let record = serde_json::from_slice(&line).map_err(|source| JournalError::Corrupt {
                path: path.to_owned(),
                line: number,
                source,
            })?;
            replay(record);
            length += read as u64;
        }
        file.set_len(length).map_err(failed)?;
        Ok(Self { file, length })
    }

    /// Writes one record. On an error nothing of it stays.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }
}
