//! How often a request has come by here: an upstream may be this gateway itself, by its address, a name of it or a
//! balancer before it, and then one request comes back until nothing is left to serve others with.
//!
//! In its own element of `forwarded` the gateway gives itself a name (`by`; RFC 7239, section 6.3), which is a digest
//! of where its routes lead and tells nothing of where it runs: gateways of one configuration have one name, since a
//! request may go round among several that stand behind one balancer. From the second pass on, the number of passes is
//! behind it.
//! `via` would say the same, but services do not compress what they answer to a request that has it: nginx by default.
//!
//! What becomes several calls each time that it comes by, in an aggregate or a batch, is counted beside that, as a
//! second number: it grows in a circle, and has fewer passes.
//!
//! Anybody can write such an element: the name is a digest of what is no secret, and services that show headers tell
//! it. The count has no seal all the same, since another gateway of this configuration has to read it, and they share
//! no secret. It ends what goes in a circle, and so it is believed of everybody, but for what it could do to others. A
//! stranger who writes a high count has a service behind the gateway fail, where that one asks another by the gateway
//! and passes the headers on: its call is refused as the last pass of a circle, and a few such requests would open the
//! breaker of that service for everybody. So a request that comes with half of what is let or more, by either number,
//! and for which nobody vouches who is trusted, speaks for itself alone (`Exchange::is_doubtful`): what becomes of it
//! says nothing of an endpoint, pays for and takes no retry, and nothing of it is shared or kept. A lower count is
//! counted on, and is no weapon: the service that it comes to has as many passes left as any chain of calls is likely
//! to take. Of a real circle half of the passes are doubtful, which is nobody's loss.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::hex;
use super::names::FORWARDED;
use super::peer::Peer;
use crate::config::settings::Config;
use crate::error::{Code, GatewayError};
use crate::request_fields::RequestFields;

/// So often a request may come by: a service behind the gateway may ask another one by the gateway, and so on, and pass
/// on the headers that it got itself.
const MOST: u32 = 10;
/// From so many passes on a request is doubtful where no trusted proxy vouches for it. Half of what is let: whoever
/// forges less leaves those who are called behind it the other half, which is more than honest calls take.
const LIKELY: u32 = MOST / 2;
/// So often a request may come by as one of several calls that were made of one: what goes in a circle there grows by
/// as many with each pass, and would be thousands before it has come by `MOST` times.
const MOST_WIDE: u32 = 2;
/// The same as `LIKELY`, of that.
const LIKELY_WIDE: u32 = MOST_WIDE / 2;
/// So often a request that comes by is copied: the copies go in its circle too.
const MOST_COPIED: u32 = 2;
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
    pub fn passes(&self, headers: &RequestFields) -> Result<Passes, GatewayError> {
        let lines = headers.get_all(&FORWARDED).iter();
        let passes = lines.fold(Passes::default(), |most, line| self.most_of(line.as_bytes()).max(most));
        if passes.all < MOST { Ok(passes) } else { Err(in_a_circle()) }
    }

    /// The most passes that a line tells of.
    fn most_of(&self, line: &[u8]) -> Passes {
        let name = &self.0[BY.len()..];
        let told = memchr::memmem::find_iter(line, name).map(|at| Passes::behind(&line[at + name.len()..]));
        told.fold(Passes::default(), Passes::max)
    }
}

/// How often a request has come by before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passes {
    /// In all.
    all: u32,
    /// How often it was made one of several calls on its way: parts of an aggregate, calls of a batch.
    wide: u32,
}

impl Passes {
    /// Nothing is told of them but the name.
    #[inline]
    pub fn is_first(self) -> bool {
        self.all == 0 && self.wide == 0
    }

    /// Whether an honest request may well have come so.
    pub fn is_likely(self) -> bool {
        self.all < LIKELY && self.wide < LIKELY_WIDE
    }

    /// Whether a copy is made of what has come so often.
    #[inline]
    pub fn may_be_copied(self) -> bool {
        self.all < MOST_COPIED
    }

    /// Whether it may be made into several calls.
    ///
    /// # Errors
    /// 508: it comes again and again.
    #[inline]
    pub fn check_growth(self) -> Result<(), GatewayError> {
        if self.wide < MOST_WIDE { Ok(()) } else { Err(in_a_circle()) }
    }

    /// Those of one of several calls that are made of it.
    #[must_use]
    pub fn widened(self) -> Self {
        Self { wide: self.wide + 1, ..self }
    }

    /// In a form in which no two are alike.
    pub fn to_bytes(self) -> [u8; 8] {
        ((u64::from(self.all) << u32::BITS) | u64::from(self.wide)).to_be_bytes()
    }

    fn max(self, other: Self) -> Self {
        Self { all: self.all.max(other.all), wide: self.wide.max(other.wide) }
    }

    /// `.3`, or `.3.1` where it was one of several once; the name alone is the first pass.
    fn behind(text: &[u8]) -> Self {
        let (all, rest) = number(text);
        Self { all: all.unwrap_or(1).max(1), wide: number(rest).0.unwrap_or(0) }
    }

