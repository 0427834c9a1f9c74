//! WebSocket, as bytes.

mod client;

use client::Client;
use mocks::Mock;

const HANDSHAKE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A client's frame, masked with zeros: the payload stays as it is.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn messages_come_back_and_pings_and_closes_are_answered() {
    let mock = Mock::builder().launch().unwrap();
    let mut client = Client::connect(mock.addr());
    // The first frame comes with the handshake.
    client.send([format!("GET /ws HTTP/1.1\r\nHost: m\r\n{HANDSHAKE}\r\n").into_bytes(), frame(1, b"early")].concat());
    let head = client.head();
    assert_eq!(head.status, 101);
    // The key and its answer are the example of RFC 6455, section 1.3.
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.exactly(7), b"\x81\x05early");
    client.send(frame(2, b"\x00\xff"));
    assert_eq!(client.exactly(4), b"\x82\x02\x00\xff");
    client.send(frame(9, b"hi"));
    assert_eq!(client.exactly(4), b"\x8a\x02hi");
    client.send(frame(8, b"\x03\xe8"));
    assert_eq!(client.closed(), b"\x88\x02\x03\xe8");
    assert_eq!(mock.journal()[0].status, Some(101));
}

#[test]
fn what_is_no_handshake_is_told_so() {
    let mock = Mock::builder().launch().unwrap();
    let mut client = Client::connect(mock.addr());
    for bad in ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n", &HANDSHAKE.replace("13", "8")] {
        let answer = client.get("/ws", bad);
        assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
    }
    assert_eq!(client.get("/ws", &format!("x-mock-fault: status=503\r\n{HANDSHAKE}")).status, 503);
}
