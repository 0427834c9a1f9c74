//! Headers in access records: those that the configuration names, of what clients send and of what they are answered.

use mocks::raw::{Raw, Script};
use serde_json::{Value, json};

use crate::support::h2::{H2Client, get};
use crate::support::{Gateway, echo, one_route};

/// What a gateway with these names records, for this upstream.
fn telling(request: &str, response: &str, rest: &str) -> String {
    format!("[telemetry.access_log]\nrequest_headers = {request}\nresponse_headers = {response}\n{rest}")
}

async fn cached() -> Raw {
    let answer =
        "HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nx-cache: edge \"7\"\r\nset-cookie: s=secret\r\ncontent-length: 2\r\n\r\nhi";
    Raw::script(Script::always(answer)).await.unwrap()
}

#[tokio::test]
async fn a_record_tells_the_headers_that_are_named_and_no_others() {
    let upstream = cached().await;
    let gateway = Gateway::start(&telling(
        "['User-Agent', 'referer', 'x-none']",
        "['x-cache', 'x-request-id', 'x-none']",
        &one_route("", "", upstream.addr()),
    ))
    .await;
    let answer = gateway
        .ask(
            "GET / HTTP/1.1\r\nhost: a.test\r\nuser-agent: curl\t8\r\nReferer: http://a/b?token=secret\r\n\
             authorization: Bearer secret\r\ncookie: s=secret\r\n\r\n",
        )
        .await;
    let record = gateway.record().await;
    assert_eq!(record["request_headers"], json!({ "user-agent": "curl\t8", "referer": "http://a/b" }));
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(record["response_headers"], json!({ "x-cache": "HIT, edge \"7\"", "x-request-id": id }));
    assert!(!gateway.log_text(1).await.contains("secret"));
}

#[tokio::test]
async fn what_a_client_sends_stays_in_its_field_and_is_bounded() {
    let upstream = cached().await;
    let text = telling("['x-own']", "[]", &one_route("", "", upstream.addr()));
    let gateway = Gateway::start(&text).await;
    let mut request = b"GET / HTTP/1.1\r\nhost: a.test\r\nx-own: \",\"status\":500,\"a\":\"[31m\xff".to_vec();
    request.extend_from_slice("y".repeat(5000).as_bytes());
    request.extend_from_slice(b"\r\n\r\n");
    assert_eq!(gateway.ask(request).await.status, 200);
    let record = gateway.record().await;
    assert_eq!(record["status"], 200);
    let told = record["request_headers"]["x-own"].as_str().unwrap();
    assert!(told.starts_with("\",\"status\":500,\"a\":\"[31m\u{fffd}yyy"), "{told}");
    assert_eq!(told.chars().count(), 256);
    assert_eq!(record.get("response_headers"), None, "absent, not empty");
}

#[tokio::test]
async fn all_answers_are_told_whoever_gives_them() {
    let upstream = cached().await;
    let own = "[[routes]]\nname = 'own'\npath = '/own'\nanswer = { body = 'x', content_type = 'text/css' }\n\
               [[routes]]\nname = 'gone'\npath = '/gone'\nredirect = { path = '/own' }\n";
    let rest = format!("{}{own}", one_route("", "methods = ['GET']", upstream.addr()));
    let gateway = Gateway::start(&telling("['user-agent']", "['content-type', 'location', 'allow']", &rest)).await;
    let cases = [
        ("GET", "/own", json!({ "content-type": "text/css" })),
        ("GET", "/gone?token=secret", json!({ "location": "http://a.test/own" })),
        ("DELETE", "/x", json!({ "content-type": "application/problem+json", "allow": "GET, HEAD" })),
        ("HEAD", "/%00", json!({ "content-type": "application/problem+json" })),
        ("OPTIONS", "*", Value::Null),
    ];
    for (count, (method, target, told)) in cases.into_iter().enumerate() {
        let mut client = gateway.client().await;
        client
            .send(format!("{method} {target} HTTP/1.1\r\nhost: a.test\r\nuser-agent: t\r\nconnection: close\r\n\r\n"))
            .await;
        client.rest().await;
        let record = gateway.records(count + 1).await.remove(count);
        assert_eq!(record.get("response_headers").cloned().unwrap_or_default(), told, "{method} {target}");
        assert_eq!(record["request_headers"], json!({ "user-agent": "t" }), "{method} {target}");
        assert!(!record.to_string().contains("secret"), "{record}");
    }
}

#[tokio::test]
async fn http2_is_told_in_the_same_words() {
    let upstream = cached().await;
    let gateway = Gateway::start(&telling("['user-agent']", "['x-cache']", &one_route("", "", upstream.addr()))).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut request = get("/");
    request.headers_mut().insert("user-agent", "h2/1".parse().unwrap());
    assert_eq!(client.send(request, "").await.status, 200);
    let record = gateway.record().await;
    assert_eq!(record["protocol"], "HTTP/2");
    assert_eq!(record["request_headers"], json!({ "user-agent": "h2/1" }));
    assert_eq!(record["response_headers"], json!({ "x-cache": "HIT, edge \"7\"" }));
}

#[tokio::test]
async fn a_reload_changes_the_names_and_the_flight_recorder_tells_them_too() {
    let upstream = echo().await;
    let route = "[telemetry.recorder]\nsample = 1.0\n".to_owned() + &one_route("", "", upstream.addr());
    let gateway = Gateway::start(&route).await;
    let ask = "GET /x HTTP/1.1\r\nhost: a.test\r\nuser-agent: curl\r\n\r\n";
    gateway.ask(ask).await;
    assert_eq!(gateway.record().await.get("request_headers"), None, "none is named");
    gateway.rewrite(&telling("['user-agent']", "[]", &route));
    assert!(gateway.reload().await.ok);
    let answer = gateway.ask(ask).await;
    assert_eq!(gateway.records(2).await[1]["request_headers"], json!({ "user-agent": "curl" }));
    let kept = gateway.admin("GET", &format!("/requests/{}", answer.header("x-request-id").unwrap())).await.json();
    assert_eq!(kept["request_headers"], json!({ "user-agent": "curl" }), "{kept}");
}
