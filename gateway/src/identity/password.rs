//! Users and passwords (RFC 7617). What is dear about them is to say that one holds: `hashing.rs` bounds who does that.
//!
//! A name that nobody has costs what one costs that somebody has: its password is held against another user's hash, the
//! same one each time, and does not hold whatever comes of that. What is remembered of a password is a hash with a key
//! that this process alone has, and only for as long as it runs.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::{Map, Value};

use super::asked::Asked;
use super::claims::Claims;
use crate::config::settings::basic::{Basic, PasswordHash, User};
use crate::telemetry::metrics::AuthResult;

/// Longer credentials are none, in base64.
const MAX_BYTES: usize = 1024;

/// What a provider of passwords has beside its settings.
pub(super) struct Passwords {
    users: Arc<[User]>,
    /// What asks for a password.
    pub(super) challenge: HeaderValue,
    /// Under which it is remembered what was proven and refused.
    key: hmac::Key,
    /// Passwords that are looked at just now: for all workers, since none of it is cheap.
    pub(super) asked: Arc<Asked>,
}

/// A name and a password.
pub(super) struct Pair {
    bytes: Vec<u8>,
    colon: usize,
}

impl Pair {
    fn name(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }
}

impl Passwords {
    pub(super) fn new(settings: &Basic) -> Self {
        let mut key = [0; 32];
        // Without randomness nothing is kept secret by it, and nothing is granted by it either.
        let _ = SystemRandom::new().fill(&mut key);
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm);
        Self {
            users: Arc::clone(&settings.users),
            challenge: challenge.try_into().unwrap_or(HeaderValue::from_static("Basic realm=\"gateway\"")),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            asked: Asked::new(1),
        }
    }

    /// What credentials are remembered by.
    pub(super) fn mark(&self, presented: &[u8]) -> [u8; 32] {
        hmac::sign(&self.key, presented).as_ref().try_into().unwrap_or_default()
    }

    /// Whose password this is. It takes a core some hundred milliseconds.
    ///
    /// # Errors
    /// It is nobody's, or there is no memory to find out.
    pub(super) fn judge(&self, pair: &Pair) -> Result<Claims, AuthResult> {
        let name = std::str::from_utf8(pair.name()).ok();
        let found = name.and_then(|name| self.users.binary_search_by(|user| (*user.name).cmp(name)).ok());
        let user = match found {
            Some(at) => self.users.get(at),
            None => self.users.get(self.decoy(pair.name())),
        };
        let user = user.ok_or(AuthResult::Password)?;
        let holds = holds(&user.hash, pair.password()).map_err(|OutOfMemory| AuthResult::Unavailable)?;
        if !holds || found.is_none() {
            return Err(AuthResult::Password);
        }
        let mut all = Map::new();
        all.insert("sub".into(), Value::from(&*user.name));
        Ok(Claims {
            bound: None,
            all,
            subject: Some(user.name.clone()),
            scopes: Box::default(),
            until: i64::MAX,
            ends: i64::MAX,
        })
    }

    /// Against whose hash a password of nobody's is held: the same for the same name, as it would be of somebody.
    fn decoy(&self, name: &[u8]) -> usize {
        let mark = self.mark(name);
        let number = mark.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        usize::try_from(number % self.users.len().max(1) as u64).unwrap_or(0)
    }
}

/// What was presented, taken apart.
///
/// # Errors
/// It is too long, no base64, has no colon, or characters that control.
pub(super) fn pair(presented: &[u8]) -> Result<Pair, AuthResult> {
    if presented.len() > MAX_BYTES {
        return Err(AuthResult::TooLarge);
    }
    let bytes = STANDARD.decode(presented).map_err(|_| AuthResult::Malformed)?;
    let colon = memchr::memchr(b':', &bytes).ok_or(AuthResult::Malformed)?;
    if bytes.iter().any(u8::is_ascii_control) { Err(AuthResult::Malformed) } else { Ok(Pair { bytes, colon }) }
}

/// There is no memory to compute a hash in.
struct OutOfMemory;

