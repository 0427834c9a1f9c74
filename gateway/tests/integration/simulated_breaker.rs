//! A breaker in a simulated world: it trips at the very attempt, lets one probe through at the very time, and recovers
//! within one opening.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::simulated::{self, ANYWHERE};

/// The upstream fails between these times.
const FAILS: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(5);
/// A client asks this often.
const EVERY: Duration = Duration::from_millis(10);
/// Links, and the turns of the simulation.
const SLACK: Duration = Duration::from_millis(100);

const TEXT: &str = "[telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['upstream:9000']\n\
    breaker = { consecutive_failures = 10, open_for = '200ms', max_open_for = '800ms', probes = 1 }\n\
    [[routes]]\npath = '/{*rest}'\nupstream = 'up'\nretry = { attempts = 1 }\n";

/// What the upstream was asked: when, and whether it failed.
type Journal = Arc<Mutex<Vec<(Duration, bool)>>>;

async fn run_gateway() -> turmoil::Result {
    let gateway = Arc::new(simulated::gateway(TEXT)?);
    gateway.keep_watch();
    simulated::serve(&gateway).await
}

async fn run_upstream(journal: Journal) -> turmoil::Result {
    let listener = TcpListener::bind((ANYWHERE, 9000)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                head.extend_from_slice(&buffer[..n]);
                if head.ends_with(b"\r\n\r\n") {
                    let now = turmoil::sim_elapsed().unwrap();
                    let fails = FAILS.contains(&now);
                    journal.lock().unwrap().push((now, fails));
                    let status = if fails { "503 Failing" } else { "200 OK" };
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                    head.clear();
                }
            }
        });
    }
}

async fn run_client() -> turmoil::Result {
    let mut stream = TcpStream::connect(("gateway", 8080)).await?;
    let mut buffer = vec![0; 4096];
    while turmoil::sim_elapsed().unwrap() < FAILS.end + Duration::from_secs(3) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
        // An answer, or the problem document of one that was refused, comes in one piece.
        assert!(stream.read(&mut buffer).await? > 0);
        // virtual time
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

fn history(seed: u64) -> Vec<(Duration, bool)> {
    let journal = Journal::default();
    let told = Arc::clone(&journal);
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(seed).simulation_duration(Duration::from_secs(60)).max_message_latency(Duration::from_millis(5));
    let mut sim = builder.build();
    sim.host("upstream", move || run_upstream(Arc::clone(&told)));
    sim.host("gateway", run_gateway);
    sim.client("client", run_client());
    sim.run().unwrap();
    journal.lock().unwrap().clone()
}

#[test]
fn it_trips_exactly_probes_in_time_and_recovers_within_one_opening() {
    for seed in 0..5 {
        let history = history(seed);
        let failed: Vec<Duration> = history.iter().filter(|(_, failed)| *failed).map(|(at, _)| *at).collect();
        // Ten trip it. After that one probe each: 200, 400, 800, 800, 800 ms after the one before it.
        assert!(failed.len() > 13, "seed {seed}: {failed:?}");
        let openings: Vec<Duration> = failed[9..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (opening, expected) in openings.iter().zip([200, 400, 800, 800, 800].map(Duration::from_millis)) {
            assert!(*opening >= expected && *opening < expected + SLACK, "seed {seed}: {openings:?}");
        }
        let healed = history.iter().find(|(at, failed)| *at >= FAILS.end && !failed).expect("it recovers").0;
        assert!(healed < FAILS.end + Duration::from_millis(800) + SLACK, "seed {seed}: {healed:?}");
        let after = history.iter().filter(|(at, _)| *at > healed);
        assert!(after.clone().all(|(_, failed)| !failed) && after.count() > 50, "seed {seed}: it stays closed");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    assert_eq!(history(3), history(3));
}
