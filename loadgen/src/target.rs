//! Where requests go: an `http://` URL, taken apart and resolved once.
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
}

/// Why a URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not `http://HOST[:PORT][/PATH]`.
    #[error("`{0}` is no URL that can be used here: write http://HOST:PORT/PATH")]
    Form(String),
    /// TLS, which is not spoken.
    #[error("`{0}`: https is not spoken; give the address of a plain http listener")]
    Tls(String),
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
    /// Takes a URL apart and resolves its host.
    ///
    /// # Errors
    /// When the URL is malformed, its host has no address, or (without `allow_remote`) that address is not loopback.
    pub fn parse(url: &str, allow_remote: bool) -> Result<Self, TargetError> {
        let form = || TargetError::Form(url.to_owned());
        if url.starts_with("https://") {
            return Err(TargetError::Tls(url.to_owned()));
        }
        let rest = url.strip_prefix("http://").ok_or_else(form)?;
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        if authority.is_empty() || authority.contains(['@', '{']) || !is_clean(rest) || rest.contains('#') {
            return Err(form());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let resolve = |source| TargetError::Resolve { url: url.to_owned(), source };
        let none = || resolve(std::io::Error::from(std::io::ErrorKind::NotFound));
        let address = with_port.to_socket_addrs().map_err(resolve)?.next().ok_or_else(none)?;
        if !allow_remote && !address.ip().is_loopback() {
            return Err(TargetError::Remote(url.to_owned()));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { address, authority: authority.to_owned(), path })
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
        let patterned = Target::parse("http://127.0.0.1:1/{choice(a, b)}", false).unwrap();
        assert_eq!(patterned.path, "/{choice(a, b)}");
        assert_eq!(Target::parse("http://[::1]:81/", false).unwrap().address, "[::1]:81".parse().unwrap());
    }

    #[test]
    fn what_is_no_plain_http_url_is_refused() {
        for url in ["", "127.0.0.1:80", "ftp://127.0.0.1/", "http://", "http://u@127.0.0.1/", "http://127.0.0.1/a b"] {
            assert!(matches!(Target::parse(url, true), Err(TargetError::Form(_))), "{url}");
        }
    }

    #[test]
    fn tls_is_refused_by_name() {
        assert!(matches!(Target::parse("https://127.0.0.1/", true), Err(TargetError::Tls(_))));
    }

    #[test]
    fn other_machines_need_a_word() {
        assert!(matches!(Target::parse("http://192.0.2.1:80/", false), Err(TargetError::Remote(_))));
        assert!(Target::parse("http://192.0.2.1:80/", true).is_ok());
    }
}
