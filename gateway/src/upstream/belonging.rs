//! What of a request says to which endpoint it belongs: a cookie that stands for one, or a key that is hashed.

use std::net::IpAddr;

use super::selection::Ask;
use super::state::Active;
use crate::algorithms::hash_ring::stable_hash;
use crate::config::settings;
use crate::config::settings::upstream::HashKey;
use crate::network::Network;
use crate::request_fields::RequestFields;

/// The endpoint that a client's cookie stands for, no backup: these have a cookie of their own, so that a client comes
/// back to its primary.
#[cold]
pub(super) fn wanted<N: Network>(active: &Active<N>, headers: &RequestFields) -> Option<usize> {
    bound_to(active, headers, &active.settings.affinity.as_ref()?.cookie).filter(|index| !active.is_backup(*index))
}

/// The backup that the client's other cookie stands for.
pub(super) fn wanted_backup<N: Network>(active: &Active<N>, headers: &RequestFields) -> Option<usize> {
    let (backups, affinity) = (active.backups.as_ref()?, active.settings.affinity.as_ref()?);
    bound_to(active, headers, &affinity.cookie_of(true)).filter(|index| backups.has(*index))
}

/// The endpoint that this cookie stands for. A value that stands for none of them is no more than none.
fn bound_to<N: Network>(active: &Active<N>, headers: &RequestFields, name: &str) -> Option<usize> {
    let value = cookie(headers, name)?;
    active.tokens.iter().position(|token| **token == *value)
}

/// The hash of its key, where the upstream has one; else 0.
#[inline]
pub(super) fn hash_of<N: Network>(active: &Active<N>, ask: &Ask<'_, N>) -> u64 {
    let settings::upstream::Balance::ConsistentHash(hash) = &active.settings.balance else { return 0 };
    match &hash.key {
        HashKey::ClientIp => hash_address(ask.client),
        HashKey::Path => stable_hash(ask.path.as_bytes()),
        HashKey::Header(name) => match ask.headers.get(name) {
            Some(value) => stable_hash(value.as_bytes()),
            None => hash_address(ask.client),
        },
        HashKey::Cookie(name) => match cookie(ask.headers, name) {
            Some(value) => stable_hash(value.as_bytes()),
            None => hash_address(ask.client),
        },
    }
}

fn hash_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => stable_hash(&v4.octets()),
        IpAddr::V6(v6) => stable_hash(&v6.octets()),
    }
}

/// The value of a cookie (RFC 6265, section 4.2.1), the first where it is repeated.
pub(super) fn cookie<'h>(headers: &'h RequestFields, name: &str) -> Option<&'h str> {
    headers
        .get_all(&http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_among_others_and_only_by_its_whole_name() {
        let mut headers = RequestFields::new();
        headers.append(&http::header::COOKIE, HeaderValue::from_static("a=1; session=xyz; session2=no"));
        headers.append(&http::header::COOKIE, HeaderValue::from_static("late=2"));
        assert_eq!(cookie(&headers, "session"), Some("xyz"));
        assert_eq!(cookie(&headers, "late"), Some("2"));
        assert_eq!(cookie(&headers, "sess"), None);
    }
}
