//! `[[batches]]`: many requests become one call, and each gets its own item (security.md, C5).

use std::net::SocketAddr;

use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::H2Client;
use crate::support::{Answer, Client, Gateway, Issuer, eventually};

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An answer with these items.
pub(crate) fn items(ids: &[&str]) -> String {
    let items: Vec<String> = ids.iter().map(|id| format!("{{\"id\":\"{id}\",\"n\": 1.0e0}}")).collect();
    ok(&format!("{{\"items\":[{}]}}", items.join(",")))
}

pub(crate) fn item(id: &str) -> String {
    format!("{{\"id\":\"{id}\",\"n\": 1.0e0}}")
}

pub(crate) async fn always(answer: &str) -> Raw {
    Raw::script(Script::always(answer)).await.unwrap()
}

/// Answers once the gate is open.
pub(crate) async fn gated(gate: &Gate, answer: &str) -> Raw {
    Raw::script(Script::new().read_request().wait(gate).send(answer).again()).await.unwrap()
}

/// A batch of items at `/items/{id}` with these keys, whose window no test waits for unless it says so.
pub(crate) fn text(up: SocketAddr, keys: &str, more: &str) -> String {
    let window = if keys.contains("window") { "" } else { "window = '10s'\n" };
    format!(
        "[upstreams.up]\nendpoints = ['{up}']\nbreaker = {{ consecutive_failures = 100, open_for = '60s' }}\n\
         [[batches]]\nname = 'items'\npath = '/items/{{id}}'\nupstream = 'up'\n{window}{keys}\n\
         request = {{ path = '/items:batch', body = '{{\"ids\": {{ids}}}}' }}\n\
         response = {{ items = '/items', key = '/id' }}\n{more}\n"
    )
}

pub(crate) fn get(id: &str, fields: &str) -> String {
    format!("GET /items/{id} HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")
}

/// Requests that wait for an answer, each on a connection of its own.
pub(crate) async fn asking(gateway: &Gateway, requests: &[String]) -> Vec<Client> {
    let mut clients = Vec::new();
    for request in requests {
        let mut client = gateway.client().await;
        client.send(request).await;
        clients.push(client);
    }
    clients
}

pub(crate) async fn answers(clients: &mut [Client]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.answer().await);
    }
    answers
}

/// Waits until so many requests are gathered.
pub(crate) async fn gathered(gateway: &Gateway, count: usize) {
    let batches = &gateway.inner().shards()[0].batches;
    eventually(&format!("{count} requests are gathered"), || batches.waiting() == count).await;
}

/// What the upstream was asked so far: heads and whole bodies, one after the other.
pub(crate) fn asked(up: &Raw) -> Vec<(String, String)> {
    let all = String::from_utf8(up.received().concat()).unwrap();
    let mut calls = Vec::new();
    let mut rest = &*all;
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let Some((body, next)) = after.split_at_checked(length.parse().unwrap()) else { break };
        calls.push((head.to_owned(), body.to_owned()));
        rest = next;
    }
    calls
}

/// The bodies alone.
pub(crate) fn bodies(up: &Raw) -> Vec<String> {
    asked(up).into_iter().map(|(_, body)| body).collect()
}

pub(crate) fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

pub(crate) async fn sent(gateway: &Gateway, reason: &str) -> Option<f64> {
    gateway.metric(&format!("gateway_batches_sent_total{{batch=\"items\",reason=\"{reason}\"}}")).await
}

