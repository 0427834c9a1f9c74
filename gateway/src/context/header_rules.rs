//! Which names a client may not use: the identity headers of the configuration and what only proxies say, with their
//! look-alikes. Compiled at load; asked once for each name of each request.
//!
//! Case is folded already (`http` holds names in lower case). What is left of look-alikes are names that differ in
//! punctuation only: many a framework hands `X_User_Id`, `X.User.Id` and `X-User-Id` to the application as one variable
//! (CGI, RFC 3875, section 4.1.18). So names are compared with every punctuation mark read as a dash.

use smallvec::SmallVec;

use super::hop_by_hop;
use crate::config::settings::identity::{HeaderPattern, IdentityHeaders};
use crate::config::settings::server::Underscores;

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
}

impl HeaderRules {
    /// Compiles the settings. The subject and scopes headers are identity headers whether or not they are listed.
    pub fn new(identity: &IdentityHeaders, underscores: Underscores) -> Self {
        let mut exact = vec![fold(identity.subject_header.as_str()), fold(identity.scopes_header.as_str())];
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
        Self { underscores, exact, prefixes, first }
    }

    /// Whether only the gateway may set this header, `name` in lower case.
    pub fn is_identity(&self, name: &str) -> bool {
        if is_plain(name.as_bytes()) { self.matches_folded(name.as_bytes()) } else { self.matches_folded(&fold(name)) }
    }

    /// Judges one name of a request, in lower case. `hop_by_hop` names are not judged here, their look-alikes are.
    #[inline]
    pub(super) fn judge(&self, name: &[u8], peer_trusted: bool) -> Verdict {
        if is_plain(name) {
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
        let frames = matches!(&folded[..], b"content-length" | b"host")
            || hop_by_hop::kind(&folded) != hop_by_hop::Kind::EndToEnd;
        // A look-alike of what proxies say goes even from a trusted peer: a proxy knows how to spell it.
        if frames || self.matches_folded(&folded) || is_for_proxies(&folded) { Verdict::Remove } else { Verdict::Keep }
    }

    #[inline]
    fn matches_folded(&self, name: &[u8]) -> bool {
        let Some(first) = name.first() else { return false };
        self.first[usize::from(*first)]
            && (self.prefixes.iter().any(|prefix| name.starts_with(prefix))
                || self.exact.binary_search_by(|known| known[..].cmp(name)).is_ok())
    }
}

/// What only a proxy in front of the gateway may say (security.md, B3): believed from trusted peers.
#[inline]
fn is_for_proxies(name: &[u8]) -> bool {
    match name {
        [b'x', b'-', rest @ ..] => {
            rest.starts_with(b"forwarded-")
                || rest.starts_with(b"gw-")
                || matches!(rest, b"real-ip" | b"request-id" | b"original-url" | b"rewrite-url")
        }
        _ => name == b"forwarded",
    }
}

/// Letters, digits and dashes only. Written without an early exit, so that it is vectorised.
#[inline]
fn is_plain(name: &[u8]) -> bool {
    let odd = |byte: u8| (byte.wrapping_sub(b'a') >= 26) & (byte.wrapping_sub(b'0') >= 10) & (byte != b'-');
    !name.iter().fold(false, |found, byte| found | odd(*byte))
}

fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn fold(name: &str) -> Box<[u8]> {
    name.bytes().map(fold_byte).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn rules(underscores: Underscores) -> HeaderRules {
        let identity = IdentityHeaders {
            strip: vec![
                HeaderPattern::Prefix("x-auth-".into()),
                HeaderPattern::Exact(HeaderName::from_static("x-user")),
                HeaderPattern::Exact(HeaderName::from_static("tenant_id")),
                HeaderPattern::Exact(HeaderName::from_static("x-auth-covered")),
            ],
            subject_header: HeaderName::from_static("x-subject"),
            scopes_header: HeaderName::from_static("x-auth-scopes"),
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
    fn a_bare_star_strips_every_name() {
        let identity = IdentityHeaders {
            strip: vec![HeaderPattern::Prefix(String::new())],
            subject_header: HeaderName::from_static("x-subject"),
            scopes_header: HeaderName::from_static("x-scopes"),
        };
        assert!(HeaderRules::new(&identity, Underscores::Keep).is_identity("anything"));
    }
}
