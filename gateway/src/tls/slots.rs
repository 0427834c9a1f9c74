//! Which acceptor is in force at which listener.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwapOption;
use rustls::server::ProducesTickets;

use super::acceptor::{Acceptor, new_tickets};
use super::client_roots::InForce;
use super::expiry::{Ends, Held, What};
use crate::config::settings::Listener;
use crate::locked::lock;
use crate::telemetry::notice;
use crate::telemetry::told::Voice;

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
    /// What each is called; the last name of one that a later configuration does not have.
    names: Vec<Arc<str>>,
    /// Where each is reached, which its configuration need not say; empty where nobody has said.
    bound: Vec<SocketAddr>,
    /// One set of keys for the whole life of the process: a reload forgets no session.
    tickets: OnceLock<Option<Arc<dyn ProducesTickets>>>,
}

impl Inner {
    /// The place of one of a configuration's listeners: by its address, wherever it stands in the file by now. Several
    /// may ask for any port, in their order.
    fn place(&self, listeners: &[Listener], index: usize) -> Option<usize> {
        let address = listeners.get(index)?.address;
        let before = listeners[..index].iter().filter(|other| other.address == address).count();
        let known = self.slots.iter().enumerate().filter(|(_, (known, _))| *known == address);
        known.map(|(place, _)| place).nth(before)
    }

    /// What people are told of one that has no name: where it is reached.
    fn reached(&self, place: usize) -> Option<SocketAddr> {
        self.bound.get(place).copied().or_else(|| self.slots.get(place).map(|(address, _)| *address))
    }
}

impl Slots {
    /// Puts a configuration's certificates in force. The first says which listeners there are; a later one changes
    /// those that it has too, and that speak TLS already: everything else waits for a restart, and is reported so.
    pub fn apply(&self, listeners: &[Listener], http2: bool, voice: &Voice) {
        let mut inner = lock(&self.0);
        if inner.slots.is_empty() {
            let slot = |listener: &Listener| listener.tls.as_ref().map(|_| Arc::default());
            inner.slots = listeners.iter().map(|listener| (listener.address, slot(listener))).collect();
        }
        for (index, listener) in listeners.iter().enumerate() {
            let Some(place) = inner.place(listeners, index) else { continue };
            let (Some(tls), Some((_, Some(slot)))) = (&listener.tls, inner.slots.get(place)) else { continue };
            match Acceptor::new(tls, inner.tickets.get_or_init(new_tickets).clone(), http2, &slot.clients) {
                Ok(acceptor) => slot.acceptor.store(Some(Arc::new(acceptor))),
                Err(why) => {
                    notice::tls_not_applied(voice, inner.reached(place).unwrap_or(listener.address), &why);
                }
            }
        }
    }

    /// Where the listeners are reached, in their order: one that asks for any port is told by the port that it got.
    pub fn reached_at(&self, bound: Vec<SocketAddr>) {
        lock(&self.0).bound = bound;
    }

    /// What the listeners are called by a configuration that has been applied, in the order of those that the process
    /// was started with; empty where one has no name. One that is not there any more serves until the restart, and by
    /// its last name, as if nothing had been written yet.
    pub fn names(&self, listeners: &[Listener]) -> Box<[Arc<str>]> {
        let mut inner = lock(&self.0);
        let count = inner.slots.len();
        inner.names.resize_with(count, || Arc::from(""));
        for (index, listener) in listeners.iter().enumerate() {
            let Some(place) = inner.place(listeners, index) else { continue };
            inner.names[place] = listener.name.clone().unwrap_or_else(|| Arc::from(""));
        }
        inner.names.iter().cloned().collect()
    }

    /// When the first certificate, or list, of each listener ends that has some, and when the first ought to have been
    /// replaced, which need not be the same; seconds since the Unix epoch.
    pub fn expiries(&self, what: What) -> Vec<(String, [i64; 2])> {
        let inner = lock(&self.0);
        let slots = inner.slots.iter().filter_map(|(address, slot)| Some((address, slot.as_ref()?.current()?)));
        let first = |acceptor: &Acceptor| {
            let ends = || acceptor.ends.iter().filter(|ends| ends.what == what);
            Some([ends().map(|ends| ends.at_unix).min()?, ends().map(|ends| ends.at_unix - ends.soon).min()?])
        };
        slots.filter_map(|(address, acceptor)| Some((address.to_string(), first(&acceptor)?))).collect()
    }

    /// Every certificate, and every list of revoked ones, that is in force at a listener.
    pub fn held(&self) -> Vec<Held> {
        let inner = lock(&self.0);
        let slots = inner.slots.iter().enumerate();
        let slots = slots.filter_map(|(place, (_, slot))| Some((place, slot.as_ref()?.current()?)));
        let of_slot = |(place, acceptor): (usize, Arc<Acceptor>)| {
            let name = inner.names.get(place).filter(|name| !name.is_empty()).cloned();
            let address = || inner.reached(place).map(|address| address.to_string().into());
            let listener: Arc<str> = name.or_else(address).unwrap_or_default();
            let held = |ends: &Ends| Held {
                what: ends.what,
                listener: Arc::clone(&listener),
                names: Arc::clone(&ends.names),
                ends_unix: ends.at_unix,
                soon: ends.soon,
            };
            acceptor.ends.iter().map(held).collect::<Vec<_>>()
        };
        slots.flat_map(of_slot).collect()
    }

    /// The slot of the listener of this number; `None` where it speaks in the clear.
    pub fn slot(&self, index: usize) -> Option<Arc<Slot>> {
        let inner = lock(&self.0);
        inner.slots.get(index).and_then(|(_, slot)| slot.clone())
    }
}
