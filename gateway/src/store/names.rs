//! The addresses of a store's servers that are written by name.
//!
//! A resolver whose servers do not answer takes longer than a connection may: whoever waits for both would hear that
//! the store was too slow, and look at the store. So a name has most of that time, and its failure words of its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use redis::RedisFuture;
use redis::io::AsyncDNSResolver;

use crate::config::settings::Store;

/// Resolves names within a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    most: Duration,
}

impl Names {
    /// For connections to a store: a little less than those may take.
    pub(super) fn of(store: &Store) -> Self {
        Self { most: store.connect_timeout / 10 * 9 }
    }
}

impl AsyncDNSResolver for Names {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = within(self.most, host, tokio::net::lookup_host((host, port))).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

/// What a lookup of this name finds; what its failure is, in words that say whose it is.
async fn within<T>(most: Duration, host: &str, lookup: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let cannot = |kind, why: &str| io::Error::new(kind, format!("cannot resolve {host}: {why}"));
    match tokio::time::timeout(most, lookup).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(cannot(error.kind(), &error.to_string())),
        Err(_) => Err(cannot(io::ErrorKind::TimedOut, "no name server answers in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::store::Servers;
    use crate::store::link::Link;
    use crate::store::tests::store;

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_resolves_in_time_is_no_store_that_is_slow() {
        let most = Duration::from_millis(900);
        let error = within(most, "redis.example", std::future::pending::<io::Result<()>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot resolve redis.example: no name server answers in time");
        let refused = std::future::ready(Err::<(), _>(io::Error::other("no such name")));
        let error = within(most, "redis.example", refused).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot resolve redis.example: no such name");
    }

    #[tokio::test]
    async fn who_connects_says_which_name_could_not_be_resolved() {
        // No name may have a blank, whoever is asked.
        let servers = Servers::One(("no such name".to_owned(), 6379), 0);
        let (store, _stores) = store(servers, Duration::from_secs(5));
        let Err(error) = Link::connect(&store.settings, Duration::from_secs(5)).await else { panic!("connected") };
        assert!(error.to_string().starts_with("cannot resolve no such name: "), "{error}");
    }
}
