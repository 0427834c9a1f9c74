//! Calls of gRPC and how they end: deadlines, what goes wrong before and behind the service, and who hears of it.

use bytes::Bytes;
use http::uri::PathAndQuery;
use mocks::{Mock, Rule};
use tonic::Code;

use crate::grpc::{Plain, client, message, next, unary};
use crate::support::h2::{Call, H2Client, head, post, rest};
use crate::support::h2_upstream::H2Upstream;
use crate::support::{Gateway, guarded};
use crate::upstream_http2::text;

#[tokio::test]
async fn a_call_that_the_service_has_not_begun_with_goes_out_again() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = client(gateway.address).await;
    let serving = tokio::spawn(async move {
        for is_refused in [false, true, false] {
            let mut asked = upstream.next().await;
            let (message, _) = asked.read().await.unwrap();
            if is_refused {
                asked.reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
            stream.send_data(message.into(), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        upstream
    });
    for _ in 0..2 {
        assert_eq!(unary(&mut client, message("hello")).await.unwrap().into_inner(), "hello");
    }
    assert!(gateway.records(2).await.iter().all(|record| record["attempts"] == 1));
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn a_service_that_says_it_is_unavailable_is_left_alone_and_one_that_finds_nothing_is_not() {
    let mock = Mock::builder().service("up").endpoints(2).start().await.unwrap();
    let endpoints: Vec<String> = mock.addrs().iter().map(|address| format!("'{address}'")).collect();
    let endpoints = endpoints.join(", ");
    let text = format!(
        "[upstreams.up]\nendpoints = [{endpoints}]\nprotocol = 'http2'\nbalance = 'round_robin'\n\
         breaker = {{ consecutive_failures = 2, open_for = '1h', max_open_for = '1h' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n\
         retry = {{ attempts = 2, on = ['503'], methods = ['POST'] }}\n"
    );
    let gateway = Gateway::start(&text).await;
    let mut client = client(gateway.address).await;
    mock.set_rules([Rule::any().endpoint(0).grpc_status(5)]);
    let mut codes = Vec::new();
    for _ in 0..8 {
        codes.push(unary(&mut client, message("x")).await.map_or_else(|status| status.code(), |_| Code::Ok));
    }
    assert_eq!(codes.iter().filter(|code| **code == Code::NotFound).count(), 4, "{codes:?}");
    mock.set_rules([Rule::any().endpoint(0).grpc_status(14)]);
    for _ in 0..10 {
        assert!(unary(&mut client, message("x")).await.is_ok(), "it is tried again elsewhere");
    }
    let sick = mock.addrs()[0].port();
    let asked = mock.journal().iter().filter(|entry| entry.endpoint == sick).count();
    assert_eq!(asked, 4 + 2, "then its breaker is open");
}

#[tokio::test]
async fn what_a_call_came_to_is_in_its_record_and_counted() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = client(gateway.address).await;
    let serving = tokio::spawn(async move {
        for status in ["0", "13", "5", "none"] {
            let mut asked = upstream.next().await;
            asked.read().await.unwrap();
            let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
            stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 1, 1]), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        upstream
    });
    for code in [Code::Ok, Code::Internal, Code::NotFound, Code::Unknown] {
        let answer = unary(&mut client, message("x")).await;
        assert_eq!(answer.map_or_else(|status| status.code(), |_| Code::Ok), code);
    }
    drop(serving.await.unwrap());
    let records = gateway.records(4).await;
    let told: Vec<Option<u64>> = records.iter().map(|record| record["grpc_status"].as_u64()).collect();
    assert_eq!(told, [Some(0), Some(13), Some(5), Some(2)], "what is no status is `UNKNOWN`, as to the caller");
    assert!(records.iter().all(|record| record["status"] == 200 && record["code"] == "ok"));
    for (status, count) in [("0", 1.0), ("13", 1.0), ("2", 1.0)] {
        let sample = format!("gateway_grpc_answers_total{{route=\"all\",grpc_status=\"{status}\"}}");
        assert_eq!(gateway.metric(&sample).await, Some(count), "{sample}");
    }
    let failed = gateway.admin("GET", "/requests?failed").await.json();
    assert_eq!(failed["requests"].as_array().unwrap().len(), 3, "{failed:#}");
}

#[tokio::test]
async fn a_call_that_fails_behind_its_messages_counts_for_the_breaker() {
    let mut upstream = H2Upstream::start().await;
    let keys = "breaker = { failures = ['503'], window = '60s', min_requests = 4, failure_ratio = 0.5, \
                consecutive_failures = 1000, open_for = '60s' }";
    let gateway = Gateway::start(&text(keys, "", upstream.address)).await;
    let mut client = client(gateway.address).await;
    let serving = tokio::spawn(async move {
        for status in ["0", "5", "14", "14", "14"] {
            let mut asked = upstream.next().await;
            asked.read().await.unwrap();
            let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
            stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 1, 7]), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        upstream
    });
    for expected in [None, Some(Code::NotFound), Some(Code::Unavailable), Some(Code::Unavailable)] {
        assert_eq!(unary(&mut client, message("x")).await.err().map(|status| status.code()), expected);
    }
    // Two of four: as many as the rule says.
    gateway.at_rest().await;
    let breaker = gateway.admin("GET", "/breakers").await.json();
    assert_eq!(breaker["breakers"][0]["state"], "open", "{breaker}");
    let status = unary(&mut client, message("x")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(gateway.records(5).await[4]["code"], "breaker_open");
    serving.abort();
}

#[tokio::test]
async fn an_answer_that_breaks_off_behind_its_messages_is_told_in_trailers() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = client(gateway.address).await;
    let serving = tokio::spawn(async move {
        let mut asked = upstream.next().await;
        asked.read().await.unwrap();
        let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
        stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 1, 7]), false).unwrap();
        (asked, stream, upstream)
    });
    let path = PathAndQuery::from_static("/a.B/List");
    let answer = guarded("an answer", client.server_streaming(message("all"), path, Plain)).await.unwrap();
    let mut messages = answer.into_inner();
    assert_eq!(&next(&mut messages).await.unwrap()[..], [7]);
    let (asked, _stream, _upstream) = serving.await.unwrap();
    asked.cut();
    let status = guarded("its end", messages.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "The upstream closed the connection"));
    let record = gateway.record().await;
    assert_eq!((&record["grpc_status"], &record["code"]), (&14.into(), &"upstream_reset".into()));
    assert_eq!((&record["ended"], &record["fault"]), (&"upstream_cut".into(), &"upstream".into()));
    let sample = "gateway_grpc_answers_total{route=\"all\",grpc_status=\"14\"}";
    assert_eq!(gateway.metric(sample).await, Some(1.0));
}

