//! Clients with less patience than their route, in a simulated world: an endpoint that hangs is left, and one whose
//! clients leave long polls is not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::gateway::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::simulated::{self, ANYWHERE, Simulated};

const TEXT: &str = "[telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['one:9000', 'two:9000']\n\
    balance = 'round_robin'\nbreaker = { consecutive_failures = 5, open_for = '60s' }\n\
    [[routes]]\npath = '/{*rest}'\nupstream = 'up'\nretry = { attempts = 1 }\n\
    [[routes]]\npath = '/polls/{*rest}'\nupstream = 'up'\nretry = { attempts = 1 }\n";

/// A long poll is answered after this.
const POLL: Duration = Duration::from_secs(30);
const LASTS: Duration = Duration::from_secs(30);

type Seen = Arc<Mutex<Option<Arc<Gateway<Simulated>>>>>;

async fn run_gateway(seen: Seen) -> turmoil::Result {
    let gateway = Arc::new(simulated::gateway(TEXT)?);
    gateway.keep_watch();
    *seen.lock().unwrap() = Some(Arc::clone(&gateway));
    simulated::serve(&gateway).await
}

/// Answers at once, and polls after their time; from this time on it answers nothing.
async fn run_upstream(hangs_from: Duration) -> turmoil::Result {
    let listener = TcpListener::bind((ANYWHERE, 9000)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                head.extend_from_slice(&buffer[..n]);
                if head.ends_with(b"\r\n\r\n") {
                    if turmoil::sim_elapsed().unwrap() >= hangs_from {
                        std::future::pending::<()>().await;
                    }
                    if String::from_utf8_lossy(&head).contains("poll") {
                        // virtual time
                        tokio::time::sleep(POLL).await;
                    }
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    head.clear();
                }
            }
        });
    }
}

/// One after the other, each on a connection of its own, which waits so long for its answer.
async fn clients(path: &'static str, headers: &'static str, patience: Duration, every: Duration) -> turmoil::Result {
    while turmoil::sim_elapsed().unwrap() < LASTS {
        let mut stream = TcpStream::connect(("gateway", 8080)).await?;
        let mut buffer = vec![0; 4096];
        let ask = async {
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n").as_bytes()).await?;
            stream.read(&mut buffer).await
        };
        // Who has no answer by then leaves.
        let _ = tokio::time::timeout(patience, ask).await;
        drop(stream);
        // virtual time
        tokio::time::sleep(every).await;
    }
    Ok(())
}

/// Clients: what they ask for, their headers, and their patience.
type Crowd = (&'static str, &'static str, Duration);

/// What became of both endpoints: trips, failures, and attempts that clients left.
fn world(hangs_from: Duration, crowds: &[Crowd]) -> [(u64, u64, u64); 2] {
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(1)
        .tick_duration(Duration::from_millis(5))
        .simulation_duration(LASTS * 3)
        .max_message_latency(Duration::from_millis(5));
    let mut sim = builder.build();
    sim.host("one", || run_upstream(Duration::MAX));
    sim.host("two", move || run_upstream(hangs_from));
    sim.host("gateway", move || run_gateway(Arc::clone(&told)));
    for (number, (path, headers, patience)) in crowds.iter().copied().enumerate() {
        sim.client(format!("client-{number}"), clients(path, headers, patience, Duration::from_millis(80)));
    }
    sim.run().unwrap();
    let gateway = seen.lock().unwrap().take().unwrap();
    let active = gateway.upstreams()[0].active();
    [0, 1].map(|at| {
        let endpoint = &active.endpoints[at];
        let trips = endpoint.standing.trips().map(|(_, count)| count).sum();
        (trips, endpoint.failures(), endpoint.answers.left_in_all())
    })
}

const FAST: Crowd = ("/x", "", Duration::from_secs(3));

#[test]
fn an_endpoint_that_hangs_is_left_though_its_clients_go_before_the_routes_time_is_up() {
    let [one, two] = world(Duration::from_secs(5), &[FAST; 6]);
    assert_eq!(one, (0, 0, 0));
    assert!(two.0 == 1 && two.1 >= 5, "{two:?}");
    assert!(two.2 >= two.1, "each of them was left: {two:?}");
}

#[test]
fn clients_that_leave_long_polls_open_no_breaker() {
    for polls in ["/polls/1", "/poll-on-the-route-of-the-others"] {
        let poll = (polls, "", Duration::from_secs(2));
        let both = world(Duration::MAX, &[FAST, FAST, poll, poll, poll, poll, poll, poll]);
        for (trips, failures, left) in both {
            assert_eq!((trips, failures), (0, 0), "{polls}");
            assert!(left > 10, "{polls}: {left} were left");
        }
    }
}

#[test]
fn clients_in_a_hurry_open_no_breaker() {
    let hurried = ("/x", "x-request-timeout-ms: 2000\r\n", Duration::from_millis(1500));
    let impatient = ("/x", "", Duration::from_millis(500));
    for crowd in [hurried, impatient] {
        let [one, two] = world(Duration::from_secs(5), &[crowd; 6]);
        assert_eq!((one.0, one.1, two.0, two.1), (0, 0, 0, 0), "{one:?} {two:?}");
        assert!(two.2 > 10, "{two:?}");
    }
}
