//! Clients that are slow at sending, in a simulated world: the time that they take is no endpoint's, and no limit's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use gateway::gateway::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::simulated::{self, ANYWHERE, Simulated};

/// What the upstream does once it has the whole of a request.
#[derive(Clone, Copy)]
enum Act {
    Answer(&'static str, Duration),
    Hang,
}

const OK: &str = "200 OK";
const AT_ONCE: Duration = Duration::ZERO;
/// From then on the upstream of a story is another than before.
const TURN: Duration = Duration::from_secs(1);

/// Where a story finds its gateway.
type Seat = Arc<Mutex<Option<Arc<Gateway<Simulated>>>>>;

async fn run_gateway(keys: &'static str, seat: Seat) -> turmoil::Result {
    let text = format!(
        "[telemetry.access_log]\noutput = 'off'\n[upstreams.up]\nendpoints = ['upstream:9000']\n{keys}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\ntimeout = '4s'\nretry = {{ attempts = 1 }}\n"
    );
    let gateway = Arc::new(simulated::gateway(&text)?);
    gateway.keep_watch();
    seat.lock().unwrap().replace(Arc::clone(&gateway));
    simulated::serve(&gateway).await
}

/// Whether this is a whole request.
fn is_whole(request: &[u8]) -> bool {
    let text = std::str::from_utf8(request).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() == length.map_or(0, |length| length.parse().unwrap())
}

async fn run_upstream(act: fn(Duration) -> Act) -> turmoil::Result {
    let listener = TcpListener::bind((ANYWHERE, 9000)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                request.extend_from_slice(&buffer[..n]);
                if !is_whole(&request) {
                    continue;
                }
                request.clear();
                let Act::Answer(status, after) = act(turmoil::sim_elapsed().unwrap()) else {
                    std::future::pending::<()>().await;
                    return;
                };
                // virtual time
                tokio::time::sleep(after).await;
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
}

/// Sends this, then that so much later, on a connection of its own; the answer's status.
async fn ask(first: &str, late: Duration, last: &str) -> u16 {
    let mut stream = TcpStream::connect(("gateway", 8080)).await.unwrap();
    stream.write_all(first.as_bytes()).await.unwrap();
    // virtual time
    tokio::time::sleep(late).await;
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let n = stream.read(&mut buffer).await.unwrap();
    std::str::from_utf8(&buffer[9..12.min(n)]).unwrap().parse().unwrap()
}

async fn get() -> u16 {
    ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", AT_ONCE, "").await
}

/// The last of two bytes comes so late.
async fn upload(late: Duration) -> u16 {
    ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx", late, "y").await
}

async fn uploads(count: usize, late: Duration) -> Vec<u16> {
    join_all((0..count).map(|_| upload(late))).await
}

async fn pass(time: Duration) {
    // virtual time
    tokio::time::sleep(time).await;
}

fn state(seat: &Seat) -> &'static str {
    let gateway = seat.lock().unwrap().clone().unwrap();
    gateway.upstreams()[0].active().endpoints[0].standing.guard.state().as_str()
}

/// Tells a story in a world with this upstream.
fn world<F>(keys: &'static str, act: fn(Duration) -> Act, story: impl FnOnce(Seat) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let seat = Seat::default();
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(5).simulation_duration(Duration::from_secs(120)).max_message_latency(Duration::from_millis(2));
    // All uploads of a story at once.
    builder.tcp_capacity(256);
    let mut sim = builder.build();
    let told = Arc::clone(&seat);
    sim.host("upstream", move || run_upstream(act));
    sim.host("gateway", move || run_gateway(keys, Arc::clone(&told)));
    let story = story(seat);
    sim.client("client", async move {
        story.await;
        Ok(())
    });
    sim.run().unwrap();
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// (L3)
#[test]
fn who_sends_the_last_byte_when_no_time_is_left_opens_no_breaker_for_others() {
    let keys = "breaker = { consecutive_failures = 10, open_for = '60s' }";
    world(
        keys,
        |_| Act::Hang,
        async |seat| {
            assert_eq!(uploads(12, ms(3800)).await, [504; 12]);
            assert_eq!(state(&seat), "closed", "the upstream had 200 ms of four seconds");
            // Who leaves it half of the time, and a little, says something.
            assert_eq!(uploads(10, ms(1900)).await, [504; 10]);
            assert_eq!(state(&seat), "open");
        },
    );
}

#[test]
fn a_slow_upload_is_no_slow_answer() {
    let keys = "breaker = { min_requests = 10, slow_call = '500ms', slow_ratio = 0.5, open_for = '60s' }";
    let slow_from_the_turn = |at| Act::Answer(OK, if at < TURN * 3 { AT_ONCE } else { ms(600) });
    world(keys, slow_from_the_turn, async |seat| {
        assert_eq!(uploads(20, ms(2000)).await, [200; 20]);
        assert_eq!(state(&seat), "closed");
        pass(TURN).await;
        assert_eq!(uploads(25, AT_ONCE).await, [200; 25]);
        assert_eq!(state(&seat), "open");
    });
}

/// Three failures open it; a second later it is tried.
const PROBED: &str = "breaker = { consecutive_failures = 3, open_for = '1s', max_open_for = '8s', probes = 1, \
                      probe_timeout = '1s', slow_call = '500ms', slow_ratio = 0.5 }";

fn fails_until_the_turn(at: Duration) -> Act {
    Act::Answer(if at < TURN { "503 Failing" } else { OK }, AT_ONCE)
}

async fn half_open(seat: &Seat) {
    for _ in 0..3 {
        assert_eq!(get().await, 503);
    }
    assert_eq!(state(seat), "open");
    pass(ms(1200)).await;
    assert_eq!(state(seat), "half_open");
}

#[test]
fn a_slow_upload_that_is_to_be_a_probe_keeps_nobody_out_for_longer_than_a_probes_time() {
    world(PROBED, fails_until_the_turn, async |seat| {
        half_open(&seat).await;
        let probe = tokio::spawn(upload(ms(3000)));
        pass(ms(500)).await;
        assert_eq!(get().await, 503, "the one place is taken");
        pass(ms(600)).await;
        assert_eq!(state(&seat), "half_open", "its client has said nothing of the endpoint");
        assert_eq!((get().await, state(&seat)), (200, "closed"), "another one has");
        assert_eq!(probe.await.unwrap(), 200);
        assert_eq!(state(&seat), "closed");
    });
}

#[test]
fn where_all_requests_are_slow_uploads_a_breaker_closes_all_the_same() {
    world(PROBED, fails_until_the_turn, async |seat| {
        half_open(&seat).await;
        assert_eq!(upload(ms(3000)).await, 200);
        assert_eq!(state(&seat), "closed", "no slow answer either");
    });
}

#[test]
fn a_probe_that_hangs_opens_it_again_in_time_though_nobody_asks() {
    let hangs = |at| if at < TURN { fails_until_the_turn(at) } else { Act::Hang };
    world(PROBED, hangs, async |seat| {
        half_open(&seat).await;
        let probe = tokio::spawn(get());
        pass(ms(900)).await;
        assert_eq!(state(&seat), "half_open");
        pass(ms(200)).await;
        assert_eq!(state(&seat), "open");
        assert_eq!(probe.await.unwrap(), 504);
    });
}

#[test]
fn slow_uploads_are_no_queue_at_an_endpoint() {
    world(
        "concurrency = { adaptive = true }",
        |_| Act::Answer(OK, ms(10)),
        async |seat| {
            let limiter = || seat.lock().unwrap().as_ref().unwrap().upstreams()[0].active().endpoints[0].limiter.look();
            let others = async |rounds| {
                for _ in 0..rounds {
                    assert_eq!(join_all((0..8).map(|_| get())).await, [200; 8]);
                    assert_eq!(limiter().0.limit, None);
                }
            };
            others(50).await;
            assert!(limiter().0.base.is_some(), "it is known how long an answer takes");
            let slow = tokio::spawn(uploads(100, ms(3000)));
            others(80).await;
            assert!(limiter().1 < 10, "clients that send are not in the queue: {}", limiter().1);
            assert_eq!(slow.await.unwrap(), [200; 100]);
            assert_eq!(limiter().1, 0, "each place is given back once");
        },
    );
}

/// A route whose body decides, with a limit of its own; whatever else comes is another's.
const PAID: [&str; 2] = [
    "[rate_limits.pay]\nrate = '5/s'\nburst = 5\nkey = 'route'\n[[routes]]\npath = '/pay'\nupstream = 'up'\n\
     timeout = '20s'\nbody = { '/type' = 'refund' }\nrate_limits = ['pay']",
    "[rate_limits.pay]\nrate = '1/s'\nburst = 1\nkey = 'route'\n[[routes]]\npath = '/pay'\nupstream = 'up'\n\
     timeout = '20s'\nbody = { '/type' = 'refund' }\nrate_limits = ['pay']",
];

/// The last byte of a body that decides about the route comes so late.
async fn refund(late: Duration) -> u16 {
    ask("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 17\r\n\r\n{\"type\":\"refund\"", late, "}").await
}

#[test]
fn requests_that_are_opened_early_and_end_together_get_one_burst() {
    world(
        PAID[0],
        |_| Act::Answer(OK, AT_ONCE),
        async |_| {
            let opened = (0..4).flat_map(|batch| (0..5).map(move |_| batch)).map(async |batch| {
                pass(ms(1200) * batch).await;
                refund(ms(1200) * (4 - batch)).await
            });
            let statuses = join_all(opened).await;
            assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
            assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        },
    );
}

#[test]
fn a_body_that_took_long_finds_the_tokens_that_came_back_meanwhile() {
    world(
        PAID[1],
        |_| Act::Answer(OK, AT_ONCE),
        async |_| {
            let long = tokio::spawn(refund(ms(4300)));
            for _ in 0..3 {
                pass(ms(1050)).await;
                assert_eq!(refund(AT_ONCE).await, 200);
            }
            assert_eq!(long.await.unwrap(), 200, "a second after the one before");
        },
    );
}
