//! A gateway behind TLS of the program's own: the program takes handshakes, with whatever keys and protocols it likes,
//! and says of each request what its connection has proven. In the clear it is sent to TLS.
//!
//! `cargo run --example tls -- http://127.0.0.1:9001 server.pem server.key` listens on 127.0.0.1:8080 and, over TLS, on
//! 127.0.0.1:8443.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use gateway::prelude::*;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// A client that has not shaken hands by then is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The program: `/hello` is its own, and the rest goes to `upstream`, over TLS alone.
///
/// # Errors
/// The configuration is bad.
pub(crate) fn program(upstream: &str) -> Result<Router, BuildError> {
    let gateway = Gateway::builder()
        .config_text(format!(
            r#"
            [server]
            https_port = 8443
            hsts = {{ max_age = "1h" }}

            [telemetry.access_log]
            output = "off"

            [[routes]]
            name = "all"
            path = "/{{*rest}}"
            upstream = "{upstream}"
            https = "redirect"
            "#
        ))
        // Else `https` and `hsts` would be warned of: a gateway that is mounted sees no connections.
        .with_client_info()
        .build()?;
    Ok(Router::new()
        .route("/hello", get(|| async { "hello from the program\n" }))
        .fallback_service(gateway.into_service()))
}

/// Serves a program on this listener, over TLS where there is a configuration for it.
///
/// # Errors
/// The listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    program: Router,
) -> std::io::Result<()> {
    loop {
        let (stream, address) = listener.accept().await?;
        // A task for each: nobody waits for another's handshake.
        tokio::spawn(connection(stream, address, tls.clone(), program.clone()));
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, tls: Option<Arc<ServerConfig>>, program: Router) {
    let Some(tls) = tls else { return answer(stream, ClientInfo::new(address), program).await };
    let shaken = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await;
    let Ok(Ok(stream)) = shaken else { return };
    let proven = stream.get_ref().1;
    let certificates = proven.peer_certificates().into_iter().flatten();
    let client = ClientInfo::new(address).tls().server_name(proven.server_name()).certificates(certificates);
    answer(stream, client, program).await;
}

/// Answers the requests of one connection, each with what is known of it.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, client: ClientInfo, program: Router) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(client.clone());
        program.clone().call(request)
    });
    // The timer is for heads that do not come whole. Who leaves has left: nobody is to be told.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// What the program shows its clients.
fn tls(certificate: &str, key: &str) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?)
}

#[tokio::main]
#[allow(dead_code, reason = "the test that runs this example calls `serve`")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [upstream, certificate, key] = &words[..] else {
        return Err("the upstream's URL is needed, and files with certificate and key".into());
    };
    let (program, tls) = (program(upstream)?, Arc::new(tls(certificate, key)?));
    let clear = TcpListener::bind("127.0.0.1:8080").await?;
    let encrypted = TcpListener::bind("127.0.0.1:8443").await?;
    tokio::try_join!(serve(clear, None, program.clone()), serve(encrypted, Some(tls), program))?;
    Ok(())
}