#[tokio::test]
async fn many_requests_become_one_call_and_each_gets_its_item_byte_for_byte() {
    let answer = ok(" {\"more\":[],\"items\":[ {\"id\":\"c\", \"\\u0061\": 1.0e0 },null,{\"id\":\"a\"}\n,\
                     {\"n\":{\"id\":\"x\"},\"id\":\"b\"} ]}\n");
    let up = always(&answer).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 3", "")).await;
    let fields =
        |n: u32| format!("user-agent: {n}\r\naccept: text/x{n}\r\nrange: bytes=0-{n}\r\nif-none-match: \"{n}\"\r\n");
    let requests = [get("b", &fields(1)), get("a", &fields(2)), get("c", "")];
    let mut clients = asking(&gateway, &requests).await;
    let answers = answers(&mut clients).await;
    let expected = ["{\"n\":{\"id\":\"x\"},\"id\":\"b\"}", "{\"id\":\"a\"}", "{\"id\":\"c\", \"\\u0061\": 1.0e0 }"];
    for (answer, expected) in answers.iter().zip(expected) {
        assert_eq!((answer.status, body(answer)), (200, expected));
        assert_eq!(answer.header("content-length"), Some(&*expected.len().to_string()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let mut ids: Vec<&str> = answers.iter().map(|answer| answer.header("x-request-id").unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has its own id");
    let calls = asked(&up);
    let (head, sent_body) = &calls[0];
    assert_eq!((calls.len(), &**sent_body), (1, "{\"ids\": [\"a\",\"b\",\"c\"]}"));
    assert!(head.starts_with("POST /items:batch HTTP/1.1\r\n"), "{head}");
    for line in
        ["host: a.test", "accept: application/json", "accept-encoding: identity", "content-type: application/json"]
    {
        assert!(head.contains(&format!("\r\n{line}")), "{line} in {head}");
    }
    assert!(!head.contains("range") && !head.contains("if-none-match"), "{head}");
    let records = gateway.records(3).await;
    let attempts: u64 = records.iter().map(|record| record["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 1);
    for record in &records {
        assert_eq!(
            (&record["route"], &record["batch_size"], &record["code"]),
            (&"items".into(), &3.into(), &"ok".into())
        );
        assert_eq!((&record["upstream"], &record["endpoint"]), (&"up".into(), &up.addr().to_string().into()));
        assert!(record["upstream_us"].is_u64() && record.get("parts").is_none(), "{record}");
    }
    assert_eq!(sent(&gateway, "full").await, Some(1.0));
    assert_eq!(gateway.metric("gateway_batch_size_sum{batch=\"items\"}").await, Some(3.0));
    assert_eq!(gateway.metric("gateway_batch_size_bucket{batch=\"items\",le=\"2\"}").await, Some(0.0));
    assert_eq!(gateway.metric("gateway_batch_size_bucket{batch=\"items\",le=\"5\"}").await, Some(1.0));
    assert_eq!((gateway.inner().shards()[0].held.count(), gateway.in_flight()), (0, 0), "what was held is given back");
}

#[tokio::test]
async fn a_window_ends_and_who_asks_for_the_same_is_asked_for_once() {
    let up = always(&items(&["1", "2"])).await;
    let gateway = Gateway::start(&text(up.addr(), "window = '100ms'", "")).await;
    let mut clients = asking(&gateway, &[get("1", ""), get("2", ""), get("%31", "")]).await;
    let answers = answers(&mut clients).await;
    assert_eq!(answers.iter().map(body).collect::<Vec<_>>(), [&*item("1"), &*item("2"), &*item("1")]);
    assert_eq!(bodies(&up), ["{\"ids\": [\"1\",\"2\"]}"]);
    assert_eq!(gateway.metric("gateway_batch_merged_total{batch=\"items\"}").await, Some(1.0));
    assert_eq!(sent(&gateway, "window").await, Some(1.0));
    assert_eq!(gateway.metric("gateway_batch_size_sum{batch=\"items\"}").await, Some(3.0));
    // Nothing is kept.
    assert_eq!(body(&gateway.get("/items/1").await), item("1"));
    assert_eq!(bodies(&up).len(), 2);
}

#[tokio::test]
async fn without_a_window_or_with_a_size_of_one_each_is_a_call_of_its_own() {
    for (keys, reason) in [("window = '0s'", "window"), ("max_size = 1", "full")] {
        let up = always(&items(&["1", "2"])).await;
        let gateway = Gateway::start(&text(up.addr(), keys, "")).await;
        for id in ["1", "2", "1"] {
            assert_eq!(body(&gateway.get(&format!("/items/{id}")).await), item(id));
        }
        assert_eq!(bodies(&up), ["{\"ids\": [\"1\"]}", "{\"ids\": [\"2\"]}", "{\"ids\": [\"1\"]}"]);
        assert_eq!(sent(&gateway, reason).await, Some(3.0), "{keys}");
    }
}

#[tokio::test]
async fn an_adaptive_batch_waits_only_while_a_call_is_under_way() {
    let gate = Gate::new();
    let up = gated(&gate, &items(&["1", "2", "3"])).await;
    let gateway = Gateway::start(&text(up.addr(), "adaptive = true", "")).await;
    let mut first = asking(&gateway, &[get("1", "")]).await;
    eventually("the first is sent at once", || bodies(&up).len() == 1).await;
    let mut others = asking(&gateway, &[get("2", ""), get("3", "")]).await;
    gathered(&gateway, 2).await;
    assert_eq!(bodies(&up).len(), 1);
    gate.open();
    assert_eq!(body(&first.remove(0).answer().await), item("1"));
    let answers = answers(&mut others).await;
    assert_eq!(answers.iter().map(body).collect::<Vec<_>>(), [&*item("2"), &*item("3")]);
    assert_eq!(bodies(&up), ["{\"ids\": [\"1\"]}", "{\"ids\": [\"2\",\"3\"]}"]);
    assert_eq!(sent(&gateway, "idle").await, Some(2.0));
}

#[tokio::test]
async fn what_is_wrong_with_one_item_is_told_to_who_asked_for_it_alone() {
    let up = always(&ok("{\"items\":[{\"id\":\"1\"},{\"id\":\"2\"},{\"id\":\"2\",\"x\":1},{\"id\":\"9\"}]}")).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 3", "")).await;
    let long = "x".repeat(2000);
    for (id, status, code) in [("%ff", 400, "bad_request"), (&*long, 414, "uri_too_long")] {
        let answer = gateway.get(&format!("/items/{id}")).await;
        assert_eq!((answer.status, &*answer.code()), (status, code));
    }
    let mut clients = asking(&gateway, &[get("1", ""), get("2", ""), get("3", "")]).await;
    let answers = answers(&mut clients).await;
    assert_eq!((answers[0].status, body(&answers[0])), (200, "{\"id\":\"1\"}"));
    assert_eq!((answers[1].status, &*answers[1].code()), (502, "upstream_invalid"), "it is there twice");
    assert_eq!((answers[2].status, &*answers[2].code()), (404, "item_not_found"));
    let records = gateway.records(5).await;
    let missing = records.iter().find(|record| record["code"] == "item_not_found").expect("a record");
    assert_eq!((missing.get("fault"), &missing["batch_size"]), (None, &3.into()), "{missing}");
    let refused = records.iter().find(|record| record["code"] == "bad_request").expect("a record");
    assert_eq!((refused.get("batch_size"), &refused["attempts"]), (None, &0.into()));
}

#[tokio::test]
async fn c5_an_id_is_data_whatever_is_in_it() {
    let up = always(&items(&["x"])).await;
    let gateway = Gateway::start(&text(up.addr(), "window = '0s'", "")).await;
    let evil = "%22],%22all%22:true,%22x%22:[%22%0D%0A";
    assert_eq!(gateway.get(&format!("/items/{evil}?ids=7")).await.status, 404);
    let (head, sent_body) = asked(&up).remove(0);
    assert!(head.starts_with("POST /items:batch HTTP/1.1\r\n"), "the query is the client's own: {head}");
    let sent: serde_json::Value = serde_json::from_str(&sent_body).unwrap();
    assert_eq!(sent, serde_json::json!({ "ids": ["\"],\"all\":true,\"x\":[\"\r\n"] }));
}

#[tokio::test]
async fn ids_may_be_numbers_in_a_query_or_a_path_and_other_parameters_are_sent() {
    let up = always(&ok("[{\"key\":{\"id\":7}},{\"key\":{\"id\":8}}]")).await;
    let of = |path: &str, request: &str| {
        format!(
            "[upstreams.up]\nendpoints = ['{}']\n[[batches]]\nname = 'items'\npath = '{path}'\nupstream = 'up'\n\
             max_size = 2\nwindow = '10s'\nrequest = {{ {request} }}\nresponse = {{ items = '', key = '/key/id' }}\n",
            up.addr()
        )
    };
    for (path, request, expected) in [
        (
            "/s/{shop}/i/{id}",
            "path = '/of/{shop}', body = '{\"of\":{shop},\"ids\":{ids}}', numbers = true",
            ("POST /of/a%22b HTTP/1.1", "{\"of\":\"a\\\"b\",\"ids\":[7,8]}"),
        ),
        (
            "/s/{shop}/i/{id}",
            "method = 'GET', path = '/of/{shop}?ids={ids}&all=1'",
            ("GET /of/a%22b?ids=7,8&all=1 HTTP/1.1", ""),
        ),
        ("/s/{shop}/i/{id}", "method = 'GET', path = '/{shop}/{ids}/x'", ("GET /a%22b/7,8/x HTTP/1.1", "")),
    ] {
        let before = asked(&up).len();
        let gateway = Gateway::start(&of(path, request)).await;
        let of_shop = |shop: &str, id: u32| format!("GET /s/{shop}/i/{id} HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut other = asking(&gateway, &[of_shop("b", 7)]).await;
        gathered(&gateway, 1).await;
        let mut clients = asking(&gateway, &[of_shop("a%22b", 8), of_shop("a%22b", 7)]).await;
        let answers = answers(&mut clients).await;
        assert_eq!(answers.iter().map(body).collect::<Vec<_>>(), ["{\"key\":{\"id\":8}}", "{\"key\":{\"id\":7}}"]);
        gathered(&gateway, 1).await;
        let (head, sent_body) = asked(&up).remove(before);
        assert_eq!((head.lines().next().unwrap(), &*sent_body), expected, "the other shop's item is not among them");
        other.remove(0).reset();
        gathered(&gateway, 0).await;
    }
}

#[tokio::test]
async fn requests_that_differ_in_what_goes_upstream_share_nothing() {
    let up = always(&items(&["1", "2"])).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 2", "")).await;
    let fields = ["", "cookie: s=1\r\n", "authorization: Basic eDp5\r\n", "accept-language: de\r\n", "x-any: 1\r\n"];
    let mut all: Vec<String> = fields.iter().map(|fields| get("1", fields)).collect();
    all.push("GET /items/1 HTTP/1.1\r\nhost: b.test\r\n\r\n".to_owned());
    let mut clients = asking(&gateway, &all).await;
    gathered(&gateway, all.len()).await;
    assert_eq!(up.accepted(), 0);
    // Each is completed by one that is alike.
    let alike: Vec<String> = all.iter().map(|request| request.replace("/items/1", "/items/2")).collect();
    clients.extend(asking(&gateway, &alike).await);
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    let calls = asked(&up);
    assert_eq!(calls.len(), all.len());
    assert!(calls.iter().all(|(_, body)| body == "{\"ids\": [\"1\",\"2\"]}"));
    for line in fields.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()) {
        assert_eq!(calls.iter().filter(|(head, _)| head.contains(line)).count(), 1, "{line}");
    }
}

#[tokio::test]
async fn subjects_are_never_mixed_unless_the_batch_says_so() {
    let (up, issuer) = (always(&items(&["1", "2"])).await, Issuer::new("k1"));
    let token = |sub: &str| {
        let token = issuer.token(&serde_json::json!({ "sub": sub }));
        format!("authorization: Bearer {token}\r\ncookie: of={sub}\r\n")
    };
    // The token goes on, so that it is seen who gets it.
    let provider = issuer.provider("forward_token = true");
    let of =
        |keys: &str| text(up.addr(), &format!("auth = {{ providers = ['main'] }}\nmax_size = 2\n{keys}"), &provider);
    let gateway = Gateway::start(&of("")).await;
    assert_eq!(gateway.get("/items/1").await.status, 401);
    let (ada, bob) = (token("ada"), token("bob"));
    let mut clients = asking(&gateway, &[get("1", &ada), get("2", &bob)]).await;
    gathered(&gateway, 2).await;
    clients.extend(asking(&gateway, &[get("2", &ada), get("1", &bob)]).await);
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    let calls = asked(&up);
    assert_eq!(calls.len(), 2);
    for sub in ["ada", "bob"] {
        let of = |(head, _): &&(String, String)| {
            head.contains(&format!("x-auth-subject: {sub}")) && head.contains(&format!("cookie: of={sub}"))
        };
        assert_eq!(calls.iter().filter(of).count(), 1, "{calls:?}");
    }
    // Across subjects the call is nobody's.
    let gateway = Gateway::start(&of("across_subjects = true")).await;
    let mut clients = asking(&gateway, &[get("1", &ada), get("2", &bob)]).await;
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    let calls = asked(&up);
    let (head, sent_body) = &calls[2];
    assert_eq!((calls.len(), &**sent_body), (3, "{\"ids\": [\"1\",\"2\"]}"));
    // Letters of "ada" alone are in many an id.
    for absent in ["x-auth", "authorization", "cookie", "=ada", "bob"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    let records = gateway.records(2).await;
    let subjects: std::collections::BTreeSet<&str> =
        records.iter().map(|record| record["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects.into_iter().collect::<Vec<_>>(), ["ada", "bob"], "who asked is known all the same");
}

#[tokio::test]
async fn limits_are_each_requests_own() {
    let up = always(&items(&["1"])).await;
    let limit = "[rate_limits.one]\nrate = '1/h'\nburst = 1\nkey = 'header:x-who'\n";
    let gateway = Gateway::start(&text(up.addr(), "window = '0s'\nrate_limits = ['one']", limit)).await;
    assert_eq!(gateway.ask(get("1", "x-who: a\r\n")).await.status, 200);
    let refused = gateway.ask(get("1", "x-who: a\r\n")).await;
    assert_eq!((refused.status, &*refused.code()), (429, "rate_limited"));
    let other = gateway.ask(get("1", "x-who: b\r\n")).await;
    assert_eq!((other.status, other.header("ratelimit").is_some()), (200, true));
}

#[tokio::test]
async fn head_and_http_2_share_too_and_nothing_else_is_answered() {
    let up = always(&items(&["1", "2", "3"])).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 3", "")).await;
    let mut head = asking(&gateway, &["HEAD /items/1 HTTP/1.1\r\nhost: a.test\r\n\r\n".to_owned()]).await;
    let mut plain = asking(&gateway, &[get("2", "")]).await;
    gathered(&gateway, 2).await;
    let mut client = H2Client::connect(gateway.address).await;
    // The authority is what HTTP/2 has for a host.
    let request = http::Request::get("http://a.test/items/3").body(()).unwrap();
    assert_eq!(body(&client.send(request, "").await), item("3"));
    let answer = head.remove(0).head().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some(&*item("1").len().to_string())));
    assert_eq!(body(&plain.remove(0).answer().await), item("2"));
    assert_eq!(bodies(&up).len(), 1);
    let with_body = "GET /items/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx";
    assert_eq!(gateway.ask(with_body).await.code(), "body_too_large");
    let post = "POST /items/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(gateway.ask(post).await.code(), "method_not_allowed");
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_where_it_says_so() {
    let up = always(&items(&["1"])).await;
    let keys = "window = '0s'\ncors = { origins = ['https://app.example'] }";
    let gateway = Gateway::start(&text(up.addr(), keys, "")).await;
    let page = "origin: https://app.example\r\n";
    let preflight = get("1", &format!("{page}access-control-request-method: GET\r\n")).replacen("GET", "OPTIONS", 1);
    assert_eq!(gateway.ask(preflight).await.status, 204);
    assert_eq!(up.accepted(), 0);
    let answer = gateway.ask(get("1", page)).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example")));
    assert_eq!(gateway.ask(get("1", "")).await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn items_have_the_edits_of_their_batch_and_problems_its_words() {
    let up = always(&items(&["1"])).await;
    let keys = "window = '0s'\nresponse_headers = { set = { x-item = '{id}' } }\nproblems = { 404 = { body = 'no such item' } }";
    let gateway = Gateway::start(&text(up.addr(), keys, "")).await;
    let answer = gateway.get("/items/1").await;
    assert_eq!((answer.status, answer.header("x-item")), (200, Some("1")));
    let answer = gateway.get("/items/2").await;
    assert_eq!((answer.status, body(&answer), answer.header("x-item")), (404, "no such item", Some("2")));
}
