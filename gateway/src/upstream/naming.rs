//! The addresses of an endpoint's name. A resolver that fails, or says nothing, is not to be taken for a service that
//! accepts no connection: what the last lookup found that went well serves meanwhile, as with `discovery`.
//!
//! A lookup goes on when those leave who wait for it, and what it finds is for all who dial: one that takes long holds
//! one thread for an endpoint, and not one for each connection.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::locked::lock;
use crate::network::Network;

/// The longest lookup, as of discovery.
const LONGEST: Duration = Duration::from_secs(10);
/// Lookups at a time while no address is known: one question that is lost must not hold up all. Later it is one.
const FIRST_LOOKUPS: u32 = 4;
/// The part of a connection's time that a lookup has where addresses are known.
const PART: u32 = 4;
/// Addresses of one name that are kept.
const MOST_KEPT: usize = 256;
/// For how long it is told that connections are made without a lookup that went well.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// Lookups of one endpoint's name.
#[derive(Debug, Default)]
pub(super) struct Naming {
    kept: Mutex<Kept>,
    /// Tells of each lookup that ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    /// What the last lookup found that went well; empty before the first.
    good: Vec<SocketAddr>,
    /// Why the last one failed, if it did.
    failed: Option<Failed>,
    under_way: u32,
    /// One that is under way was waited for in vain.
    is_late: bool,
    /// When earlier addresses were used last, since when, and why.
    stood_in: Option<(Instant, Instant, String)>,
}

/// An error that many are told.
#[derive(Debug, Clone)]
struct Failed {
    kind: io::ErrorKind,
    /// The system's number, where it has one: that says whose lack it is.
    code: Option<i32>,
    why: String,
}

/// What is to be dialled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
    /// Why these are of an earlier lookup, where they are.
    pub(super) stale: Option<String>,
}

/// A lookup under way. Dropped without an outcome, it was given up.
struct UnderWay {
    naming: Arc<Naming>,
    outcome: Option<io::Result<Vec<SocketAddr>>>,
}

type Lookup = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Naming {
    /// The name's addresses, for a connection that may take so much time; who asks limits the whole of it.
    ///
    /// # Errors
    /// It cannot be looked up, and never could be.
    pub(super) async fn find<N: Network>(
        self: &Arc<Self>,
        network: &N,
        (host, port): (&str, u16),
        within: Duration,
    ) -> io::Result<Found> {
        // Before it is looked what is there: what ends meanwhile is told too.
        let ended = self.ended.notified();
        let (is_known, is_late, begun) = {
            let mut kept = self.kept();
            let is_known = !kept.good.is_empty();
            let most = if is_known { 1 } else { FIRST_LOOKUPS };
            let begun = (kept.under_way < most).then(|| {
                kept.under_way += 1;
                UnderWay { naming: Arc::clone(self), outcome: None }
            });
            (is_known, kept.is_late, begun)
        };
        let begins = begun.is_some();
        if let Some(begun) = begun {
            let mut lookup = look_up(network.clone(), host.to_owned(), port, begun);
            if poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx).is_ready())).await {
                return self.found();
            }
            tokio::spawn(lookup);
        }
        if !is_known {
            ended.await;
            return self.found();
        }
        let is_there = (begins || !is_late) && tokio::time::timeout(within / PART, ended).await.is_ok();
        if is_there { self.found() } else { Ok(self.late(host)) }
    }

    /// What the last lookup came to.
    fn found(&self) -> io::Result<Found> {
        let kept = self.kept();
        match &kept.failed {
            Some(failed) if kept.good.is_empty() => Err(failed.error()),
            failed => {
                let stale = failed.as_ref().map(|failed| failed.why.clone());
                Ok(Found { addresses: kept.good.clone(), stale })
            }
        }
    }

    /// What was known before the one that is not there in time.
    fn late(&self, host: &str) -> Found {
        let mut kept = self.kept();
        kept.is_late = kept.under_way > 0;
        Found { addresses: kept.good.clone(), stale: Some(format!("the name {host} was not resolved in time")) }
    }

    /// Keeps that earlier addresses were used, and why.
    pub(super) fn stood_in(&self, now: Instant, why: String) {
        let mut kept = self.kept();
        let since = kept.stood_in.as_ref().map_or(now, |(_, since, _)| *since);
        kept.stood_in = Some((now, since, why));
    }

    /// Since when connections are made by earlier addresses, and why, if they lately were.
    pub(super) fn stands_in(&self, now: Instant) -> Option<(Instant, String)> {
        let kept = self.kept();
        let (last, since, why) = kept.stood_in.as_ref()?;
        (now.saturating_duration_since(*last) < TOLD_FOR).then(|| (*since, why.clone()))
    }

    /// Whether a connection had to wait for its first lookup, and that is not there.
    pub(super) fn is_awaited(&self) -> bool {
        let kept = self.kept();
        kept.good.is_empty() && kept.under_way > 0
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

/// A lookup that is nobody's: whoever asked for it may leave.
fn look_up<N: Network>(network: N, host: String, port: u16, under_way: UnderWay) -> Lookup {
    Box::pin(async move {
        let resolved = tokio::time::timeout(LONGEST, network.resolve(&host, port)).await;
        let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("the name {host} was not resolved in time"));
        under_way.ends(resolved.unwrap_or_else(|_| Err(silent())));
    })
}

