//! Web pages that call gRPC (gRPC-Web): over HTTP/1.1 and HTTP/2, in bytes and in text, to services that know nothing
//! of pages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mocks::{Mock, Rule};

use crate::grpc::{client, message, unary};
use crate::support::h2::{H2Client, post};
use crate::support::h2_upstream::H2Upstream;
use crate::support::{Answer, Gateway};
use crate::upstream_http2::text;

const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";
const PAGE: &str = "https://app.example.com";

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

/// The body of a call with this message, in the form of this type.
fn written(kind: &str, message: &[u8]) -> Vec<u8> {
    if kind == TEXT { STANDARD.encode(framed(message)).into_bytes() } else { framed(message) }
}

fn head(kind: &str, fields: &str) -> String {
    format!("POST /mocks.Echo/Unary HTTP/1.1\r\nhost: a.test\r\ncontent-type: {kind}\r\nx-grpc-web: 1\r\n{fields}")
}

/// A call as bytes of HTTP/1.1.
fn call(kind: &str, fields: &str, message: &[u8]) -> Vec<u8> {
    let body = written(kind, message);
    [format!("{}content-length: {}\r\n\r\n", head(kind, fields), body.len()).into_bytes(), body].concat()
}

/// Calls over HTTP/2.
async fn call_h2(gateway: &Gateway, kind: &str, message: &[u8]) -> Answer {
    let mut request = post("/mocks.Echo/Unary");
    request.headers_mut().insert("content-type", kind.parse().unwrap());
    H2Client::connect(gateway.address).await.send(request, written(kind, message)).await
}

/// Reads an answer as a page does: its messages, and the fields of the last one, where that is the trailers.
fn read(answer: &Answer) -> (Vec<Vec<u8>>, String) {
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/grpc-web"), "{kind}");
    assert!(answer.trailers.is_empty(), "a page sees none: {answer:?}");
    let bytes = if kind.starts_with("application/grpc-web-text") {
        // Each four characters may be the last of a text.
        answer.body.chunks(4).flat_map(|four| STANDARD.decode(four).unwrap()).collect()
    } else {
        answer.body.clone()
    };
    let (mut rest, mut messages) = (&bytes[..], Vec::new());
    while let Some((prefix, behind)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(*prefix.last_chunk().unwrap()) as usize;
        let (message, behind) = behind.split_at(length);
        if prefix[0] == 0x80 {
            assert!(behind.is_empty(), "nothing follows the trailers");
            return (messages, String::from_utf8(message.to_vec()).unwrap());
        }
        messages.push(message.to_vec());
        rest = behind;
    }
    (messages, String::new())
}

fn fields(told: &str) -> Vec<(&str, &str)> {
    told.split_terminator("\r\n").map(|line| line.split_once(": ").unwrap()).collect()
}

async fn world(route: &str) -> (Mock, Gateway) {
    let mock = Mock::builder().service("up").start().await.unwrap();
    let gateway = Gateway::start(&text("", &format!("grpc_web = true\n{route}"), mock.addr())).await;
    (mock, gateway)
}

/// A gateway before a service whose part the story plays.
async fn played(route: &str) -> (H2Upstream, Gateway) {
    let upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", &format!("grpc_web = true\n{route}"), upstream.address)).await;
    (upstream, gateway)
}

fn trailers(fields: &[(&'static str, &'static str)]) -> http::HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

#[tokio::test]
async fn a_page_calls_a_service_over_either_protocol_in_bytes_and_in_text() {
    let (_mock, gateway) = world("").await;
    let mut sizes = Vec::new();
    for kind in [BINARY, TEXT] {
        for over_h2 in [false, true] {
            let answer = if over_h2 {
                call_h2(&gateway, kind, b"hello").await
            } else {
                gateway.ask(call(kind, "", b"hello")).await
            };
            assert!(answer.status == 200 && answer.whole, "{answer:?}");
            let expected = kind.strip_suffix("+proto");
            assert_eq!(answer.header("content-type"), expected, "the mocks name no form of messages");
            let (messages, told) = read(&answer);
            assert_eq!((messages, fields(&told)), (vec![b"hello".to_vec()], vec![("grpc-status", "0")]));
            sizes.push((written(kind, b"hello").len() as u64, answer.body.len() as u64));
        }
    }
    // What the client sent and got, in a record that tells what the call came to.
    for (record, (sent, got)) in gateway.records(4).await.iter().zip(sizes) {
        assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&sent.into(), &got.into()));
        assert_eq!((&record["grpc_status"], &record["code"]), (&0.into(), &"ok".into()));
        assert_eq!((&record["ended"], &record["attempts"]), (&"complete".into(), &1.into()));
    }
    let sample = "gateway_grpc_answers_total{route=\"all\",grpc_status=\"0\"}";
    assert_eq!(gateway.metric(sample).await, Some(4.0));
}

