//! Both ways of an exchange at once: what comes of the request moves on though nobody takes the answer. All but one in
//! virtual time, where a wait for each other ends the test at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::prelude::Stage;
use h2::client::Builder;
use mocks::raw::Raw;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, mpsc};

use crate::support::h2::{H2Client, head, post, rest};
use crate::support::inside::{Inside, Memory};
use crate::support::{Client, Gateway, guarded};

/// More than all that is between the two holds, bytes.
pub(crate) const LENGTH: usize = 1 << 20;
/// More than sockets hold.
const LARGE: usize = 32 << 20;
/// Parts of a body that an upstream may hold.
const PARTS: usize = 1 << 16;

const ROUTE: &str = "[upstreams.up]\nendpoints = ['up:9']\n[[routes]]\npath = '/{*rest}'\nupstream = 'up'\n";

/// Reads a head, and nothing that is behind it.
pub(crate) async fn read_head_alone(stream: &mut (impl AsyncRead + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

/// Answers with what comes, as it comes, and reads on while nobody takes that.
async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, length: usize, all_came: Arc<Notify>) {
    read_head_alone(&mut stream).await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reads, mut writes) = tokio::io::split(stream);
    let (sender, mut parts) = mpsc::channel::<Vec<u8>>(PARTS);
    let answer = async {
        while let Some(part) = parts.recv().await {
            let _ = writes.write_all(&part).await;
        }
    };
    let read = async move {
        let (mut left, mut buffer) = (length, vec![0; 64 * 1024]);
        while left > 0 {
            let Ok(n @ 1..) = reads.read(&mut buffer).await else { return };
            left -= n;
            sender.send(buffer[..n].to_vec()).await.unwrap();
        }
        all_came.notify_one();
    };
    tokio::join!(answer, read);
}

fn world() -> (Inside<Memory>, Arc<Notify>) {
    let all_came = Arc::<Notify>::default();
    let told = Arc::clone(&all_came);
    (Inside::in_memory(ROUTE, move |stream| echoes(stream, LENGTH, Arc::clone(&told))), all_came)
}

fn upload(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn who_sends_all_of_its_request_before_it_reads_gets_its_answer() {
    let (world, _) = world();
    let mut client = Client::on(world.connect());
    client.send(upload(LENGTH)).await;
    client.send(vec![b'x'; LENGTH]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.len(), answer.whole), (200, LENGTH, true));
    assert_eq!(world.records()[0]["bytes_in"], LENGTH);
}

/// Opens no window for the answer before the upstream has all of the request.
async fn send_then_read(world: &Inside<Memory>, all_came: &Notify) {
    let mut client = H2Client::on(world.connect(), Builder::new()).await;
    let mut request = post("/");
    request.headers_mut().insert("content-length", LENGTH.into());
    let mut call = client.begin(request, false).await;
    call.body.send_data(vec![b'x'; LENGTH].into(), true).unwrap();
    let (mut answer, mut body) = head(call.answer).await.unwrap();
    guarded("all of the request", all_came.notified()).await;
    rest(&mut answer, &mut body).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, LENGTH));
}

#[tokio::test(start_paused = true)]
async fn so_it_is_over_http_2() {
    let (world, all_came) = world();
    send_then_read(&world, &all_came).await;
}

/// The same as `echoes`, over HTTP/2.
async fn echoes_frames(stream: DuplexStream, all_came: Arc<Notify>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let all_came = Arc::clone(&all_came);
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut answer = respond.send_response(http::Response::new(()), false).unwrap();
            while let Some(Ok(data)) = body.data().await {
                body.flow_control().release_capacity(data.len()).unwrap();
                answer.send_data(data, false).unwrap();
            }
            all_came.notify_one();
            answer.send_data(Bytes::new(), true).unwrap();
        });
    }
}

#[tokio::test(start_paused = true)]
async fn and_where_the_upstream_speaks_it_too() {
    let all_came = Arc::<Notify>::default();
    let told = Arc::clone(&all_came);
    let text = ROUTE.replace("['up:9']", "['up:9']\nprotocol = 'http2'");
    let world = Inside::in_memory(&text, move |stream| echoes_frames(stream, Arc::clone(&told)));
    send_then_read(&world, &all_came).await;
}

/// Passes everything on, and sees the body of each answer on its way.
struct Sees;

impl Stage for Sees {}

/// On sockets: programs are built around the network of the system alone.
#[tokio::test]
async fn and_where_a_stage_sees_the_answer() {
    let upstream = Raw::serve(|stream, _| echoes(stream, LARGE, Arc::default())).await.unwrap();
    let text = format!(
        "[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\nstages = ['sees']\nmax_body = '64MiB'\n",
        upstream.addr()
    );
    let gateway = Gateway::built(&text, |builder| builder.stage("sees", Sees)).await;
    let mut client = gateway.client().await;
    client.send(upload(LARGE)).await;
    client.send(vec![b'x'; LARGE]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.len(), answer.whole), (200, LARGE, true));
}

/// Sends more than fits, and reads whatever comes.
pub(crate) async fn answers_at_length(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    let (mut reads, mut writes) = tokio::io::split(stream);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let answer = async {
        let _ = writes.write_all(head.as_bytes()).await;
        let _ = writes.write_all(&vec![b'x'; LENGTH]).await;
    };
    let mut sink = tokio::io::sink();
    let (_, ()) = tokio::join!(tokio::io::copy(&mut reads, &mut sink), answer);
}

#[tokio::test(start_paused = true)]
async fn who_breaks_its_request_off_while_it_reads_nothing_is_seen_to_leave() {
    for (rest, ended, code) in [("", "client_left", "ok"), ("5\r\nhello\r\nno chunk\r\n", "timeout", "bad_request")] {
        let world = Inside::in_memory(ROUTE, answers_at_length);
        let mut client = Client::on(world.connect());
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        assert_eq!(client.head().await.status, 200);
        pass(Duration::from_secs(3)).await;
        assert_eq!(world.in_flight().0, 1, "it has time left to read in");
        client.send(rest).await;
        client.finish().await;
        pass(Duration::from_millis(100)).await;
        assert_eq!(world.in_flight(), (0, 0), "{rest:?}");
        let record = &world.records()[0];
        assert_eq!((&record["ended"], &record["code"]), (&ended.into(), &code.into()), "{rest:?}");
        assert_eq!(record["fault"], "client", "{rest:?}");
    }
}

pub(crate) async fn pass(time: Duration) {
    // virtual time
    tokio::time::sleep(time).await;
}
