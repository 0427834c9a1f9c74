//! Where requests go: an `http://` or `https://` URL, taken apart and resolved once.
//!
//! Load is sent to loopback addresses only, unless the caller says that another host is meant.

use std::net::{SocketAddr, ToSocketAddrs};

/// A URL taken apart: the address to connect to, the `host` header, and the request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address, resolved.
    pub address: SocketAddr,
    /// The value of the `host` header (authority as written).
    pub authority: String,
    /// Path and query, never empty.
    pub path: String,
    /// Over TLS.
    pub is_secure: bool,
}

/// Why a URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not `http://HOST[:PORT][/PATH]`, nor `https://`.
    #[error("`{0}` is no URL that can be used here: write http://HOST:PORT/PATH or https://HOST:PORT/PATH")]
    Form(String),
    /// The host has no address.
    #[error("the host of `{url}` cannot be resolved: {source}")]
    Resolve {
        /// The URL as given.
        url: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// The host is not on this machine.
    #[error("`{0}` is not on this machine; give --allow-remote if load is meant to go there")]
    Remote(String),
}

impl Target {
    /// A path at an address, in the clear.
    #[must_use]
    pub fn plain(address: SocketAddr, path: &str) -> Self {
        Self { address, authority: address.to_string(), path: path.to_owned(), is_secure: false }
    }

    /// Takes a URL apart and resolves its host.
    ///
    /// # Errors
    /// When the URL is malformed, its host has no address, or (without `allow_remote`) that address is not loopback.
    pub fn parse(url: &str, allow_remote: bool) -> Result<Self, TargetError> {
        let form = || TargetError::Form(url.to_owned());
        // A scheme has no case (RFC 3986, section 3.1), and a fragment is not sent (RFC 9110, section 7.1).
        let (sent, _) = url.split_once('#').unwrap_or((url, ""));
        let without = |scheme: &str| sent.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
        let secure = without("https://").map(|scheme| &sent[scheme.len()..]);
        let rest = secure.or_else(|| without("http://").map(|scheme| &sent[scheme.len()..])).ok_or_else(form)?;
        let (is_secure, port) = if secure.is_some() { (true, 443) } else { (false, 80) };
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        if authority.is_empty() || authority.contains(['@', '{']) || !is_clean(rest) {
            return Err(form());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        let resolve = |source| TargetError::Resolve { url: url.to_owned(), source };
        let none = || resolve(std::io::Error::from(std::io::ErrorKind::NotFound));
        let address = with_port.to_socket_addrs().map_err(resolve)?.next().ok_or_else(none)?;
        if !allow_remote && !address.ip().is_loopback() {
            return Err(TargetError::Remote(url.to_owned()));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { address, authority: authority.to_owned(), path, is_secure })
    }
}

/// Whether there is nothing but what a URL may hold; within placeholders there may be blanks.
fn is_clean(text: &str) -> bool {
    let mut depth = 0_u32;
    text.bytes().all(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte.is_ascii_graphic() || (byte == b' ' && depth > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("http://127.0.0.1:8080/a/b?c=d", false).unwrap();
        assert_eq!(target.address, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("127.0.0.1:8080", "/a/b?c=d"));
        assert_eq!(Target::parse("http://127.0.0.1", false).unwrap().address.port(), 80);
        assert_eq!(Target::parse("http://127.0.0.1:1?x", false).unwrap().path, "/?x");
        assert_eq!(Target::parse("http://127.0.0.1:1/a?b#c", false).unwrap().path, "/a?b");
        assert_eq!(Target::parse("HTTP://127.0.0.1:1/", false).unwrap().path, "/");
        assert!(Target::parse("Https://127.0.0.1:1/", false).unwrap().is_secure);
        let patterned = Target::parse("http://127.0.0.1:1/{choice(a, b)}", false).unwrap();
        assert_eq!(patterned.path, "/{choice(a, b)}");
        assert_eq!(Target::parse("http://[::1]:81/", false).unwrap().address, "[::1]:81".parse().unwrap());
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for url in ["", "127.0.0.1:80", "ftp://127.0.0.1/", "http://", "http://u@127.0.0.1/", "http://127.0.0.1/a b"] {
            assert!(matches!(Target::parse(url, true), Err(TargetError::Form(_))), "{url}");
        }
    }

    #[test]
    fn tls_has_a_port_of_its_own() {
        let target = Target::parse("https://127.0.0.1/", false).unwrap();
        assert!(target.is_secure && target.address.port() == 443);
        assert!(!Target::parse("http://127.0.0.1/", false).unwrap().is_secure);
        assert_eq!(Target::parse("https://127.0.0.1:8443/", false).unwrap().address.port(), 8443);
    }

    #[test]
    fn other_machines_need_a_word() {
        assert!(matches!(Target::parse("http://192.0.2.1:80/", false), Err(TargetError::Remote(_))));
        assert!(Target::parse("http://192.0.2.1:80/", true).is_ok());
    }
}
