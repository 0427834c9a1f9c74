//! `upstream = "http://host:port"`: the short form that makes an upstream of its own.

use super::host_port;
use crate::config::settings::upstream::Target;

/// What a URL in place of an upstream's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamUrl {
    /// `host:port`, the port written out; the implicit upstream's name and its only endpoint.
    pub(crate) authority: String,
    /// Where to connect.
    pub(crate) target: Target,
    /// `https`
    pub(crate) tls: bool,
}

/// Last labels of names that are kept for private use, or for nobody.
const PRIVATE: [&str; 13] = [
    "arpa",
    "corp",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "svc",
    "test",
];

impl UpstreamUrl {
    /// The public name of a service that is asked over TLS: its certificate is for it, and it is mostly told apart from
    /// others by it.
    pub(crate) fn public_name(&self) -> Option<&str> {
        let Target::Name(host, _) = &self.target else { return None };
        let name = host_port::without_root(host);
        let (_, last) = name.rsplit_once('.')?;
        (self.tls && !PRIVATE.contains(&last)).then_some(name)
    }
}

impl UpstreamUrl {
    /// `Host` of requests for that public name (RFC 9110, section 7.2).
    pub(crate) fn public_host(&self) -> Option<String> {
        let name = self.public_name()?;
        let Target::Name(_, port) = &self.target else { return None };
        Some(if *port == 443 { name.to_owned() } else { format!("{name}:{port}") })
    }
}

/// Whether this is meant as a URL and not as a name.
pub(crate) fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// Reads `http://host`, `http://host:port` or `https://…`, with nothing after it but a slash.
pub(crate) fn parse(text: &str) -> Result<UpstreamUrl, String> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| "a URL begins with http://".to_owned())?;
    let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err("the scheme is neither http nor https".to_owned()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("an upstream's URL has no path; `rewrite` changes paths".to_owned());
    }
    if authority.contains('@') {
        return Err("an upstream's URL has no user name or password".to_owned());
    }
    let has_port = authority.rfind(':').is_some_and(|colon| authority.rfind(']').is_none_or(|end| colon > end));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    let target = host_port::parse(&authority)?;
    let authority = match &target {
        Target::Socket(address) => address.to_string(),
        Target::Name(host, port) => format!("{host}:{port}"),
    };
    Ok(UpstreamUrl { authority, target, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_name_is_one_that_the_world_knows() {
        let public = |text| parse(text).unwrap().public_name().map(str::to_owned);
        assert_eq!(public("https://API.example.com:8443").as_deref(), Some("api.example.com"));
        assert_eq!(public("https://api.example.com.").as_deref(), Some("api.example.com"));
        for text in [
            "http://api.example.com",
            "https://orders",
            "https://orders.internal",
            "https://a.svc.cluster.local",
            "https://10.0.0.7",
            "https://[::1]:8443",
        ] {
            assert_eq!(public(text), None, "{text}");
        }
    }

    #[test]
    fn urls_that_read() {
        let authority = |text| parse(text).map(|url| url.authority);
        assert_eq!(authority("http://127.0.0.1:9001").as_deref(), Ok("127.0.0.1:9001"));
        assert_eq!(authority("http://127.0.0.1:9001/").as_deref(), Ok("127.0.0.1:9001"));
        assert_eq!(authority("http://Orders.internal").as_deref(), Ok("orders.internal:80"));
        assert_eq!(authority("https://orders.internal").as_deref(), Ok("orders.internal:443"));
        assert_eq!(authority("http://[::1]").as_deref(), Ok("[::1]:80"));
    }

    #[test]
    fn urls_that_do_not() {
        for text in ["ftp://a", "http://", "http://a/b", "http://a?b", "http://u@a", "http://a:0", "http://a:70000"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
