//! One connection against a server of single frames, on sockets of this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::Http2;
use crate::announce::Announced;
use crate::clock::Clock;
use crate::connection::wire::Wire;
use crate::connection::{InFlight, open_socket};

const HEADERS: u8 = 1;
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The end of the connection's preface and settings of the client, which comes first.
const PREFACE_BYTES: usize = 24;

/// A client's connection, a second handle of its socket, and the server's end.
fn connected() -> (Http2, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = open_socket(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    // A test that fails does not hang.
    server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let seen = socket.try_clone().unwrap();
    (Http2::new(Wire::over(Announced::plain(socket), None).unwrap()), seen, server)
}

/// Reads up to the next frame; its kind and its stream.
fn frame(server: &mut TcpStream) -> (u8, u32) {
    let mut head = [0; 9];
    server.read_exact(&mut head).unwrap();
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    server.read_exact(&mut payload).unwrap();
    (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]))
}

#[test]
fn a_request_goes_out_with_the_news_that_the_server_allows_it() {
    let (clock, (mut client, seen, mut server)) = (Clock::start(), connected());
    poll(&mut [PollFd::new(&seen, PollFlags::OUT)], None).unwrap();
    let in_flight = InFlight::new(0, 0, clock.now_ns(), clock.now_ns());
    client.begin(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n", in_flight, None, clock.now_ns());
    client.pump(&clock).unwrap();
    server.read_exact(&mut [0; PREFACE_BYTES]).unwrap();
    // All that it says at the beginning comes at once, and it says nothing more until it is asked.
    server.write_all(&SETTINGS).unwrap();
    poll(&mut [PollFd::new(&seen, PollFlags::IN)], None).unwrap();
    client.pump(&clock).unwrap();
    let asked = std::iter::repeat_with(|| frame(&mut server)).find(|(kind, _)| *kind == HEADERS);
    assert_eq!(asked, Some((HEADERS, 1)));
}

#[test]
fn what_a_server_refuses_has_moved_only_if_it_took_up_nothing() {
    let goodbye = |last: u8| [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0];
    for (last, unsent, moves) in [(0, 3, 1), (1, 2, 0)] {
        let (clock, (mut client, seen, mut server)) = (Clock::start(), connected());
        poll(&mut [PollFd::new(&seen, PollFlags::OUT)], None).unwrap();
        server.write_all(&SETTINGS).unwrap();
        // The later ones are begun first: who has waited longest comes out first.
        for number in [2, 1, 0] {
            let in_flight = InFlight::new(0, number, 0, number);
            client.begin(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n", in_flight, None, 0);
        }
        poll(&mut [PollFd::new(&seen, PollFlags::IN)], None).unwrap();
        client.pump(&clock).unwrap();
        assert_eq!(client.open(), 3, "all have gone out");
        server.write_all(&goodbye(last)).unwrap();
        poll(&mut [PollFd::new(&seen, PollFlags::IN)], None).unwrap();
        // One without streams ends at once.
        assert_eq!(client.pump(&clock).is_ok(), last > 0);
        assert!(client.is_leaving());
        let refused = client.take_unsent();
        assert_eq!(refused.iter().map(|one| one.number).collect::<Vec<_>>(), (0..unsent).collect::<Vec<_>>());
        assert!(refused.iter().all(|one| (one.moves, one.sent_ns) == (moves, None)), "{refused:?}");
        assert_eq!(client.open() as u64, 3 - unsent);
    }
}
