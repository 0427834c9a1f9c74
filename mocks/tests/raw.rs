//! Raw mocks: scripts and functions of a stream.

mod client;

use client::Client;
use mocks::raw::{Gate, Raw, Script};
use tokio::io::AsyncWriteExt;

const GET: &str = "GET / HTTP/1.1\r\nHost: m\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn each_connection_has_its_script() {
    let raw = Raw::scripts([
        Script::always(OK),
        Script::new().read_request().send("HTTP/1.1 2").reset(),
        Script::new().read_request().send("half"),
    ])
    .await
    .unwrap();
    let mut first = Client::connect(raw.addr());
    for _ in 0..3 {
        assert_eq!(first.send("PUT / HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\n\r\nhi").answer().body, b"ok");
    }
    assert_eq!(Client::connect(raw.addr()).send(GET).reset(), b"HTTP/1.1 2");
    for _ in 0..2 {
        assert_eq!(Client::connect(raw.addr()).send(GET).closed(), b"half");
    }
    assert_eq!(raw.accepted(), 4);
    assert_eq!(raw.received()[1], GET.as_bytes());
}

#[tokio::test]
async fn a_gate_holds_an_answer_until_the_test_opens_it() {
    let gate = Gate::new();
    let raw = Raw::script(Script::new().read_head().send("HTTP/1.1 103 Early Hints\r\n\r\n").wait(&gate).send(OK))
        .await
        .unwrap();
    let mut client = Client::connect(raw.addr());
    assert_eq!(client.send(GET).head().status, 103);
    client.stream.set_nonblocking(true).unwrap();
    assert!(client.rest().1.is_some(), "nothing more came");
    client.stream.set_nonblocking(false).unwrap();
    gate.open();
    assert_eq!(client.answer().body, b"ok");
}

#[tokio::test]
async fn a_function_may_do_anything() {
    let raw = Raw::serve(|mut stream, number| async move {
        let _ = stream.write_all(format!("you are {number}").as_bytes()).await;
    })
    .await
    .unwrap();
    assert_eq!(Client::connect(raw.addr()).closed(), b"you are 0");
    assert_eq!(Client::connect(raw.addr()).closed(), b"you are 1");
    raw.wait_for_accepts(2).await;
}
