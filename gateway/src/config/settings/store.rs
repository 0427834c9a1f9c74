//! `[stores.NAME]`: a Redis that gateways share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One `[stores.NAME]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Store {
    /// Its name.
    pub name: Arc<str>,
    /// Where its servers are.
    pub servers: Servers,
    /// Connections are encrypted.
    pub tls: bool,
    /// `ca`: who signs the servers' certificates; `None` = those whom the system trusts.
    pub ca: Option<StoreCa>,
    /// As whom it is spoken to.
    pub access: Access,
    /// Opening a connection.
    pub connect_timeout: Duration,
    /// One command.
    pub command_timeout: Duration,
    /// Failures in a row after which it counts as dead.
    pub consecutive_failures: u32,
    /// How long it is left alone then.
    pub open_for: Duration,
}

/// `ca` of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCa {
    /// The file.
    pub file: PathBuf,
    /// What it holds, PEM.
    pub pem: Vec<u8>,
}

/// What lets the gateway in at a store's servers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The user of `url`; `None` = `default`.
    pub user: Option<String>,
    /// Its password, read from the environment variable `password_env`.
    pub password: Option<String>,
    /// What sentinels are told, read from `sentinel_password_env`.
    pub sentinel_password: Option<String>,
}

/// Where a store's servers are: names or addresses, with ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// One server, and the number of its database.
    One((String, u16), i64),
    /// Some nodes of a cluster; they know the others.
    Cluster(Vec<(String, u16)>),
    /// Sentinels, which know the master of this name, and the number of its database.
    Sentinels(Vec<(String, u16)>, String, i64),
}

impl fmt::Debug for Access {
    /// Passwords are secrets, and settings are logged and shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |password: &Option<String>| password.as_ref().map(|_| "(secret)");
        f.debug_struct("Access")
            .field("user", &self.user)
            .field("password", &secret(&self.password))
            .field("sentinel_password", &secret(&self.sentinel_password))
            .finish()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("name", &self.name)
            .field("servers", &self.servers)
            .field("tls", &self.tls)
            .field("ca", &self.ca.as_ref().map(|ca| &ca.file))
            .field("access", &self.access)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |servers: &[(String, u16)]| {
            servers.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(",")
        };
        match self {
            Self::One((host, port), db) => write!(f, "{host}:{port}/{db}"),
            Self::Cluster(nodes) => write!(f, "cluster {}", list(nodes)),
            Self::Sentinels(sentinels, master, db) => write!(f, "master {master}/{db} of {}", list(sentinels)),
        }
    }
}
