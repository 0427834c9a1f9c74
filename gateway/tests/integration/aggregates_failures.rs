//! Aggregates whose parts fail: what is answered then, what stands in for them, and how operators hear of it.

use mocks::raw::{Raw, Script};

use crate::aggregates::{always, asked, body, counted, failed_part, json, stalls_after, status, text};
use crate::support::{Gateway, nowhere};

#[tokio::test]
async fn a_value_that_is_not_there_is_a_part_that_is_not_there() {
    let (a, b) = (json("{\"tier\":null}").await, json("1").await);
    for (required, expected) in [("false", 200), ("true", 502)] {
        let more = format!("name = 'more', upstream = 'b', path = '/?t={{user.tier}}', required = {required}");
        let parts = ["name = 'user', upstream = 'a', path = '/'", &*more];
        let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
        let answer = gateway.get("/board/1").await;
        assert_eq!(answer.status, expected);
        if required == "true" {
            assert_eq!((answer.code(), failed_part(&answer)), ("part_failed".into(), "more".into()));
        } else {
            assert_eq!(body(&answer), "{\"user\":{\"tier\":null},\"more\":null}");
        }
    }
    // What stands in for a part gives its values too.
    let dead = nowhere();
    let parts = [
        "name = 'user', upstream = 'a', path = '/', fallback = '{\"tier\":\"none\"}'",
        "name = 'more', upstream = 'b', path = '/?t={user.tier}'",
    ];
    let gateway = Gateway::start(&text(&[dead, b.addr()], "", &parts)).await;
    assert_eq!(body(&gateway.get("/board/1").await), "{\"user\":{\"tier\":\"none\"},\"more\":1}");
    assert!(asked(&b)[0].starts_with("GET /?t=none "));
}

#[tokio::test]
async fn a_required_part_fails_with_its_own_status_and_in_its_name() {
    let b = json("1").await;
    for (fields, its_status, answered, code) in [
        ("", 404, 404, "part_failed"),
        ("", 500, 500, "part_failed"),
        ("retry-after: 7\r\n", 429, 429, "part_failed"),
        ("www-authenticate: Basic\r\n", 401, 401, "part_failed"),
        ("location: /\r\n", 302, 502, "part_failed"),
        ("", 204, 502, "upstream_invalid"),
    ] {
        let a = match its_status {
            204 => always("HTTP/1.1 204 No Content\r\n\r\n").await,
            _ => always(&status(its_status, fields)).await,
        };
        let parts = [
            "name = 'other', upstream = 'b', path = '/'",
            "name = 'user', upstream = 'a', path = '/', required = true",
        ];
        let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
        let mut client = gateway.client().await;
        let answer = client.ask("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, &*answer.code(), &*failed_part(&answer)), (answered, code, "user"));
        assert_eq!(answer.header("retry-after"), (its_status == 429).then_some("7"));
        assert_eq!(answer.header("www-authenticate"), (its_status == 401).then_some("Basic"));
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("The part \"user\" failed. "));
        let record = gateway.record().await;
        assert_eq!((&record["code"], &record["parts_missing"]), (&code.into(), &"user".into()));
        // The next request finds its connection again, though nobody read the body.
        client.ask("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(a.accepted(), 1, "{its_status}");
    }
    let dead = nowhere();
    let parts = ["name = 'user', upstream = 'a', path = '/', required = true"];
    let gateway = Gateway::start(&text(&[dead], "", &parts)).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, &*answer.code(), &*failed_part(&answer)), (502, "upstream_connect", "user"));
    assert_eq!(counted(&gateway, "user", "failed").await, Some(1.0));
}

#[tokio::test]
async fn a_required_part_that_is_to_be_asked_at_a_date_is_told_in_seconds() {
    let a = always(&status(503, "retry-after: Fri, 01 Jan 2100 00:00:00 GMT\r\n")).await;
    let parts = ["name = 'user', upstream = 'a', path = '/', required = true"];
    let gateway = Gateway::start(&text(&[a.addr()], "", &parts)).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, &*answer.code()), (503, "part_failed"));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 1_000_000);
}

