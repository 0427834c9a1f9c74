//! A gateway inside an axum program: the program's own routes first, everything else through the gateway.
//!
//! `cargo run --example embed -- http://127.0.0.1:9001` listens on 127.0.0.1:8080.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use gateway::clock::Clock;
use gateway::config::{self, Purpose};
use gateway::gateway::{Gateway, World};
use gateway::network::Sockets;

/// The program: `/hello` is its own, the rest goes to `upstream`.
///
/// # Errors
/// The configuration is bad, or the access log cannot be opened.
pub(crate) fn program(upstream: &str) -> Result<Router, Box<dyn std::error::Error>> {
    let text = format!(
        "[telemetry.access_log]\noutput = 'off'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = '{upstream}'\nmax_body = '1KiB'\ntimeout = '1s'\n"
    );
    let config = config::load_text(&text, Path::new("embedded"), Purpose::Run)?.config;
    // The seed decides every random choice; a program that is measured or tested passes its own.
    let world = World { network: Sockets, clock: Clock::system(), seed: 1, shards: 2 };
    let gateway = Arc::new(Gateway::new(config, world)?);
    Ok(Router::new()
        .route("/hello", get(|| async { "hello from the program\n" }))
        .fallback_service(gateway.into_service()))
}

/// Serves the program on this listener.
///
/// # Errors
/// As `program`, and when the listener fails.
pub(crate) async fn serve(listener: tokio::net::TcpListener, upstream: &str) -> Result<(), Box<dyn std::error::Error>> {
    // With `ConnectInfo` the gateway knows its clients' addresses.
    let service = program(upstream)?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `serve`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::env::args().nth(1).ok_or("the upstream's URL is needed")?;
    serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, &upstream).await
}
