//! `cors`: which web pages of other origins may use a route.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

/// One of `origins`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// An origin as browsers write it.
    Exact(HeaderValue),
    /// `https://*.example.com:8443`: one label or more before the host. The host itself is none of them.
    Below {
        /// `https://`
        scheme: Box<str>,
        /// `.example.com:8443`
        suffix: Box<str>,
    },
}

/// The longest host (RFC 1035, section 2.3.4).
const LONGEST_HOST: usize = 253;

impl AllowedOrigin {
    /// Whether it is this one. The comparison is of bytes: browsers write an origin in one way (RFC 6454, section 6.2),
    /// and what a star stands for is whole labels of a host's name and nothing else, so no port, no user and no path
    /// can hide there.
    fn is(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Exact(known) => known == origin,
            Self::Below { scheme, suffix } => {
                let below = origin.as_bytes().strip_prefix(scheme.as_bytes());
                let labels = below.and_then(|host| host.strip_suffix(suffix.as_bytes()));
                labels.is_some_and(|labels| {
                    labels.len() + suffix.len() <= LONGEST_HOST && labels.split(|byte| *byte == b'.').all(is_label)
                })
            }
        }
    }
}

/// A label as browsers write it: names in other scripts are `xn--` by then.
fn is_label(label: &[u8]) -> bool {
    let is_of_label = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.len() <= 63 && label.iter().all(is_of_label)
}

impl std::fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(origin) => f.write_str(origin.to_str().unwrap_or_default()),
            Self::Below { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
        }
    }
}

/// `cors`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Who may call; `None` is every origin.
    pub origins: Option<Vec<AllowedOrigin>>,
    /// With which methods; `None` is any.
    pub methods: Option<Vec<Method>>,
    /// With which headers, beside those that every page may send; `*` is any.
    pub headers: Vec<HeaderName>,
    /// Headers of answers that pages may read beside those that every page may, and the gateway's own, as a browser is
    /// told of them; `*` is any.
    pub exposed: Option<HeaderValue>,
    /// With cookies and credentials; never together with every origin.
    pub credentials: bool,
    /// How long a browser may keep the answer to a preflight.
    pub max_age: Duration,
}

/// What a page sends that calls gRPC, beside what its program adds: its type, which is none that every page may send,
/// its deadline, and who it is.
const OF_CALLS: [HeaderName; 4] = [
    CONTENT_TYPE,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
];

const EVERY: HeaderValue = HeaderValue::from_static("*");

impl Cors {
    /// Lets pages call gRPC, where they may call at all.
    pub fn let_calls_in(&mut self) {
        if let Some(methods) = self.methods.as_mut().filter(|methods| !methods.contains(&Method::POST)) {
            methods.push(Method::POST);
        }
        if self.headers.iter().all(|name| name.as_str() != "*") {
            let missing = OF_CALLS.into_iter().filter(|name| !self.headers.contains(name)).collect::<Vec<_>>();
            self.headers.extend(missing);
        }
    }

