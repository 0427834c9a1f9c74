//! The command line of `mocks`.
//!
//! Exit codes: 0 ended by a signal, 1 the configuration is bad, 2 usage, 3 it could not run.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::styling::Styles;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::faults::Delay;
use crate::mock::{Builder, Mock, StartError};
use crate::tls::{Tls, TlsError};
use crate::topology::render;

const EXAMPLES: &str = r#"Examples:
  One service on a free port; the line on standard error says which:
    mocks --listen 127.0.0.1:0 --service orders

  Three endpoints of a service, and a control port:
    mocks --service orders --listen 127.0.0.1:9001 --listen 127.0.0.1:9002 \
          --listen 127.0.0.1:9003 --control 127.0.0.1:9700

  A service with rules from a file:
    mocks --listen 127.0.0.1:9001 --service orders --config rules.toml

  A service that takes time, with eight servers and a line before them:
    mocks --listen 127.0.0.1:9001 --service-time 'lognormal(2ms, 0.4)' --servers 8

  Let half of the requests fail, read what happened, and start anew:
    curl -X PUT 127.0.0.1:9700/faults \
         -d '{"rules":[{"match":{"share":0.5},"act":{"status":503}}]}'
    curl '127.0.0.1:9700/journal?since=0&limit=1000'
    curl -X POST 127.0.0.1:9700/reset

  A fault for one request:
    curl -H 'x-mock-fault: delay=50ms;status=503' 127.0.0.1:9001/echo

A rule matches by service, endpoint, path, method, header, share, from, until, requests.
Acts: delay, service, status, hang, reset, slow_body, truncate, garbage, close, refuse, flap,
grpc_status, cache_control, etag, age, vary, headers, body.
Control port: /faults, /journal, /counters, /reset, /gateway, /healthz, /openapi.json.
Exit codes: 0 ended by SIGTERM or SIGINT, 1 the configuration is bad, 2 usage, 3 could not run."#;

/// The version, and the commit where the build knows it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("BUILD_SHOWN"));

/// Mock services with injectable faults.
///
/// HTTP/1.1, HTTP/2 by prior knowledge or over TLS, and gRPC (mocks.Echo/Unary and /Stream,
/// grpc.health.v1.Health/Check).
/// Every path echoes the request as JSON, but for /bytes/N, /stream/CHUNKS/MS, /sse/N/MS, /ws, /items?ids=A,B,
/// /healthz and /openapi.json. When it serves, it prints one line of JSON on standard error.
#[derive(Debug, Parser)]
#[command(name = "mocks", version = VERSION, after_help = EXAMPLES, styles = Styles::plain())]
struct Arguments {
    /// Address of an endpoint; port 0 is a free one. May be given several times
    #[arg(long, value_name = "ADDRESS", required_unless_present = "config", value_parser = address)]
    listen: Vec<SocketAddr>,
    /// The service's name [default: mock]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// How long the service takes: a time or a distribution, such as "lognormal(2ms, 0.4)"
    #[arg(long, value_name = "TIME", value_parser = service_time)]
    service_time: Option<Delay>,
    /// Requests that an endpoint serves at once, the others waiting in line; 0 = any number [default: 0]
    #[arg(long, value_name = "COUNT", requires = "service_time")]
    servers: Option<u32>,
    /// Requests that may wait at an endpoint; the others are answered 503 [default: 1000]
    #[arg(long, value_name = "COUNT", requires = "service_time")]
    waiting_room: Option<u32>,
    /// Speak TLS, with this certificate (PEM, with its chain); HTTP/2 and HTTP/1.1 are offered by ALPN
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A file of rules for the service of these flags; or a topology: services, endpoints and rules
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the control port
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    control: Option<SocketAddr>,
    /// Address of the gateway through which services call each other
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    gateway: Option<SocketAddr>,
    /// Seed of everything random [default: 0, or the file's]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Worker threads [default: 1, or the file's]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    threads: Option<u16>,
    /// Requests that the journal keeps
    #[arg(long, value_name = "ENTRIES", default_value_t = 200_000)]
    journal: usize,
}

impl Arguments {
    /// A flag that says something of the one service.
    fn service_flag(&self) -> Option<&'static str> {
        let flags = [
            ("--listen", !self.listen.is_empty()),
            ("--service", self.service.is_some()),
            ("--service-time", self.service_time.is_some()),
            ("--tls-cert", self.tls_cert.is_some()),
        ];
        flags.into_iter().find(|(_, is_there)| *is_there).map(|(flag, _)| flag)
    }
}

/// An address with its port; no name is looked up, since it might have several.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok()).unwrap_or("0");
        format!("an address is numbers and a port, as in 127.0.0.1:{port}")
    })
}

