//! What limits cost: bytes of a key here and in a Redis; and checks a second in a Redis, beside `redis-benchmark` with
//! the same script, in one run on one server.
//!
//! `cargo bench -p benches --bench stores`; a number behind `--` measures so many keys too. Does nothing unless it is
//! told `--bench`, and needs `redis-server` and `redis-benchmark`. Rounds take turns in a fixed order; the median of
//! each is shown. One runtime of one thread asks, as a worker does.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::algorithms::gcra::Quota;
use gateway::algorithms::rng::mix;
use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::rate_limit::{Cells, Key, Registry, Rule, ShortId, Tier, take_leased};
use gateway::store::{By, Call, Script, Store, Stores, Surroundings};
use gateway::telemetry::metrics;

/// As in `redis-benchmark` below: connections times commands on their way.
const AT_ONCE: usize = 256;
/// Checks of a round.
const CHECKS: usize = 200_000;
/// Keys.
const KEYS: usize = 10_000;
/// Keys whose memory in the store is measured.
const KEPT: usize = 100_000;
const ROUNDS: usize = 5;
/// The most tokens that are taken at once.
const LEASES: [u64; 4] = [1, 5, 20, 100];

struct Server(Child, SocketAddr);

impl Server {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
        let port = address.port().to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server is installed");
        let server = Self(child, address);
        for _ in 0..1_000 {
            if server.tell("PING").is_some_and(|answer| answer.starts_with("+PONG")) {
                return server;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("redis-server does not answer");
    }

    fn tell(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.1).ok()?;
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const RULE: &str = "[stores.s]\nurl = 'redis://ADDRESS'\ncommand_timeout = '5s'\n\
    [rate_limits.r]\nrate = '1000000/s'\nburst = 1000000\nkey = 'client_ip'\nstore = 's'\nmode = 'leased'\n\
    [rate_limits.slow]\nrate = '1/h'\nburst = 100\nkey = 'client_ip'\nstore = 's'\n\
    [[routes]]\npath = '/'\nupstream = 'http://127.0.0.1:1'\n";

/// The same script, the same numbers, as many on their way at once.
fn redis_benchmark(server: &Server, quota: &Quota) -> f64 {
    let [cost, window, token] = [quota.cost(), quota.window(), quota.interval()].map(|number| number.to_string());
    let text = Script::Charge.text();
    let output = Command::new("redis-benchmark")
        .args(["-p", &server.1.port().to_string(), "-c", "8", "-P", "32", "--csv"])
        .args(["-n", &CHECKS.to_string(), "-r", &KEYS.to_string()])
        // Loaded first, so that every call is by its hash, as the gateway's are.
        .args(["evalsha", &load(server, text), "1", "limit:{__rand_int__0123456789}:r"])
        .args([cost.as_str(), &window, "0", "1", "0", &token, "0"])
        .output()
        .expect("redis-benchmark is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().and_then(|line| line.split("\",\"").nth(1)).map(|number| number.trim_matches('"'));
    last.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

fn load(server: &Server, script: &str) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &server.1.port().to_string(), "script", "load", script])
        .output()
        .expect("redis-cli is installed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Checks a second of so many tasks on this thread.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
async fn rate<F: Future<Output = ()> + 'static>(check: impl Fn(usize) -> F + Clone + 'static) -> f64 {
    let began = Instant::now();
    let local = tokio::task::LocalSet::new();
    for task in 0..AT_ONCE {
        let check = check.clone();
        local.spawn_local(async move {
            for number in (task..CHECKS).step_by(AT_ONCE) {
                check(number).await;
            }
        });
    }
    local.await;
    CHECKS as f64 / began.elapsed().as_secs_f64()
}

/// One of so many.
fn key(number: usize, keys: usize) -> Key<'static> {
    let number = (number.wrapping_mul(2_654_435_761) % keys) as u32;
    Key::Address(Ipv4Addr::from(0x0a00_0000 + number).into())
}

async fn exact(store: Arc<Store>, rule: Arc<Rule>, keys: usize) -> f64 {
    rate(move |number| {
        let (store, rule) = (Arc::clone(&store), Arc::clone(&rule));
        async move {
            let quota = rule.quota(Tier::Own);
            let mut call = Call::new(Script::Charge);
            call.keys.push(rule.name_in_store(ShortId::of(&key(number, keys)), Tier::Own));
            let told = [quota.cost(), quota.window(), 0, 1, 0, quota.interval(), 0];
            call.numbers.extend(told.map(|number| i64::try_from(number).unwrap_or(i64::MAX)));
            assert_eq!(store.ask(By::worker(0), call).await.expect("an answer")[0], 0, "admitted");
        }
    })
    .await
}

