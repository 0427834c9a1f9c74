//! Ten thousand idle connections and clients that dribble: others are served as before.

use crate::support::{Client, Process, echo};

const CONNECTIONS: usize = 10_000;
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Files that this process may have open.
fn file_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

async fn open(address: std::net::SocketAddr, count: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = Client::connect(address).await;
        assert_eq!(client.ask(GET).await.status, 200);
        clients.push(client);
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
async fn ten_thousand_idle_connections_and_a_dribbling_one_are_in_nobodys_way() {
    if file_limit() < CONNECTIONS + 1000 {
        eprintln!("skipped: {} open files allowed, {} needed (ulimit -n)", file_limit(), CONNECTIONS + 1000);
        return;
    }
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[server]\nworkers = 2\nidle_timeout = '1h'\nheader_read_timeout = '1h'\n\
         [[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    std::fs::write(&file, text).unwrap();
    let process = Process::start(&file).await;
    let address = process.address;
    let opening: Vec<_> = (0..10).map(|_| tokio::spawn(open(address, CONNECTIONS / 10))).collect();
    let mut idle = Vec::new();
    for part in opening {
        idle.extend(part.await.unwrap());
    }
    let mut dribbling = Client::connect(address).await;
    dribbling.send("GET /slow HTTP/1.1\r\nhost: a\r\nx-slow: ").await;

    let mut client = Client::connect(address).await;
    for _ in 0..500 {
        dribbling.send("x").await;
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert_eq!(dribbling.ask("\r\n\r\n").await.status, 200);
    let head = "GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let status = Client::connect(process.admin).await.ask(head).await.json();
    assert_eq!(status["connections"], CONNECTIONS + 2);
    assert_eq!(status["panics"], 0);
    for client in idle.iter_mut().step_by(997) {
        assert_eq!(client.ask(GET).await.status, 200, "and each of them is still there");
    }
}
