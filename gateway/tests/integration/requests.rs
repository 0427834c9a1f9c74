//! The flight recorder: what became of the last failed, slow and sampled requests, for operators alone.

use std::time::Duration;

use mocks::raw::{Raw, Script};
use mocks::{Effect, Reset, Rule};
use serde_json::{Value, json};

use crate::support::{Gateway, Issuer, echo, one_route};

/// A recorder with these keys, before a configuration.
pub(crate) fn recording(keys: &str, text: &str) -> String {
    format!("[telemetry.recorder]\n{keys}\n\n{text}")
}

impl Gateway {
    /// What `/requests` lists, once so many requests have their records.
    pub(crate) async fn listed(&self, query: &str, records: usize) -> Vec<Value> {
        self.records(records).await;
        let answer = self.admin("GET", &format!("/requests?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["requests"].as_array().unwrap().clone()
    }

    /// The only request that is listed, with all that is known of it.
    pub(crate) async fn only(&self, query: &str, records: usize) -> Value {
        let listed = self.listed(query, records).await;
        assert_eq!(listed.len(), 1, "{listed:#?}");
        self.told(listed[0]["request_id"].as_str().unwrap()).await
    }

    /// All that is known of a request.
    pub(crate) async fn told(&self, id: &str) -> Value {
        let answer = self.admin("GET", &format!("/requests/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

pub(crate) fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_limit_that_only_watches_would_have_refused_whatever_another_one_did() {
    let upstream = echo().await;
    let limit =
        |name: &str, more: &str| format!("[rate_limits.{name}]\nkey = 'client_ip'\nrate = '1/h'\nburst = 1\n{more}\n");
    let limits = limit("watch", "shadow = true") + &limit("tight", "");
    let route = one_route("", "rate_limits = ['watch', 'tight']", upstream.addr());
    let gateway = Gateway::start(&recording("sample = 1.0", &format!("{limits}\n{route}"))).await;
    assert_eq!((gateway.get("/").await.status, gateway.get("/").await.status), (200, 429));
    let told = gateway.only("code=rate_limited", 2).await;
    let decided: Vec<_> = told["limits"].as_array().unwrap().iter().map(|it| (&it["rule"], &it["decision"])).collect();
    assert_eq!(decided, [(&json!("watch"), &json!("would_refuse")), (&json!("tight"), &json!("refused"))]);
}

/// Who was asked of a request, and what it came to: part, endpoint, outcome.
pub(crate) fn asked(told: &Value) -> Vec<(&str, &str, &str)> {
    let exchanges = told["exchanges"].as_array().unwrap().iter();
    exchanges.map(|it| (word(it, "part"), word(it, "endpoint"), word(it, "outcome"))).collect()
}

pub(crate) fn names(part: &Value) -> Vec<&str> {
    part["headers"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_request_that_failed_twice_is_told_with_every_decision_and_no_secret() {
    let (good, bad) = (echo().await, echo().await);
    good.set_rules([Rule::any().status(502)]);
    bad.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    let gateway = Gateway::start(&recording(
        "sample = 0.0",
        &format!(
            "[rate_limits.each]\nkey = 'client_ip'\nrate = '10/h'\nburst = 10\n\n\
             [upstreams.up]\nendpoints = ['{}', '{}']\nbalance = 'round_robin'\n\
             [[routes]]\nname = 'orders'\npath = '/orders/{{id}}'\nupstream = 'up'\nrate_limits = ['each']\n\
             retry = {{ attempts = 3, backoff = '1ms', max_backoff = '1ms' }}\n\
             [[routes]]\nname = 'private'\npath = '/orders/{{id}}'\nupstream = 'up'\nheaders = {{ x-key = 'k' }}\n",
            bad.addr(),
            good.addr()
        ),
    ))
    .await;
    let answer = gateway
        .ask("GET /orders/7?token=secret HTTP/1.1\r\nhost: shop.test\r\naccept: text/html\r\ncookie: s=secret\r\nauthorization: Bearer secret\r\nx-thing: secret\r\n\r\n")
        .await;
    assert_eq!(answer.status, 502);
    let told = gateway.only("failed", 1).await;
    assert!(!told.to_string().contains("secret"), "{told:#}");
    let record = gateway.record().await;
    for (key, value) in record.as_object().unwrap() {
        assert_eq!(&told[key], value, "all that the access record says: {key}");
    }
    assert_eq!(
        (&told["kinds"], &told["config_version"], &told["worker"]),
        (&json!(["failed", "retried"]), &json!(1), &json!(0))
    );
    assert_eq!(told["identity"], json!({ "result": "none" }));
    let limit = json!({ "rule": "each", "decision": "let_through", "remaining": 9, "taken_from": "gateway" });
    assert_eq!(told["limits"], json!([limit]));

    let exchanges = told["exchanges"].as_array().unwrap();
    let outcomes: Vec<_> = exchanges.iter().map(|it| (&it["outcome"], &it["status"], &it["breaker"])).collect();
    let (reset, answered) = ((&json!("reset"), &Value::Null), (&json!("status_5xx"), &json!(502)));
    assert_eq!(outcomes.len(), 3, "{exchanges:#?}");
    for (at, (outcome, status, breaker)) in outcomes.into_iter().enumerate() {
        let expected = if exchanges[at]["endpoint"] == bad.addr().to_string() { reset } else { answered };
        assert_eq!(((outcome, status), breaker), (expected, &json!("closed")), "{exchanges:#?}");
    }
    let times: Vec<u64> =
        exchanges.iter().flat_map(|it| [&it["start_us"], &it["end_us"]]).map(|it| it.as_u64().unwrap()).collect();
    assert!(times.is_sorted() && times.last() <= told["total_us"].as_u64().as_ref(), "{times:?}");

    let (sent, answered) = (names(&told["sent"]), names(&told["answered"]));
    for name in ["host", "cookie", "authorization", "x-thing", "x-request-id", "traceparent", "x-forwarded-for"] {
        assert!(sent.contains(&name), "{name}: {sent:?}");
    }
    assert!(told["sent"]["headers"].to_string().contains("text/html"), "harmless values are there: {told:#}");
    assert!(answered.iter().any(|name| name.eq_ignore_ascii_case("x-request-id")), "{answered:?}");
    assert_eq!(told["routing"]["config_version"], 1);
    assert_eq!(
        told["routing"]["misses"],
        json!([{ "route": "private", "reason": "it asks for more than host, path and method, which is not kept" }])
    );
}

#[tokio::test]
async fn a_refusal_says_what_came_and_which_limit_or_credential_it_was() {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let limits = "[rate_limits.one]\nkey = 'client_ip'\nrate = '1/h'\nburst = 1\n\n\
                  [rate_limits.ten]\nkey = 'global'\nrate = '10/h'\nburst = 10\n\n";
    let route = one_route("", "rate_limits = ['ten', 'one']", upstream.addr());
    let guarded = format!(
        "[[routes]]\nname = 'mine'\npath = '/mine'\nupstream = 'up'\nauth = {{ providers = ['main'] }}\n\
         [[routes]]\nname = 'theirs'\npath = '/theirs'\nupstream = 'up'\n\
         auth = {{ providers = ['main'], claims = {{ tenant = 'acme' }} }}\n{}",
        issuer.provider("")
    );
    let gateway = Gateway::start(&recording("sample = 0.0", &format!("{limits}{route}\n{guarded}"))).await;
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(gateway.get("/a?key=secret").await.status, 429);
    let told = gateway.only("failed", 2).await;
    assert_eq!((&told["limit"], &told["exchanges"], &told["sent"]), (&json!("one"), &json!([]), &Value::Null));
    let decisions: Vec<_> =
        told["limits"].as_array().unwrap().iter().map(|it| (&it["rule"], &it["decision"])).collect();
    assert_eq!(decisions, [(&json!("ten"), &json!("given_back")), (&json!("one"), &json!("refused"))]);
    assert_eq!(names(&told["received"]), ["host"]);
    assert!(names(&told["answered"]).contains(&"retry-after"), "{told:#}");
    assert!(told["cause"].as_str().unwrap().contains("\"one\" is used up"), "{told:#}");

    let token = issuer.token(&json!({ "exp": 1_000_000 }));
    let ask = format!("GET /mine HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");
    assert_eq!(gateway.ask(ask).await.status, 401);
    let told = gateway.only("route=mine", 3).await;
    assert_eq!((&told["identity"]["result"], &told["auth"]), (&json!("refused"), &json!("expired")));
    assert!(!told.to_string().contains(&token));
    assert!(!told["cause"].as_str().unwrap().contains("clock"), "{told:#}");
    // The same once the machine's clock was set.
    gateway.inner().shared().clock.note_step(7_200_000);
    let again = format!(
        "GET /mine HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n",
        issuer.token(&json!({ "exp": 1_000_001 }))
    );
    let id = gateway.ask(again).await.header("x-request-id").unwrap().to_owned();
    assert_eq!(gateway.listed("route=mine", 4).await.len(), 2);
    let told = gateway.told(&id).await;
    assert!(told["cause"].as_str().unwrap().contains("(the machine's clock was set forward by 7200 s, "), "{told:#}");
    let lacking = issuer.token(&json!({ "sub": "ada\u{1b}[2J\nidentity   granted: root by main" }));
    let ask = format!("GET /theirs HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {lacking}\r\n\r\n");
    assert_eq!(gateway.ask(ask).await.status, 403);
    let told = gateway.only("route=theirs", 5).await;
    let cause = "The credential is not enough for this. (it lacks the claim tenant, which has to be \"acme\")";
    assert_eq!((&told["auth"], &told["cause"]), (&json!("claim_rule"), &json!(cause)));
    let id = told["request_id"].as_str().unwrap();
    let text = String::from_utf8(gateway.admin("GET", &format!("/requests/{id}?format=text")).await.body).unwrap();
    assert!(text.contains("ada\\u{1b}[2J\\u{a}identity") && !text.contains('\u{1b}'), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("identity   granted")), "a word forges no line: {text}");

    assert_eq!(gateway.get("/nowhere/%00").await.status, 400);
    assert_eq!(gateway.ask("NONSENSE\r\n\r\n").await.status, 400);
    assert_eq!(gateway.listed("status=400", 7).await.len(), 2, "what was no request is kept too");
}

#[tokio::test]
async fn a_slow_request_is_kept_with_what_it_waited_for() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/slow").delay(Duration::from_millis(60))]);
    let route = one_route("", "", upstream.addr());
    let gateway = Gateway::start(&recording("sample = 0.0\nslow = '50ms'", &route)).await;
    assert_eq!(gateway.get("/slow").await.status, 200);
    let told = gateway.only("slow", 1).await;
    assert_eq!((&told["kinds"], &told["code"]), (&json!(["slow"]), &json!("ok")));
    let exchange = &told["exchanges"][0];
    assert_eq!(
        (&exchange["outcome"], &exchange["status"], &exchange["upstream"]),
        (&json!("ok"), &json!(200), &json!("up"))
    );
    assert!(exchange["end_us"].as_u64().unwrap() - exchange["start_us"].as_u64().unwrap() >= 50_000, "{exchange}");
    assert!(names(&told["sent"]).contains(&"traceparent"), "it was slow already when the answer came: {told:#}");
}

#[tokio::test]
async fn requests_are_sampled_by_a_share_and_lists_are_narrowed() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/bad").status(404)]);
    let route = one_route("", "", upstream.addr());
    let gateway = Gateway::start(&recording("sample = 1.0\nslow = '0s'", &route)).await;
    for path in ["/a", "/bad", "/b"] {
        gateway.get(path).await;
    }
    let paths =
        |listed: Vec<Value>| listed.iter().map(|it| it["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(gateway.listed("", 3).await), ["/b", "/bad", "/a"], "the newest first");
    assert_eq!(paths(gateway.listed("failed", 3).await), ["/bad"]);
    assert_eq!(paths(gateway.listed("sampled&status=200", 3).await), ["/b", "/a"]);
    assert_eq!(paths(gateway.listed("limit=1", 3).await), ["/b"]);
    assert_eq!(paths(gateway.listed("status=4xx", 3).await), ["/bad"]);
    assert_eq!(paths(gateway.listed("slow", 3).await), [""; 0]);
    let told = gateway.only("failed", 3).await;
    assert_eq!((&told["kinds"], &told["fault"]), (&json!(["failed", "sampled"]), &Value::Null));
    assert_eq!(told["exchanges"][0]["status"], 404);

    let text = String::from_utf8(gateway.admin("GET", "/requests?failed&format=text").await.body).unwrap();
    assert!(text.contains(" 404 ok") && text.contains("GET /bad") && text.lines().count() == 1, "{text}");
    let id = told["request_id"].as_str().unwrap();
    let text = String::from_utf8(gateway.admin("GET", &format!("/requests/{id}?format=text")).await.body).unwrap();
    for said in ["route      all", "asked up at", ": ok 404", "traceparent", "kept for   failed, sampled"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    for wrong in [
        "/requests?colour=red",
        "/requests?limit=0",
        "/requests?format=xml",
        "/requests?status=abc",
        "/requests?status=6xx",
        "/requests?status=99",
    ] {
        assert_eq!(gateway.admin("GET", wrong).await.code(), "bad_request", "{wrong}");
    }
    let absent = gateway.admin("GET", "/requests/nobody").await;
    assert_eq!((absent.status, absent.code().as_str()), (404, "request_not_kept"));
}

#[tokio::test]
async fn an_answer_that_is_asked_for_again_is_told_whatever_its_status() {
    let (first, second) = (echo().await, echo().await);
    first.set_rules([Rule::any().status(404)]);
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}', '{}']\nbalance = 'round_robin'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n\
         retry = {{ attempts = 2, on = ['404'], backoff = '1ms', max_backoff = '1ms' }}\n",
        first.addr(),
        second.addr()
    );
    let gateway = Gateway::start(&recording("sample = 1.0", &text)).await;
    // Round robin may begin with either.
    for _ in 0..2 {
        assert_eq!(gateway.get("/a").await.status, 200);
    }
    let listed = gateway.listed("sampled", 2).await;
    let again = listed.iter().find(|it| it["attempts"] == 2).expect("one was asked for again");
    let told = gateway.told(again["request_id"].as_str().unwrap()).await;
    let statuses: Vec<&Value> = told["exchanges"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [&json!(404), &json!(200)], "{told:#}");
}

#[tokio::test]
async fn what_was_tried_again_is_kept_with_who_failed_though_its_client_saw_nothing() {
    let (good, sick) = (echo().await, echo().await);
    sick.set_rules([Rule::any().status(503)]);
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}', '{}']\nbalance = 'round_robin'\nbreaker = {{ consecutive_failures = 100 }}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\n\
         retry = {{ attempts = 2, on = ['503'], backoff = '1ms', max_backoff = '1ms' }}\n",
        sick.addr(),
        good.addr()
    );
    let gateway = Gateway::start(&recording("sample = 0.0", &text)).await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/a").await.status, 200);
    }
    // Round robin may begin with the sick one once, or twice.
    let retried = gateway.listed("retried", 2).await;
    let told = gateway.told(retried[0]["request_id"].as_str().unwrap()).await;
    assert_eq!((&told["kinds"], &told["status"], &told["attempts"]), (&json!(["retried"]), &json!(200), &json!(2)));
    assert_eq!(told["exchanges"][0]["endpoint"], sick.addr().to_string(), "{told:#}");
    assert!(gateway.listed("failed", 2).await.is_empty());
    let failures =
        |of: &mocks::Mock| format!("gateway_endpoint_failures_total{{upstream=\"up\",endpoint=\"{}\"}}", of.addr());
    assert_eq!(gateway.metric(&failures(&sick)).await, Some(retried.len() as f64));
    assert_eq!(gateway.metric(&failures(&good)).await, Some(0.0));
}

#[tokio::test]
async fn a_call_of_grpc_that_failed_is_told_though_its_status_is_200() {
    let mock = mocks::Mock::builder().service("up").start().await.unwrap();
    mock.set_rules([Rule::any().grpc_status(14)]);
    let text = crate::upstream_http2::text("", "", mock.addr());
    let gateway = Gateway::start(&recording("sample = 0.0", &text)).await;
    let call = "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
                content-length: 5\r\n\r\n\0\0\0\0\0";
    assert_eq!(gateway.ask(call).await.header("grpc-status"), Some("14"));
    let told = gateway.only("failed", 1).await;
    assert_eq!((&told["status"], &told["code"], &told["grpc_status"]), (&json!(200), &json!("ok"), &json!(14)));
    assert!(names(&told["sent"]).contains(&"traceparent"), "{told:#}");
    let exchange = &told["exchanges"][0];
    assert_eq!((&exchange["status"], &exchange["grpc_status"]), (&json!(200), &json!(14)), "what came: {told:#}");
    let text = String::from_utf8(gateway.admin("GET", "/requests?failed&format=text").await.body).unwrap();
    assert!(text.contains(" 200 grpc-status 14 "), "{text}");
    let upstreams = gateway.admin("GET", "/upstreams").await.json();
    let last = &upstreams["upstreams"][0]["endpoints"][0]["last_failure"];
    assert_eq!((&last["status"], &last["detail"]), (&json!(200), &json!("grpc-status 14")), "{last}");
}

#[tokio::test]
async fn a_client_that_leaves_and_an_answer_that_is_cut_are_told() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang), Rule::on("/cut").effect(Effect::Truncate(Some(1)))]);
    let gateway = Gateway::start(&recording("sample = 0.0", &one_route("", "", upstream.addr()))).await;
    let mut client = gateway.client().await;
    client.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.wait_for_requests(1).await;
    client.reset();
    let told = gateway.only("failed", 1).await;
    assert_eq!((&told["status"], &told["ended"]), (&json!(499), &json!("client_left")));
    assert_eq!(told["exchanges"][0]["outcome"], "cancelled");
    gateway.get("/cut").await;
    let told = gateway.only("status=200", 2).await;
    assert_eq!(
        (&told["ended"], &told["fault"], &told["kinds"]),
        (&json!("upstream_cut"), &json!("upstream"), &json!(["failed"]))
    );
}

