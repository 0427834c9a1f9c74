//! The accept task of one endpoint: accepts while no rule refuses, and has no listener while one does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::socket::{Port, into_tokio};
use super::worker::Workers;
use crate::clock::now_ns;
use crate::world::{Endpoint, World};

/// After an accept that failed for want of files or memory.
const PAUSE: Duration = Duration::from_millis(10);
/// A window's end that is further away than this is looked at again.
const LONGEST: Duration = Duration::from_secs(3600);

/// Accepts for one endpoint.
pub(crate) struct Accept {
    pub port: Port,
    pub endpoint: Arc<Endpoint>,
    pub world: Arc<World>,
    pub workers: Workers,
}

impl Accept {
    /// Runs until it is dropped.
    pub(crate) async fn run(mut self, first: TcpListener) {
        let mut changes = self.world.changes();
        let mut listener = Some(first);
        loop {
            changes.mark_unchanged();
            let (refused, next) = self.world.rules.load().refusal(self.endpoint.place(), now_ns());
            if refused {
                listener = None;
            } else if listener.is_none() {
                listener = self.port.listen().and_then(into_tokio).ok();
            }
            self.endpoint.listening.store(listener.is_some(), SeqCst);
            self.world.progressed();
            let retry = !refused && listener.is_none();
            let wait = if retry { PAUSE } else { next.unwrap_or(LONGEST).min(LONGEST) };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = changes.changed() => {}
                () = self.accept_all(listener.as_ref()) => {}
            }
        }
    }

    /// Accepts forever; without a listener it only waits.
    async fn accept_all(&mut self, listener: Option<&TcpListener>) {
        let Some(listener) = listener else { return std::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.hand_over(stream),
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn hand_over(&mut self, stream: TcpStream) {
        self.endpoint.live.accepts.fetch_add(1, Relaxed);
        self.workers.serve(stream, &self.endpoint, self.world.next_connection());
        self.world.progressed();
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
