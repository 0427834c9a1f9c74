//! `[stores.NAME]`: a Redis that gateways share.

use std::fmt;
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
    /// The password, read from the environment variable `password_env`.
    pub password: Option<String>,
    /// Opening a connection.
    pub connect_timeout: Duration,
    /// One command.
    pub command_timeout: Duration,
    /// Failures in a row after which it counts as dead.
    pub consecutive_failures: u32,
    /// How long it is left alone then.
    pub open_for: Duration,
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

impl fmt::Debug for Store {
    /// The password is a secret, and settings are logged and shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "(secret)");
        f.debug_struct("Store")
            .field("name", &self.name)
            .field("servers", &self.servers)
            .field("tls", &self.tls)
            .field("password", &password)
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