#[tokio::test]
async fn to_the_service_it_is_a_call_of_grpc_whatever_pieces_its_text_comes_in() {
    let (mut upstream, gateway) = played("timeout = '10s'").await;
    let message = (0..=255).collect::<Vec<u8>>();
    for piece in [1, 2, 3, 5, 1000] {
        // Two texts, each with its padding, as a client makes them that flushes after each message.
        let body = [written(TEXT, &message), written(TEXT, b"x")].concat();
        let mut request =
            format!("{}transfer-encoding: chunked\r\n\r\n", head(TEXT, "grpc-timeout: 5S\r\n")).into_bytes();
        for piece in body.chunks(piece) {
            request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            request.extend_from_slice(piece);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        let mut client = gateway.client().await;
        client.send(request).await;
        let mut asked = upstream.next().await;
        let told = ["content-type", "te", "x-grpc-web", "content-length"].map(|name| asked.header(name));
        assert_eq!(told, [Some("application/grpc+proto"), Some("trailers"), Some("1"), None]);
        let left = asked.header("grpc-timeout").unwrap().strip_suffix('m').unwrap().parse::<u32>().unwrap();
        assert!((1..=5000).contains(&left), "{left}");
        assert_eq!(asked.read().await.unwrap().0, [framed(&message), framed(b"x")].concat(), "pieces of {piece}");
        let mut stream = asked.begin(200, &[("content-type", "application/grpc+proto")]);
        stream.send_trailers(trailers(&[("grpc-status", "0"), ("x-cost", "7")])).unwrap();
        let answer = client.answer().await;
        assert_eq!(answer.header("content-type"), Some(TEXT));
        let (messages, told) = read(&answer);
        assert_eq!((messages.len(), fields(&told)), (0, vec![("grpc-status", "0"), ("x-cost", "7")]));
    }
    let records = gateway.records(5).await;
    let sent = written(TEXT, &message).len() + written(TEXT, b"x").len();
    assert!(records.iter().all(|record| record["bytes_in"] == sent), "what the client sent: {records:#?}");
}

#[tokio::test]
async fn each_message_of_a_stream_is_there_when_it_comes() {
    for kind in [BINARY, TEXT] {
        let (mut upstream, gateway) = played("").await;
        let mut client = gateway.client().await;
        client.send(call(kind, "", b"all")).await;
        let mut asked = upstream.next().await;
        asked.read().await.unwrap();
        let mut stream = asked.begin(200, &[("content-type", "application/grpc+proto"), ("trailer", "grpc-status")]);
        let mut answer = client.head().await;
        assert_eq!((answer.header("content-type"), answer.header("trailer")), (Some(kind), None));
        for n in 0..20_u8 {
            // Of a length that leaves bytes over in text.
            let sent = vec![n; usize::from(n)];
            stream.send_data(framed(&sent).into(), false).unwrap();
            assert_eq!(client.raw_chunk().await, written(kind, &sent), "each before the next is sent");
        }
        stream.send_trailers(trailers(&[("grpc-status", "0")])).unwrap();
        client.body_of(&mut answer).await;
        assert!(answer.whole);
        assert_eq!(read(&answer), (Vec::new(), "grpc-status: 0\r\n".to_owned()));
    }
}

#[tokio::test]
async fn what_the_service_says_is_in_the_head_where_it_said_it_there_and_else_behind_the_messages() {
    let (mock, gateway) = world("").await;
    mock.set_rules([Rule::any().grpc_status(5)]);
    for kind in [BINARY, TEXT] {
        for answer in [gateway.ask(call(kind, "", b"x")).await, call_h2(&gateway, kind, b"x").await] {
            assert_eq!((answer.status, answer.header("grpc-status"), answer.body.len()), (200, Some("5"), 0));
            assert!(answer.whole && answer.header("grpc-message").is_some());
            assert_eq!(answer.header("content-type"), kind.strip_suffix("+proto"));
        }
    }
    assert!(gateway.records(4).await.iter().all(|record| record["grpc_status"] == 5));

    let (mut upstream, gateway) = played("").await;
    let mut client = gateway.client().await;
    client.send(call(BINARY, "", b"x")).await;
    let mut asked = upstream.next().await;
    let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
    stream.send_data(framed(b"one").into(), false).unwrap();
    stream.send_trailers(trailers(&[("grpc-status", "13"), ("grpc-message", "a%20bug")])).unwrap();
    let (messages, told) = read(&client.answer().await);
    assert_eq!(messages, [b"one"]);
    assert_eq!(fields(&told), [("grpc-status", "13"), ("grpc-message", "a%20bug")]);
    assert_eq!(gateway.record().await["grpc_status"], 13);
}

#[tokio::test]
async fn what_breaks_off_between_two_messages_says_so_and_what_does_within_one_is_cut() {
    for (kind, sent, is_between) in [
        (BINARY, framed(b"one"), true),
        (TEXT, framed(b"one"), true),
        (BINARY, framed(b"one")[..6].to_vec(), false),
        (TEXT, vec![0; 4], false),
    ] {
        let (mut upstream, gateway) = played("").await;
        let mut client = gateway.client().await;
        client.send(call(kind, "", b"x")).await;
        let mut asked = upstream.next().await;
        asked.read().await.unwrap();
        let mut stream = asked.begin(200, &[("content-type", "application/grpc+proto")]);
        let mut answer = client.head().await;
        stream.send_data(sent.clone().into(), false).unwrap();
        answer.body = client.raw_chunk().await;
        asked.cut();
        client.body_of(&mut answer).await;
        assert_eq!(answer.whole, is_between, "{kind} {sent:?}");
        let record = gateway.record().await;
        assert_eq!((&record["ended"], &record["code"]), (&"upstream_cut".into(), &"upstream_reset".into()));
        assert_eq!(record["grpc_status"].as_u64(), is_between.then_some(14));
        if is_between {
            assert_eq!(record["bytes_out"].as_u64(), Some(answer.body.len() as u64));
            let (messages, told) = read(&answer);
            let why = vec![("grpc-status", "14"), ("grpc-message", "The upstream closed the connection")];
            assert_eq!((messages, fields(&told)), (vec![b"one".to_vec()], why));
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_within_a_message_never_looks_whole() {
    for has_trailers in [false, true] {
        let (mut upstream, gateway) = played("").await;
        let mut client = gateway.client().await;
        client.send(call(BINARY, "", b"x")).await;
        let mut asked = upstream.next().await;
        let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
        stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 9, 1, 2]), !has_trailers).unwrap();
        if has_trailers {
            stream.send_trailers(trailers(&[("grpc-status", "0")])).unwrap();
        }
        assert!(!client.answer().await.whole, "with trailers: {has_trailers}");
        let record = gateway.record().await;
        assert_eq!((&record["ended"], &record["code"]), (&"upstream_cut".into(), &"upstream_invalid".into()));
    }
}

#[tokio::test]
async fn what_is_no_text_is_the_clients_fault_and_max_body_counts_what_it_sends() {
    let (mock, gateway) = world("max_body = '20B'").await;
    let told = |answer: &Answer| answer.header("grpc-status").map(str::to_owned);
    for broken in ["AAAA*AAA", "AAA", "A===", "AAAA=AAA"] {
        let request = format!("{}content-length: {}\r\n\r\n{broken}", head(TEXT, ""), broken.len());
        let answer = gateway.ask(request).await;
        assert_eq!(
            (told(&answer).as_deref(), answer.header("content-type")),
            (Some("13"), Some("application/grpc-web-text"))
        );
    }
    // 15 bytes, which are 20 characters; and one more, which is 24.
    for (kind, length, status) in [(TEXT, 10, None), (TEXT, 11, Some("8")), (BINARY, 11, None)] {
        let answer = gateway.ask(call(kind, "", &vec![7; length])).await;
        assert_eq!(told(&answer).as_deref(), status, "{kind} {length}");
    }
    let records = gateway.records(7).await;
    assert!(records[..4].iter().all(|record| record["code"] == "bad_request" && record["fault"] == "client"));
    assert_eq!(records[5]["code"], "body_too_large");
    drop(mock);
}

#[tokio::test]
async fn a_request_that_fails_behind_the_head_of_its_answer_is_told_in_the_last_message() {
    let (mut upstream, gateway) = played("max_body = '20B'").await;
    let mut client = gateway.client().await;
    client.send(format!("{}transfer-encoding: chunked\r\n\r\n", head(BINARY, ""))).await;
    let mut asked = upstream.next().await;
    let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
    stream.send_data(framed(b"one").into(), false).unwrap();
    let mut answer = client.head().await;
    answer.body = client.raw_chunk().await;
    client.send(format!("1e\r\n{}\r\n", "x".repeat(30))).await;
    client.body_of(&mut answer).await;
    assert!(answer.whole);
    let (messages, told) = read(&answer);
    assert_eq!((messages, fields(&told)[0]), (vec![b"one".to_vec()], ("grpc-status", "8")));
    let record = gateway.record().await;
    assert_eq!((&record["code"], &record["grpc_status"]), (&"body_too_large".into(), &8.into()));
}

#[tokio::test]
async fn a_call_is_no_json_and_is_not_looked_into() {
    let mock = Mock::builder().service("up").start().await.unwrap();
    let by_body = "[[routes]]\npath = '/{*rest}'\nbody = { '/type' = 'x' }\nupstream = 'http://127.0.0.1:9'\n";
    let gateway = Gateway::start(&format!("{}{by_body}", text("", "grpc_web = true", mock.addr()))).await;
    let (messages, told) = read(&gateway.ask(call(TEXT, "", b"hello")).await);
    assert_eq!((messages, &*told), (vec![b"hello".to_vec()], "grpc-status: 0\r\n"));
}

#[tokio::test]
async fn a_call_goes_out_again_as_calls_of_grpc_do() {
    let mock = Mock::builder().service("up").endpoints(2).start().await.unwrap();
    let endpoints: Vec<String> = mock.addrs().iter().map(|address| format!("'{address}'")).collect();
    let text = format!(
        "[upstreams.up]\nendpoints = [{}]\nprotocol = 'http2'\nbalance = 'round_robin'\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\ngrpc_web = true\n\
         retry = {{ attempts = 2, on = ['503'], methods = ['POST'] }}\n",
        endpoints.join(", ")
    );
    let gateway = Gateway::start(&text).await;
    mock.set_rules([Rule::any().endpoint(0).grpc_status(14)]);
    for kind in [BINARY, TEXT, BINARY, TEXT] {
        let (messages, told) = read(&gateway.ask(call(kind, "", b"again")).await);
        assert_eq!((messages, &*told), (vec![b"again".to_vec()], "grpc-status: 0\r\n"));
    }
    let records = gateway.records(4).await;
    assert!(records.iter().any(|record| record["attempts"] == 2), "{records:#?}");
}

#[tokio::test]
async fn a_copy_is_a_call_of_grpc_too() {
    let mut shadow = H2Upstream::start().await;
    let mock = Mock::builder().service("up").start().await.unwrap();
    let route = "grpc_web = true\nmirror = { upstream = 'shadow', methods = ['POST'] }";
    let more = format!("[upstreams.shadow]\nendpoints = ['{}']\nprotocol = 'http2'\n", shadow.address);
    let gateway = Gateway::start(&format!("{more}{}", text("", route, mock.addr()))).await;
    let answer = gateway.ask(call(TEXT, "", b"twice")).await;
    assert_eq!(read(&answer).0, [b"twice"]);
    let mut copy = shadow.next().await;
    assert_eq!(copy.header("content-type"), Some("application/grpc+proto"));
    assert_eq!(copy.read().await.unwrap().0, framed(b"twice"));
}

#[tokio::test]
async fn a_page_of_another_origin_may_send_and_read_what_its_client_needs() {
    let (mock, gateway) = world(&format!("cors = {{ origins = ['{PAGE}'], headers = ['authorization'] }}")).await;
    let asks = format!(
        "OPTIONS /mocks.Echo/Unary HTTP/1.1\r\nhost: a.test\r\norigin: {PAGE}\r\n\
         access-control-request-method: POST\r\n\
         access-control-request-headers: content-type,grpc-timeout,x-grpc-web,x-user-agent\r\n\r\n"
    );
    let answer = gateway.ask(asks).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(PAGE)));
    let headers = "authorization, content-type, grpc-timeout, x-grpc-web, x-user-agent";
    assert_eq!(answer.header("access-control-allow-headers"), Some(headers));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
    mock.set_rules([Rule::any().grpc_status(7)]);
    let origin = format!("origin: {PAGE}\r\n");
    let refused = gateway.ask(call(BINARY, &origin, b"x")).await;
    mock.set_rules([]);
    let answered = gateway.ask(call(BINARY, &origin, b"x")).await;
    for answer in [refused, answered] {
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        let exposed = |(name, value): &(String, String)| {
            name == "access-control-expose-headers" && value.contains("grpc-status, grpc-message")
        };
        assert!(answer.headers.iter().any(exposed), "{answer:?}");
    }
}

