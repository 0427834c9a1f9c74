//! A bare Pingora proxy: keep-alive to one upstream, one thread, no policies.
//!
//! `sim peers` drives it beside the gateway on the same work. It prints one line when it is about to listen, and ends
//! at SIGTERM, as every Pingora server does.

use std::net::SocketAddr;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

const USAGE: &str = "usage: peer-pingora --listen ADDRESS --upstream ADDRESS [--threads N] | --version";

/// Sends every request to one address.
struct Relay {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Relay {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// What the command line asks for.
enum Command {
    Version,
    Serve { listen: SocketAddr, upstream: SocketAddr, threads: usize },
}

fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let (mut listen, mut upstream, mut threads) = (None, None, 1);
    let mut args = args.into_iter();
    while let Some(flag) = args.next() {
        if flag == "--version" {
            return Ok(Command::Version);
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let address = || value.parse::<SocketAddr>().map_err(|e| format!("{flag} {value}: {e}"));
        match flag.as_str() {
            "--listen" => listen = Some(address()?),
            "--upstream" => upstream = Some(address()?),
            "--threads" => threads = value.parse().map_err(|e| format!("{flag} {value}: {e}"))?,
            _ => return Err(format!("unknown option {flag}")),
        }
    }
    Ok(Command::Serve {
        listen: listen.ok_or("--listen is missing")?,
        upstream: upstream.ok_or("--upstream is missing")?,
        threads,
    })
}

fn serve(listen: SocketAddr, upstream: SocketAddr, threads: usize) -> ! {
    // A measurement ends at once: nothing is in flight when the driver stops this process.
    let conf = ServerConf {
        threads,
        work_stealing: threads > 1,
        // More than any comparison has connections.
        upstream_keepalive_pool_size: 16_384,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Relay { upstream });
    proxy.add_tcp(&listen.to_string());
    server.add_service(proxy);
    println!("peer-pingora: {listen} -> {upstream}, {threads} thread(s)");
    server.run_forever()
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Command::Version) => {
            println!("pingora {}", env!("PINGORA_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Command::Serve { listen, upstream, threads }) => serve(listen, upstream, threads),
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
