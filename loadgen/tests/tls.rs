//! Load over TLS: whom it believes, what a connection costs, and that nothing is lost in records.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use std::io::{Read, Write};

/// A server, and the authority that signed its certificate.
struct Server {
    url: String,
    ca: tempfile::NamedTempFile,
    full: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

fn config(protocol: &[u8]) -> (Arc<ServerConfig>, tempfile::NamedTempFile) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca.pem().as_bytes()).unwrap();
    (Arc::new(config), file)
}

/// Answers each request with so many bytes, and closes where it is asked to.
fn serve(body: usize) -> Server {
    serve_with(config(b"http/1.1"), body)
}

fn serve_with((config, ca): (Arc<ServerConfig>, tempfile::NamedTempFile), body: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = Server { url, ca, full: Arc::default(), resumed: Arc::default(), requests: Arc::default() };
    let (full, resumed, requests) = (server.full.clone(), server.resumed.clone(), server.requests.clone());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let (full, resumed, requests) = (full.clone(), resumed.clone(), requests.clone());
            std::thread::spawn(move || {
                let mut stream = rustls::Stream::new(&mut connection, &mut socket);
                let mut read = Vec::new();
                let mut piece = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut piece) {
                    read.extend_from_slice(&piece[..count]);
                    while let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                        let head = String::from_utf8(read.drain(..end + 4).collect()).unwrap();
                        requests.fetch_add(1, Ordering::Relaxed);
                        let closes = head.contains("connection: close");
                        let close = if closes { "connection: close\r\n" } else { "" };
                        let answer = format!("HTTP/1.1 200 OK\r\n{close}content-length: {body}\r\n\r\n");
                        let mut answer = answer.into_bytes();
                        answer.resize(answer.len() + body, b'x');
                        if stream.write_all(&answer).is_err() || closes {
                            let kind = stream.conn.handshake_kind();
                            let counter = if kind == Some(HandshakeKind::Resumed) { &resumed } else { &full };
                            counter.fetch_add(1, Ordering::Relaxed);
                            stream.conn.send_close_notify();
                            let _ = stream.flush();
                            return;
                        }
                    }
                }
            });
        }
    });
    server
}

fn loadgen(server: &Server, arguments: &[&str]) -> Output {
    let ca = server.ca.path().to_str().unwrap();
    let arguments: Vec<&str> = arguments.iter().map(|argument| if *argument == "CA" { ca } else { argument }).collect();
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(["--url", &server.url, "--json"]).args(arguments).output().unwrap()
}

fn outcome(output: &Output) -> serde_json::Value {
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    printed["load"]["main"]["phases"]["steady"]["outcome"].clone()
}

#[test]
fn requests_go_over_connections_that_are_kept() {
    let server = serve(2);
    let output = loadgen(&server, &["--ca", "CA", "--requests", "500", "--connections", "4", "--expect-length", "2"]);
    assert_eq!(outcome(&output)["ok"], 500);
    assert_eq!(server.requests.load(Ordering::Relaxed), 500);
}

#[test]
fn bodies_of_many_records_come_whole() {
    let server = serve(300_000);
    let arguments = ["--insecure", "--requests", "50", "--connections", "3", "--expect-length", "300000"];
    assert_eq!(outcome(&loadgen(&server, &arguments))["ok"], 50);
}

#[test]
fn large_requests_leave_whole() {
    let server = serve(2);
    let field = format!("x-much: {}", "y".repeat(100_000));
    assert_eq!(
        outcome(&loadgen(&server, &["--insecure", "--requests", "20", "--connections", "2", "-H", &field]))["ok"],
        20
    );
}

#[test]
fn who_is_not_believed_gets_no_load_and_the_error_says_what_to_do() {
    let server = serve(2);
    let output = loadgen(&server, &["--requests", "5"]);
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("UnknownIssuer") && error.contains("--ca"), "{error}");
    assert_eq!(server.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn new_connections_resume_sessions_unless_whole_handshakes_are_wanted() {
    let close = ["--ca", "CA", "--requests", "40", "--connections", "1", "-H", "connection: close"];
    let server = serve(2);
    assert_eq!(outcome(&loadgen(&server, &close))["ok"], 40);
    assert!(server.resumed.load(Ordering::Relaxed) >= 30, "{:?} of 40", server.resumed);
    let server = serve(2);
    assert_eq!(outcome(&loadgen(&server, &[&close[..], &["--full-handshakes"]].concat()))["ok"], 40);
    assert_eq!(server.resumed.load(Ordering::Relaxed), 0);
}

#[test]
fn http2_is_asked_for_by_alpn_and_a_server_without_it_is_told_of() {
    let server = serve(2);
    let output = loadgen(&server, &["--ca", "CA", "--requests", "5", "--http2"]);
    assert_eq!(output.status.code(), Some(3), "the server refuses, as it offers http/1.1 alone");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no TLS with"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_over_tls_carries_many_requests_at_once() {
    let (config, ca) = config(b"h2");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                    body.send_data(bytes::Bytes::from(vec![b'x'; 10_000]), true).unwrap();
                }
            });
        }
    });
    let (requests, full, resumed) = Default::default();
    let server = Server { url, ca, full, resumed, requests };
    let arguments = ["--ca", "CA", "--requests", "300", "--connections", "2", "--http2", "--expect-length", "10000"];
    let output = tokio::task::spawn_blocking(move || loadgen(&server, &arguments)).await.unwrap();
    assert_eq!(outcome(&output)["ok"], 300, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_balancers_header_goes_before_the_handshake_of_every_connection() {
    let server = serve(2);
    let address = server.url.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let front = Server { url: format!("https://{}/", listener.local_addr().unwrap()), ..server };
    // Takes the header off each connection, and passes the rest on.
    let named = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&named);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut header = Vec::new();
            while !header.ends_with(b"\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                header.push(byte[0]);
            }
            seen.lock().unwrap().push(String::from_utf8(header).unwrap());
            let server = std::net::TcpStream::connect(&address).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut &server, &mut client));
        }
    });
    let arguments = ["--ca", "CA", "--requests", "60", "--connections", "3", "--proxy-protocol", "v1"];
    assert_eq!(outcome(&loadgen(&front, &arguments))["ok"], 60);
    let named = named.lock().unwrap();
    // The first tries the server out.
    assert_eq!(named.len(), 4, "{named:?}");
    assert!(named.iter().all(|line| line.starts_with("PROXY TCP4 198.18.0.")), "{named:?}");
    assert!(named[1] != named[2] && named[2] != named[3], "{named:?}");
}

#[test]
fn a_server_with_the_certificate_of_a_ca_is_told_how_to_come_by_another() {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certificate.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let server = serve_with((Arc::new(config), file), 1);
    let output = loadgen(&server, &["--ca", "CA", "--requests", "1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("let that CA issue one") && said.contains("basicConstraints=critical,CA:FALSE"), "{said}");
    assert!(!said.contains("CaUsedAsEndEntity"), "{said}");
}
