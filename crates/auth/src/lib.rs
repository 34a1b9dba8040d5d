//! Users, roles, passwords, sessions and signing keys.