#[tokio::test]
async fn what_the_gateway_says_itself_has_the_type_that_the_page_reads() {
    let gateway = Gateway::start(&text("", "grpc_web = true", "127.0.0.1:9".parse().unwrap())).await;
    for kind in [BINARY, TEXT] {
        for answer in [gateway.ask(call(kind, "", b"x")).await, call_h2(&gateway, kind, b"x").await] {
            assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("14")));
            assert_eq!(answer.header("content-type"), kind.strip_suffix("+proto"));
        }
    }
}

#[tokio::test]
async fn others_pass_as_they_are_and_so_do_pages_on_routes_that_do_not_say_it() {
    let (_mock, gateway) = world("").await;
    let mut calls = client(gateway.address).await;
    assert_eq!(unary(&mut calls, message("hello")).await.unwrap().into_inner(), "hello");

    for (route, kind) in [("grpc_web = false", BINARY), ("grpc_web = true", "application/json")] {
        let mut upstream = H2Upstream::start().await;
        let gateway = Gateway::start(&text("", route, upstream.address)).await;
        let mut client = gateway.client().await;
        client.send(call(kind, "", b"x")).await;
        let mut asked = upstream.next().await;
        assert_eq!((asked.header("content-type"), asked.header("te")), (Some(kind), None), "{route}");
        assert_eq!(asked.read().await.unwrap().0, framed(b"x"));
        asked.answer("as it is");
        assert_eq!(client.answer().await.body, b"as it is");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_grpc_passes_as_it_is() {
    let (mut upstream, gateway) = played("").await;
    let mut client = gateway.client().await;
    client.send(call(TEXT, "", b"x")).await;
    let mut asked = upstream.next().await;
    asked.read().await.unwrap();
    let mut stream = asked.begin(503, &[("content-type", "text/html"), ("content-length", "4")]);
    stream.send_data(Bytes::from_static(b"down"), true).unwrap();
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.header("content-type"), &answer.body[..]),
        (503, Some("text/html"), &b"down"[..])
    );
}

#[tokio::test]
async fn the_example_does_what_it_says() {
    let mock = Mock::builder().service("greeter").start().await.unwrap();
    let example = include_str!("../../../examples/grpc-web.toml").replace("127.0.0.1:50051", &mock.addr().to_string());
    let gateway = Gateway::start(&example).await;
    let (messages, told) = read(&gateway.ask(call(BINARY, "", b"hello")).await);
    assert_eq!((messages, &*told), (vec![b"hello".to_vec()], "grpc-status: 0\r\n"));
    let mut calls = client(gateway.address).await;
    assert_eq!(unary(&mut calls, message("hello")).await.unwrap().into_inner(), "hello");
}
