//! A whole gateway in memory: one client's keep-alive connection through every stage to an upstream and back.
//!
//! The connection is `gateway::listener::connection::serve`, as a worker runs it: the codec towards both sides, the
//! pipeline and the pools. What is left out is the kernel, the event loop and the accept thread.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateway::algorithms::loop_delay::PAUSE;
use gateway::clock::Clock;
use gateway::config::{Config, Purpose, load_text};
use gateway::gateway::{Gateway, World as Surroundings};
use gateway::jws::Signer;
use gateway::listener::connection;
use gateway::overload::gate::{Gate, Keeper};
use gateway::telemetry::access_log::AccessLog;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::memory::{Memory, OK, Wire};
use crate::messages;

/// Routes of the configuration.
pub const ROUTES: usize = 200;

/// Exchanges before anything is measured: buffers, pools and tables have their size then. A kept log of so many lines
/// (some 140 KB) has just doubled, and does not within the hundred that are counted.
const WARM_UP: u64 = 320;
/// Turns after which an exchange that is not over will never be.
const TURNS_MAX: u64 = 8;

/// Between two looks at a worker's loop that is late, and how many of them it takes until all is refused.
const LOOK: Duration = Duration::from_millis(100);
const LATE_LOOKS: u32 = 60;

/// The access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Off.
    Off,
    /// Every request has its record, which goes to `/dev/null`.
    On,
    /// Every request has its record, and no thread comes for them: what a count needs. The writer is woken by the
    /// clock, and took up to 6 % of a hundred requests' instructions, or none.
    Kept,
}

/// The breakers of the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakers {
    /// As they are by default.
    On,
    /// Nothing can trip them, so that no outcome is looked at.
    Off,
}

/// What the client presents, and who looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Nothing.
    Absent,
    /// A signed token that no route asks for: it is carried to the upstream.
    Carried,
    /// The same token, on routes that ask for it: known, held against a scope, and told to the upstream.
    Proven,
}

/// The key of the test's issuer (RFC 8410, section 10.3).
const ISSUER: &str = "-----BEGIN PRIVATE KEY-----\n\
                      MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                      -----END PRIVATE KEY-----\n";

/// The issuer's public key, and two tokens of about 800 bytes, as RS256 makes them.
fn issue() -> (String, [String; 2]) {
    let signer = Signer::from_pem(ISSUER).expect("a key").remove(0);
    let token = |subject: &str| {
        let claims = serde_json::json!({
            "iss": "https://idp.example", "aud": "api", "sub": subject, "exp": 4_000_000_000_u64,
            "scope": "openid orders:read orders:write", "name": "Ada Lovelace", "padding": "x".repeat(280),
        });
        signer.sign("at+jwt", &claims).expect("a token")
    };
    let tokens = ["5f1d7a84-2c55-4a0c-9a57-1e9ad84c7a10", "0b6e7c1d-90aa-4f7b-8b2c-6a2f8a9c4e21"].map(token);
    (signer.jwk().to_string(), tokens)
}

/// A gateway with the settings of this text on a network in memory.
///
/// # Panics
/// The text is no valid configuration: a mistake in this crate.
pub fn gateway(text: &str, network: Memory) -> Gateway<Memory> {
    Gateway::new(configured(text), surroundings(network)).unwrap_or_else(|error| panic!("/dev/null: {error}"))
}

/// The same with an access log that nobody writes.
fn gateway_that_keeps_its_log(text: &str, network: Memory) -> Gateway<Memory> {
    let config = configured(text);
    let log = AccessLog::kept(&config.telemetry.access_log, 1);
    Gateway::with_log(config, surroundings(network), log)
}

fn configured(text: &str) -> Config {
    let loaded = load_text(text, Path::new("benches.toml"), Purpose::Run);
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

fn surroundings(network: Memory) -> Surroundings<Memory> {
    Surroundings { network, clock: Clock::system(), seed: 1, shards: 1 }
}

/// Every request is sampled; there is room for the spans of all that are counted.
const TRACED: &str = "[telemetry.tracing]\notlp_endpoint = \"http://127.0.0.1:4318\"\nsample_ratio = 1.0\n\
                      otlp_queue = 1048576\n\n";

/// What a world is made of.
struct Plan {
    log: Log,
    breakers: Breakers,
    token: Token,
    /// The worker's loop is late, and all is refused.
    is_late: bool,
    /// Every request is traced, and nobody sends the spans.
    is_traced: bool,
    /// Requests of a client are counted against a limit, which has room for all of them.
    is_limited: bool,
    request: &'static [u8],
    /// What upstreams answer.
    answer: &'static [u8],
    /// What the client's answers begin with.
    expected: &'static [u8],
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            log: Log::Off,
            breakers: Breakers::On,
            token: Token::Absent,
            is_late: false,
            is_traced: false,
            is_limited: false,
            request: messages::REQUEST,
            answer: messages::answer(),
            expected: OK,
        }
    }
}