/// Whether a hash is this password's, compared in constant time. Of a password, bcrypt knows 72 bytes.
fn holds(hash: &PasswordHash, password: &[u8]) -> Result<bool, OutOfMemory> {
    match hash {
        PasswordHash::Bcrypt(hash) => Ok(bcrypt::verify(password, hash).unwrap_or(false)),
        PasswordHash::Argon2id(hash) => {
            let params = Params::new(hash.memory, hash.passes, hash.lanes, Some(hash.hash.len()));
            let Ok(params) = params else { return Ok(false) };
            let mut computed = vec![0; hash.hash.len()];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(password, &hash.salt, &mut computed).map_err(|_| OutOfMemory)?;
            Ok(verify_slices_are_equal(&computed, &hash.hash).is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::basic::Argon2id;

    fn bcrypt_of(password: &str) -> PasswordHash {
        PasswordHash::Bcrypt(bcrypt::hash_with_salt(password, 4, [3; 16]).unwrap().to_string().into())
    }

    fn argon2id_of(password: &str) -> PasswordHash {
        let (memory, passes, lanes, salt) = (64, 2, 2, Box::from(*b"saltsalt"));
        let mut hash = vec![0; 32];
        let params = Params::new(memory, passes, lanes, Some(32)).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password.as_bytes(), &salt, &mut hash).unwrap();
        PasswordHash::Argon2id(Argon2id { memory, passes, lanes, salt, hash: hash.into() })
    }

    fn passwords(users: Vec<(&str, PasswordHash)>) -> Passwords {
        let users = users.into_iter().map(|(name, hash)| User { name: name.into(), hash }).collect();
        let (realm, file) = ("internal tools".into(), "users".into());
        Passwords::new(&Basic { realm, file, users, forward_credentials: false })
    }

    fn subject(passwords: &Passwords, text: &str) -> Result<Option<Box<str>>, AuthResult> {
        let judged = pair(STANDARD.encode(text).as_bytes()).and_then(|pair| passwords.judge(&pair));
        judged.map(|claims| claims.subject)
    }

    #[test]
    fn a_password_is_its_users_and_nobody_elses() {
        let all = passwords(vec![("ada", bcrypt_of("pw:1")), ("bob", argon2id_of("pw2")), ("eve", bcrypt_of(""))]);
        for (text, name) in [("ada:pw:1", "ada"), ("bob:pw2", "bob"), ("eve:", "eve")] {
            assert_eq!(subject(&all, text), Ok(Some(name.into())), "{text}");
        }
        for text in ["ada:pw2", "bob:pw:1", "ada:", "ada:pw:1 ", "Ada:pw:1", ":", "adam:pw:1", "bo:pw2"] {
            assert_eq!(subject(&all, text), Err(AuthResult::Password), "{text}");
        }
        assert_eq!(all.challenge, "Basic realm=\"internal tools\", charset=\"UTF-8\"");
        assert_eq!(subject(&passwords(vec![]), "ada:x"), Err(AuthResult::Password), "nobody is there");
    }

    #[test]
    fn a_name_that_nobody_has_is_nobody_whoever_has_its_password() {
        let all = passwords(vec![("ada", bcrypt_of("pw"))]);
        assert_eq!(all.decoy(b"nobody"), 0, "it is ada's hash that the password is held against");
        assert_eq!(subject(&all, "nobody:pw"), Err(AuthResult::Password));
        let latin = pair(STANDARD.encode(b"\xe9da:pw").as_bytes()).unwrap();
        assert_eq!(all.judge(&latin), Err(AuthResult::Password), "a name is UTF-8");
    }

    #[test]
    fn what_is_no_name_and_password_is_told_apart() {
        for odd in [&b"YWRh"[..], b"YWRhOnB3=", b"YWRhOnB3!", b"", b"YWRhOnAA", b"YWRhOnAK"] {
            assert_eq!(pair(odd).map(drop), Err(AuthResult::Malformed), "{odd:?}");
        }
        assert_eq!(pair(&[b'A'; MAX_BYTES + 4]).map(drop), Err(AuthResult::TooLarge));
    }

    #[test]
    fn what_is_remembered_says_nothing_of_the_password() {
        let (one, other) = (passwords(vec![]), passwords(vec![]));
        assert_eq!(one.mark(b"YWRhOnB3"), one.mark(b"YWRhOnB3"));
        assert_ne!(one.mark(b"YWRhOnB3"), one.mark(b"YWRhOnB4"));
        assert_ne!(one.mark(b"YWRhOnB3"), other.mark(b"YWRhOnB3"), "each has a key of its own");
    }
}
