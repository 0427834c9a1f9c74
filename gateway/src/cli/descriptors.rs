//! File descriptors: as many as the process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes all that the system allows: shells and services start with a small limit that any process may raise up to a
/// large one, and a connection that finds no descriptor is a request that fails.
///
/// # Errors
/// How many there are, where clients' connections and those that serve them may take more.
pub(super) fn take_all(max_connections: usize) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    suffices(limit, max_connections)
}

fn suffices(limit: Rlimit, max_connections: usize) -> Result<(), u64> {
    match limit.current {
        // A client that is served takes two.
        Some(most) if most / 2 < max_connections as u64 => Err(most),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_below_what_clients_and_their_requests_may_take_is_told() {
        let of = |current| Rlimit { current, maximum: current };
        assert_eq!(suffices(of(Some(1024)), 512), Ok(()));
        assert_eq!(suffices(of(Some(1024)), 513), Err(1024));
        assert_eq!(suffices(of(Some(1024)), usize::MAX), Err(1024));
        assert_eq!(suffices(of(None), usize::MAX), Ok(()));
    }
}
