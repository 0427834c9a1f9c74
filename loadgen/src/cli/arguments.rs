//! The arguments, and how each is read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::announce::ProxyProtocol;
use crate::clock::duration_ns;
use crate::engine::Pacing;
use crate::plan::Arrivals;
use crate::recorder::Window;
use crate::request::ExpectedHeader;
use crate::threshold::Threshold;
use crate::units::{parse_duration, parse_rate};

/// What makes no sense with journeys, nor with what only they have: an argument that is required is not missed where
/// one is there that it conflicts with.
const NOT_OF_JOURNEYS: [&str; 15] = [
    "rate",
    "arrivals",
    "replay",
    "requests",
    "http2",
    "headers",
    "method",
    "body",
    "expect_statuses",
    "expect_length",
    "expect_headers",
    "pacing",
    "connections",
    "max_in_flight",
    "timeout",
];

const HELP: &str = "\
Examples:
  loadgen --url http://127.0.0.1:8080/ --rate 5000/s --duration 30s
  loadgen --url http://127.0.0.1:8080/ --requests 100000 --connections 32
  loadgen --url http://127.0.0.1:8080/ --arrivals 'poisson ramp(100/s, 5000/s)' --duration 1m
  loadgen --url https://127.0.0.1:8443/ --ca ca.pem --http2 --rate 5000/s
  loadgen --url 'http://127.0.0.1:8080/orders/{zipf(1000)}' --rate 500/s \\
          -H 'authorization: Bearer {token(subject=user-{zipf(100)})}' --token-key key.pem
  loadgen --url http://127.0.0.1:8080 --journey shop.toml --users 50 --spawn 10/s --duration 1m
  loadgen --url http://127.0.0.1:8080/ --rate 500/s --fail-if 'p99>20ms' --fail-if 'errors>0.1%'

Placeholders in path and query, header values and body: {zipf(1000)}, {int(1, 6)}, {choice(a, b)}, {seq}, {uuid},
{token(subject=a)}. The same seed makes the same requests.

Exit codes: 0 measured, 1 a threshold was missed, 2 usage, 3 the target cannot be reached or a file not be read or
written, 4 the measurement is not valid (the output says why): also where a threshold was missed, which is told.
Without --fail-if, failed requests are figures and no failures.";

/// The version, and the commit where the build knows it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("BUILD_SHOWN"));

