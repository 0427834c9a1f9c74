//! Names that have numbers: those that most requests have, that the gateway itself looks for, and that speak of a
//! connection. A number is found once, while the head is read, and compared since; which of them are there is a set of
//! bits, so that to look for a name that is not there is one test.
//!
//! Invariants: a number stands for one name in lower case, and no other name has it; all names that speak of one
//! connection have one (`context/hop_by_hop.rs` holds itself to that).

use std::fmt;

/// A name that has a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KnownName(u8);

/// Such names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct NameSet(u64);

macro_rules! known_names {
    ($($constant:ident = $text:literal,)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "they are the names of constants")]
        #[repr(u8)]
        enum Number {
            $($constant),*
        }

        impl KnownName {
            $(
                #[doc = concat!("`", $text, "`")]
                pub const $constant: Self = Self(Number::$constant as u8 + 1);
            )*
        }

        /// By number; none has the first.
        static TEXTS: [&str; COUNT + 1] = ["", $($text),*];
        const COUNT: usize = [$($text),*].len();
        const KEYS: [Key; COUNT + 1] = [Key::of(b""), $(Key::of($text.as_bytes())),*];
    };
}

known_names! {
    ACCEPT = "accept",
    ACCEPT_CHARSET = "accept-charset",
    ACCEPT_ENCODING = "accept-encoding",
    ACCEPT_LANGUAGE = "accept-language",
    ACCESS_CONTROL_REQUEST_HEADERS = "access-control-request-headers",
    ACCESS_CONTROL_REQUEST_METHOD = "access-control-request-method",
    AUTHORIZATION = "authorization",
    CACHE_CONTROL = "cache-control",
    CONNECTION = "connection",
    CONTENT_ENCODING = "content-encoding",
    CONTENT_LENGTH = "content-length",
    CONTENT_TYPE = "content-type",
    COOKIE = "cookie",
    DNT = "dnt",
    EARLY_DATA = "early-data",
    EXPECT = "expect",
    FORWARDED = "forwarded",
    GRPC_TIMEOUT = "grpc-timeout",
    HOST = "host",
    HTTP2_SETTINGS = "http2-settings",
    IDEMPOTENCY_KEY = "idempotency-key",
    IF_MATCH = "if-match",
    IF_MODIFIED_SINCE = "if-modified-since",
    IF_NONE_MATCH = "if-none-match",
    IF_RANGE = "if-range",
    IF_UNMODIFIED_SINCE = "if-unmodified-since",
    KEEP_ALIVE = "keep-alive",
    MAX_FORWARDS = "max-forwards",
    ORIGIN = "origin",
    PRAGMA = "pragma",
    PRIORITY = "priority",
    PROXY_AUTHENTICATE = "proxy-authenticate",
    PROXY_AUTHENTICATION_INFO = "proxy-authentication-info",
    PROXY_AUTHORIZATION = "proxy-authorization",
    PROXY_CONNECTION = "proxy-connection",
    RANGE = "range",
    REFERER = "referer",
    SEC_CH_UA = "sec-ch-ua",
    SEC_CH_UA_MOBILE = "sec-ch-ua-mobile",
    SEC_CH_UA_PLATFORM = "sec-ch-ua-platform",
    SEC_FETCH_DEST = "sec-fetch-dest",
    SEC_FETCH_MODE = "sec-fetch-mode",
    SEC_FETCH_SITE = "sec-fetch-site",
    SEC_FETCH_USER = "sec-fetch-user",
    SEC_GPC = "sec-gpc",
    SEC_WEBSOCKET_KEY = "sec-websocket-key",
    SEC_WEBSOCKET_VERSION = "sec-websocket-version",
    TE = "te",
    TRACEPARENT = "traceparent",
    TRACESTATE = "tracestate",
    TRAILER = "trailer",
    TRANSFER_ENCODING = "transfer-encoding",
    UPGRADE = "upgrade",
    UPGRADE_INSECURE_REQUESTS = "upgrade-insecure-requests",
    USER_AGENT = "user-agent",
    VIA = "via",
    X_API_KEY = "x-api-key",
    X_FORWARDED_FOR = "x-forwarded-for",
    X_FORWARDED_HOST = "x-forwarded-host",
    X_FORWARDED_PROTO = "x-forwarded-proto",
    X_REQUEST_ID = "x-request-id",
    X_REQUEST_TIMEOUT_MS = "x-request-timeout-ms",
    X_REQUESTED_WITH = "x-requested-with",
}

