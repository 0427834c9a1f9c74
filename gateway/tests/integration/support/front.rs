//! A TLS server in front of a mock: what comes over TLS goes to the mock in the clear, so that every story that is told
//! of a mock can be told of one behind TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::eventually;

/// A server. It ends with its test's runtime.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    orders: watch::Sender<Order>,
}

struct State {
    config: Mutex<Arc<ServerConfig>>,
    shaken: Mutex<Vec<Shaken>>,
    failed: AtomicUsize,
    obeyed: AtomicUsize,
}

/// A handshake that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shaken {
    /// A session was resumed.
    pub(crate) resumed: bool,
    /// The name that was asked for.
    pub(crate) name: Option<String>,
    /// The client has shown a certificate.
    pub(crate) client: bool,
}

/// What every connection does next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Goes on.
    Nothing,
    /// Changes its keys, which the other side reads on an idle connection.
    Rekey,
    /// Says that it closes, and closes.
    Close,
    /// Closes without a word.
    Cut,
}

impl Front {
    /// In front of this address.
    pub(crate) async fn start(config: ServerConfig, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            config: Mutex::new(Arc::new(config)),
            shaken: Mutex::default(),
            failed: AtomicUsize::new(0),
            obeyed: AtomicUsize::new(0),
        });
        let (orders, obeying) = watch::channel(Order::Nothing);
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&serving), stream, target, obeying.clone()));
            }
        });
        Self { address, state, orders }
    }

    /// Shows itself so from the next handshake on.
    pub(crate) fn change(&self, config: ServerConfig) {
        *self.state.config.lock().unwrap() = Arc::new(config);
    }

    /// Handshakes that went well.
    pub(crate) fn shaken(&self) -> Vec<Shaken> {
        self.state.shaken.lock().unwrap().clone()
    }

    /// Waits until so many have failed; more are a failure of the test's. The client may know before the server does.
    pub(crate) async fn failed(&self, count: usize) {
        let failed = || self.state.failed.load(Ordering::SeqCst);
        eventually(&format!("{count} handshakes that failed"), || failed() >= count).await;
        assert_eq!(failed(), count);
    }

    /// Gives an order to every connection, and waits until one more has obeyed.
    pub(crate) async fn order(&self, order: Order) {
        let before = self.state.obeyed.load(Ordering::SeqCst);
        self.orders.send_replace(order);
        eventually("the order is obeyed", || self.state.obeyed.load(Ordering::SeqCst) > before).await;
    }
}

async fn serve(state: Arc<State>, stream: TcpStream, target: SocketAddr, mut orders: watch::Receiver<Order>) {
    let config = Arc::clone(&state.config.lock().unwrap());
    stream.set_nodelay(true).unwrap();
    orders.mark_unchanged();
    let mut tls = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(tls) => tls,
        Err((_, mut stream)) => {
            state.failed.fetch_add(1, Ordering::SeqCst);
            // Whoever closes over unread bytes takes back the alert that says why.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            return;
        }
    };
    let connection = tls.get_ref().1;
    state.shaken.lock().unwrap().push(Shaken {
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        name: connection.server_name().map(str::to_owned),
        client: connection.peer_certificates().is_some(),
    });
    let Ok(mut mock) = TcpStream::connect(target).await else { return };
    mock.set_nodelay(true).unwrap();
    loop {
        tokio::select! {
            _ = copy_bidirectional(&mut tls, &mut mock) => return,
            changed = orders.changed() => if changed.is_err() { return },
        }
        let order = *orders.borrow_and_update();
        let goes_on = obey(order, &mut tls).await;
        if !goes_on {
            drop((tls, mock));
            state.obeyed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        state.obeyed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether the connection goes on.
async fn obey(order: Order, tls: &mut TlsStream<TcpStream>) -> bool {
    match order {
        Order::Nothing => true,
        Order::Rekey => {
            tls.get_mut().1.refresh_traffic_keys().unwrap();
            tls.flush().await.unwrap();
            true
        }
        Order::Close => {
            tls.shutdown().await.unwrap();
            false
        }
        Order::Cut => false,
    }
}