impl UnderWay {
    fn ends(mut self, outcome: io::Result<Vec<SocketAddr>>) {
        self.outcome = Some(outcome);
        drop(self);
    }
}

impl Failed {
    fn of(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error(), why: error.to_string() }
    }

    fn error(&self) -> io::Error {
        let said = || io::Error::new(self.kind, self.why.clone());
        self.code.map_or_else(said, io::Error::from_raw_os_error)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let given_up = || Err(io::Error::new(io::ErrorKind::Interrupted, "the lookup of its name was given up"));
        {
            let mut kept = self.naming.kept();
            kept.under_way -= 1;
            kept.is_late = false;
            match self.outcome.take().unwrap_or_else(given_up) {
                Ok(mut addresses) => {
                    addresses.truncate(MOST_KEPT);
                    (kept.good, kept.failed, kept.stood_in) = (addresses, None, None);
                }
                Err(error) => kept.failed = Some(Failed::of(&error)),
            }
        }
        self.naming.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::DuplexStream;

    use super::*;
    use crate::clock::Clock;

    const WITHIN: Duration = Duration::from_secs(1);

    /// What a resolver does.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Answers(u8),
        Fails,
        IsSilent,
        /// It answers after this time.
        Takes(Duration),
        HasNoThread,
    }

    /// One that does what it is told, and how often it was asked.
    #[derive(Clone)]
    struct Resolver(Arc<(Mutex<Does>, AtomicU32)>);

    impl Resolver {
        fn that(does: Does) -> Self {
            Self(Arc::new((Mutex::new(does), AtomicU32::new(0))))
        }

        fn now(&self, does: Does) {
            *lock(&self.0.0) = does;
        }

        fn asked(&self) -> u32 {
            self.0.1.load(Ordering::Relaxed)
        }
    }

    impl Network for Resolver {
        type Stream = DuplexStream;

        async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            self.0.1.fetch_add(1, Ordering::Relaxed);
            let does = *lock(&self.0.0);
            let at = |last| Ok(vec![SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), port))]);
            match does {
                Does::Answers(last) => at(last),
                Does::Fails => Err(io::Error::other("SERVFAIL")),
                Does::HasNoThread => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
                Does::IsSilent => std::future::pending().await,
                Does::Takes(time) => {
                    // virtual time
                    tokio::time::sleep(time).await;
                    at(9)
                }
            }
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    /// The last number of the address that is dialled, or what the error says; why it is an earlier one.
    async fn found(naming: &Arc<Naming>, resolver: &Resolver) -> (Result<u8, String>, Option<String>) {
        let finding = naming.find(resolver, ("up.test", 80), WITHIN);
        let late = || Err(io::Error::other("late"));
        match tokio::time::timeout(WITHIN, finding).await.unwrap_or_else(|_| late()) {
            Ok(Found { addresses, stale }) => {
                let SocketAddr::V4(first) = addresses[0] else { panic!("it is none of these") };
                (Ok(first.ip().octets()[3]), stale)
            }
            Err(error) => (Err(error.to_string()), None),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_addresses_serve_while_the_resolver_fails_or_says_nothing() {
        let (naming, resolver) = (Arc::new(Naming::default()), Resolver::that(Does::Fails));
        assert_eq!(found(&naming, &resolver).await, (Err("SERVFAIL".into()), None), "there are none yet");
        resolver.now(Does::Answers(1));
        assert_eq!(found(&naming, &resolver).await, (Ok(1), None));
        resolver.now(Does::Fails);
        assert_eq!(found(&naming, &resolver).await, (Ok(1), Some("SERVFAIL".into())));
        resolver.now(Does::HasNoThread);
        assert_eq!(found(&naming, &resolver).await.0, Ok(1));
        resolver.now(Does::Answers(2));
        assert_eq!(found(&naming, &resolver).await, (Ok(2), None), "an answer is heeded at once");
        resolver.now(Does::IsSilent);
        let clock = Clock::starting_at(Duration::ZERO);
        let (began, asked) = (clock.now(), resolver.asked());
        let late = (Ok(2), Some("the name up.test was not resolved in time".to_owned()));
        for _ in 0..50 {
            assert_eq!(found(&naming, &resolver).await, late);
        }
        let took = clock.now() - began;
        assert!(took < WITHIN / 2, "the first has waited for a quarter of its time, and the others not: {took:?}");
        assert_eq!(resolver.asked() - asked, 1, "one lookup at a time");
        // virtual time
        tokio::time::sleep(LONGEST).await;
        resolver.now(Does::Takes(WITHIN / 8));
        assert_eq!(found(&naming, &resolver).await, (Ok(9), None), "a little late is in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_goes_on_when_those_leave_who_wait_for_it() {
        let (naming, resolver) = (Arc::new(Naming::default()), Resolver::that(Does::Takes(WITHIN * 3)));
        for _ in 0..2 {
            assert_eq!(found(&naming, &resolver).await.0, Err("late".into()));
            assert!(naming.is_awaited());
        }
        assert_eq!(resolver.asked(), 2);
        // virtual time
        tokio::time::sleep(WITHIN * 2).await;
        assert!(!naming.is_awaited());
        assert_eq!(naming.found().unwrap().addresses.len(), 1);
        // While nothing is known some may be under way, but not as many as come.
        let (naming, resolver) = (Arc::new(Naming::default()), Resolver::that(Does::IsSilent));
        futures_util::future::join_all((0..50).map(|_| found(&naming, &resolver))).await;
        assert_eq!(resolver.asked(), FIRST_LOOKUPS);
    }

    #[tokio::test(start_paused = true)]
    async fn whose_lack_it_is_that_nothing_is_known_can_be_told() {
        let (naming, resolver) = (Arc::new(Naming::default()), Resolver::that(Does::HasNoThread));
        let error = naming.find(&resolver, ("up.test", 80), WITHIN).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    }

    #[test]
    fn that_earlier_addresses_stand_in_is_told_for_a_minute_with_its_beginning() {
        let naming = Naming::default();
        let start = Clock::starting_at(Duration::ZERO).now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(naming.stands_in(at(0)), None);
        naming.stood_in(at(1), "SERVFAIL".into());
        naming.stood_in(at(50), "it is late".into());
        assert_eq!(naming.stands_in(at(109)), Some((at(1), "it is late".into())));
        assert_eq!(naming.stands_in(at(110)), None);
    }
}
