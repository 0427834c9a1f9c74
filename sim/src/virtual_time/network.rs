//! The gateway's seam to the simulated network.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use gateway::network::Network;
use turmoil::net::TcpStream;

/// How long a refusal takes to come back: the simulated network's shortest time.
const REFUSED_AFTER: Duration = Duration::from_millis(1);

/// Ports of mocks that are closed by a fault. turmoil refuses too, but never gives the port back that the connection
/// was tried from: a long outage would use up all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeSet<u16>>>);

impl Doors {
    /// From now on nobody gets in, or somebody does.
    pub(super) fn set_closed(&self, port: u16, closed: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if closed {
            all.insert(port)
        } else {
            all.remove(&port)
        };
    }

    fn is_closed(&self, port: u16) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&port)
    }
}

type Dialling = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// A connection that is being made. turmoil never gives back the port of one that is given up on its way: a client
/// without patience, in a closed loop, would use up all of them. So it is made all the same, and closed at once, as a
/// system would have done with it.
pub(super) struct Dial(Option<Dialling>);

impl Dial {
    /// Begins.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(Some(Box::pin(TcpStream::connect(address))))
    }
}

impl Future for Dial {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(dialling) = &mut self.0 else { return Poll::Pending };
        let made = std::task::ready!(dialling.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(made)
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        // A world that ends takes everything with it.
        if let (Some(dialling), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async { drop(dialling.await) });
        }
    }
}

/// turmoil's network, seen from the host on which it is used.
#[derive(Debug, Clone)]
pub(crate) struct Simulated {
    pub(super) doors: Doors,
}

impl Network for Simulated {
    type Stream = TcpStream;

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        if self.doors.is_closed(address.port()) {
            // Virtual time.
            tokio::time::sleep(REFUSED_AFTER).await;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Dial::new(address).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // turmoil panics at names that it does not know, so only addresses are resolved: scenarios write nothing else.
        let address: IpAddr = host.parse().map_err(|_| io::Error::new(io::ErrorKind::NotFound, "no such name"))?;
        Ok(vec![SocketAddr::new(address, port)])
    }

    fn adopt(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}
