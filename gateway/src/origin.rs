//! What a route asks of where a request comes from: the client's address, and whether its connection is encrypted.
//!
//! Asked before anything else of the route, so that who may not use it buys nothing dearer. Routes that ask nothing pay
//! one branch.

use crate::config::settings::own_answer::{self, Https};
use crate::context::{ClientAddress, TrustedProxies as Networks};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;

/// `https` and `addresses` of a route, compiled.
#[derive(Debug)]
pub struct Origin {
    https: Https,
    allow: Networks,
    deny: Networks,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Passes,
    /// It is sent to the same URL over TLS.
    ToHttps,
}

impl Origin {
    /// Compiles it.
    pub fn new(settings: &own_answer::Origin) -> Self {
        let (allow, deny) = (Networks::new(&settings.allow), Networks::new(&settings.deny));
        Self { https: settings.https, allow, deny }
    }

    /// Whether a client may use the route. Where its address is hidden behind a proxy's, that one is no reason to.
    pub(crate) fn lets_in(&self, client: &ClientAddress) -> bool {
        let is_allowed = self.allow.is_empty() || (!client.is_hidden && self.allow.contains(client.ip));
        is_allowed && !self.deny.contains(client.ip)
    }

    /// Whether it hangs on where the client is.
    fn asks_for_address(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// Whether it is served in the clear, if only by a redirect.
    fn is_open_to(&self, secure: bool) -> bool {
        secure || self.https != Https::Require
    }
}

/// Looks, before a body is read that decides which of these routes is taken, whether any of them lets this client in,
/// and whether those that do all send it to TLS.
///
/// # Errors
/// As [`judge`].
#[cold]
pub fn look<N: Network>(exchange: &Exchange<N>, routes: &[usize]) -> Result<Verdict, GatewayError> {
    let origin = |index: &usize| exchange.snapshot.routes[*index].origin.as_deref();
    let lost = |index: &usize| origin(index).is_some_and(|origin| is_lost(exchange, origin));
    let lets_in = |index: &usize| {
        let is_let_in = |it: &Origin| it.lets_in(&exchange.client) && it.is_open_to(exchange.secure);
        !lost(index) && origin(index).is_none_or(is_let_in)
    };
    let sends = |index: &usize| !exchange.secure && origin(index).is_some_and(|it| it.https == Https::Redirect);
    if !routes.iter().any(lets_in) {
        return Err(if routes.iter().any(lost) { unknown() } else { refused() }.closing());
    }
    let all_send = routes.iter().all(|index| sends(index) && lets_in(index));
    Ok(if all_send { Verdict::ToHttps } else { Verdict::Passes })
}

/// This client may not use the route.
pub(crate) fn refused() -> GatewayError {
    GatewayError::new(Code::Forbidden, "This address may not use this route.")
}

/// Whether a route asks where a client is of whom nobody says it. The address that stands for it is in no list, and is
/// no reason to let anybody in, or to keep them out.
fn is_lost<N: Network>(exchange: &Exchange<N>, origin: &Origin) -> bool {
    exchange.is_client_unknown() && origin.asks_for_address()
}

/// The program around the gateway has to be mended, not the request.
fn unknown() -> GatewayError {
    GatewayError::new(Code::ClientUnknown, "This route asks for the client's address, which is not known.")
        .because("the program inserts neither `ClientInfo` nor `ConnectInfo<SocketAddr>`: docs/embedding.md")
}

/// It came in the clear, and the route takes nothing that does.
pub(crate) fn refused_in_the_clear() -> GatewayError {
    GatewayError::new(Code::Forbidden, "This route is served over TLS alone.")
}

/// Asks it of a request whose route asks something.
///
/// # Errors
/// 403; 500 where nobody says at which address the client is.
#[cold]
pub fn judge<N: Network>(exchange: &Exchange<N>) -> Result<Verdict, GatewayError> {
    let Some(origin) = exchange.route().and_then(|route| route.origin.as_deref()) else { return Ok(Verdict::Passes) };
    if is_lost(exchange, origin) {
        return Err(unknown());
    }
    if !origin.lets_in(&exchange.client) {
        return Err(refused());
    }
    match origin.https {
        Https::Redirect if !exchange.secure => Ok(Verdict::ToHttps),
        Https::Require if !exchange.secure => Err(refused_in_the_clear()),
        _ => Ok(Verdict::Passes),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn deny_is_stronger_than_allow_and_no_list_is_any() {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        let lets_in = |allow: &[&str], deny: &[&str], address: &str| {
            let (allow, deny) = (nets(allow), nets(deny));
            let origin = Origin::new(&own_answer::Origin { https: Https::Any, allow, deny });
            origin.lets_in(&ClientAddress::known(address.parse::<IpAddr>().unwrap()))
        };
        let (ten, one) = (&["10.0.0.0/8", "2001:db8::/32"][..], &["10.0.0.1/32"][..]);
        assert!(lets_in(ten, one, "10.0.0.2") && lets_in(ten, &[], "2001:db8::1") && lets_in(&[], one, "9.9.9.9"));
        assert!(!lets_in(ten, one, "10.0.0.1") && !lets_in(ten, &[], "11.0.0.1") && !lets_in(&[], one, "10.0.0.1"));
        assert!(lets_in(ten, one, "::ffff:10.0.0.2") && !lets_in(ten, one, "::ffff:10.0.0.1"), "IPv4 in IPv6 clothes");
    }
}