    /// The same in lines that end with the name.
    #[cold]
    pub fn tell_in_lines(self, lines: &mut Vec<u8>, peer: &Peer) {
        const END: &[u8] = b"\r\n";
        if peer.own_name.is_some() && lines.ends_with(END) {
            lines.truncate(lines.len() - END.len());
            self.tell(lines);
            lines.extend_from_slice(END);
        }
    }

    /// Writes behind the name what the next one is told, where that is more than the name.
    fn tell(self, out: &mut Vec<u8>) {
        if self.is_first() {
            return;
        }
        let wide = Some(self.wide).filter(|wide| *wide > 0);
        for number in [Some(self.all + 1), wide].into_iter().flatten() {
            out.push(b'.');
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
    }
}

#[cold]
fn in_a_circle() -> GatewayError {
    let detail = "The request has come back to this gateway again and again.";
    GatewayError::new(Code::RequestLoop, detail).because("an upstream of its route is this gateway itself")
}

/// Tells the next one of a request that has come by before. The gateway's own element was written last, and its name
/// ends it.
pub fn tell(headers: &mut RequestFields, peer: &Peer, passes: Passes) {
    if passes.is_first() || peer.own_name.is_none() {
        return;
    }
    let Some(value) = headers.get(&FORWARDED) else { return };
    let mut counted = value.as_bytes().to_vec();
    passes.tell(&mut counted);
    headers.insert(&FORWARDED, counted);
}

/// A number behind a dot, and what follows it.
fn number(text: &[u8]) -> (Option<u32>, &[u8]) {
    let Some((b'.', rest)) = text.split_first() else { return (None, text) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = rest[..digits].iter().take(4).fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (Some(value), &rest[digits..])
}

#[cfg(test)]
mod tests {
    use super::super::{Scheme, TrustedProxies, set_forwarded};
    use super::*;
    use http::HeaderValue;

    const NAME: &str = "_00000000000000ff";

    fn passes(lines: &[&str]) -> Option<u32> {
        let mut headers = RequestFields::new();
        for line in lines {
            headers.append(&FORWARDED, line);
        }
        OwnName::made_of(255).passes(&headers).ok().map(|passes| passes.all)
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
    fn what_becomes_several_calls_comes_to_its_end_sooner() {
        let own = OwnName::made_of(255);
        let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http).named(own);
        let mut headers = RequestFields::new();
        for (line, likely) in [("", true), (".1.1", false), (".2.2", false)] {
            let told = headers.get(&FORWARDED).map_or("", |line| line.to_str().unwrap());
            assert!(told.ends_with(line), "{told}");
            let passes = own.passes(&headers).unwrap();
            let mut lines = format!("a: b\r\nforwarded: for=a;by={NAME}\r\n").into_bytes();
            passes.widened().tell_in_lines(&mut lines, &peer);
            let expected = [".1.1", ".2.2", ".3.3"][passes.wide as usize];
            assert!(lines.ends_with(format!("{NAME}{expected}\r\n").as_bytes()));
            assert_eq!((passes.is_likely(), passes.check_growth().is_ok()), (likely, line != ".2.2"));
            set_forwarded(&mut headers, &peer, None, None);
            tell(&mut headers, &peer, passes.widened());
        }
        let line = format!("by={NAME}.3, by={NAME}.2.1, by=\"{NAME}.1.99999\"");
        headers.insert(&FORWARDED, line);
        let passes = own.passes(&headers).unwrap();
        assert_eq!(passes, Passes { all: 3, wide: 9999 }, "the most of each");
    }

    #[test]
    fn whoever_the_peer_is_a_request_that_comes_back_comes_to_its_end() {
        let own = OwnName::made_of(255);
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http).named(own);
        for trusted in [None, Some(&proxies)] {
            let mut headers = RequestFields::new();
            for pass in 0..MOST {
                let passes = own.passes(&headers).unwrap();
                assert_eq!(passes, Passes { all: pass, wide: 0 });
                set_forwarded(&mut headers, &peer, trusted, Some(&HeaderValue::from_static("a.test")));
                tell(&mut headers, &peer, passes);
            }
            let refused = own.passes(&headers).unwrap_err();
            assert_eq!((refused.code, refused.status().as_u16()), (Code::RequestLoop, 508));
            let line = headers.get(&FORWARDED).unwrap().to_str().unwrap();
            assert!(line.ends_with(&format!("for=10.0.0.1;host=a.test;proto=http;by={NAME}.{MOST}")), "{line}");
        }
    }

    #[test]
    fn the_name_ends_the_lines_that_are_made_for_a_connection() {
        let peer = Peer::new("192.0.2.1:9".parse().unwrap(), Scheme::Http).named(OwnName::made_of(255));
        let line = format!("\r\nforwarded: for=192.0.2.1;host=a;proto=http;by={NAME}\r\n");
        let asked = peer.host(&HeaderValue::from_static("a"));
        assert!(peer.known(&asked).unwrap().lines.ends_with(line.as_bytes()));
    }
}
