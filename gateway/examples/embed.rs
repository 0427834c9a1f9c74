//! A gateway inside an axum program: the program's own routes first, everything else through the gateway, which has a
//! handler of the program among its routes.
//!
//! `cargo run --example embed -- http://127.0.0.1:9001` listens on 127.0.0.1:8080.

use std::net::SocketAddr;

use axum::routing::get;
use axum::{Extension, Router};
use gateway::prelude::*;

/// What answers `/greet/{name}`: limits, identity and records are the gateway's.
async fn greet(Extension(request): Extension<RequestInfo>) -> String {
    format!("hello {}\n", request.parameter("name").unwrap_or("you"))
}

/// The program: `/hello` is its own, `/greet/{name}` a route of the gateway, and the rest goes to `upstream`.
///
/// # Errors
/// The configuration is bad, or the access log cannot be opened.
pub(crate) fn program(upstream: &str) -> Result<Router, BuildError> {
    let gateway = Gateway::builder()
        .config_text(format!(
            r#"
            [[routes]]
            path = "/greet/{{name}}"
            handler = "greet"

            [[routes]]
            name = "all"
            path = "/{{*rest}}"
            upstream = "{upstream}"
            max_body = "1KiB"
            timeout = "1s"
            "#
        ))
        .handler("greet", get(greet))
        .build()?;
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
