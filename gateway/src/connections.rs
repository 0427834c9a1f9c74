//! How many client connections may be open, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::locked::lock;

/// Open connections of the whole gateway.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    /// As many as there is room for among the process's file descriptors; `None` where those have no end.
    room: Option<usize>,
    /// Only kept while a limit for each address is set; an entry goes with its last connection.
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    counted_for: Option<IpAddr>,
}

/// Why a connection may not be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are `max_connections`.
    Total,
    /// There are `max_connections_per_ip` from this address.
    Address,
    /// There are fewer than `max_connections`, but each further one would take the descriptor that a request needs to
    /// reach an upstream.
    Descriptors,
}

impl Connections {
    /// None is open yet, and there is room for so many.
    pub(crate) fn within(room: Option<usize>) -> Self {
        Self { room, ..Self::default() }
    }

    /// Open connections now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place for a connection from `address`.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn enter(self: &Arc<Self>, address: IpAddr, max: usize, max_per_ip: Option<usize>) -> Result<Place, Full> {
        let (most, full) = match self.room {
            Some(room) if room < max => (room, Full::Descriptors),
            _ => (max, Full::Total),
        };
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(full);
        }
        let mut place = Place { connections: Arc::clone(self), counted_for: None };
        if let Some(max_per_ip) = max_per_ip {
            place.count_for(address, max_per_ip)?;
        }
        Ok(place)
    }
}

impl Place {
    /// Counts the connection, which counts for nobody yet, for this address.
    ///
    /// # Errors
    /// There are as many from there as there may be.
    pub fn count_for(&mut self, address: IpAddr, max_per_ip: usize) -> Result<(), Full> {
        debug_assert!(self.counted_for.is_none(), "a connection is one client's");
        let address = address.to_canonical();
        let mut by_address = lock(&self.connections.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= max_per_ip {
            return Err(Full::Address);
        }
        *count += 1;
        drop(by_address);
        self.counted_for = Some(address);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.counted_for else { return };
        let mut by_address = lock(&self.connections.by_address);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter(ADDRESS, 1, None).unwrap();
        assert_eq!(connections.enter(ADDRESS, 1, None).unwrap_err(), Full::Total);
        drop(first);
        assert!(connections.enter(ADDRESS, 1, None).is_ok());
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn where_descriptors_are_short_connections_end_before_their_limit() {
        for (room, max, full) in [(Some(1), 2, Full::Descriptors), (Some(1), 1, Full::Total), (None, 1, Full::Total)] {
            let connections = Arc::new(Connections::within(room));
            let _kept = connections.enter(ADDRESS, max, None).unwrap();
            assert_eq!(connections.enter(ADDRESS, max, None).unwrap_err(), full, "{room:?} {max}");
            assert_eq!(connections.open(), 1);
        }
    }

    #[test]
    fn an_address_at_its_limit_does_not_use_up_places_of_others() {
        let connections = Arc::new(Connections::default());
        let _kept = connections.enter("::ffff:127.0.0.1".parse().unwrap(), 10, Some(1)).unwrap();
        assert_eq!(connections.enter(ADDRESS, 10, Some(1)).unwrap_err(), Full::Address);
        assert_eq!(connections.open(), 1, "the refused one gave its place back");
        assert!(connections.enter("127.0.0.2".parse().unwrap(), 10, Some(1)).is_ok());
        assert_eq!(connections.by_address.lock().unwrap().len(), 1, "the map keeps nobody who left");
    }
}
