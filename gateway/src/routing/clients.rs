//! The condition on where a client is.
//!
//! A condition on what is not known does not hold: not for a client that a proxy hides, nor for one of which the
//! program around the gateway says nothing.

use std::net::IpAddr;

use crate::config::settings::clients;
use crate::context::TrustedProxies as Networks;

/// Networks, compiled.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    within: Networks,
    but: Networks,
}

impl Clients {
    /// Compiles them; `None` where there is no condition.
    pub(super) fn new(settings: &clients::Clients) -> Option<Box<Self>> {
        if settings.is_empty() {
            return None;
        }
        Some(Box::new(Self { within: Networks::new(&settings.within), but: Networks::new(&settings.but) }))
    }

    /// Whether a client is there; `None` is one of which nobody knows.
    pub(super) fn have(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|it| (self.within.is_empty() || self.within.contains(it)) && !self.but.contains(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_in_one_network_and_in_none_that_is_left_out() {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        let have = |within: &[&str], but: &[&str], client: Option<&str>| {
            let clients = Clients::new(&clients::Clients { within: nets(within), but: nets(but) }).unwrap();
            clients.have(client.map(|client| client.parse().unwrap()))
        };
        let (ten, one) = (&["10.0.0.0/8", "fd00::/8"][..], &["10.1.0.0/16"][..]);
        assert!(have(ten, one, Some("10.2.0.1")) && have(ten, &[], Some("fd00::1")) && have(&[], one, Some("::1")));
        assert!(have(ten, one, Some("::ffff:10.2.0.1")) && !have(ten, one, Some("::ffff:10.1.0.1")));
        assert!(
            !have(ten, one, Some("10.1.0.1")) && !have(ten, &[], Some("11.0.0.1")) && !have(&[], one, Some("10.1.0.1"))
        );
        assert!(!have(ten, &[], None) && !have(&[], one, None), "nobody knows");
        assert!(Clients::new(&clients::Clients::default()).is_none());
    }
}
