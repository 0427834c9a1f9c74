//! How often a request has come by here: an upstream may be this gateway itself, by its address, a name of it or a
//! balancer before it, and then one request comes back until nothing is left to serve others with.
//!
//! In its own element of `forwarded` the gateway gives itself a name (`by`; RFC 7239, section 6.3), which is a digest
//! of where its routes lead and tells nothing of where it runs: gateways of one configuration have one name, since a
//! request may go round among several that stand behind one balancer. From the second pass on, the number of passes is
//! behind it.
//! `via` would say the same, but services do not compress what they answer to a request that has it: nginx by default.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::hex;
use super::names::FORWARDED;
use crate::config::settings::Config;
use crate::error::{Code, GatewayError};

/// So often a request may come by: a service behind the gateway may ask another one by the gateway, and so on, and pass
/// on the headers that it got itself.
const MOST: u32 = 10;
/// What stands before the name.
const BY: &[u8] = b";by=";
/// `;by=_` and sixteen digits.
const LENGTH: usize = 21;

/// What this process calls itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnName([u8; LENGTH]);

impl OwnName {
    /// The name of a gateway that is started with this configuration.
    pub fn of(config: &Config) -> Self {
        let mut hasher = DefaultHasher::new();
        for route in &config.routes {
            (&route.name, &route.upstream).hash(&mut hasher);
        }
        for upstream in &config.upstreams {
            (&upstream.name, format!("{:?}", upstream.endpoints)).hash(&mut hasher);
        }
        Self::made_of(hasher.finish())
    }

    /// A name of these bits.
    fn made_of(bits: u64) -> Self {
        let mut text = *b";by=_0000000000000000";
        hex::encode(&bits.to_be_bytes(), &mut text[BY.len() + 1..]);
        Self(text)
    }

    /// The last parameter of an element, as of a request that comes for the first time.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    /// How often the request has come by before.
    ///
    /// # Errors
    /// 508: it comes again and again.
    #[cold]
    pub fn passes(&self, headers: &HeaderMap) -> Result<u32, GatewayError> {
        let lines = headers.get_all(&FORWARDED).iter();
        let passes = lines.map(|line| self.most_of(line.as_bytes())).max().unwrap_or_default();
        if passes < MOST {
            return Ok(passes);
        }
        let detail = "The request has come back to this gateway again and again.";
        Err(GatewayError::new(Code::RequestLoop, detail).because("an upstream of its route is this gateway itself"))
    }

    /// The most passes that a line tells of.
    fn most_of(&self, line: &[u8]) -> u32 {
        let name = &self.0[BY.len()..];
        let told = memchr::memmem::find_iter(line, name).map(|at| number_behind(&line[at + name.len()..]));
        told.max().unwrap_or_default()
    }
}

/// Tells the next one of a request that has come by before. The gateway's own element was written last, and its name
/// ends it.
pub fn tell(headers: &mut HeaderMap, passes: u32) {
    if passes == 0 {
        return;
    }
    let Some(value) = headers.get(&FORWARDED) else { return };
    let counted = [value.as_bytes(), b".", itoa::Buffer::new().format(passes + 1).as_bytes()].concat();
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(counted)) {
        headers.insert(&FORWARDED, value);
    }
}

/// `.3`; the name alone is the first pass.
fn number_behind(text: &[u8]) -> u32 {
    let Some((b'.', digits)) = text.split_first() else { return 1 };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).take(4);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::{Peer, Scheme, TrustedProxies, set_forwarded};
    use super::*;

    const NAME: &str = "_00000000000000ff";

    fn passes(lines: &[&str]) -> Option<u32> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&FORWARDED, line.parse().unwrap());
        }
        OwnName::made_of(255).passes(&headers).ok()
    }

    #[test]
    fn gateways_of_one_configuration_have_one_name_and_others_another() {
        let name = |upstream: &str| {
            let text = format!("[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{upstream}'\n");
            let loaded = crate::config::load_text(&text, "a.toml".as_ref(), crate::config::Purpose::Check);
            OwnName::of(&loaded.unwrap().config)
        };
        assert_eq!(name("127.0.0.1:1"), name("127.0.0.1:1"));
        assert_ne!(name("127.0.0.1:1"), name("127.0.0.1:2"));
    }

    #[test]
    fn passes_are_read_wherever_the_own_name_stands() {
        assert_eq!(passes(&[]), Some(0));
        assert_eq!(passes(&["for=10.0.0.1;by=_00000000000000fe;proto=http"]), Some(0), "another one");
        assert_eq!(passes(&[&format!("for=10.0.0.1;by={NAME}")]), Some(1));
        assert_eq!(passes(&[&format!("for=10.0.0.1;by=\"{NAME}.2\";proto=http, for=10.0.0.2")]), Some(2));
        assert_eq!(passes(&[&format!("by={NAME}.4"), &format!("by={NAME}, by={NAME}.9")]), Some(9));
        for odd in [".", ".0", ".x", "x"] {
            assert_eq!(passes(&[&format!("by={NAME}{odd}")]), Some(1), "{odd}");
        }
        for many in [".10", ".11, for=10.0.0.1", ".99999999999999999999"] {
            assert_eq!(passes(&[&format!("by={NAME}{many}")]), None, "{many}");
        }
    }

    #[test]
    fn whoever_the_peer_is_a_request_that_comes_back_comes_to_its_end() {
        let own = OwnName::made_of(255);
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http).named(own);
        for trusted in [None, Some(&proxies)] {
            let mut headers = HeaderMap::new();
            for pass in 0..MOST {
                assert_eq!(own.passes(&headers).unwrap(), pass);
                set_forwarded(&mut headers, &peer, trusted, Some(&HeaderValue::from_static("a.test")));
                tell(&mut headers, pass);
            }
            let refused = own.passes(&headers).unwrap_err();
            assert_eq!((refused.code, refused.status().as_u16()), (Code::RequestLoop, 508));
            let line = headers[&FORWARDED].to_str().unwrap();
            assert!(line.ends_with(&format!("for=10.0.0.1;host=a.test;proto=http;by={NAME}.{MOST}")), "{line}");
        }
    }

    #[test]
    fn the_name_ends_the_lines_that_are_made_for_a_connection() {
        let peer = Peer::new("192.0.2.1:9".parse().unwrap(), Scheme::Http).named(OwnName::made_of(255));
        let line = format!("\r\nforwarded: for=192.0.2.1;host=a;proto=http;by={NAME}\r\n");
        assert!(peer.host(&HeaderValue::from_static("a")).lines.ends_with(line.as_bytes()));
    }
}