/// A name's length, its first eight bytes and its last eight, as numbers, the first byte lowest. Of a name that is
/// shorter than that the first are all, and the last are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) length: usize,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// So long names are told apart by their keys.
const WHOLE: usize = 16;

impl Key {
    /// That of a name in lower case.
    const fn of(name: &[u8]) -> Self {
        let (length, mut first, mut last, mut at) = (name.len(), 0, 0, 0);
        while at < length {
            if at < 8 {
                first |= (name[at] as u64) << (8 * at);
            }
            if length >= 8 && at + 8 >= length {
                last |= (name[at] as u64) << (8 * (at + 8 - length));
            }
            at += 1;
        }
        Self { length, first, last }
    }

    /// The same of a name that it tells from all others.
    pub(crate) const fn of_whole(name: &[u8]) -> Self {
        assert!(name.len() <= WHOLE, "the bytes between would not be looked at");
        Self::of(name)
    }

    /// The same, quickly.
    #[inline]
    fn read(name: &[u8]) -> Self {
        let length = name.len();
        let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Self { length, first: word(first), last: word(last) };
        }
        let first = match (name.first_chunk(), name.last_chunk()) {
            // What overlaps is the same in both.
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (length - 4))
            }
            _ => name.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
        };
        Self { length, first, last: 0 }
    }

    /// Where in the table its number would be.
    #[inline]
    const fn slot(self) -> u8 {
        let mixed = (self.first ^ self.last.rotate_left(29)).wrapping_add(self.length as u64);
        // Found by trial: no two names have one slot, and the table is not made if they have.
        (mixed.wrapping_mul(0xa170_b338_3926_3059) >> 56) as u8
    }
}

/// The numbers by slot; zero where there is none.
static SLOTS: [u8; 256] = {
    let (mut slots, mut number) = ([0; 256], 1);
    while number <= COUNT {
        let slot = KEYS[number].slot() as usize;
        assert!(slots[slot] == 0, "two names have one slot: try another factor");
        slots[slot] = number as u8;
        number += 1;
    }
    slots
};

static KEY_OF: [Key; 64] = {
    let (mut keys, mut number) = ([Key { length: usize::MAX, first: 0, last: 0 }; 64], 1);
    while number <= COUNT {
        keys[number] = KEYS[number];
        number += 1;
    }
    keys
};

impl KnownName {
    /// The number of a name, in lower case.
    #[inline]
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::of_key(Key::read(name), |known| name == known)
    }

    /// The same for who has its key; `is` says whether a name that is longer than what the key tells is this one.
    #[inline]
    pub(crate) fn of_key(key: Key, is: impl FnOnce(&[u8]) -> bool) -> Option<Self> {
        let known = Self(SLOTS[usize::from(key.slot())]);
        let is_it = KEY_OF[known.index()] == key && (key.length <= WHOLE || is(known.text().as_bytes()));
        is_it.then_some(known)
    }

    /// The name.
    #[inline]
    pub fn text(self) -> &'static str {
        TEXTS[self.index()]
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..).take(COUNT).map(Self)
    }

    #[inline]
    fn index(self) -> usize {
        usize::from(self.0 & 63)
    }
}

impl fmt::Debug for KnownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl NameSet {
    /// Names without a number, as far as a set can tell: all of them are one.
    pub(crate) const OTHERS: Self = Self(1);
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    pub const fn of(names: &[KnownName]) -> Self {
        let (mut all, mut at) = (0, 0);
        while at < names.len() {
            all |= 1 << names[at].0;
            at += 1;
        }
        Self(all)
    }