#[tokio::test]
async fn optional_parts_that_fail_are_null_and_named_or_their_fallback_stands_in() {
    let dead = nowhere();
    let (gone, packed) = (
        always(&status(404, "")).await,
        always("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}").await,
    );
    let parts = [
        "name = 'dead', upstream = 'a', path = '/', fallback = '{ \"a\": [] }'",
        "name = 'gone', upstream = 'b', path = '/'",
        "name = 'packed', upstream = 'c', path = '/'",
    ];
    let gateway = Gateway::start(&text(&[dead, gone.addr(), packed.addr()], "", &parts)).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, body(&answer)), (200, "{\"dead\":{ \"a\": [] },\"gone\":null,\"packed\":null}"));
    assert_eq!(answer.header("x-aggregate-missing"), Some("gone, packed"), "what is null is named");
    for (part, result) in [("dead", "failed"), ("gone", "status"), ("packed", "invalid")] {
        assert_eq!(counted(&gateway, part, result).await, Some(1.0), "{part}");
    }
    let record = gateway.record().await;
    assert_eq!((&record["code"], &record["parts_missing"]), (&"ok".into(), &"dead, gone, packed".into()));
}

#[tokio::test]
async fn each_part_has_its_time() {
    let (a, b) = (json("1").await, stalls_after("").await);
    let slow = "name = 'slow', upstream = 'b', path = '/', timeout = '100ms'";
    let parts = ["name = 'user', upstream = 'a', path = '/', required = true", slow];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "timeout = '60s'", &parts)).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, body(&answer)), (200, "{\"user\":1,\"slow\":null}"));
    assert_eq!(answer.header("x-aggregate-missing"), Some("slow"));
    assert_eq!(counted(&gateway, "slow", "timeout").await, Some(1.0));

    let required = format!("{slow}, required = true");
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "timeout = '60s'", &[parts[0], &required])).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, &*answer.code(), &*failed_part(&answer)), (504, "upstream_timeout", "slow"));
    gateway.at_rest().await;
}

#[tokio::test]
async fn one_time_holds_for_all_of_it() {
    let (a, b) = (json("1").await, stalls_after("").await);
    // The last one waits for one that never comes.
    let parts = [
        "name = 'user', upstream = 'a', path = '/', required = true",
        "name = 'slow', upstream = 'b', path = '/'",
        "name = 'more', upstream = 'a', path = '/?x={slow.x}'",
    ];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "timeout = '150ms'", &parts)).await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, body(&answer)), (200, "{\"user\":1,\"slow\":null,\"more\":null}"));
    assert_eq!(answer.header("x-aggregate-missing"), Some("slow, more"));
    // A client may give it less.
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "timeout = '60s'", &parts)).await;
    let answer = gateway.ask("GET /board/1 HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 100\r\n\r\n").await;
    assert_eq!(answer.header("x-aggregate-missing"), Some("slow, more"));
}

