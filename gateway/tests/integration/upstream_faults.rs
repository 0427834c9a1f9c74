//! Upstreams that fail (security.md, A14, L9): the client is told once and truly, and the connection is not used again.

use mocks::raw::{Raw, Script};
use mocks::{Effect, Garbage, Reset, Rule};

use tokio::io::AsyncReadExt;

use crate::support::{Gateway, echo, guarded, nowhere};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An upstream that answers its first connection with these bytes, and any later one properly.
async fn first_answers(bytes: &str) -> Raw {
    Raw::scripts([Script::new().read_request().send(bytes).hang(), Script::always(OK)]).await.unwrap()
}

#[tokio::test]
async fn a14_an_answer_that_is_no_http_is_502_and_its_connection_is_not_used_again() {
    for garbage in
        [Garbage::Bytes, Garbage::StatusLine, Garbage::Header, Garbage::TwoCl, Garbage::BadCl, Garbage::HugeHead]
    {
        let upstream = echo().await;
        upstream.set_rules([Rule::on("/bad").effect(Effect::Garbage(garbage))]);
        let gateway = Gateway::to(upstream.addr()).await;
        let mut client = gateway.client().await;
        let answer = client.ask("GET /bad HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"), "{garbage:?}");
        gateway.at_rest().await;
        assert_eq!(gateway.upstream_connections(), (0, 0), "{garbage:?}");
        assert_eq!(client.ask(GET).await.status, 200, "the client's connection is none the worse: {garbage:?}");
        let records = gateway.records(2).await;
        assert_eq!((&records[0]["fault"], &records[0]["code"]), (&"upstream".into(), &"upstream_invalid".into()));
        assert_eq!(records[1]["code"], "ok");
    }
}

#[tokio::test]
async fn a14_line_ends_before_an_answer_are_502_and_nobody_waits_for_what_follows() {
    let upstream = first_answers("\r\n").await;
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"));
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (0, 0));
}

#[tokio::test]
async fn a14_a_switch_of_protocols_that_nobody_asked_for_is_502() {
    let upstream = first_answers("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"));
    assert_eq!(gateway.upstream_connections(), (0, 0));
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn a14_too_many_fields_are_502() {
    let fields: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let upstream = first_answers(&format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")).await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_invalid");
    assert_eq!(gateway.upstream_connections(), (0, 0));
}

#[tokio::test]
async fn a14_bytes_that_follow_an_answer_unasked_are_nobodys_answer() {
    let poisoned = format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    let upstream = Raw::script(Script::always(poisoned)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    for _ in 0..20 {
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_502() {
    let address = {
        let upstream = echo().await;
        upstream.addr()
    };
    let gateway = Gateway::to(address).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_connect"));
    let body = String::from_utf8(answer.body).unwrap();
    assert!(!body.contains(&address.port().to_string()), "the document names nothing internal: {body}");
    let record = gateway.record().await;
    assert_eq!((&record["fault"], &record["attempts"]), (&"upstream".into(), &1.into()));
    assert_eq!(record["endpoint"], address.to_string());
}

#[tokio::test]
async fn an_upstream_that_closes_before_it_answers_is_502() {
    for effect in [Effect::Reset(Reset::BeforeHeaders), Effect::Reset(Reset::InHeaders)] {
        let upstream = echo().await;
        upstream.set_rules([Rule::any().effect(effect)]);
        let gateway = Gateway::to(upstream.addr()).await;
        let answer = gateway.get("/").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_reset"), "{effect:?}");
        assert_eq!(gateway.upstream_connections(), (0, 0));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_ended_as_if_it_were_whole() {
    let halves = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ];
    for half in halves {
        let upstream = Raw::script(Script::new().read_request().send(half)).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let mut client = gateway.client().await;
        client.send(GET).await;
        // When it broke off before the head was written, nothing is.
        let text = String::from_utf8(client.rest().await).unwrap();
        let ended_well = text.ends_with("0\r\n\r\n") || text.contains("content-length: 4");
        assert!(!ended_well && !text.contains("zz"), "{half:?} became {text:?}");
        gateway.at_rest().await;
        assert_eq!(gateway.upstream_connections(), (0, 0));
        let record = gateway.record().await;
        assert_eq!((&record["ended"], &record["fault"]), (&"upstream_cut".into(), &"upstream".into()), "{half:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_late_is_cut_where_it_broke() {
    let gate = mocks::raw::Gate::new();
    let half = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let upstream = Raw::script(Script::new().read_request().send(half).wait(&gate).reset()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let mut answer = client.head().await;
    assert_eq!(client.bytes(9).await, b"4\r\nhalf\r\n");
    gate.open();
    client.body_of(&mut answer).await;
    assert_eq!((answer.status, answer.whole), (200, false));
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["status"]), (&"upstream_cut".into(), &200.into()));
    assert_eq!(record["bytes_out"], 4);
}

#[tokio::test]
async fn a14_an_answer_that_breaks_off_resets_a_client_to_whom_its_end_is_the_connections() {
    let gate = mocks::raw::Gate::new();
    let half = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let upstream = Raw::script(Script::new().read_request().send(half).wait(&gate).reset()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let answer = client.head().await;
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
    assert_eq!(client.bytes(4).await, b"half");
    gate.open();
    let end = guarded("the connection's end", client.stream().read(&mut [0])).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(gateway.record().await["ended"], "upstream_cut");
    gateway.at_rest().await;
}

#[tokio::test]
async fn a14_an_answer_whose_chunk_is_broken_never_ends_well() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Garbage(Garbage::BadChunk))]);
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let text = String::from_utf8(client.rest().await).unwrap();
    assert!(text.starts_with("HTTP/1.1 502") || !text.ends_with("0\r\n\r\n"), "{text:?}");
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (0, 0));
}

#[tokio::test]
async fn l9_a_pooled_connection_that_was_closed_is_never_a_clients_error() {
    // Each connection serves one request and then closes, without saying so.
    let upstream = Raw::script(Script::new().read_request().send(OK)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for n in 0..50 {
        let method = ["GET", "POST", "PUT", "DELETE"][n % 4];
        let answer = client.ask(format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")).await;
        // A POST may have been sent before the close was seen: then, and only then, it is 502.
        assert!(answer.status == 200 || (method == "POST" && answer.status == 502), "{method}: {}", answer.status);
    }
}

#[tokio::test]
async fn l9_an_idempotent_request_is_sent_again_when_its_pooled_connection_breaks() {
    // The first connection answers once, then takes a second request and closes without a word.
    let once = Script::new().read_request().send(OK).read_head();
    let upstream = Raw::scripts([once, Script::always(OK)]).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(client.ask(GET).await.status, 200, "sent again on a new connection");
    assert_eq!(upstream.accepted(), 2);
}

#[tokio::test]
async fn l9_a_request_that_may_have_had_its_effect_is_not_sent_again() {
    let once = Script::new().read_request().send(OK).read_head();
    let upstream = Raw::scripts([once, Script::always(OK)]).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    let answer = client.ask("POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n1").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_reset"));
    assert_eq!(upstream.accepted(), 1, "nobody pays twice");
}

#[tokio::test]
async fn a_failing_endpoint_does_not_take_the_others_with_it() {
    let (good, gone) = (echo().await, nowhere());
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}', '{gone}']\nbalance = 'round_robin'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'",
        good.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(gateway.get("/").await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502], "without retries yet, each endpoint speaks for itself");
}
