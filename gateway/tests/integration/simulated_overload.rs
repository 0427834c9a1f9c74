//! Reading that is paused, in a simulated world: a request waits in its socket, is answered when reading goes on, and
//! never waits for long.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::algorithms::loop_delay::{PAUSE, STANDING};
use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::gateway::{Gateway, World};
use gateway::listener::connection;
use gateway::overload::gate::{Keeper, LONGEST_HOLD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use turmoil::net::{TcpListener, TcpStream};

use crate::simulated::{ANYWHERE, Simulated};

const TEXT: &str = "[telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['upstream:9000']\n\
    [[routes]]\npath = '/{*rest}'\nupstream = 'up'\ncriticality = 'critical'\n";
/// When the loop becomes late, and for how long.
const LATE_AT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);
/// Links, and the turns of the simulation.
const SLACK: Duration = Duration::from_millis(30);

/// Serves, and looks at a loop that is said to be late for this long.
async fn run_gateway(late_for: Duration) -> turmoil::Result {
    let config = load_text(TEXT, Path::new("simulated"), Purpose::Run)?.config;
    let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
    let gateway = Gateway::new(config, World { network: Simulated, clock: clock.clone(), seed: 7, shards: 1 })?;
    let shard = Arc::clone(&gateway.shards()[0]);
    let looked = Arc::clone(&shard);
    tokio::spawn(async move {
        let mut keeper = Keeper::default();
        loop {
            let now = turmoil::sim_elapsed().unwrap_or_default();
            let late = (LATE_AT..LATE_AT + late_for).contains(&now);
            looked.gate.observe(&mut keeper, clock.now(), if late { PAUSE * 2 } else { Duration::ZERO });
            // virtual time
            tokio::time::sleep(LOOK).await;
        }
    });
    let listener = TcpListener::bind((ANYWHERE, 8080)).await?;
    let (_never, drain) = watch::channel(false);
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(connection::serve(Arc::clone(&shard), stream, peer, drain.clone(), ()));
    }
}

async fn run_upstream() -> turmoil::Result {
    let listener = TcpListener::bind((ANYWHERE, 9000)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(1..) = stream.read(&mut buffer).await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
    }
}

/// Asks once reading is paused; the status line's beginning, and how long it took.
fn asked_while_paused(late_for: Duration) -> (String, Duration) {
    let got = Arc::new(Mutex::new((String::new(), Duration::ZERO)));
    let told = Arc::clone(&got);
    let mut sim = turmoil::Builder::new()
        .rng_seed(5)
        .simulation_duration(Duration::from_secs(60))
        .max_message_latency(Duration::from_millis(1))
        .build();
    sim.host("upstream", run_upstream);
    sim.host("gateway", move || run_gateway(late_for));
    sim.client("client", async move {
        let mut stream = TcpStream::connect(("gateway", 8080)).await?;
        // virtual time
        tokio::time::sleep(LATE_AT + STANDING + LOOK * 3).await;
        let asked = turmoil::sim_elapsed().unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
        let mut buffer = vec![0; 4096];
        let n = stream.read(&mut buffer).await?;
        let line = String::from_utf8_lossy(&buffer[..n.min(12)]).into_owned();
        *told.lock().unwrap() = (line, turmoil::sim_elapsed().unwrap() - asked);
        Ok(())
    });
    sim.run().unwrap();
    got.lock().unwrap().clone()
}

#[test]
fn a_request_waits_while_reading_is_paused_and_is_answered_when_it_goes_on() {
    let (line, took) = asked_while_paused(STANDING + Duration::from_millis(100));
    assert_eq!(line, "HTTP/1.1 200");
    assert!(took > Duration::from_millis(30) && took < Duration::from_millis(100) + SLACK, "{took:?}");
}

#[test]
fn nobody_waits_for_long_but_is_told() {
    // Refused although it is critical: refusing and pausing together have not helped.
    let (line, took) = asked_while_paused(Duration::from_secs(10));
    assert_eq!(line, "HTTP/1.1 503");
    assert!(took >= LONGEST_HOLD && took < LONGEST_HOLD + SLACK, "{took:?}");
}
