//! Aggregates that are compressed: the document is the same, and is as whole or as cut as it would be without.

use mocks::raw::{Gate, Raw, Script};

use super::aggregates::{json, text};
use super::compression::{body, so_far, unpacked};
use crate::support::Gateway;
use crate::support::h2::{H2Client, get, head};

const PARTS: [&str; 2] =
    ["name = 'user', upstream = 'a', path = '/{id}', required = true", "name = 'more', upstream = 'b', path = '/'"];

/// A JSON string of about this length.
fn quoted(len: usize) -> String {
    format!("\"{}\"", body(len))
}

fn ask(method: &str, accept: &str) -> String {
    format!("{method} /board/1 HTTP/1.1\r\nhost: a\r\naccept-encoding: {accept}\r\n\r\n")
}

#[tokio::test]
async fn its_document_is_compressed_for_who_takes_that() {
    let (user, more) = (quoted(20_000), quoted(9_000));
    let (a, b) = (json(&user).await, json(&more).await);
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "compress = true", &PARTS)).await;
    let document = format!("{{\"user\":{user},\"more\":{more}}}");
    for (accept, coding) in [("gzip", Some("gzip")), ("gzip, br, zstd", Some("zstd")), ("br", None), ("", None)] {
        let answer = gateway.ask(ask("GET", accept)).await;
        assert!(answer.whole && answer.status == 200, "{accept}");
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (coding, Some("accept-encoding")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let length = answer.header("content-length").map(str::to_owned);
        match coding {
            None => assert_eq!((&answer.body[..], length), (document.as_bytes(), Some(document.len().to_string()))),
            Some(_) => {
                assert!(length.is_none() && answer.body.len() < document.len() / 5, "{accept}");
                assert_eq!(unpacked(&answer), document.as_bytes(), "{accept}");
            }
        }
        let mut client = gateway.client().await;
        client.send(ask("HEAD", accept)).await;
        let told = client.head().await;
        let is_told = told.header("content-length").is_some();
        assert_eq!((told.header("vary"), is_told), (Some("accept-encoding"), coding.is_none()));
    }
    let http_10 = gateway.ask("GET /board/1 HTTP/1.0\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").await;
    assert_eq!((http_10.header("content-encoding"), &http_10.body[..]), (None, document.as_bytes()));
    let records = gateway.records(9).await;
    assert!(records[0]["bytes_out"].as_u64().unwrap() < 6_000, "{}", records[0]);
    assert!(records.iter().all(|record| record["ended"] == "complete" && record["parts"] == 2));
    let answers = "gateway_compressed_answers_total{route=\"board\",coding=\"gzip\"}";
    assert_eq!(gateway.metric(answers).await, Some(1.0));
    assert_eq!((gateway.in_flight(), gateway.inner().shards()[0].encoders.count()), (0, 0));
}

#[tokio::test]
async fn a_small_document_and_one_that_nobody_wants_compressed_stay_as_they_are() {
    let (a, b) = (json("1").await, json("2").await);
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "compress = true", &PARTS)).await;
    let small = gateway.ask(ask("GET", "gzip")).await;
    assert_eq!((small.header("content-encoding"), &small.body[..]), (None, &b"{\"user\":1,\"more\":2}"[..]));
    assert_eq!(small.header("vary"), Some("accept-encoding"), "a larger one would be");
    let only = gateway.ask(ask("GET", "gzip, identity;q=0")).await;
    assert_eq!(unpacked(&only), small.body);
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &PARTS)).await;
    let plain = gateway.ask(ask("GET", "gzip, identity;q=0")).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, None));
}

#[tokio::test]
async fn one_that_breaks_off_never_looks_like_a_whole_one() {
    let half = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n\"{}", body(20_000));
    let breaks = Raw::script(Script::new().read_request().send(half)).await.unwrap();
    let a = json(&quoted(2_000)).await;
    let gateway = Gateway::start(&text(&[a.addr(), breaks.addr()], "compress = true", &PARTS)).await;
    let mut client = gateway.client().await;
    client.send(ask("GET", "gzip")).await;
    assert!(!client.rest().await.ends_with(b"0\r\n\r\n"));
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["fault"]), (&"upstream_cut".into(), &"upstream".into()));
    assert_eq!(gateway.inner().shards()[0].encoders.count(), 0);
}

#[tokio::test]
async fn what_has_come_does_not_wait_in_the_encoder() {
    let gate = Gate::new();
    let script = Script::new()
        .read_request()
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n\"first \r\n")
        .wait(&gate)
        .send("7\r\nsecond\"\r\n0\r\n\r\n");
    let slow = Raw::script(script).await.unwrap();
    let a = json("7").await;
    let gateway = Gateway::start(&text(&[a.addr(), slow.addr()], "compress = true", &PARTS)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = get("/board/1");
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let call = client.begin(request, true).await;
    let (answer, mut stream) = head(call.answer).await.unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut came = Vec::new();
    while so_far(&came) != "{\"user\":7,\"more\":\"first " {
        came.extend_from_slice(&stream.data().await.expect("more is to come").unwrap());
    }
    gate.open();
    while let Some(more) = stream.data().await {
        came.extend_from_slice(&more.unwrap());
    }
    assert_eq!(so_far(&came), "{\"user\":7,\"more\":\"first second\"}");
}