/// Ten keys are busy, as those are whose owner wants leases.
async fn leased(rule: Arc<Rule>, clock: Clock, most: u64) -> f64 {
    rate(move |number| {
        let (rule, clock) = (Arc::clone(&rule), clock.clone());
        async move {
            let key = key(number % 10, KEYS);
            let hash = rule.hash(&key, Tier::Own);
            let now = clock.monotonic_ns(clock.now());
            let taken = take_leased(&rule, By::worker(0), (&key, Tier::Own, hash), most, now).await.expect("an answer");
            assert!(taken.is_some_and(|outcome| outcome.taken), "admitted");
            // As a request does, so that others have their turn.
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Bytes that the server has in use, and its keys.
fn in_use(server: &Server) -> (f64, f64) {
    let number = |text: Option<String>, before: &str| {
        let line = text?.lines().find_map(|line| line.strip_prefix(before).map(str::to_owned));
        line?.trim().parse::<f64>().ok()
    };
    let (bytes, keys) = (number(server.tell("INFO memory"), "used_memory:"), number(server.tell("DBSIZE"), ":"));
    (bytes.expect("it says how much"), keys.expect("it says how many"))
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    4096 * statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0)
}

/// Resident bytes that a key of a local limit takes, among so many.
fn bytes_a_key(keys: u64) -> f64 {
    let quota = Quota::new(1, Duration::from_secs(3600), 100, 1);
    let before = resident();
    let cells = Cells::new(2 * keys as usize);
    assert!((0..keys).all(|key| cells.take(mix(key), 1, &quota).is_ok()), "there are tokens");
    let taken = resident().saturating_sub(before);
    assert_eq!(cells.fill().keys, keys as usize);
    taken as f64 / keys as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let more = std::env::args().filter_map(|argument| argument.parse().ok());
    for keys in [100_000, 1_000_000].into_iter().chain(more) {
        println!("a key of a local limit, among {keys:8}: {:5.1} bytes resident", bytes_a_key(keys));
    }
    let server = Server::start();
    let text = RULE.replace("ADDRESS", &server.1.to_string());
    let config = load_text(&text, Path::new("bench"), Purpose::Run).expect("a configuration").config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let clock = Clock::system();
        let metrics = Arc::new(metrics::Registry::new(1));
        let surroundings =
            Surroundings { clock: clock.clone(), events: Arc::default(), metrics: Arc::clone(&metrics), workers: 1 };
        let stores = Stores::new(surroundings);
        stores.apply(&config.stores);
        let registry = Registry::new(metrics, 1, 1);
        let now = clock.monotonic_ns(clock.now());
        let [rule, slow] = [0, 1].map(|at: usize| Arc::new(registry.compile(&config.rate_limits[at], &stores, now)));
        let store = stores.find("s").expect("the store");
        let mut figures = [(); 2 + LEASES.len()].map(|()| Vec::new());
        for round in 0..=ROUNDS {
            let mut these = vec![redis_benchmark(&server, rule.quota(Tier::Own))];
            these.push(exact(Arc::clone(&store), Arc::clone(&rule), KEYS).await);
            for most in LEASES {
                these.push(leased(Arc::clone(&rule), clock.clone(), most).await);
            }
            println!("{these:.0?}");
            // The first warms up.
            if round > 0 {
                figures.iter_mut().zip(these).for_each(|(all, this)| all.push(this));
            }
        }
        let figures = figures.map(median);
        let [theirs, ours, chunks @ ..] = &figures;
        println!("checks a second, medians of {ROUNDS} rounds, {AT_ONCE} at once");
        println!("redis-benchmark      {theirs:9.0}");
        println!("exact                {ours:9.0}  {:4.2} of redis-benchmark", ours / theirs);
        for (most, rate) in LEASES.iter().zip(chunks) {
            println!("leased, at most {most:4} {rate:9.0}  {:4.1} times redis-benchmark", rate / theirs);
        }
        let before = in_use(&server);
        exact(store, slow, KEPT).await;
        let after = in_use(&server);
        let (bytes, keys) = (after.0 - before.0, after.1 - before.1);
        println!("a key in the store, among {keys:.0}: {:.1} bytes", bytes / keys);
    });
}
