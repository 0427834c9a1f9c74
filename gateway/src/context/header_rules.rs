//! Which names a client may not use: the identity headers of the configuration and what only proxies say, with their
//! look-alikes. Compiled at load; asked once for each name of each request.
//!
//! Case is folded already (`http` holds names in lower case). What is left of look-alikes are names that differ in
//! punctuation only: many a framework hands `X_User_Id`, `X.User.Id` and `X-User-Id` to the application as one variable
//! (CGI, RFC 3875, section 4.1.18). So names are compared with every punctuation mark read as a dash.

use http::HeaderName;
use smallvec::SmallVec;

use super::hop_by_hop;
use crate::algorithms::words::is_plain_name;
use crate::config::settings::identity::{HeaderPattern, IdentityHeaders};
use crate::config::settings::server::Underscores;
use crate::request_fields::{KnownName, NameSet};

/// A name with its punctuation folded; nearly every name fits inline.
type Folded = SmallVec<[u8; 64]>;

/// What is done with a field of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passes.
    Keep,
    /// It is removed.
    Remove,
    /// The whole request is refused.
    Refuse,
}

/// Why a field does not get past the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It speaks of one connection, or its name looks like one that does or that frames a message.
    Connection,
    /// Its name has an underscore, and `underscores_in_headers = "reject"`: the whole request is refused.
    Refused,
    /// Its name has an underscore, and `underscores_in_headers = "drop"`.
    Underscore,
    /// Only the gateway says who asks.
    Identity,
    /// Only a proxy that is trusted says it.
    ForProxies,
}

/// The compiled rules. One value serves all requests of a snapshot.
#[derive(Debug, Clone)]
pub struct HeaderRules {
    underscores: Underscores,
    /// Folded names, sorted; none of them is covered by a prefix.
    exact: Vec<Box<[u8]>>,
    /// Folded beginnings.
    prefixes: Vec<Box<[u8]>>,
    /// Bytes with which an identity name can begin: most names are told apart by this alone.
    first: [bool; 256],
    /// Known names of which nothing has to be asked: they speak of no connection, and pass from any peer, and from a
    /// trusted one.
    passes: [NameSet; 2],
}

