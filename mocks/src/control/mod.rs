//! The control port: rules, journal and counters while the services run.
//!
//! It has a thread of its own, so it answers also when the workers are busy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::mock::StartError;
use crate::server::socket::{Port, into_tokio};
use crate::server::worker::{runtime, until_stopped};
use crate::world::World;

mod api;
mod exchange;

/// Opens the control port; it closes when `stop` is set. Gives its address and its thread.
pub(crate) fn open(
    address: SocketAddr,
    world: &Arc<World>,
    stop: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), StartError> {
    let (port, listener) = Port::open(address).map_err(|source| StartError::Listen { address, source })?;
    let local = port.address();
    let runtime = runtime()?;
    let world = world.clone();
    let serve = async move {
        let _port = port;
        // The socket was made by `Port` and is not blocking.
        let Ok(listener) = into_tokio(listener) else { return };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(exchange::serve(stream, world.clone()))),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    };
    let thread = std::thread::Builder::new().name("mock-control".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = serve => {}
                () = until_stopped(stop) => {}
            }
        });
    })?;
    Ok((local, thread))
}