impl Plan {
    /// The configuration, with this key of the issuer's where routes ask for a token.
    fn configuration(&self, key: Option<&str>) -> String {
        let output = match self.log {
            Log::Off => "off",
            Log::On | Log::Kept => "/dev/null",
        };
        let mut text = format!("[telemetry.access_log]\noutput = \"{output}\"\n\n");
        text.push_str("[upstreams.orders]\nendpoints = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n");
        if self.breakers == Breakers::Off {
            text.push_str("breaker = { consecutive_failures = 0, min_requests = 1000000000 }\n");
        }
        for number in 0..ROUTES {
            text.push_str(&format!(
                "\n[[routes]]\nname = \"items-{number}\"\npath = \"/api/service-{number}/items/{{id}}\"\n\
                 upstream = \"orders\"\n"
            ));
            if key.is_some() {
                text.push_str("auth = { providers = [\"main\"], scopes = [\"orders:read\"] }\n");
            }
            if self.is_limited {
                text.push_str("rate_limits = [\"fair\"]\n");
            }
        }
        if let Some(key) = key {
            text.push_str(
                "\n[identity.providers.main]\nkind = \"jwt\"\nissuer = \"https://idp.example\"\n\
                 audiences = [\"api\"]\n",
            );
            text.push_str(&format!("jwks = {{ inline = '{{\"keys\":[{key}]}}' }}\n"));
        }
        if self.is_limited {
            text.push_str("\n[rate_limits.fair]\nrate = \"1000000/s\"\nburst = 1000000\nkey = \"client_ip\"\n");
        }
        text
    }

    fn world(self) -> World {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime without sockets");
        let waker = waker(&runtime);
        let wire = Arc::new(Wire::default());
        let network = Memory::new(Arc::clone(&wire), self.answer);
        let (key, _) = issue();
        let client = network.client(self.request, self.expected);
        let key = (self.token == Token::Proven).then_some(&*key);
        let start = if self.log == Log::Kept { gateway_that_keeps_its_log } else { gateway };
        let mut text = self.configuration(key);
        if self.is_late {
            // Of a flood so many a second are written down, so that a count would hang on the clock.
            text.insert_str(0, "[telemetry.recorder]\nrequests = 0\n\n");
        }
        if self.is_traced {
            text.insert_str(0, TRACED);
        }
        let gateway = start(&text, network);
        let (drain, drained) = watch::channel(false);
        let shard = Arc::clone(&gateway.shards()[0]);
        if self.is_late {
            close(&shard.gate);
        }
        let connection = Box::pin(connection::serve(shard, client, ([192, 0, 2, 1], 40_000).into(), drained, ()));
        let mut world =
            World { connection, wire, answer_bytes: u64::MAX, runtime, waker, _gateway: gateway, _drain: drain };
        let body = if self.is_late { 0 } else { messages::BODY_BYTES as u64 };
        world.answer_bytes = world.learn(body);
        world.exchanges(WARM_UP);
        world
    }
}

/// Finds the worker's loop late until every request is refused, and none is made to wait.
fn close(gate: &Gate) {
    let (mut keeper, mut now) = (Keeper::default(), Clock::system().now());
    for _ in 0..LATE_LOOKS {
        now += LOOK;
        gate.observe(&mut keeper, now, PAUSE - Duration::from_millis(1));
    }
    assert!(gate.refused_part() >= 1.0 && !gate.is_paused());
}

/// A task's waker, as connections have on a worker. That of `block_on` does not always know itself again, so that who
/// stands registered would be registered anew each time.
fn waker(runtime: &Runtime) -> Waker {
    let task = async { tokio::spawn(poll_fn(|cx| Poll::Ready(cx.waker().clone()))).await };
    runtime.block_on(task).expect("a task that ends at once")
}

/// The gateway, and one client.
pub struct World {
    connection: Pin<Box<dyn Future<Output = ()>>>,
    wire: Arc<Wire>,
    answer_bytes: u64,
    runtime: Runtime,
    waker: Waker,
    _gateway: Gateway<Memory>,
    // Dropping it would end the connection.
    _drain: watch::Sender<bool>,
}

impl World {
    /// A gateway that is warm, and a client connected to it.
    ///
    /// # Panics
    /// The gateway does not answer 200.
    pub fn new(log: Log) -> Self {
        Plan { log, ..Plan::default() }.world()
    }