    /// What a page of this origin is answered as `access-control-allow-origin`; `None` where it may not call.
    pub fn allows(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            None => Some(EVERY),
            Some(origins) => origins.iter().any(|known| known.is(origin)).then(|| origin.clone()),
        }
    }

    /// Whether pages may send this method with these headers (Fetch, "CORS-preflight fetch"). GET, HEAD and POST are
    /// every page's, and `*` is any header but `authorization`.
    pub fn grants(&self, method: &Method, names: &[HeaderName]) -> bool {
        let is_plain = matches!(*method, Method::GET | Method::HEAD | Method::POST);
        let takes_any = self.headers.iter().any(|name| name.as_str() == "*");
        (is_plain || self.methods.as_ref().is_none_or(|methods| methods.contains(method)))
            && names.iter().all(|name| self.headers.contains(name) || (takes_any && *name != AUTHORIZATION))
    }

    /// Whether answers differ by who asks, so that caches have to tell them apart.
    pub fn varies(&self) -> bool {
        self.origins.is_some()
    }

    /// Who may call, as configured; empty where that is every origin.
    pub fn origins_texts(&self) -> Vec<String> {
        self.origins.iter().flatten().map(ToString::to_string).collect()
    }

    /// `access-control-allow-methods`
    pub fn methods_text(&self) -> String {
        match &self.methods {
            None => "*".to_owned(),
            Some(methods) => list(methods.iter().map(Method::as_str)),
        }
    }

    /// `access-control-allow-headers`; empty where there is none.
    pub fn headers_text(&self) -> String {
        list(self.headers.iter().map(HeaderName::as_str))
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

impl std::fmt::Display for Cors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origins {
            None => write!(f, "every origin")?,
            Some(_) => write!(f, "{}", self.origins_texts().join(", "))?,
        }
        let headers = if self.headers.is_empty() { "no further headers".to_owned() } else { self.headers_text() };
        let credentials = if self.credentials { "with" } else { "without" };
        write!(f, "; {}; {headers}; {credentials} credentials; kept {:?}", self.methods_text(), self.max_age)?;
        match self.exposed.as_ref().and_then(|exposed| exposed.to_str().ok()) {
            Some(exposed) => write!(f, "; pages read {exposed}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::origin;

    fn allows(pattern: &str, origin: &str) -> bool {
        let pattern = origin::parse(pattern).unwrap();
        HeaderValue::from_bytes(origin.as_bytes()).is_ok_and(|origin| pattern.is(&origin))
    }

    #[test]
    fn a_star_stands_for_one_label_or_more() {
        for origin in [
            "https://a.example.com",
            "https://a.b.example.com",
            "https://xn--4ca.example.com",
            "https://a_b-1.example.com",
        ] {
            assert!(allows("https://*.example.com", origin), "{origin}");
        }
        assert!(allows("https://*.example.com:8443", "https://a.example.com:8443"));
        assert!(allows("http://*.localhost:3000", "http://app.localhost:3000"));
        assert!(!allows("https://*.example.com", "https://example.com"), "the domain itself is another origin");
    }

    /// Tricks of published lists (PortSwigger's "Exploiting CORS misconfigurations for bitcoins and bounties" and its
    /// URL validation bypass sheet, Corsy, CORScanner, PayloadsAllTheThings): ends and beginnings that only look alike,
    /// what browsers take within a host, other schemes and ports, and `null`.
    #[test]
    fn no_published_trick_passes_a_star() {
        let long = format!("https://{}example.com", "a.".repeat(130));
        let label = format!("https://{}.example.com", "a".repeat(64));
        let tricks = [
            "null",
            "*",
            "",
            "https://evilexample.com",
            "https://evil-example.com",
            "https://example.com.evil.com",
            "https://a.example.com.evil.com",
            "https://a.example.comevil.com",
            "https://evil.com/.example.com",
            "https://evil.com/https://a.example.com",
            "https://evil.com?.example.com",
            "https://evil.com#.example.com",
            "https://evil.com\\.example.com",
            "https://evil.com:443.example.com",
            "https://a.example.com:443",
            "https://a.example.com:8443",
            "https://a.example.com:",
            "https://a.example.com.",
            "https://a.example.com/",
            "https://a.example.com@evil.com",
            "https://evil.com@a.example.com",
            "https://user:pass@a.example.com",
            "https://.example.com",
            "https://..example.com",
            "https://a..example.com",
            "https://.a.example.com",
            "https://*.example.com",
            "https://evil.com%00.example.com",
            "https://evil.com%60.example.com",
            "https://evil.com`.example.com",
            "https://evil.com!.example.com",
            "https://evil.com$.example.com",
            "https://evil.com,.example.com",
            "https://evil.com(.example.com",
            "https://evil.com{.example.com",
            "https://evil.com|.example.com",
            "https://evil.com~.example.com",
            "https://evil.com+.example.com",
            "https://evil.com=.example.com",
            "https://evil.com&.example.com",
            "https://evil.com;.example.com",
            "https://evil.com'.example.com",
            "https://evil.com\".example.com",
            "https://evil.com^.example.com",
            "https://evil.com<.example.com",
            "https://evil.com .example.com",
            "https://evil.com\t.example.com",
            "https://evil.com\u{7f}.example.com",
            "https://\u{e4}.example.com",
            "https://a.ex\u{e4}mple.com",
            "https://A.example.com",
            "https://a.EXAMPLE.com",
            "HTTPS://a.example.com",
            "https://a.examplexcom",
            "https://a.example.co",
            "https://[::1].example.com",
            "http://a.example.com",
            "ftp://a.example.com",
            "xhttps://a.example.com",
            "//a.example.com",
            "a.example.com",
            "https:a.example.com",
            "https:/a.example.com",
            "https:///a.example.com",
            "https://a.example.com https://evil.com",
            "https://evil.com https://a.example.com",
            "https://a.example.com,https://evil.com",
            &long,
            &label,
        ];
        for origin in tricks {
            assert!(!allows("https://*.example.com", origin), "{origin}");
        }
    }
}