impl HeaderRules {
    /// Compiles the settings. What the gateway tells of who asks is an identity header whether or not it is listed.
    pub fn new(identity: &IdentityHeaders, underscores: Underscores) -> Self {
        let told = [&identity.subject_header, &identity.scopes_header, &identity.provider_header];
        let mut exact: Vec<Box<[u8]>> = told.map(|name| fold(name.as_str())).into();
        let mut prefixes = Vec::new();
        for pattern in &identity.strip {
            match pattern {
                HeaderPattern::Exact(name) => exact.push(fold(name.as_str())),
                HeaderPattern::Prefix(prefix) => prefixes.push(fold(prefix)),
            }
        }
        exact.retain(|name| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
        exact.sort();
        exact.dedup();
        let mut first = [prefixes.iter().any(|prefix| prefix.is_empty()); 256];
        for name in exact.iter().chain(&prefixes) {
            if let Some(byte) = name.first() {
                first[usize::from(*byte)] = true;
            }
        }
        let mut rules = Self { underscores, exact, prefixes, first, passes: [NameSet::NONE; 2] };
        rules.passes = [false, true].map(|is_trusted| rules.passing(is_trusted));
        rules
    }

    /// Known names that are kept as they come.
    fn passing(&self, peer_trusted: bool) -> NameSet {
        let passes = |known: &KnownName| {
            let name = known.text().as_bytes();
            hop_by_hop::kind(name) == hop_by_hop::Kind::EndToEnd && self.judge(name, peer_trusted) == Verdict::Keep
        };
        NameSet::of(&KnownName::all().filter(passes).collect::<Vec<_>>())
    }

    /// Known names of which nothing has to be asked: they speak of no connection, and pass from such a peer.
    #[inline]
    pub(super) fn pass_at_once(&self, peer_trusted: bool) -> NameSet {
        self.passes[usize::from(peer_trusted)]
    }

    /// Whether only the gateway may set this header, `name` in lower case.
    pub fn is_identity(&self, name: &str) -> bool {
        if is_plain_name(name.as_bytes()) {
            self.matches_folded(name.as_bytes())
        } else {
            self.matches_folded(&fold(name))
        }
    }

    /// Judges one name of a request, in lower case. `hop_by_hop` names are not judged here, their look-alikes are.
    #[inline]
    pub(super) fn judge(&self, name: &[u8], peer_trusted: bool) -> Verdict {
        if is_plain_name(name) {
            let remove = self.matches_folded(name) || (!peer_trusted && is_for_proxies(name));
            if remove { Verdict::Remove } else { Verdict::Keep }
        } else {
            self.judge_odd(name)
        }
    }

    /// A name with punctuation other than dashes, from whatever peer.
    #[cold]
    fn judge_odd(&self, name: &[u8]) -> Verdict {
        if name.contains(&b'_') {
            match self.underscores {
                Underscores::Reject => return Verdict::Refuse,
                Underscores::Drop => return Verdict::Remove,
                Underscores::Keep => {}
            }
        }
        let folded: Folded = name.iter().map(|byte| fold_byte(*byte)).collect();
        let frames = matches!(&folded[..], b"content-length" | b"host") || !hop_by_hop::kind(&folded).passes();
        // A look-alike of what proxies say goes even from a trusted peer: a proxy knows how to spell it.
        if frames || self.matches_folded(&folded) || is_for_proxies(&folded) { Verdict::Remove } else { Verdict::Keep }
    }

    /// Why no field of this name gets past the gateway; `None` where it does. `te` does as far as it says `trailers`.
    pub fn why_taken(&self, name: &HeaderName, peer_trusted: bool) -> Option<Taken> {
        let name = name.as_str().as_bytes();
        if matches!(hop_by_hop::kind(name), hop_by_hop::Kind::Connection | hop_by_hop::Kind::Hop) {
            return Some(Taken::Connection);
        }
        let folded: Folded = name.iter().map(|byte| fold_byte(*byte)).collect();
        match self.judge(name, peer_trusted) {
            Verdict::Keep => None,
            Verdict::Refuse => Some(Taken::Refused),
            Verdict::Remove if self.underscores == Underscores::Drop && name.contains(&b'_') => Some(Taken::Underscore),
            Verdict::Remove if self.matches_folded(&folded) => Some(Taken::Identity),
            Verdict::Remove if is_for_proxies(&folded) => Some(Taken::ForProxies),
            Verdict::Remove => Some(Taken::Connection),
        }
    }

    #[inline]
    fn matches_folded(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else { return false };
        self.first[usize::from(*first)]
            && (self.prefixes.iter().any(|prefix| name.starts_with(prefix))
                || self.exact.binary_search_by(|known| known[..].cmp(name)).is_ok())
    }
}

/// What only a proxy in front of the gateway may say (security.md, B3): believed from trusted peers. `client-cert` and
/// `client-cert-chain` are the certificate of a handshake that ended before (RFC 9440, section 2.4).
#[inline]
fn is_for_proxies(name: &[u8]) -> bool {
    match name {
        [b'x', b'-', rest @ ..] => {
            rest.starts_with(b"forwarded-")
                || rest.starts_with(b"gw-")
                || matches!(rest, b"real-ip" | b"request-id" | b"original-url" | b"rewrite-url")
        }
        _ => matches!(name, b"forwarded" | b"client-cert" | b"client-cert-chain"),
    }
}

fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn fold(name: &str) -> Box<[u8]> {
    name.bytes().map(fold_byte).collect()
}

#[cfg(test)]
mod tests {
    use http::header;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_names_are_told_apart_byte_by_byte(mut name in "[a-z0-9-]{0,30}", odd in any::<(bool, char, u8)>()) {
            prop_assert!(is_plain_name(name.as_bytes()));
            if odd.0 {
                let at = usize::from(odd.2) % (name.len() + 1);
                name.insert(at, odd.1);
                let expected = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                prop_assert_eq!(is_plain_name(name.as_bytes()), expected);
            }
        }
    }

    #[test]
    fn every_byte_is_judged_the_same_at_every_place() {
        for byte in 0..=255_u8 {
            let expected = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            for (length, at) in [(1, 0), (8, 0), (8, 7), (13, 4), (13, 9), (13, 12)] {
                let mut name = vec![b'a'; length];
                name[at] = byte;
                assert_eq!(is_plain_name(&name), expected, "{byte:#x} at {at} of {length}");
            }
        }
    }

    #[test]
    fn known_names_pass_as_all_rules_say() {
        let strip = vec![HeaderPattern::Prefix("accept-".into()), HeaderPattern::Exact(header::COOKIE)];
        let taken = HeaderRules::new(&IdentityHeaders { strip, ..IdentityHeaders::usual() }, Underscores::Drop);
        for (rules, is_trusted) in
            [(rules(Underscores::Drop), false), (rules(Underscores::Reject), true), (taken, true)]
        {
            let passing = rules.pass_at_once(is_trusted);
            for known in KnownName::all() {
                let name = HeaderName::from_static(known.text());
                let passes = rules.why_taken(&name, is_trusted).is_none() && !matches!(known.text(), "te" | "trailer");
                assert_eq!(passing.contains(known), passes, "{known:?} {is_trusted}");
            }
        }
        let passing = |is_trusted| rules(Underscores::Keep).pass_at_once(is_trusted);
        let (anybody, trusted) = (passing(false), passing(true));
        for name in [KnownName::ACCEPT_LANGUAGE, KnownName::AUTHORIZATION, KnownName::HOST, KnownName::COOKIE] {
            assert!(anybody.contains(name) && trusted.contains(name), "{name:?}");
        }
        for name in [KnownName::FORWARDED, KnownName::X_FORWARDED_FOR, KnownName::X_REQUEST_ID] {
            assert!(!anybody.contains(name) && trusted.contains(name), "{name:?}");
        }
        for name in [KnownName::TE, KnownName::CONNECTION, KnownName::EXPECT, KnownName::UPGRADE, KnownName::TRAILER] {
            assert!(!anybody.contains(name) && !trusted.contains(name), "{name:?}");
        }
    }

