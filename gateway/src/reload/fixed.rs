//! What a process has from its start to its end, whatever a reload says of it.

use std::net::SocketAddr;

use crate::config::settings::{Admin, Config, Listener};

/// What the process was started with and keeps to its end.
pub(super) struct Fixed {
    /// Addresses, each with how it is shared, and whether TLS and the PROXY protocol are spoken there.
    listeners: Vec<(SocketAddr, bool, bool, bool)>,
    admin: Option<Admin>,
    workers: usize,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let Config { listeners, admin, server, .. } = config;
        let fixed = |one: &Listener| (one.address, one.reuse_port, one.tls.is_some(), one.proxy_protocol);
        let listeners = listeners.iter().map(fixed).collect();
        Self { listeners, admin: admin.clone(), workers: server.workers }
    }

    /// What a restart would change.
    pub(super) fn differs_from(&self, config: &Config) -> Vec<&'static str> {
        let wanted = Self::of(config);
        let differing = [
            ("listeners", self.listeners != wanted.listeners),
            ("admin", self.admin != wanted.admin),
            ("server.workers", self.workers != wanted.workers),
        ];
        differing.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    fn config(text: &str) -> Config {
        load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap().config
    }

    #[test]
    fn a_restart_is_needed_for_what_differs_from_the_start_not_from_the_file_before() {
        let start = config("");
        let fixed = Fixed::of(&start);
        let other = config(
            "[server]\nworkers = 3\n[admin]\naddress = \"127.0.0.1:9902\"\n[[listeners]]\naddress = \"127.0.0.1:8081\"\n",
        );
        assert_eq!(fixed.differs_from(&other), ["listeners", "admin", "server.workers"]);
        // The same file once more still waits for a restart; the first file does not.
        assert_eq!(fixed.differs_from(&other).len(), 3);
        assert!(fixed.differs_from(&start).is_empty());
        let announced = "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[[listeners]]\nproxy_protocol = true\n";
        assert_eq!(fixed.differs_from(&config(announced)), ["listeners"]);
    }
}