/// Runs the command with the process's arguments.
pub fn main() -> ExitCode {
    main_with(std::env::args_os())
}

/// Runs the command with these arguments, the first being the program's name: for a program that is mocks and more.
/// Usage errors and `--help` end the process.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(&Arguments::parse_from(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            say(&message);
            ExitCode::from(code)
        }
    }
}

/// Serves until a signal; the error is an exit code and what to print.
fn run(arguments: &Arguments) -> Result<(), (u8, String)> {
    let builder = describe(arguments)?;
    let runtime = crate::server::worker::runtime().map_err(|error| (3, format!("mocks: {error}")))?;
    runtime.block_on(async {
        // Signals are caught before the ready line, so that who reads it may send one.
        let cannot = |error: io::Error| (3, format!("mocks: cannot catch signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let mock = builder.launch().map_err(|error| explain(&error))?;
        say(&ready_line(&mock).to_string());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        drop(mock);
        Ok(())
    })
}

fn describe(arguments: &Arguments) -> Result<Builder, (u8, String)> {
    let mut builder = match &arguments.config {
        None => with_service(Mock::builder(), arguments)?,
        Some(path) => with_file(arguments, path)?,
    };
    if let Some(control) = arguments.control {
        builder = builder.control(control);
    }
    if let Some(gateway) = arguments.gateway {
        builder = builder.gateway(gateway);
    }
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads.into());
    }
    Ok(builder.journal(arguments.journal))
}

/// What a file says. Where it names no services, the flags do.
fn with_file(arguments: &Arguments, path: &Path) -> Result<Builder, (u8, String)> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| (3, format!("mocks: cannot read {shown}: {error}; check the path and its permissions")))?;
    let builder = Builder::from_toml(&text).map_err(|problems| (1, render(&shown.to_string(), &text, &problems)))?;
    match (builder.has_services(), arguments.service_flag()) {
        (false, _) => {
            let builder = with_service(builder, arguments)?;
            let problems = builder.rules_for_nothing();
            problems.or(builder).map_err(|problems| (1, render(&shown.to_string(), &text, &problems)))
        }
        (true, None) => Ok(builder),
        (true, Some(flag)) => {
            Err((2, format!("mocks: {flag} is of one service, and {shown} has its own; say it under [services] there")))
        }
    }
}

/// The one service of the flags.
fn with_service(builder: Builder, arguments: &Arguments) -> Result<Builder, (u8, String)> {
    let mut builder = builder.service(arguments.service.as_deref().unwrap_or("mock"));
    for address in &arguments.listen {
        builder = builder.listen(*address);
    }
    if let Some(time) = &arguments.service_time {
        builder = builder.service_time(time.clone());
    }
    if let Some(servers) = arguments.servers {
        builder = builder.servers(servers);
    }
    if let Some(requests) = arguments.waiting_room {
        builder = builder.waiting_room(requests);
    }
    if let (Some(cert), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        builder = match Tls::from_files(cert, key) {
            Ok(tls) => builder.tls(tls),
            Err(error @ TlsError::File { .. }) => return Err((3, format!("mocks: {error}"))),
            Err(error) => return Err((1, format!("mocks: {error}"))),
        };
    }
    Ok(builder)
}

fn service_time(text: &str) -> Result<Delay, String> {
    match Delay::parse(text)? {
        Delay::Queue(_) => Err("a time is expected; --servers and --waiting-room make it a queue".into()),
        time => Ok(time),
    }
}

fn ready_line(mock: &Mock) -> Value {
    let shown = |addresses: Vec<SocketAddr>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let services = mock.services().into_iter().map(|name| (name.to_owned(), json!(shown(mock.addrs_of(name)))));
    let services: serde_json::Map<String, Value> = services.collect();
    let mut line = json!({ "event": "ready", "listeners": shown(mock.addrs()), "services": services });
    if let Some(control) = mock.control_addr() {
        // `admin` is what a gateway calls it, and what a reader of ready lines looks for.
        line["admin"] = json!(control.to_string());
        line["control"] = json!(control.to_string());
    }
    line
}

fn explain(error: &StartError) -> (u8, String) {
    match error {
        StartError::Invalid(problems) => (1, format!("mocks: {problems}")),
        StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            (3, format!("mocks: {error}; end the program that holds the port, or choose port 0 for a free one"))
        }
        StartError::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            (3, format!("mocks: {error}; choose a port from 1024 on, or port 0 for a free one"))
        }
        StartError::Listen { .. } => (3, format!("mocks: {error}; choose an address of this machine")),
        StartError::Worker(_) => (3, format!("mocks: {error}; raise the limits of processes and open files")),
    }
}

fn say(line: &str) {
    // With standard error closed there is no one to tell.
    let _ = writeln!(io::stderr(), "{line}");
}