#[tokio::test]
async fn why_an_answer_broke_off_behind_its_head_is_told_to_the_letter() {
    const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, body, why) in [
        (LENGTH, "ab", "it ended after 2 of 200 bytes"),
        (CHUNKED, "5\r\nab", "it ended in a chunk, 3 bytes of which did not come"),
        (CHUNKED, "2\r\nab\r\n", "it ended without a last chunk"),
        (CHUNKED, "2\r\nab\r\nzz\r\n", "a chunk's size is no hexadecimal number"),
        (CHUNKED, "2\r\nabc\r\n", "a chunk is longer than its size"),
    ] {
        let answer = format!("{head}{body}");
        let upstream = Raw::script(Script::new().read_request().send(&answer)).await.unwrap();
        let gateway = Gateway::start(&recording("sample = 0.0", &one_route("", "", upstream.addr()))).await;
        let mut client = gateway.client().await;
        client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.rest().await;
        let told = gateway.only("failed", 1).await;
        // What breaks a rule is told from what comes no further.
        let outcome = if why.starts_with("it ended") { "reset" } else { "invalid" };
        let code = format!("upstream_{outcome}");
        assert_eq!((&told["ended"], &told["code"]), (&json!("upstream_cut"), &json!(code)));
        assert_eq!(told["cause"], format!("The answer broke off behind its head. ({why})"));
        let shown = gateway.admin("GET", "/upstreams").await.json();
        let last = &shown["upstreams"][0]["endpoints"][0]["last_failure"];
        assert_eq!(
            (&last["outcome"], &last["detail"]),
            (&json!(outcome), &json!(format!("the answer broke off behind its head: {why}")))
        );
    }
}

