//! What lets a gateway in at its store: users, passwords of servers and of sentinels, a CA of one's own; and what is
//! said where it is not let in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::store_failures::rule;
use crate::stores::{get, patient, sharing, text};
use crate::support::{Client, Process, Redis, echo, guarded};

/// The configuration of a process with this store, in this folder.
fn file(folder: &Path, store: &str, upstream: &mocks::Mock) -> PathBuf {
    let path = folder.join("gateway.toml");
    let start = "[server]\nworkers = 1\n[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
                 [telemetry.access_log]\noutput = 'off'\n";
    std::fs::write(&path, start.to_owned() + &text(store, &rule("closed"), "'all'", upstream)).unwrap();
    path
}

async fn status(process: &Process) -> u16 {
    get(&mut Client::connect(process.address).await, "").await.status
}

/// Why the store last failed, once it has; somebody asks meanwhile.
async fn why(process: &Process) -> String {
    let head = format!("GET /limits HTTP/1.1\r\nhost: {}\r\n\r\n", process.admin);
    guarded("it fails", async {
        loop {
            status(process).await;
            let shown = Client::connect(process.admin).await.ask(head.clone()).await.json();
            if let Some(reason) = shown["stores"][0]["last_failure"]["reason"].as_str() {
                return reason.to_owned();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_is_full_is_not_taken_for_one_that_refuses_the_password_alone() {
    let (redis, upstream) = (Redis::with(&["--requirepass", "right"]), echo().await);
    // Whoever is there has its only place.
    let mut there = TcpStream::connect(redis.address).unwrap();
    let mut ask = |line: &str| {
        there.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let mut answer = [0; 64];
        let length = there.read(&mut answer).unwrap();
        assert_eq!(&answer[..length], b"+OK\r\n", "{line}");
    };
    ask("AUTH right");
    ask("CONFIG SET maxclients 1");
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), &format!("{}\npassword_env = 'IT'", patient(&redis)), &upstream);
    let process = Process::start_with(&file, &[("IT", "right")]).await;
    let why = why(&process).await;
    assert!(why.contains("`maxclients`") && why.contains("`password_env`"), "{why}");
}

#[tokio::test]
async fn sentinels_are_told_a_password_of_their_own_and_one_that_is_missing_is_named() {
    let (master, upstream) = (Redis::start(), echo().await);
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("sentinel.conf");
    let (ip, port) = (master.address.ip(), master.address.port());
    let watches = format!("sentinel monitor main {ip} {port} 1\nsentinel down-after-milliseconds main 3600000\n");
    std::fs::write(&conf, watches + "requirepass theirs\n").unwrap();
    let sentinel = Redis::with(&[conf.to_str().unwrap(), "--sentinel"]);
    let plain = patient(&sentinel).replace("redis://", "redis+sentinel://").replacen("'\n", "/main'\n", 1);
    let process = Process::start(&file(folder.path(), &plain, &upstream)).await;
    let why = why(&process).await;
    assert!(why.contains("`sentinel_password_env`"), "{why}");
    let told = format!("{plain}\nsentinel_password_env = 'IT'");
    let process = Process::start_with(&file(folder.path(), &told, &upstream), &[("IT", "theirs")]).await;
    assert_eq!(status(&process).await, 200);
    assert_eq!(master.limit_keys(), 1);
}

#[tokio::test]
async fn a_user_of_an_acl_is_let_in_where_nobody_else_is() {
    let (redis, upstream) = (Redis::start(), echo().await);
    // As docs/rate-limits.md has it.
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rate-limits.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rule = document.lines().find(|line| line.starts_with("ACL SETUSER gateway on >PASSWORD ")).unwrap();
    let rule = rule.replace("gateway", "alice").replace("PASSWORD", "s3cret");
    assert!(redis.command(&rule).starts_with("+OK"), "{rule}");
    assert!(redis.command("ACL SETUSER default off").starts_with("+OK"));
    let folder = tempfile::tempdir().unwrap();
    let store = format!("{}\npassword_env = 'IT'", patient(&redis).replace("redis://", "redis://alice@"));
    let file = file(folder.path(), &store, &upstream);
    for (password, expected) in [("s3cret", 200), ("another", 503)] {
        let process = Process::start_with(&file, &[("IT", password)]).await;
        assert_eq!(status(&process).await, expected, "{password}");
    }
}

#[tokio::test]
async fn a_store_is_believed_by_its_own_ca_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certified, other) = (made(), made());
    std::fs::write(file("cert.pem"), certified.cert.pem()).unwrap();
    std::fs::write(file("other.pem"), other.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let (redis, upstream) = (Redis::with_tls(&file("cert.pem"), &file("key.pem")), echo().await);
    let store = |ca: &str| format!("{}\nca = '{}'", patient(&redis).replace("redis://", "rediss://"), file(ca));
    let gateway = sharing(&store("other.pem"), &rule("closed"), "'all'", &upstream).await;
    assert_eq!(get(&mut gateway.client().await, "").await.status, 503);
    // Another file, another store: a reload puts it in the place of the one that was not believed.
    gateway.rewrite(&text(&store("cert.pem"), &rule("closed"), "'all'", &upstream));
    assert!(gateway.reload().await.ok);
    assert_eq!(get(&mut gateway.client().await, "").await.status, 200);
}
