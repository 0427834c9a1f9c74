//! The services of a world: all endpoints on one simulated host, each at a port of its own.
//!
//! A small server of its own, since the mocks' is made for real sockets; faults are theirs (`mocks::Act`), and so are
//! the draws. Requests are held against what the client said that it sent: method and path as routed, the body whole,
//! no identity of the client's own.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use mocks::{Delay, Queue, Station, WAITING_ROOM};
use turmoil::net::TcpListener;

use super::exchange::Connection;
use super::faults::Faults;
use super::journal::{Journal, now_ns};
use super::network::Doors;
use crate::history::Endpoint;
use crate::scenario::Scenario;

/// The host's name.
pub(crate) const HOST: &str = "mocks";
/// The port of the first endpoint.
const FIRST_PORT: u16 = 9000;
/// A window's edge that is further away than this is looked at again.
const LONGEST: Duration = Duration::from_secs(3600);

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Place {
    pub endpoint: Endpoint,
    /// Its number among all endpoints.
    pub number: u64,
    pub port: u16,
    /// Its own time for a request.
    pub service: Option<Delay>,
    /// Where requests wait for that, if it takes time.
    pub line: Option<Queue>,
    /// Requests so far.
    pub requests: Cell<u64>,
    /// Connections so far.
    pub connections: Cell<u64>,
}

/// Every endpoint of a scenario, in the order of the file.
pub(crate) fn places(scenario: &Scenario) -> Vec<Rc<Place>> {
    let all = scenario.mocks.iter().flat_map(|mock| (0..mock.endpoints).map(move |index| (mock, index)));
    let place = |(number, (mock, index)): (usize, (&crate::scenario::model::MockPart, usize))| {
        let service = mock.service_time.as_deref().and_then(|text| Delay::parse(text).ok());
        let servers = u32::try_from(mock.servers).unwrap_or(u32::MAX);
        let line = |time: &Delay| Queue::new(Station { servers, time: time.clone(), room: WAITING_ROOM });
        Rc::new(Place {
            endpoint: Endpoint::new(mock.name.as_str(), index),
            number: number as u64,
            port: FIRST_PORT + u16::try_from(number).unwrap_or(0),
            line: service.as_ref().map(line),
            service,
            requests: Cell::new(0),
            connections: Cell::new(0),
        })
    };
    all.enumerate().map(place).collect()
}

/// Serves all of them until the world ends.
pub(crate) async fn serve(
    places: Vec<Rc<Place>>,
    faults: Rc<Faults>,
    (journal, doors): (Journal, Doors),
) -> turmoil::Result {
    for place in places {
        tokio::task::spawn_local(listen(place, Rc::clone(&faults), journal.clone(), doors.clone()));
    }
    std::future::pending().await
}

/// Accepts for one endpoint while no fault closes its port.
async fn listen(place: Rc<Place>, faults: Rc<Faults>, journal: Journal, doors: Doors) -> io::Result<()> {
    // Until a fault may begin or end. A host's timers may ring early, so whoever slept looks again.
    let next_look = || {
        let (refused, edge) = faults.refuses(&place.endpoint, now_ns());
        (refused, edge.map_or(LONGEST, |edge| Duration::from_nanos(edge - now_ns())))
    };
    loop {
        let (refused, until) = next_look();
        doors.set_closed(place.port, refused);
        if refused {
            // Virtual time: it passes as soon as nobody has anything else to do.
            tokio::time::sleep(until).await;
            continue;
        }
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), place.port);
        let listener = TcpListener::bind(address).await?;
        while let (false, until) = next_look() {
            tokio::select! {
                biased;
                // Virtual time.
                () = tokio::time::sleep(until) => {}
                accepted = listener.accept() => {
                    let (stream, _) = accepted?;
                    let connection = Connection::new(stream, Rc::clone(&place), Rc::clone(&faults), journal.clone());
                    tokio::task::spawn_local(connection.serve());
                }
            }
        }
    }
}
