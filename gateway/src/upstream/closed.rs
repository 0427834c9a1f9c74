//! The operators' own address: no connection for a request leads there, by whatever name.
//!
//! What is written as an address is refused when the configuration is read (`config/validate/addresses.rs`). What a
//! name stands for is known when it is resolved, which is when a connection is made: so no request pays for this.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use crate::network::ends_at;

/// Where operators are served, once they are; all upstreams have one of these.
#[derive(Debug, Clone, Default)]
pub struct Closed(Arc<OnceLock<SocketAddr>>);

impl Closed {
    /// Admin listens there, for as long as the process lives.
    pub fn close(&self, listener: SocketAddr) {
        // The first one: there is one admin.
        let _ = self.0.set(listener);
    }

    /// Whether a connection to this address may be made.
    ///
    /// # Errors
    /// It would end at the admin's listener.
    pub(super) fn check(&self, to: SocketAddr) -> io::Result<()> {
        match self.0.get() {
            Some(listener) if ends_at(to, *listener) => {
                let why = format!("{to} is the gateway's own admin address, which no client may reach");
                Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
            }
            _ => Ok(()),
        }
    }

    /// Leaves out what may not be connected to.
    ///
    /// # Errors
    /// Nothing is left.
    pub(super) fn leave_out(&self, addresses: &mut Vec<SocketAddr>) -> io::Result<()> {
        let mut refused = Ok(());
        addresses.retain(|address| match self.check(*address) {
            Ok(()) => true,
            Err(error) => {
                refused = Err(error);
                false
            }
        });
        if addresses.is_empty() { refused } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_the_admin_is_left_out_and_the_rest_stays() {
        let [admin, other, mapped] =
            ["127.0.0.1:9901", "[::1]:9901", "[::ffff:127.0.0.1]:9901"].map(|it| it.parse::<SocketAddr>().unwrap());
        let closed = Closed::default();
        assert!(closed.check(admin).is_ok(), "there is no admin");
        closed.close(admin);
        let mut addresses = vec![admin, other, mapped];
        closed.leave_out(&mut addresses).unwrap();
        assert_eq!(addresses, [other]);
        let error = closed.leave_out(&mut vec![mapped, admin]).unwrap_err().to_string();
        assert_eq!(error, "127.0.0.1:9901 is the gateway's own admin address, which no client may reach");
    }
}
