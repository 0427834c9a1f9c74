//! A gateway inside an axum program that operates it: the admin API below `/ops`, behind the program's own
//! authentication; events and access records in the program's own log; a reload by `POST /ops/reload` or SIGHUP; an end
//! by `POST /ops/drain` or Ctrl-C.
//!
//! `cargo run --example operate -- gateway.toml ops:secret` listens on 127.0.0.1:8080. The dashboard is at
//! `http://127.0.0.1:8080/ops`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::prelude::*;
use tokio::signal::unix::{SignalKind, signal};

/// A gateway that says what happens to `log`: one line of JSON each.
///
/// # Errors
/// The file cannot be read, or is not right.
pub(crate) fn gateway(
    file: &Path,
    log: impl Fn(&str) + Clone + Send + Sync + 'static,
) -> Result<Arc<Gateway>, BuildError> {
    let log_too = log.clone();
    Gateway::builder()
        .config_file(file)
        .events(move |event| log(event.json()))
        .records(move |record| log_too(record.json()))
        .build()
}

/// The program: `/ops` for who knows `operators` (`NAME:PASSWORD`), everything else through the gateway.
pub(crate) fn program(gateway: &Arc<Gateway>, operators: &str) -> Router {
    let expected: Arc<str> = format!("Basic {}", STANDARD.encode(operators)).into();
    Router::new()
        .nest("/ops", gateway.admin_router().layer(from_fn_with_state(expected, only_operators)))
        .fallback_service(Arc::clone(gateway).into_service())
}

/// A browser asks for name and password, and sends them with all that the dashboard asks for.
async fn only_operators(State(expected): State<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| given.as_bytes() == expected.as_bytes()) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"ops\"")]).into_response()
}

/// Serves until somebody asks for the end, then lets answers finish.
///
/// # Errors
/// The listener fails, or signals cannot be listened to.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    gateway: Arc<Gateway>,
    operators: &str,
) -> std::io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let (reloaded, interrupted) = (Arc::clone(&gateway), Arc::clone(&gateway));
    let reloads = async move {
        // What came of it is an event too, with every problem: this program logs those.
        while hang_up.recv().await.is_some() {
            let _ = reloaded.reload().await;
        }
    };
    let interrupt = async move {
        let _ = tokio::signal::ctrl_c().await;
        // Load balancers see it at `/ops/readyz`.
        interrupted.begin_drain();
    };
    let beside = [tokio::spawn(reloads), tokio::spawn(interrupt)];
    let service = program(&gateway, operators).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(gateway.drain_begun()).await;
    beside.iter().for_each(tokio::task::JoinHandle::abort);
    served
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `serve`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (file, operators) = (std::env::args().nth(1), std::env::args().nth(2));
    let (file, operators) = file.zip(operators).ok_or("a configuration and NAME:PASSWORD are needed")?;
    #[allow(clippy::print_stdout, reason = "the log of this program")]
    let gateway = gateway(Path::new(&file), |line| println!("{line}"))?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(serve(listener, gateway, &operators).await?)
}
