//! Stores to which it takes long to connect, and whose first sentinel says nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::store_failures::{rule, until_mode};
use crate::stores::{Watched, get, sharing, watched};
use crate::support::{Gateway, Redis, echo, eventually, guarded};

/// A way to a server on which a connection is held until it is let through.
struct Relay {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    through: watch::Sender<usize>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (through, opened) = watch::channel(0);
        let count = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (number, mut opened) = (count.fetch_add(1, Ordering::Relaxed), opened.clone());
                tokio::spawn(async move {
                    if opened.wait_for(|through| number < *through).await.is_ok() {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { address, taken, through }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Lets those through that were taken by now; whoever comes later is held.
    fn let_through(&self) {
        self.through.send_replace(self.taken());
    }
}

async fn until_it_is_let_in(gateway: &Gateway) {
    let mut client = gateway.client().await;
    let let_in = async { while get(&mut client, "").await.status != 200 {} };
    guarded("the store is asked", let_in).await;
}

#[tokio::test]
async fn a_connection_that_takes_longer_than_a_command_is_there_for_who_comes_later() {
    let (redis, upstream) = (Redis::start(), echo().await);
    let relay = Relay::to(redis.address).await;
    // With a number of its own, so that its client has to hear of it before it has a connection.
    // An answer later than a command may take, as on a machine that is busy, would cost it the connection that is let
    // through.
    let store = format!(
        "url = 'redis://{}/1'\ncommand_timeout = '300ms'\nconnect_timeout = '60s'\n\
         breaker = {{ consecutive_failures = 2, open_for = '50ms' }}",
        relay.address
    );
    let gateway = sharing(&store, &rule("closed"), "'all'", &upstream).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        assert_eq!(get(&mut client, "").await.status, 503, "nobody waits longer than for a command");
    }
    until_mode(&gateway, "degraded").await;
    eventually("a worker and the task that watches have asked", || relay.taken() >= 2).await;
    relay.let_through();
    until_mode(&gateway, "exact").await;
    until_it_is_let_in(&gateway).await;
}

#[tokio::test]
async fn a_sentinel_that_says_nothing_delays_nobody() {
    let (Watched { master: _master, replica: _replica, sentinel, .. }, upstream) = (watched().await, echo().await);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // Less than its client gives each sentinel.
    let store = format!(
        "url = 'redis+sentinel://{},{}/main'\ncommand_timeout = '100ms'\nconnect_timeout = '400ms'\n\
         breaker = {{ consecutive_failures = 2, open_for = '50ms' }}",
        silent.local_addr().unwrap(),
        sentinel.address
    );
    let gateway = sharing(&store, &rule("closed"), "'all'", &upstream).await;
    until_it_is_let_in(&gateway).await;
}
