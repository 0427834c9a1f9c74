//! `affinity` of an upstream: a cookie that brings a client back to the endpoint that answered it.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a token: whoever wants to meet one by chance tries for ever.
const TOKEN: usize = 16;

/// `affinity`
#[derive(Clone)]
pub struct Affinity {
    /// The cookie's name.
    pub cookie: Box<str>,
    /// What stands behind its value, `Secure` aside.
    pub attributes: Box<str>,
    key: hmac::Key,
    /// Tells keys apart without keeping them.
    print: Box<str>,
}

impl Affinity {
    /// With a secret that all gateways share.
    pub fn new(cookie: &str, attributes: String, secret: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let print = token_of(&key, &[b"print"]);
        Self { cookie: cookie.into(), attributes: attributes.into(), key, print }
    }

    /// The name of the cookie that stands for a primary, or for a backup. No name of ours that is made of an upstream's
    /// has a dot, so that it is no other upstream's.
    pub fn cookie_of(&self, backup: bool) -> Cow<'_, str> {
        if backup { Cow::Owned(format!("{}.backup", self.cookie)) } else { Cow::Borrowed(&self.cookie) }
    }

    /// What stands for an endpoint of an upstream. Nobody without the secret can tell which, or make one of another.
    pub fn token(&self, upstream: &str, address: &str) -> Box<str> {
        token_of(&self.key, &[upstream.as_bytes(), b"\0", address.as_bytes()])
    }
}

fn token_of(key: &hmac::Key, parts: &[&[u8]]) -> Box<str> {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..TOKEN]).into()
}

impl PartialEq for Affinity {
    fn eq(&self, other: &Self) -> bool {
        (&self.cookie, &self.attributes, &self.print) == (&other.cookie, &other.attributes, &other.print)
    }
}

impl std::fmt::Debug for Affinity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Affinity({}{})", self.cookie, self.attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_endpoint_of_one_upstream_under_one_secret() {
        let affinity = Affinity::new("c", String::new(), "one secret of some length");
        let token = affinity.token("up", "10.0.0.1:80");
        assert_eq!((token.len(), &affinity.token("up", "10.0.0.1:80")), (22, &token));
        let other = Affinity::new("c", String::new(), "another secret of some length");
        for different in
            [affinity.token("up", "10.0.0.2:80"), affinity.token("u", "p10.0.0.1:80"), other.token("up", "10.0.0.1:80")]
        {
            assert_ne!(different, token);
        }
        assert!(!format!("{affinity:?}").contains("secret") && affinity != other);
    }
}
