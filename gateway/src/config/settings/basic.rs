//! `kind = "basic"`: users, and hashes of their passwords.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// `kind = "basic"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basic {
    /// What clients are told that a password is for.
    pub realm: Box<str>,
    /// The file, as read when the configuration was.
    pub file: PathBuf,
    /// Its users, in the order of their names; empty where it could not be read, and then nobody's password holds.
    pub users: Arc<[User]>,
    /// The client's `Authorization` is passed on.
    pub forward_credentials: bool,
}

/// One line of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, and the subject.
    pub name: Box<str>,
    /// The hash of the password.
    pub hash: PasswordHash,
}

/// A hash that is dear to compute, so that a password is not found from it.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// bcrypt (`$2y$`, `$2b$`), as written.
    Bcrypt(Box<str>),
    /// Argon2id (RFC 9106), version 1.3.
    Argon2id(Argon2id),
}

/// The parts of `$argon2id$v=19$m=M,t=T,p=P$SALT$HASH`.
#[derive(Clone, PartialEq, Eq)]
pub struct Argon2id {
    /// `m`, KiB.
    pub memory: u32,
    /// `t`
    pub passes: u32,
    /// `p`
    pub lanes: u32,
    /// The salt.
    pub salt: Box<[u8]>,
    /// What it comes to.
    pub hash: Box<[u8]>,
}

impl fmt::Debug for User {
    /// Shows no hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}