    fn rules(underscores: Underscores) -> HeaderRules {
        let identity = IdentityHeaders {
            strip: vec![
                HeaderPattern::Prefix("x-auth-".into()),
                HeaderPattern::Exact(HeaderName::from_static("x-user")),
                HeaderPattern::Exact(HeaderName::from_static("tenant_id")),
                HeaderPattern::Exact(HeaderName::from_static("x-auth-covered")),
            ],
            subject_header: HeaderName::from_static("x-subject"),
            ..IdentityHeaders::usual()
        };
        HeaderRules::new(&identity, underscores)
    }

    #[test]
    fn identity_headers_and_their_look_alikes_are_known() {
        let rules = rules(Underscores::Keep);
        for name in [
            "x-auth-",
            "x-auth-subject",
            "x_auth_subject",
            "x.auth.subject",
            "x-auth_subject",
            "x-user",
            "x_user",
            "x~user",
            "tenant_id",
            "tenant-id",
            "x-subject",
            "x_subject",
            "x-auth-scopes",
        ] {
            assert!(rules.is_identity(name), "{name}");
        }
        for name in ["x-auth", "x-users", "x-use", "user", "tenantid", "", "authorization", "x--user"] {
            assert!(!rules.is_identity(name), "{name}");
        }
        assert_eq!(rules.exact.len(), 3, "names that a prefix covers are not kept twice: {:?}", rules.exact);
    }

    #[test]
    fn names_are_judged() {
        use Verdict::{Keep, Refuse, Remove};
        let cases = [
            // name, from untrusted, from trusted, underscores kept
            ("accept", Keep, Keep),
            ("x-custom", Keep, Keep),
            ("x-auth-subject", Remove, Remove),
            ("x-forwarded-for", Remove, Keep),
            ("x-forwarded-port", Remove, Keep),
            ("x-forwarded", Keep, Keep),
            ("x-forwarded-client-cert", Remove, Keep),
            ("client-cert", Remove, Keep),
            ("client-cert-chain", Remove, Keep),
            ("client-certs", Keep, Keep),
            ("client_cert", Remove, Remove),
            ("forwarded", Remove, Keep),
            ("x-real-ip", Remove, Keep),
            ("x-request-id", Remove, Keep),
            ("x-original-url", Remove, Keep),
            ("x-rewrite-url", Remove, Keep),
            ("x-gw-timeout", Remove, Keep),
            ("x-gw-", Remove, Keep),
            ("x-gwx", Keep, Keep),
            ("x_forwarded_for", Remove, Remove),
            ("x_custom", Keep, Keep),
            ("transfer_encoding", Remove, Remove),
            ("content_length", Remove, Remove),
            ("content.length", Remove, Remove),
            ("x_gw_timeout", Remove, Remove),
            ("x!custom", Keep, Keep),
        ];
        for (name, untrusted, trusted) in cases {
            let keep = rules(Underscores::Keep);
            assert_eq!(keep.judge(name.as_bytes(), false), untrusted, "{name}");
            assert_eq!(keep.judge(name.as_bytes(), true), trusted, "{name}");
            let has_underscore = name.contains('_');
            let drop = rules(Underscores::Drop).judge(name.as_bytes(), false);
            assert_eq!(drop, if has_underscore { Remove } else { untrusted }, "{name}");
            let reject = rules(Underscores::Reject).judge(name.as_bytes(), false);
            assert_eq!(reject, if has_underscore { Refuse } else { untrusted }, "{name}");
        }
    }

    #[test]
    fn why_a_field_is_taken_is_told() {
        let why = |underscores, name| rules(underscores).why_taken(&HeaderName::from_static(name), false);
        for (name, expected) in [
            ("x-custom", None),
            ("te", None),
            ("host", None),
            ("upgrade", Some(Taken::Connection)),
            ("proxy-authorization", Some(Taken::Connection)),
            ("content.length", Some(Taken::Connection)),
            ("x-auth-key", Some(Taken::Identity)),
            ("x.user", Some(Taken::Identity)),
            ("x_user", Some(Taken::Identity)),
            ("x_custom", None),
            ("x-gw-key", Some(Taken::ForProxies)),
        ] {
            assert_eq!(why(Underscores::Keep, name), expected, "{name}");
        }
        assert_eq!(why(Underscores::Reject, "x_custom"), Some(Taken::Refused));
        assert_eq!(why(Underscores::Drop, "x_custom"), Some(Taken::Underscore));
        let name = HeaderName::from_static("x-real-ip");
        assert_eq!(rules(Underscores::Reject).why_taken(&name, true), None);
    }

    #[test]
    fn a_bare_star_strips_every_name() {
        let strip = vec![HeaderPattern::Prefix(String::new())];
        let identity = IdentityHeaders { strip, ..IdentityHeaders::usual() };
        assert!(HeaderRules::new(&identity, Underscores::Keep).is_identity("anything"));
    }
}