    /// The names of both.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in the other one, too.
    #[inline]
    #[must_use]
    pub(super) const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other one.
    #[inline]
    #[must_use]
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one.
    #[inline]
    pub const fn contains(self, name: KnownName) -> bool {
        self.0 & (1 << (name.0 & 63)) != 0
    }
}

/// What a field is looked up by beside its name: the number of a known name, or 64 and what tells most other names
/// apart, below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    #[inline]
    pub(super) const fn of_known(name: KnownName) -> Self {
        Self(name.0)
    }

    /// Of a name that has no number: its length, and three of its letters.
    #[inline]
    pub(super) fn of_other(name: &[u8]) -> Self {
        let [first, .., last] = name else { return Self(64 | name.first().copied().unwrap_or(0) & 63) };
        let middle = name[name.len() / 2];
        let length = name.len() as u8;
        let letters = first.wrapping_add(last.wrapping_mul(5)).wrapping_add(middle.wrapping_mul(11));
        Self(64 | letters.wrapping_add(length.wrapping_mul(3)) & 63)
    }

    /// Whether it is a number, which no other name has.
    #[inline]
    pub(super) fn is_known(self) -> bool {
        self.0 < 64
    }

    /// The name of this number.
    #[inline]
    pub(super) fn known(self) -> Option<KnownName> {
        self.is_known().then_some(KnownName(self.0))
    }

    /// Its bit among its kind.
    #[inline]
    pub(super) fn bit(self) -> u64 {
        1 << (self.0 & 63)
    }

    /// The set that it is in.
    #[inline]
    pub(super) fn set(self) -> NameSet {
        if self.is_known() { NameSet(self.bit()) } else { NameSet::OTHERS }
    }
}

/// What a field can be looked up by: a known name, or a text in lower case.
pub trait FieldName: Copy {
    /// The name.
    fn text(&self) -> &str;
    /// Its number, if it has one.
    fn known(&self) -> Option<KnownName>;
}

impl FieldName for KnownName {
    #[inline]
    fn text(&self) -> &str {
        (*self).text()
    }

    #[inline]
    fn known(&self) -> Option<KnownName> {
        Some(*self)
    }
}

impl<T: AsRef<str> + Copy> FieldName for T {
    #[inline]
    fn text(&self) -> &str {
        self.as_ref()
    }

    #[inline]
    fn known(&self) -> Option<KnownName> {
        KnownName::of(self.as_ref().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_known_name_has_its_number_and_no_other_has() {
        assert_eq!(KnownName::all().count(), COUNT);
        for known in KnownName::all() {
            assert_eq!(KnownName::of(known.text().as_bytes()), Some(known));
            assert_eq!(known.text().to_ascii_lowercase(), known.text());
            // One letter less, more, or another one.
            let name = known.text().as_bytes();
            for at in 0..name.len() {
                let mut other = name.to_vec();
                other[at] = b'0';
                assert_eq!(KnownName::of(&other), None, "{known:?}");
                other.remove(at);
                assert!(KnownName::of(&other).is_none_or(|found| found.text().as_bytes() == other), "{known:?}");
            }
        }
        assert_eq!(KnownName::of(b""), None);
    }

    #[test]
    fn a_set_has_what_was_put_there() {
        let set = NameSet::of(&[KnownName::HOST, KnownName::X_REQUESTED_WITH]);
        for known in KnownName::all() {
            let is_one = matches!(known, KnownName::HOST | KnownName::X_REQUESTED_WITH);
            assert_eq!(set.contains(known), is_one, "{known:?}");
            assert_eq!(NameSet::of(&[known]).within(set).is_empty(), !is_one);
        }
        assert!(NameSet::NONE.is_empty() && set.without(set).is_empty() && !set.with(NameSet::OTHERS).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_a_number_says_the_same_name(name in "[a-z0-9-]{0,32}") {
            let expected = KnownName::all().find(|known| known.text() == name);
            prop_assert_eq!(KnownName::of(name.as_bytes()), expected);
            prop_assert_eq!(Key::read(name.as_bytes()), Key::of(name.as_bytes()));
        }
    }
}