/// Answers a call with these bytes, and with a field of trailers where there is one; with a head alone where there are
/// no bytes.
async fn answer_with(upstream: &mut H2Upstream, bytes: &'static [u8], trailer: Option<(&'static str, &str)>) {
    let mut asked = upstream.next().await;
    asked.read().await.unwrap();
    let head = [("content-type", "application/grpc")];
    if bytes.is_empty() {
        return asked.head_only(200, &head);
    }
    let mut stream = asked.begin(200, &head);
    stream.send_data(Bytes::from_static(bytes), trailer.is_none()).unwrap();
    if let Some((name, value)) = trailer {
        let trailers = http::HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        stream.send_trailers(trailers).unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_its_endpoints_failure_though_http_takes_it_for_whole() {
    const CUT: &[u8] = &[0, 0, 0, 0, 9, 1, 2];
    const WHOLE: &[u8] = &[0, 0, 0, 0, 1, 7];
    let (within, untold) = ("it ended within a message", "it ended without a word of what the call came to");
    let keys = "breaker = { consecutive_failures = 1, open_for = '1h', max_open_for = '1h' }";
    for (bytes, trailer, why) in [
        (CUT, None, within),
        (CUT, Some(("grpc-status", "0")), within),
        (WHOLE, None, untold),
        (WHOLE, Some(("x-cost", "7")), untold),
        (&[], None, untold),
    ] {
        for kind in ["application/grpc", "application/grpc-web+proto"] {
            let mut upstream = H2Upstream::start().await;
            let gateway = Gateway::start(&text(keys, "grpc_web = true", upstream.address)).await;
            let mut client = H2Client::connect(gateway.address).await;
            let mut request = post("/a.B/List");
            request.headers_mut().insert("content-type", kind.parse().unwrap());
            let call = client.begin(request, true).await;
            answer_with(&mut upstream, bytes, trailer).await;
            // A stream that is reset at once may not even have a head.
            let answer = call.try_answer().await.ok().filter(|answer| answer.whole);
            let case = format!("{kind} {bytes:?} {trailer:?}");
            // A page reads what follows a part of a message as the rest of it.
            let is_told = kind == "application/grpc" || why == untold;
            let is_status = |(name, value): &(String, String)| name == "grpc-status" && value == "14";
            let told = answer.as_ref().is_some_and(|answer| match kind {
                "application/grpc" => answer.trailers.iter().any(is_status),
                _ => String::from_utf8_lossy(&answer.body).contains("grpc-status: 14\r\n"),
            });
            assert_eq!((answer.is_some(), told), (is_told, is_told), "{case}: {answer:?}");
            let record = gateway.record().await;
            let ended = (&record["ended"], &record["code"], &record["fault"]);
            assert_eq!(ended, (&"upstream_cut".into(), &"upstream_invalid".into(), &"upstream".into()), "{case}");
            assert_eq!(record["grpc_status"].as_u64(), is_told.then_some(14), "{case}");
            let breaker = gateway.admin("GET", "/breakers").await.json();
            assert_eq!(breaker["breakers"][0]["state"], "open", "{case}: {breaker}");
            let upstreams = gateway.admin("GET", "/upstreams").await.json();
            let failure = &upstreams["upstreams"][0]["endpoints"][0]["last_failure"];
            let detail = format!("the answer broke off behind its head: {why}");
            assert_eq!((&failure["outcome"], &failure["detail"]), (&"invalid".into(), &detail.into()), "{case}");
        }
    }
}

#[tokio::test]
async fn what_says_in_its_head_what_the_call_came_to_and_what_is_no_grpc_end_as_they_like() {
    let keys = "breaker = { consecutive_failures = 1, open_for = '1h', max_open_for = '1h' }";
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text(keys, "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let heads: [&[(&str, &str)]; 4] = [
        &[("content-type", "application/grpc"), ("grpc-status", "5")],
        &[("content-type", "application/grpc-web+proto")],
        &[("content-type", "text/plain"), ("content-length", "7")],
        &[],
    ];
    for head in heads {
        let mut request = post("/a.B/List");
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        let call = client.begin(request, true).await;
        let mut asked = upstream.next().await;
        let mut stream = asked.begin(200, head);
        let is_told = head.iter().any(|(name, _)| *name == "grpc-status");
        let body: &[u8] = if is_told { b"" } else { b"no more" };
        stream.send_data(Bytes::from_static(body), true).unwrap();
        let answer = call.answer().await;
        assert!(answer.whole && answer.body == body && answer.trailers.is_empty(), "{head:?}: {answer:?}");
    }
    let records = gateway.records(4).await;
    assert!(records.iter().all(|record| record["ended"] == "complete" && record["code"] == "ok"), "{records:#?}");
    let breaker = gateway.admin("GET", "/breakers").await.json();
    assert_eq!(breaker["breakers"][0]["state"], "closed", "{breaker}");
}

#[tokio::test]
async fn a_stream_beyond_max_body_is_told_so_and_recorded_as_that() {
    for (kind, status) in [("application/grpc+proto", Some("8")), ("application/grpc-web+proto", None)] {
        let mut upstream = H2Upstream::start().await;
        let gateway = Gateway::start(&text("", "max_body = '20B'", upstream.address)).await;
        let mut client = H2Client::connect(gateway.address).await;
        let mut request = post("/mocks.Echo/Stream");
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let Call { answer, body: mut sender } = client.begin(request, false).await;
        let mut asked = upstream.next().await;
        let _stream = asked.begin(200, &[("content-type", kind)]);
        let (mut answer, mut body) = head(answer).await.unwrap();
        sender.send_data(Bytes::from_static(&[0; 30]), false).unwrap();
        let whole = rest(&mut answer, &mut body).await;
        let told = answer.trailers.iter().find(|(name, _)| name == "grpc-status").map(|(_, value)| &**value);
        assert_eq!((told, whole.is_ok()), (status, status.is_some()), "{kind}");
        let record = gateway.record().await;
        assert_eq!((&record["code"], &record["fault"]), (&"body_too_large".into(), &"client".into()), "{kind}");
        assert_eq!((&record["ended"], &record["status"]), (&"timeout".into(), &200.into()), "{kind}");
        assert_eq!(record["grpc_status"].as_u64(), status.map(|_| 8), "{kind}");
    }
}

#[tokio::test]
async fn who_sends_what_is_no_call_does_not_open_the_breaker_for_those_who_call() {
    let checks = "health = { path = '/grpc.health.v1.Health/Check', interval = '1h' }";
    for (health, expected) in [(checks, None), ("", Some(Code::Unavailable))] {
        let keys = format!("breaker = {{ consecutive_failures = 2, open_for = '1h', max_open_for = '1h' }}\n{health}");
        let mut upstream = H2Upstream::start().await;
        let gateway = Gateway::start(&text(&keys, "", upstream.address)).await;
        let serving = tokio::spawn(async move {
            let mut checks = Vec::new();
            loop {
                let mut asked = upstream.next().await;
                if asked.path() == "/grpc.health.v1.Health/Check" {
                    // It says nothing; one that is late takes nobody out.
                    checks.push(asked);
                } else if asked.header("content-type") != Some("application/grpc") {
                    asked.reset(h2::Reason::INTERNAL_ERROR);
                } else {
                    asked.read().await.unwrap();
                    let mut stream = asked.begin(200, &[("content-type", "application/grpc")]);
                    stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 1, 7]), false).unwrap();
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    stream.send_trailers(trailers).unwrap();
                }
            }
        });
        for _ in 0..3 {
            let answer = gateway.ask("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
            assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
        }
        gateway.at_rest().await;
        let mut client = client(gateway.address).await;
        let called = unary(&mut client, message("x")).await;
        assert_eq!(called.err().map(|status| status.code()), expected, "{health}");
        serving.abort();
    }
}

#[tokio::test]
async fn a_call_whose_own_deadline_was_over_before_anybody_was_asked_is_told_that() {
    let mut upstream = H2Upstream::start().await;
    let gateway = Gateway::start(&text("", "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = post("/mocks.Echo/Unary");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1n")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = client.begin(request, true).await.answer().await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("4")));
    assert_eq!(answer.header("grpc-retry-pushback-ms"), None, "there is nothing to come back for");
    let record = gateway.record().await;
    assert_eq!((&record["code"], &record["grpc_status"]), (&"overloaded".into(), &4.into()));
    assert_eq!(record["fault"], "client", "who gave it no time");
    assert!(upstream.is_quiet());
}
