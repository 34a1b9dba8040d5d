//! The user that a server runs as. Postgres and RabbitMQ do not want to be root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Kind;
use crate::error::{Doing, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Root steps down to the user that the server's package made (or to `nobody`); anybody else is `None`: the
    /// server runs as that user.
    pub(crate) fn for_server(kind: Kind) -> Option<Account> {
        if !is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Account::named(kind.slug(), &users).or_else(|| Account::named("nobody", &users))
    }

    fn named(name: &str, users: &str) -> Option<Account> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            Some(Account {
                uid: fields.nth(1)?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
            })
        })
    }

    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid)).doing(|| format!("give {} to its server", path.display()))
    }

    /// The command will run as this user and without root's further groups.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Whether this user may walk into the folder: each folder above must let it pass.
    fn reaches(&self, folder: &Path) -> bool {
        folder.ancestors().all(|ancestor| match fs::metadata(ancestor) {
            Ok(meta) if meta.uid() == self.uid => meta.mode() & 0o100 != 0,
            Ok(meta) if meta.gid() == self.gid => meta.mode() & 0o010 != 0,
            Ok(meta) => meta.mode() & 0o001 != 0,
            Err(_) => false,
        })
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether every server's user can reach the (existing, absolute) folder.
pub(crate) fn servers_reach(folder: &Path) -> bool {
    Kind::ALL
        .into_iter()
        .filter_map(Account::for_server)
        .all(|account| account.reaches(folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_below_a_closed_one_is_out_of_reach() {
        let outside = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let inside = outside.path().join("data");
        fs::create_dir(&inside).unwrap();
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o755)).unwrap();
        let stranger = Account {
            uid: 54_321,
            gid: 54_321,
        };
        assert!(stranger.reaches(&inside));

        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.reaches(&inside));
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "redis2:x:7:8::/:/bin/false\nredis:x:101:102::/:/bin/false\n";
        assert_eq!(
            Account::named("redis", users),
            Some(Account { uid: 101, gid: 102 })
        );
        assert_eq!(Account::named("postgres", users), None);
    }
}