/// Sends load to an HTTP/1.1 or HTTP/2 server and measures from the intended send time.
///
/// With --rate, --arrivals or --replay the model is open: a seeded plan says when to send, whatever the answers do.
/// Without them the model is closed: each connection sends as soon as it has its answer. With --journey, users go step
/// by step, as a file says.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version = VERSION, about, after_help = HELP)]
#[allow(clippy::struct_excessive_bools, reason = "these are command-line switches")]
pub struct Arguments {
    /// Where to send: http://HOST:PORT/PATH or https://HOST:PORT/PATH; --url says the same
    #[arg(value_name = "URL", required_unless_present = "url", conflicts_with = "url")]
    address: Option<String>,
    /// Where to send
    #[arg(long)]
    url: Option<String>,
    /// Open model: requests a second, as in 5000/s or 600/m
    #[arg(long, value_parser = parse_rate)]
    pub(super) rate: Option<f64>,
    /// How long to send for, as in 30s or 2m [default: 10s, or as long as the requests or the trace take]
    #[arg(short, long, value_parser = parse_length)]
    pub(super) duration: Option<Duration>,
    /// Closed model: how many requests to send
    #[arg(short = 'n', long, conflicts_with_all = ["rate", "arrivals", "replay"],
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) requests: Option<u64>,
    /// How arrivals are spread: constant, poisson, ramp(A, B), spike(BASE, PEAK, AT, FOR), or the last two after the
    /// word poisson
    #[arg(long)]
    pub(super) arrivals: Option<Arrivals>,
    /// Send when a trace did: a file with a time from the start a line
    #[arg(long, conflicts_with_all = ["rate", "arrivals", "duration", "warm_up"])]
    pub(super) replay: Option<PathBuf>,
    /// Connections to open; the open model opens more when all are busy
    #[arg(short, long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) connections: u32,
    /// Open model: most requests in flight; arrivals beyond it are dropped and counted
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) max_in_flight: u32,
    /// Speak HTTP/2: by prior knowledge in the clear (h2c), by ALPN over TLS
    #[arg(long)]
    pub(super) http2: bool,
    /// HTTP/2: most requests at once on a connection
    #[arg(long, requires = "http2", conflicts_with = "journey", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) streams: u32,
    /// TLS: believe servers whose certificate these authorities signed, PEM, instead of whom the system believes
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) ca: Option<PathBuf>,
    /// TLS: believe anybody to be the server
    #[arg(long)]
    pub(super) insecure: bool,
    /// TLS: a whole handshake for each connection, no session resumed
    #[arg(long)]
    pub(super) full_handshakes: bool,
    /// Begin each connection with a header of the PROXY protocol, as a balancer does; each names another client
    #[arg(long, value_enum, value_name = "VERSION", conflicts_with = "journey")]
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    /// Let users go the journeys of a file (docs/benchmarking.md says how one is written)
    #[arg(long, value_name = "FILE", conflicts_with_all = NOT_OF_JOURNEYS)]
    pub(super) journey: Option<PathBuf>,
    /// Journeys: how many users there are at once
    #[arg(long, requires = "journey", conflicts_with_all = NOT_OF_JOURNEYS, default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) users: u32,
    /// Journeys: how many users begin a second, as in 10/s; all at once when absent
    #[arg(long, requires = "journey", conflicts_with_all = NOT_OF_JOURNEYS, value_parser = parse_rate)]
    pub(super) spawn: Option<f64>,
    /// Journeys: the program that holds the users [default: journeys, beside this one]
    #[arg(long, requires = "journey", conflicts_with_all = NOT_OF_JOURNEYS, value_name = "PATH")]
    pub(super) journeys_bin: Option<PathBuf>,
    /// A request header, as in -H 'accept: text/plain'; may be repeated
    #[arg(short = 'H', long = "header", value_parser = parse_header)]
    pub(super) headers: Vec<(String, String)>,
    /// The request method [default: GET, or POST with a body]
    #[arg(long)]
    pub(super) method: Option<String>,
    /// The request body, or @FILE for a file's content, @- for standard input
    #[arg(long)]
    pub(super) body: Option<String>,
    /// A private key in PEM that signs the tokens of placeholders
    #[arg(long, value_name = "FILE")]
    pub(super) token_key: Option<PathBuf>,
    /// The issuer of tokens
    #[arg(long, requires = "token_key")]
    pub(super) token_issuer: Option<String>,
    /// The audience of tokens
    #[arg(long, requires = "token_key")]
    pub(super) token_audience: Option<String>,
    /// The key's id in tokens
    #[arg(long, requires = "token_key")]
    pub(super) token_key_id: Option<String>,
    /// How long tokens hold
    #[arg(long, requires = "token_key", value_parser = parse_duration, default_value = "1h")]
    pub(super) token_lifetime: Duration,
    /// A status that is right; may be repeated (200 to 399 when absent)
    #[arg(long = "expect-status", value_parser = clap::value_parser!(u16).range(100..600))]
    pub(super) expect_statuses: Vec<u16>,
    /// The length that each body must have, in bytes
    #[arg(long)]
    pub(super) expect_length: Option<u64>,
    /// A header that each answer must have, as in 'x-a: 1'; 'x-a' is any value, '!x-a' none; may be repeated
    #[arg(long = "expect-header", value_name = "HEADER")]
    pub(super) expect_headers: Vec<ExpectedHeader>,
    /// When the run has failed, as in 'p99>20ms'; may be repeated. Figures: p50, p90, p99, p999, max, errors, success,
    /// rps, dropped; of one phase with its name before, as in 'spike.p99>1s'. Latencies and rps count failed requests,
    /// too: where one is asked for and neither errors nor success, more than 1 % of failed requests fail the run
    #[arg(long = "fail-if", value_name = "CONDITION")]
    pub(super) fail_if: Vec<Threshold>,
    /// A phase with figures of its own, as in 'spike=10s..12s', counted from the start; may be repeated
    #[arg(long = "phase", value_name = "NAME=FROM..TO", value_parser = parse_window)]
    pub(super) phases: Vec<Window>,
    /// Time at the start that is left out of the result
    #[arg(long, value_parser = parse_duration, default_value = "0s")]
    pub(super) warm_up: Duration,
    /// Longest time for one request; what has no whole answer by then has failed
    #[arg(long, value_parser = parse_limit, default_value = "10s")]
    pub(super) timeout: Duration,
    /// How the open model waits for the next time
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) pacing: PacingChoice,
    /// Seed of the plan and of the requests
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// A folder for result.json and the HDR histogram log
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    pub(super) quiet: bool,
}

impl Arguments {
    /// Where to send, however it was said.
    pub(super) fn url(&self) -> &str {
        self.address.as_deref().or(self.url.as_deref()).unwrap_or_default()
    }
}

/// How the driver waits, as one may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PacingChoice {
    /// Spin where the driver has a core of its own, sleep elsewhere.
    Auto,
    /// Send within microseconds of the plan; takes a core.
    Spin,
    /// Leave the core to others between requests.
    Sleep,
}

impl PacingChoice {
    /// The pacing for a target on this machine or elsewhere.
    pub(super) fn pacing(self, target_is_local: bool) -> Pacing {
        match self {
            Self::Spin => Pacing::Spin,
            Self::Sleep => Pacing::Sleep,
            Self::Auto => {
                let (allowed, online) = crate::environment::cores();
                Pacing::choose(allowed, online, target_is_local)
            }
        }
    }
}

/// A run of no length has nothing to show.
fn parse_length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text).map_err(|error| error.to_string())?;
    if length.is_zero() { Err("a run takes some time, as in 10s".to_owned()) } else { Ok(length) }
}

/// Without any time every request has failed before it is sent.
fn parse_limit(text: &str) -> Result<Duration, String> {
    let limit = parse_duration(text).map_err(|error| error.to_string())?;
    if limit.is_zero() { Err("a request takes some time, as in 10s".to_owned()) } else { Ok(limit) }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| "write NAME: VALUE".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A window, its times from the start of the run.
fn parse_window(text: &str) -> Result<Window, String> {
    let form = || "write NAME=FROM..TO, as in spike=10s..12s".to_owned();
    let (name, times) = text.split_once('=').ok_or_else(form)?;
    let (from, until) = times.split_once("..").ok_or_else(form)?;
    let time = |text: &str| parse_duration(text).map(duration_ns).map_err(|error| error.to_string());
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_word) {
        return Err(format!("`{name}` is no name of a phase: use letters, digits, - and _"));
    }
    Ok(Window { name: name.to_owned(), from_ns: time(from)?, until_ns: time(until)? })
}
