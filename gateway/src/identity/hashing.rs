//! Who hashes passwords, and who waits for that.
//!
//! A hash of a password takes a core for some hundred milliseconds, on purpose. So no worker computes one: threads of
//! tokio's blocking pool do, a few at once however many cores there are, since workers need those. As many wait as will
//! be served soon, and of one network no more than leaves room for others; who comes beyond gets 503 at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who may wait, for each thread that hashes.
const WAITING: u32 = 32;
/// One network has at most this part of those.
const OF_ONE: u32 = 4;

/// The threads that hash, and who waits for one.
pub(super) struct Hashing {
    places: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    most: u32,
}

#[derive(Default)]
struct Waiting {
    all: u32,
    of: HashMap<IpAddr, u32>,
}

/// Somebody who waits, counted as long as it does.
struct Waiter<'a> {
    hashing: &'a Hashing,
    network: IpAddr,
}

impl Hashing {
    /// For a gateway of so many workers: a quarter as many hash at once.
    pub(super) fn new(workers: usize) -> Self {
        let places = workers.div_ceil(4).max(1);
        let most = WAITING.saturating_mul(u32::try_from(places).unwrap_or(u32::MAX));
        Self { places: Arc::new(Semaphore::new(places)), waiting: Mutex::default(), most }
    }

    /// A place to hash in, for a client at this address; `None` where too many wait already.
    pub(super) async fn place(&self, client: IpAddr) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _waits = self.join(network_of(client))?;
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn join(&self, network: IpAddr) -> Option<Waiter<'_>> {
        let mut waiting = self.waiting();
        let own = waiting.of.get(&network).copied().unwrap_or(0);
        if waiting.all >= self.most || own >= self.most / OF_ONE {
            return None;
        }
        waiting.all += 1;
        waiting.of.insert(network, own + 1);
        Some(Waiter { hashing: self, network })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.hashing.waiting();
        waiting.all -= 1;
        if let Some(own) = waiting.of.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                waiting.of.remove(&self.network);
            }
        }
    }
}

/// Whoever has an address of IPv6 has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn few_hash_at_once_few_wait_and_no_network_keeps_others_out() {
        let hashing = Hashing::new(4);
        let place = hashing.place(address("192.0.2.1")).await.expect("nobody else is there");
        let mut greedy: Vec<_> =
            (0..20_u32).map(|host| Box::pin(hashing.place(address(&format!("2001:db8::{host:x}"))))).collect();
        let mut refused = 0;
        for waiter in &mut greedy {
            refused += u32::from(poll!(waiter.as_mut()).is_ready());
        }
        assert_eq!(refused, 20 - WAITING / OF_ONE, "one network has its part");
        let mut others: Vec<_> =
            (0..40_u32).map(|host| Box::pin(hashing.place(address(&format!("192.0.2.{host}"))))).collect();
        let mut turned_away = 0;
        for waiter in &mut others {
            turned_away += u32::from(poll!(waiter.as_mut()).is_ready());
        }
        assert_eq!(40 - turned_away, WAITING - WAITING / OF_ONE, "all together");
        drop(greedy);
        let mut next = Box::pin(hashing.place(address("198.51.100.1")));
        assert!(poll!(next.as_mut()).is_pending(), "those who leave make room to wait");
        drop(others);
        drop(place);
        assert!(next.await.is_some());
        assert!(hashing.waiting().of.is_empty() && hashing.waiting().all == 0, "nothing is kept of who waited");
    }

    #[test]
    fn a_network_is_an_address_or_what_one_subscriber_has() {
        assert_eq!(network_of(address("192.0.2.1")), address("192.0.2.1"));
        assert_eq!(network_of(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        assert_eq!(network_of(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
    }
}
