//! Which acceptor is in force at which listener.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use rustls::server::ProducesTickets;

use super::acceptor::{Acceptor, new_tickets};
use super::client_roots::InForce;
use crate::config::settings::Listener;
use crate::telemetry::notice;

/// The place of a listener that speaks TLS: what is in it counts for connections that come from now on; who signs for
/// clients counts for those that are there, too.
#[derive(Default)]
pub struct Slot {
    acceptor: ArcSwapOption<Acceptor>,
    clients: Arc<InForce>,
}

impl Slot {
    /// What takes the next handshake; `None` where nothing can, and the connection is to be closed.
    pub fn current(&self) -> Option<Arc<Acceptor>> {
        self.acceptor.load_full()
    }
}

/// The slots, in the order of the listeners that the process was started with.
#[derive(Default)]
pub struct Slots(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// `None` for one that speaks in the clear.
    slots: Vec<(SocketAddr, Option<Arc<Slot>>)>,
    /// One set of keys for the whole life of the process: a reload forgets no session.
    tickets: OnceLock<Option<Arc<dyn ProducesTickets>>>,
}

impl Slots {
    /// Puts a configuration's certificates in force. The first says which listeners there are; a later one changes
    /// those that it has too, and that speak TLS already: everything else waits for a restart, and is reported so.
    pub fn apply(&self, listeners: &[Listener], http2: bool) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.slots.is_empty() {
            let slot = |listener: &Listener| listener.tls.as_ref().map(|_| Arc::default());
            inner.slots = listeners.iter().map(|listener| (listener.address, slot(listener))).collect();
        }
        for (index, listener) in listeners.iter().enumerate() {
            let address = listener.address;
            // By address, wherever it stands in the file by now. Several may ask for any port, in their order.
            let before = listeners[..index].iter().filter(|other| other.address == address).count();
            let slot = inner.slots.iter().filter(|(known, _)| *known == address).nth(before);
            let (Some(tls), Some((_, Some(slot)))) = (&listener.tls, slot) else { continue };
            match Acceptor::new(tls, inner.tickets.get_or_init(new_tickets).clone(), http2, &slot.clients) {
                Ok(acceptor) => slot.acceptor.store(Some(Arc::new(acceptor))),
                Err(why) => notice::tls_not_applied(address, &why),
            }
        }
    }

    /// When the first certificate of each listener ends, seconds since the Unix epoch.
    pub fn expiries(&self) -> Vec<(String, i64)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = inner.slots.iter().filter_map(|(address, slot)| Some((address, slot.as_ref()?.current()?)));
        slots.filter_map(|(address, acceptor)| Some((address.to_string(), acceptor.expires_unix?))).collect()
    }

    /// The slot of the listener of this number; `None` where it speaks in the clear.
    pub fn slot(&self, index: usize) -> Option<Arc<Slot>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.slots.get(index).and_then(|(_, slot)| slot.clone())
    }
}