#[tokio::test]
async fn an_answer_that_has_begun_is_cut_and_never_looks_whole() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let closes = Raw::script(Script::new().read_request().send(format!("{head}3\r\n[1,\r\n"))).await.unwrap();
    let stalls = stalls_after(&format!("{head}3\r\n[1,\r\n")).await;
    let no_json = always(&format!("{head}3\r\n[1}}\r\n0\r\n\r\n")).await;
    let not_whole = always(&format!("{head}3\r\n[1,\r\n0\r\n\r\n")).await;
    for (upstream, ended, code, result) in [
        (closes.addr(), "upstream_cut", "upstream_reset", "failed"),
        (stalls.addr(), "timeout", "upstream_timeout", "timeout"),
        (no_json.addr(), "upstream_cut", "upstream_invalid", "invalid"),
        (not_whole.addr(), "upstream_cut", "upstream_invalid", "invalid"),
    ] {
        let parts = ["name = 'a', upstream = 'a', path = '/'"];
        let gateway = Gateway::start(&text(&[upstream], "timeout = '300ms'", &parts)).await;
        let answer = gateway.get("/board/1").await;
        assert_eq!((answer.status, answer.whole), (200, false), "{answer:?}");
        let record = gateway.record().await;
        assert_eq!((&record["ended"], &record["code"]), (&ended.into(), &code.into()));
        assert_eq!(record["parts_missing"], "a");
        assert_eq!(counted(&gateway, "a", result).await, Some(1.0), "{ended}");
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn a_breaker_that_is_open_refuses_a_part_at_once() {
    let (a, b) = (json("1").await, always(&status(503, "")).await);
    let parts = ["name = 'a', upstream = 'a', path = '/'", "name = 'b', upstream = 'b', path = '/'"];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
    for _ in 0..4 {
        let answer = gateway.get("/board/1").await;
        assert_eq!((answer.status, body(&answer)), (200, "{\"a\":1,\"b\":null}"));
    }
    assert!(asked(&b).len() <= 3, "it is left alone");
    assert!(counted(&gateway, "b", "refused").await >= Some(2.0));
    let required = format!("{}, required = true", parts[1]);
    gateway.rewrite(&text(&[a.addr(), b.addr()], "", &[parts[0], &required]));
    gateway.admin("POST", "/reload").await;
    let answer = gateway.get("/board/1").await;
    assert_eq!((answer.status, &*answer.code(), &*failed_part(&answer)), (503, "breaker_open", "b"));
    assert!(answer.header("retry-after").is_some());
}

/// What is not there for its client is no failure of the service that says so.
#[tokio::test]
async fn a_part_that_is_not_found_is_nobodys_fault() {
    let a = always(&status(404, "")).await;
    let part = "name = 'a', upstream = 'a', path = '/', required = true";
    let gateway = Gateway::start(&text(&[a.addr()], "", &[part])).await;
    assert_eq!(gateway.get("/board/1").await.status, 404);
    let record = gateway.record().await;
    assert_eq!((&record["code"], record.get("fault")), (&"part_failed".into(), None));
}

/// A degraded answer looks well from outside: whoever runs it must find which part was missing, and why.
#[tokio::test]
async fn what_became_of_each_part_is_told_also_where_a_fallback_stood_in() {
    let dead = nowhere();
    let (user, gone, packed) = (
        json("{\"id\":7}").await,
        always(&status(404, "")).await,
        always("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}").await,
    );
    let parts = [
        "name = 'user', upstream = 'a', path = '/', required = true",
        "name = 'dead', upstream = 'b', path = '/', fallback = '[]'",
        "name = 'gone', upstream = 'c', path = '/'",
        "name = 'packed', upstream = 'd', path = '/'",
        "name = 'offers', upstream = 'a', path = '/{user.tier}'",
    ];
    let upstreams = [user.addr(), dead, gone.addr(), packed.addr()];
    let text = text(&upstreams, "", &parts);
    let gateway =
        Gateway::start(&format!("[telemetry.access_log]\nsample = 0.0\n[telemetry.recorder]\nsample = 0.0\n{text}"))
            .await;
    assert_eq!(gateway.get("/board/1").await.status, 200);
    let record = gateway.record().await;
    assert_eq!(record["parts_missing"], "dead, gone, packed, offers");
    assert_eq!(record["parts_results"], "dead: failed, gone: status, packed: invalid, offers: unasked");

    let told = gateway.admin("GET", &format!("/requests/{}", record["request_id"].as_str().unwrap())).await.json();
    assert_eq!(told["kinds"], serde_json::json!(["failed"]), "{told:#}");
    let missing: Vec<_> = told["missing_parts"].as_array().unwrap().iter().collect();
    let of = |name: &str| missing.iter().map(|part| part[name].as_str().unwrap_or("")).collect::<Vec<_>>();
    assert_eq!(of("part"), ["dead", "gone", "packed", "offers"]);
    assert_eq!(of("result"), ["failed", "status", "invalid", "unasked"]);
    assert_eq!(of("in_its_place"), ["fallback", "null", "null", "null"]);
    for (why, expected) in of("why").into_iter().zip(["refused", "It was answered with 404.", "compressed", "missing"])
    {
        assert!(why.contains(expected), "{why}: {expected}");
    }
    let asked: Vec<_> = told["exchanges"].as_array().unwrap().iter().map(|it| it["part"].as_str().unwrap()).collect();
    assert!(
        ["user", "gone", "packed"].iter().all(|part| asked.contains(part)) && !asked.contains(&"offers"),
        "{asked:?}"
    );
    let answered = told["answered"]["headers"].as_array().unwrap();
    assert!(answered.iter().any(|field| field["name"] == "x-aggregate-missing"), "{told:#}");
    let shown =
        gateway.admin("GET", &format!("/requests/{}?format=text", record["request_id"].as_str().unwrap())).await;
    let shown = String::from_utf8(shown.body).unwrap();
    assert!(shown.contains("missing    gone: status, null in its place. It was answered with 404."), "{shown}");
}

#[tokio::test]
async fn the_part_that_the_whole_answer_failed_with_is_told_with_what_it_failed_with() {
    let gone = always(&status(503, "")).await;
    let parts = ["name = 'user', upstream = 'a', path = '/', required = true"];
    let gateway = Gateway::start(&text(&[gone.addr()], "", &parts)).await;
    assert_eq!(gateway.get("/board/1").await.status, 503);
    let record = gateway.record().await;
    assert_eq!((&record["parts_missing"], &record["parts_results"]), (&"user".into(), &"user: status".into()));
    let told = gateway.admin("GET", &format!("/requests/{}", record["request_id"].as_str().unwrap())).await.json();
    let expected = serde_json::json!([{ "part": "user", "result": "status", "why": "It was answered with 503." }]);
    assert_eq!(told["missing_parts"], expected);
}