    /// The same for a client that presents a token.
    ///
    /// # Panics
    /// As `new`.
    pub fn with_token(log: Log, token: Token) -> Self {
        let request = messages::bearing(&issue().1[0]);
        Plan { log, token, request, ..Plan::default() }.world()
    }

    /// The same for a client that sends two requests in a row, each with another token, so that none is its
    /// connection's last. An exchange is the two of them.
    ///
    /// # Panics
    /// As `new`.
    pub fn with_tokens_in_turn(log: Log, token: Token) -> Self {
        let request = issue().1.map(|bearer| messages::bearing(&bearer)).concat().leak();
        Plan { log, token, request, ..Plan::default() }.world()
    }

    /// The same without breakers, for what they cost.
    ///
    /// # Panics
    /// As `new`.
    pub fn without_breakers(log: Log) -> Self {
        Plan { log, breakers: Breakers::Off, ..Plan::default() }.world()
    }

    /// The same where every request is traced: what a sampled request costs.
    ///
    /// # Panics
    /// As `new`.
    pub fn traced(log: Log) -> Self {
        Plan { log, is_traced: true, ..Plan::default() }.world()
    }

    /// The same where requests are counted against a limit.
    ///
    /// # Panics
    /// As `new`.
    pub fn limited(log: Log) -> Self {
        Plan { log, is_limited: true, ..Plan::default() }.world()
    }

    /// The same while the worker's loop is late and every request is turned away: what a refusal costs.
    ///
    /// # Panics
    /// The gateway does not answer 503.
    pub fn refusing(log: Log) -> Self {
        Plan { log, is_late: true, expected: b"HTTP/1.1 503 ", ..Plan::default() }.world()
    }

    /// Sends a request and reads its answer, so many times.
    ///
    /// # Panics
    /// An answer does not come, or is not the one that the first was.
    pub fn exchanges(&mut self, count: u64) {
        let Self { connection, wire, runtime, waker, answer_bytes, .. } = self;
        // Without tokio's budget: a worker gets a new one each time it is woken, which here is never.
        let cx = &mut Context::from_waker(waker);
        runtime.block_on(tokio::task::unconstrained(poll_fn(|_| {
            for _ in 0..count {
                wire.ask();
                let turns = (0..TURNS_MAX).take_while(|_| turn(connection.as_mut(), wire, cx) < *answer_bytes).count();
                assert!(turns < TURNS_MAX as usize && wire.answered() == *answer_bytes, "an answer as the first");
            }
            Poll::Ready(())
        })));
    }

    /// Connections that the gateway has opened.
    pub fn dialled(&self) -> u64 {
        self.wire.dialled()
    }

    /// The size of an answer, which has a body of this size at least: all of them are alike.
    fn learn(&mut self, body: u64) -> u64 {
        let Self { connection, wire, runtime, waker, .. } = self;
        let cx = &mut Context::from_waker(waker);
        runtime.block_on(poll_fn(|_| {
            wire.ask();
            for _ in 0..TURNS_MAX {
                turn(connection.as_mut(), wire, cx);
            }
            Poll::Ready(())
        }));
        let answered = wire.answered();
        assert!(answered > body, "the first request is answered, whole");
        answered
    }
}

/// Lets the gateway work once; the bytes that the client has got.
fn turn(connection: Pin<&mut dyn Future<Output = ()>>, wire: &Wire, cx: &mut Context<'_>) -> u64 {
    wire.next_turn();
    assert!(connection.poll(cx).is_pending(), "the connection stays open");
    wire.answered()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_to_each_endpoint_serves_all_requests() {
        for log in [Log::Off, Log::On, Log::Kept] {
            let mut world = World::new(log);
            world.exchanges(50);
            assert!(world.dialled() <= 2, "{log:?}: {} connections for one client", world.dialled());
        }
    }

    #[test]
    fn two_tokens_in_turn_are_two_requests() {
        let (one, two) =
            (World::with_token(Log::Off, Token::Proven), World::with_tokens_in_turn(Log::Off, Token::Proven));
        assert_eq!(two.answer_bytes, 2 * one.answer_bytes);
    }

    #[test]
    fn who_is_refused_gets_an_answer_that_costs_no_upstream_anything() {
        let mut world = World::refusing(Log::Off);
        world.exchanges(50);
        assert_eq!(world.dialled(), 0);
    }

    #[test]
    #[should_panic(expected = "the connection stays open")]
    fn an_answer_that_is_no_200_is_not_measured() {
        Plan { answer: b"garbage\r\n\r\n", ..Plan::default() }.world();
    }
}
