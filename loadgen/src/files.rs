//! The limit of open files: each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that a load generator opens beside its connections.
const OTHERS: u64 = 64;

/// How many files this process may open now.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit, as far as this process may, so that it can hold `connections` at once.
///
/// # Errors
/// The most connections that it can hold, where these are more.
pub fn allow(connections: u64) -> Result<(), u64> {
    let needed = connections.saturating_add(OTHERS);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        // The soft limit may be as high as the hard one; only root may raise that.
        limit.current = limit.maximum.map(|maximum| maximum.min(needed)).or(Some(needed));
        // Where not even that is allowed, what there is says how many it is.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let files = self::limit();
    if files < needed { Err(files.saturating_sub(OTHERS)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_may_be_are_allowed_and_no_more() {
        assert_eq!(allow(1), Ok(()));
        let hard = getrlimit(Resource::Nofile).maximum;
        // Without a hard limit there is none to be held against.
        if let Some(hard) = hard {
            assert_eq!(allow(hard - OTHERS), Ok(()));
            assert_eq!((limit(), allow(hard - OTHERS + 1)), (hard, Err(hard - OTHERS)));
        }
    }
}