#[tokio::test]
async fn an_upstream_that_speaks_something_else_is_shown_with_how_it_begins() {
    for (says, why) in [
        ("220 mail.test ESMTP ready\r\n", r#"the head begins with "220 mail.test ES", and not with HTTP/"#),
        ("\0\u{1}\"\r\n", r#"the head begins with "\x00\x01\"\r\n", and not with HTTP/"#),
        ("SSH-2.0-OpenSSH_9.6\r\n", "it speaks SSH: is this the right port?"),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}F", "it speaks TLS: `tls = {}` of the upstream, or https:// in its URL, says so"),
    ] {
        let upstream = Raw::script(Script::new().read_request().send(says)).await.unwrap();
        let gateway = Gateway::start(&recording("sample = 0.0", &one_route("", "", upstream.addr()))).await;
        assert_eq!(gateway.get("/a").await.code(), "upstream_invalid");
        let told = gateway.only("failed", 1).await;
        let cause = format!("The upstream's answer is not valid HTTP. (the upstream's answer is invalid: {why})");
        assert_eq!(told["cause"], cause);
    }
}

#[tokio::test]
async fn a_breaker_that_is_open_and_a_fallback_are_told() {
    let (upstream, stand_in) = (echo().await, echo().await);
    upstream.set_rules([Rule::any().status(503)]);
    let text = format!(
        "[upstreams.up]\nendpoints = ['{}']\nbreaker = {{ consecutive_failures = 1, open_for = '60s' }}\n\
         [upstreams.other]\nendpoints = ['{}']\n\
         [[routes]]\npath = '/plain'\nupstream = 'up'\n\
         [[routes]]\npath = '/covered'\nupstream = 'up'\nfallback = {{ upstream = 'other' }}\n",
        upstream.addr(),
        stand_in.addr()
    );
    let gateway = Gateway::start(&recording("sample = 0.0", &text)).await;
    assert_eq!(gateway.get("/plain").await.status, 503);
    assert_eq!(gateway.get("/plain").await.code(), "breaker_open");
    assert_eq!(gateway.get("/covered").await.status, 200);
    let refused = gateway.only("code=breaker_open&status=503", 3).await;
    assert_eq!((&refused["breaker"], &refused["exchanges"]), (&json!("open"), &json!([])));
    assert_eq!((&refused["upstream"], &refused["endpoint"]), (&json!("up"), &Value::Null));
    let now = gateway.admin("GET", "/explain?url=/plain").await.json()["now"].clone();
    assert_eq!((&now["breaker"], &now["endpoints"][0]["breaker"]), (&json!("open"), &json!("open")), "{now:#}");
    assert_eq!((&now["endpoints"][0]["balancing"], &now["stores"]), (&json!("ejected"), &Value::Null), "{now:#}");
    let why = format!("up; {}: its breaker is open (consecutive_failures; last failure 503)", upstream.addr());
    assert_eq!(refused["cause"], format!("The upstream is failing and is left to recover. ({why})"));
    let covered = gateway.only("status=200", 3).await;
    assert_eq!((&covered["code"], &covered["kinds"]), (&json!("breaker_open"), &json!(["failed"])));
    assert_eq!(covered["exchanges"][0]["upstream"], "other");
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_a_reload_changes_it() {
    let upstream = echo().await;
    let gateway =
        Gateway::start(&recording("requests = 60", "[[routes]]\npath = '/'\nanswer = { status = 204 }\n")).await;
    let mut client = gateway.client().await;
    for number in 0..60 {
        let answer = client.ask(format!("GET /nowhere/{number} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(answer.status, 404);
    }
    let listed = gateway.listed("failed", 60).await;
    assert_eq!((listed.len(), &listed[0]["path"]), (10, &json!("/nowhere/59")), "a sixth is for what clients do wrong");
    let kept = gateway.admin("GET", "/requests?limit=3").await.json();
    assert_eq!(
        (&kept["more"], &kept["kept"]["requests"], &kept["kept"]["max_requests"]),
        (&json!(true), &json!(10), &json!(60))
    );
    assert!(kept["kept"]["bytes"].as_u64().unwrap() > 0);
    gateway.rewrite(&recording("requests = 0", &one_route("", "", upstream.addr())));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert!(gateway.listed("", 60).await.is_empty());
    let absent = gateway.admin("GET", &format!("/requests/{}", listed[0]["request_id"].as_str().unwrap())).await;
    assert!(absent.json()["detail"].as_str().unwrap().contains("requests is 0"), "{absent:?}");
}

#[tokio::test]
async fn the_gateways_own_answers_are_told_with_what_came_and_what_went() {
    let text = "[[routes]]\nname = 'fixed'\npath = '/fixed'\nanswer = { status = 404, body = 'no' }\n\
                [[routes]]\nname = 'moved'\npath = '/moved'\nredirect = { path = '/new', status = 301 }\n";
    let gateway = Gateway::start(&recording("sample = 1.0", text)).await;
    for (at, (route, status, field)) in
        [("fixed", 404, "content-length"), ("moved", 301, "location")].into_iter().enumerate()
    {
        let request = format!("GET /{route} HTTP/1.1\r\nhost: a\r\nx-thing: secret\r\naccept: text/html\r\n\r\n");
        assert_eq!(gateway.ask(request).await.status, status);
        let told = gateway.only(&format!("route={route}"), at + 1).await;
        for name in ["host", "x-thing", "accept"] {
            assert!(names(&told["received"]).contains(&name), "{told:#}");
        }
        assert!(names(&told["answered"]).contains(&field), "{told:#}");
        assert!(!told.to_string().contains("secret"), "{told:#}");
    }
}
