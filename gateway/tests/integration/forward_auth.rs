//! `forward_auth`: another service says whether a request may pass (security.md, B and H).

use std::net::SocketAddr;

use h2::Reason;
use mocks::raw::{Gate, Raw, Script};

use crate::support::h2::{END_HEADERS, HEADERS, RST_STREAM, block, frame};
use crate::support::h2_upstream::FramesUpstream;
use crate::support::{Answer, Gateway, Issuer, echo, eventually, nowhere};

const YES: &str =
    "HTTP/1.1 200 OK\r\nx-user: ada\r\nx-role: a\r\nx-role: b\r\nx-other: c\r\ncontent-length: 2\r\n\r\nok";

fn text(up: SocketAddr, authority: SocketAddr, server: &str, keys: &str) -> String {
    format!(
        "[server]\n{server}\n[upstreams.up]\nendpoints = ['{up}']\n\
         [upstreams.authority]\nendpoints = ['{authority}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [[routes]]\nname = 'open'\npath = '/open'\nupstream = 'up'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nrewrite = {{ strip_prefix = '/api' }}\n\
         forward_auth = {{ upstream = 'authority', path = '/verify?x=1', timeout = '20s', \
         response_headers = ['x-user', 'x-role']{keys} }}\n"
    )
}

async fn authority(answer: &str) -> Raw {
    Raw::script(Script::new().read_request().send(answer).again()).await.unwrap()
}

fn request(fields: &str) -> String {
    format!("POST /api/a%2Db?q=1 HTTP/1.1\r\nhost: a.test\r\n{fields}content-length: 4\r\n\r\nbody")
}

/// What the service was asked, one head each.
fn asked(authority: &Raw) -> Vec<String> {
    let all = String::from_utf8(authority.received().concat()).unwrap();
    all.split("\r\n\r\n").filter(|head| !head.is_empty()).map(str::to_owned).collect()
}

async fn post(gateway: &Gateway, fields: &str) -> Answer {
    gateway.ask(request(fields)).await
}

#[tokio::test]
async fn a_yes_lets_pass_and_its_headers_go_on() {
    let (up, authority) = (echo().await, authority(YES).await);
    let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", "")).await;
    let fields = "authorization: Bearer t\r\ncookie: a=b\r\nx-mine: 1\r\nx-user: root\r\nx.user: root\r\n";
    let echo = post(&gateway, fields).await.echo();
    assert_eq!((echo.path(), echo.header("x-user"), echo.all("x-role")), ("/a-b", Some("ada"), vec!["a", "b"]));
    assert_eq!((echo.header("x-other"), echo.header("x.user"), echo.header("x-mine")), (None, None, Some("1")));
    assert_eq!(echo.header("authorization"), Some("Bearer t"), "the client's credential is the upstream's too");
    let head = asked(&authority).remove(0);
    assert!(head.starts_with("GET /verify?x=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        "authorization: Bearer t",
        "cookie: a=b",
        "x-forwarded-method: POST",
        "x-forwarded-uri: /api/a-b?q=1",
        "x-forwarded-host: a.test",
        "x-forwarded-proto: http",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} in {head}");
    }
    for absent in ["x-mine", "x-user", "content-length", "root"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    // One connection is enough for the next question.
    assert_eq!(post(&gateway, "").await.status, 200);
    assert_eq!(authority.accepted(), 1);
    let record = gateway.records(2).await.remove(0);
    assert_eq!((&record["upstream"], &record["attempts"]), (&"up".into(), &1.into()));
}

#[tokio::test]
async fn b3_what_the_service_may_say_no_client_can_say_on_any_route() {
    let (up, authority) = (echo().await, authority("HTTP/1.1 204 No Content\r\n\r\n").await);
    let gateway = Gateway::start(&text(up.addr(), authority.addr(), "underscores_in_headers = 'keep'", "")).await;
    for path in ["/open", "/api/x"] {
        let fields = "x-user: root\r\nX_User: root\r\nx-role: root\r\nx.role: root\r\n";
        let echo = gateway.ask(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await.echo();
        for name in ["x-user", "x_user", "x-role", "x.role"] {
            assert_eq!(echo.all(name), [""; 0], "{name} on {path}");
        }
    }
}

#[tokio::test]
async fn a_no_is_the_clients_answer_as_it_is() {
    let no = "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nSet-Cookie: s=1\r\nServer: secret\r\n\
              X-User: ada\r\nContent-Length: 5\r\n\r\nlogin";
    let (up, authority) = (echo().await, authority(no).await);
    let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", "")).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask(request("")).await;
        assert_eq!((answer.status, &answer.body[..], answer.whole), (302, &b"login"[..], true));
        assert_eq!(answer.header("location"), Some("https://login.example/"));
        assert_eq!((answer.header("set-cookie"), answer.header("server")), (Some("s=1"), None));
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(up.counters().requests, 0);
    for (status, code) in [(401, "unauthorized"), (403, "forbidden"), (429, "ok")] {
        let no = format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\n\r\nno");
        let authority = Raw::script(Script::new().read_request().send(no).again()).await.unwrap();
        let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", "")).await;
        assert_eq!(gateway.get("/x").await.status, status);
        let head = {
            let mut client = gateway.client().await;
            client.send("HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
            client.head().await
        };
        assert_eq!((head.status, head.header("content-length")), (status, Some("2")));
        assert_eq!(gateway.records(2).await[0]["code"], code);
    }
}

#[tokio::test]
async fn what_is_said_of_the_routes_answers_has_no_refusal_kept() {
    let up = echo().await;
    let routed = "upstream = 'up'\nrewrite = { strip_prefix = '/api' }\n";
    for route in ["upstream = 'up'\n", "answer = { body = 'secret' }\n"] {
        for (status, said) in
            [("302 Found", "no-store"), ("302 Found", "max-age=0"), ("401 No", "no-store"), ("403 No", "private")]
        {
            let no =
                format!("HTTP/1.1 {status}\r\ncache-control: {said}\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n");
            let authority = authority(&no).await;
            for (edits, header) in [
                ("set = { cache-control = 'public, max-age=604800', x-a = '1' }", Some("1")),
                ("remove = ['cache-control']", None),
            ] {
                let route = format!("{route}response_headers = {{ {edits} }}\n");
                let text = text(up.addr(), authority.addr(), "", "").replace(routed, &route);
                let answer = Gateway::start(&text).await.get("/x").await;
                let told = (answer.header("cache-control"), answer.header("x-a"));
                assert_eq!(told, (Some(said), header), "{status} {route}");
            }
        }
        // One that says nothing of it is told nothing.
        let authority = authority("HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n").await;
        let route = format!("{route}response_headers = {{ set = {{ expires = 'Thu, 01 Jan 2099 00:00:00 GMT' }} }}\n");
        let text = text(up.addr(), authority.addr(), "", "").replace(routed, &route);
        assert_eq!(Gateway::start(&text).await.get("/x").await.header("expires"), None);
    }
}

#[tokio::test]
async fn h_where_it_cannot_be_asked_the_request_is_refused_and_soon_nobody_waits() {
    let (up, down) = (echo().await, nowhere());
    let hangs = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let fails = authority("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let lies = authority("HTTP/1.1 403 No\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello").await;
    for (authority, asked_for) in
        [(down, None), (hangs.addr(), Some(&hangs)), (fails.addr(), None), (lies.addr(), None)]
    {
        // Of those that answer nobody's answer is late.
        let time = if asked_for.is_some() { "'300ms'" } else { "'20s'" };
        let text = |keys: &str| text(up.addr(), authority, "", keys).replace("'20s'", time);
        let gateway = Gateway::start(&text(", max_response = '4B'")).await;
        for _ in 0..4 {
            let answer = gateway.get("/x").await;
            let told = (answer.status, &*answer.code(), answer.header("retry-after"));
            assert_eq!(told, (503, "authority_unavailable", Some("1")));
        }
        if let Some(hangs) = asked_for {
            assert_eq!(hangs.accepted(), 2, "then its breaker is open");
        }
        assert_eq!(gateway.get("/open").await.status, 200, "other routes are served");
        let open = Gateway::start(&text(", max_response = '4B', on_error = 'allow'")).await;
        let echo = open.ask("GET /x HTTP/1.1\r\nhost: a\r\nx-user: root\r\n\r\n").await.echo();
        assert_eq!(echo.header("x-user"), None, "nobody said who it is");
    }
    assert_eq!(up.counters().requests, 8);
}

#[tokio::test]
async fn no_client_can_open_a_route_by_asking_much() {
    let up = echo().await;
    let gate = Gate::new();
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(YES).again()).await.unwrap();
    let one = text(up.addr(), slow.addr(), "", ", on_error = 'allow'")
        .replace("breaker = {", "concurrency = { max_in_flight = 1 }\nbreaker = {");
    let gateway = Gateway::start(&one).await;
    let mut client = gateway.client().await;
    let first = tokio::spawn(async move { client.ask("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await });
    eventually("the service is asked", || !slow.received().is_empty()).await;
    assert_eq!(gateway.get("/x").await.code(), "overloaded", "that it may be asked no more is no failure of its own");
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(up.counters().requests, 1);
}

#[tokio::test]
async fn no_client_can_open_a_route_by_giving_little_time() {
    let up = echo().await;
    let silent = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let half = "HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nno";
    let half = Raw::script(Script::new().read_request().send(half).hang()).await.unwrap();
    let routed = "upstream = 'up'\nrewrite = { strip_prefix = '/api' }\n";
    for authority in [&silent, &half] {
        let text = text(up.addr(), authority.addr(), "", ", on_error = 'allow'");
        for route in [routed, "upstream = 'up'\ncoalesce = true\n", "answer = { body = 'secret' }\n"] {
            let gateway = Gateway::start(&text.replace(routed, route)).await;
            let answer = gateway.ask("GET /x HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 20\r\n\r\n").await;
            // What the service has said so far holds.
            let has_answered = answer.status == 403 && answer.body.is_empty() && authority.addr() == half.addr();
            assert!(
                has_answered || (answer.status, &*answer.code()) == (503, "overloaded"),
                "{route} {}",
                answer.status
            );
        }
    }
    assert_eq!(up.counters().requests, 0);
}

#[tokio::test]
async fn a_no_is_a_no_whatever_becomes_of_its_body() {
    let up = echo().await;
    let large = format!("content-length: 70000\r\n\r\n{}", "x".repeat(70_000));
    let half = "content-encoding: gzip\r\ncontent-length: 10\r\n\r\nno";
    let unended = "transfer-encoding: chunked\r\n\r\n2\r\nno\r\n";
    for (line, field) in [
        ("302 Found", ("location", "/login")),
        ("401 Unauthorized", ("www-authenticate", "Bearer")),
        ("403 Forbidden", ("set-cookie", "s=1")),
    ] {
        for (rest, hangs) in [(&*large, false), (half, false), (half, true), (unended, false)] {
            // Only what never comes is waited for.
            let time = if hangs { "timeout = '2s'" } else { "timeout = '20s'" };
            if hangs && field.0 != "location" {
                continue;
            }
            let answer = format!("HTTP/1.1 {line}\r\n{}: {}\r\n{rest}", field.0, field.1);
            let script = Script::new().read_request().send(answer);
            let authority = Raw::script(if hangs { script.hang() } else { script }).await.unwrap();
            for keys in ["", ", on_error = 'allow'"] {
                let text = text(up.addr(), authority.addr(), "", keys).replace("timeout = '300ms'", time);
                let gateway = Gateway::start(&text).await;
                let mut client = gateway.client().await;
                let answer = client.ask(request("")).await;
                let told = (answer.status.to_string(), answer.header(field.0), answer.body.len(), answer.whole);
                assert_eq!(told, (line[..3].to_owned(), Some(field.1), 0, true), "{rest:.40} {keys}");
                assert_eq!((answer.header("content-length"), answer.header("content-encoding")), (Some("0"), None));
                let sample = "gateway_forward_auth_total{route=\"all\",result=\"refused\"}";
                assert_eq!(gateway.metric(sample).await, Some(1.0));
                // Nothing of a body is left on the connection.
                assert_eq!(client.ask("GET /open HTTP/1.1\r\nhost: a\r\n\r\n").await.echo().path(), "/open");
            }
        }
    }
    assert_eq!(up.counters().requests, 20, "of the open route alone");
}

#[tokio::test]
async fn over_http2_too_a_no_is_one_whose_stream_is_reset_behind_it() {
    let up = echo().await;
    for keys in ["", ", on_error = 'allow'"] {
        let upstream = FramesUpstream::start().await;
        let text = text(up.addr(), upstream.address, "", keys).replace("timeout = '300ms'", "timeout = '20s'");
        let gateway = Gateway::start(&text.replace("breaker = {", "protocol = 'http2'\nbreaker = {")).await;
        let mut client = gateway.client().await;
        client.send(request("")).await;
        let mut authority = upstream.accept(b"").await;
        let stream = authority.next_of(HEADERS).await.unwrap().stream;
        let no = block(&[(":status", "403"), ("www-authenticate", "Bearer"), ("content-length", "10")]);
        let reset = frame(RST_STREAM, 0, stream, &u32::from(Reason::INTERNAL_ERROR).to_be_bytes());
        authority.send([frame(HEADERS, END_HEADERS, stream, &no), reset].concat()).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (403, Some("Bearer")), "{keys}");
        assert_eq!((answer.header("content-length"), answer.body.len()), (Some("0"), 0));
    }
    assert_eq!(up.counters().requests, 0);
}

#[tokio::test]
async fn an_interim_answer_alone_is_none_and_is_counted_where_it_lets_pass() {
    let up = echo().await;
    for answer in
        ["HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "HTTP/1.1 103 E\r\n\r\n"]
    {
        let authority = Raw::script(Script::new().read_request().send(answer)).await.unwrap();
        for (keys, status, result) in [("", 503, "failed"), (", on_error = 'allow'", 200, "failed_open")] {
            let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", keys)).await;
            assert_eq!(post(&gateway, "").await.status, status);
            let sample = format!("gateway_forward_auth_total{{route=\"all\",result=\"{result}\"}}");
            assert_eq!(gateway.metric(&sample).await, Some(1.0), "{answer}");
        }
    }
}

#[tokio::test]
async fn what_the_client_says_of_its_time_holds_after_the_question_too() {
    let authority = authority(YES).await;
    let slow = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let text = text(slow.addr(), authority.addr(), "", "");
    for more in ["", "coalesce = true\n"] {
        let gateway = Gateway::start(&text.replace("name = 'all'\n", &format!("name = 'all'\n{more}"))).await;
        let answer = gateway.ask("GET /x HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 500\r\n\r\n").await;
        assert_eq!((answer.status, &*answer.code()), (504, "upstream_timeout"), "{more}");
    }
}

#[tokio::test]
async fn one_endpoint_of_it_that_is_down_costs_no_request() {
    let (up, down, authority) = (echo().await, nowhere(), authority(YES).await);
    let text = text(up.addr(), down, "", "").replace(
        &format!("endpoints = ['{down}']"),
        &format!("balance = 'round_robin'\nendpoints = ['{down}', '{}']", authority.addr()),
    );
    let gateway = Gateway::start(&text).await;
    for _ in 0..4 {
        assert_eq!(gateway.get("/x").await.status, 200);
    }
}

#[tokio::test]
async fn h8_two_credentials_are_none() {
    let (up, authority) = (echo().await, authority(YES).await);
    let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", "")).await;
    let answer = post(&gateway, "authorization: Bearer good\r\nauthorization: Bearer forged\r\n").await;
    assert_eq!((answer.status, authority.accepted()), (400, 0));
}

#[tokio::test]
async fn the_requests_own_time_bounds_the_question_and_who_leaves_is_not_asked_about() {
    let up = echo().await;
    let gate = Gate::new();
    let slow = Raw::script(Script::new().read_request().wait(&gate).send(YES)).await.unwrap();
    let keys = ", timeout = '30s'";
    let config = text(up.addr(), slow.addr(), "", keys).replace("timeout = '20s', ", "");
    let gateway = Gateway::start(&config.replace("name = 'all'\n", "name = 'all'\ntimeout = '100ms'\n")).await;
    assert_eq!(gateway.get("/x").await.status, 503);
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.ask("GET /x HTTP/1.1\r\nhost: a\r\nx-request-timeout-ms: 50\r\n\r\n").await.status, 503);
    let mut client = gateway.client().await;
    client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("it is asked about", || gateway.in_flight() == 1).await;
    client.reset();
    gateway.at_rest().await;
    assert_eq!(gateway.records(2).await[1]["status"], 499);
    assert_eq!(up.counters().requests, 0);
}

#[tokio::test]
async fn a_yes_is_remembered_for_the_same_question_alone() {
    let (up, authority) = (echo().await, authority(YES).await);
    let keys = ", request_headers = ['authorization'], cache = { ttl = '1h' }";
    let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", keys)).await;
    for _ in 0..3 {
        let echo = post(&gateway, "authorization: a\r\nx-mine: 1\r\n").await.echo();
        assert_eq!(echo.header("x-user"), Some("ada"));
    }
    assert_eq!(asked(&authority).len(), 1);
    for (fields, count) in [("authorization: b\r\n", 2), ("", 3), ("authorization: a\r\ncookie: c=d\r\n", 3)] {
        assert_eq!(post(&gateway, fields).await.status, 200);
        assert_eq!(asked(&authority).len(), count, "{fields}");
    }
    gateway.get("/api/other").await;
    assert_eq!(asked(&authority).len(), 4, "another URL is another question");
    for answer in [
        "HTTP/1.1 200 OK\r\ncache-control: private, no-store\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n",
    ] {
        let authority = self::authority(answer).await;
        let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", keys)).await;
        for count in 1..=2 {
            gateway.get("/x").await;
            assert_eq!(asked(&authority).len(), count);
        }
    }
}

#[tokio::test]
async fn who_was_proven_is_told_to_the_service() {
    let (up, authority, issuer) = (echo().await, authority(YES).await, Issuer::new("k1"));
    let text = text(up.addr(), authority.addr(), "", "");
    let text = format!("{text}auth = {{ providers = ['main'] }}\n{}", issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/x").await.status, 401, "not asked about");
    let token = issuer.token(&serde_json::json!({}));
    let answer = gateway.ask(format!("GET /x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")).await;
    assert_eq!((answer.echo().header("x-auth-subject"), asked(&authority).len()), (Some("ada"), 1));
    let head = asked(&authority).remove(0);
    assert!(head.contains("x-auth-subject: ada") && !head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn what_came_of_each_question_is_counted() {
    let up = echo().await;
    let counted = async |gateway: &Gateway, result: &str| {
        let sample = format!("gateway_forward_auth_total{{route=\"all\",result=\"{result}\"}}");
        gateway.metric(&sample).await
    };
    let yes = authority(YES).await;
    let gateway = Gateway::start(&text(up.addr(), yes.addr(), "", ", cache = { ttl = '1h' }")).await;
    for _ in 0..3 {
        assert_eq!(post(&gateway, "").await.status, 200);
    }
    assert_eq!((counted(&gateway, "allowed").await, counted(&gateway, "remembered").await), (Some(1.0), Some(2.0)));
    assert_eq!(counted(&gateway, "refused").await, None);
    let no = authority("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let gateway = Gateway::start(&text(up.addr(), no.addr(), "", "")).await;
    assert_eq!(post(&gateway, "").await.status, 403);
    assert_eq!(counted(&gateway, "refused").await, Some(1.0));
    // A route that asks nobody counts nothing.
    let open = gateway.ask("GET /open HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(open.status, 200);
    assert_eq!(gateway.metric("gateway_forward_auth_total{route=\"open\",result=\"allowed\"}").await, None);
    let broken = authority("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    for (keys, status, result) in [("", 503, "failed"), (", on_error = 'allow'", 200, "failed_open")] {
        let gateway = Gateway::start(&text(up.addr(), broken.addr(), "", keys)).await;
        assert_eq!(post(&gateway, "").await.status, status);
        assert_eq!(counted(&gateway, result).await, Some(1.0), "{result}");
    }
}

#[tokio::test]
async fn the_admin_port_does_not_show_a_key_in_what_is_asked() {
    let (up, authority) = (echo().await, authority(YES).await);
    let text = text(up.addr(), authority.addr(), "", "").replace("?x=1", "?token=s3cret");
    let gateway = Gateway::start(&text).await;
    for path in ["/config", "/routes", "/explain?url=/api/a"] {
        let told = gateway.admin("GET", path).await.json().to_string();
        assert!(told.contains("authority/verify?token=(not shown)") && !told.contains("s3cret"), "{path}: {told}");
    }
}

#[tokio::test]
async fn what_a_yes_says_to_the_client_reaches_it_with_whatever_answer_and_is_not_said_to_others() {
    let yes = "HTTP/1.1 200 OK\r\nset-cookie: s=1\r\nx-user: ada\r\nSet-Cookie: t=2\r\nx-other: c\r\n\
               content-length: 0\r\n\r\n";
    let (up, down) = (echo().await, nowhere());
    let keys = ", client_headers = ['set-cookie'], cache = { ttl = '1h' }";
    for (upstream, statuses) in [(up.addr(), 200..=200), (down, 500..=503)] {
        let authority = authority(yes).await;
        let gateway = Gateway::start(&text(upstream, authority.addr(), "", keys)).await;
        for _ in 0..2 {
            let answer = post(&gateway, "").await;
            let cookies = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
            assert!(statuses.contains(&answer.status), "{}", answer.status);
            assert_eq!((cookies, answer.header("x-user"), answer.header("x-other")), (vec!["s=1", "t=2"], None, None));
        }
        assert_eq!(asked(&authority).len(), 2, "a cookie is one client's");
    }
    assert_eq!(up.counters().requests, 2);
}

#[tokio::test]
async fn h_no_page_of_another_site_opens_a_websocket_by_what_its_browser_shows_the_service() {
    let (up, authority) = (echo().await, authority(YES).await);
    let gateway = Gateway::start(&text(up.addr(), authority.addr(), "", "")).await;
    let open = async |fields: &str| {
        let handshake = format!(
            "GET /api/ws HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        gateway.ask(handshake).await.status
    };
    assert_eq!(open("cookie: s=1\r\norigin: https://evil.test\r\n").await, 403);
    assert_eq!(open("authorization: Basic YTpi\r\norigin: https://evil.test\r\n").await, 403);
    assert!(asked(&authority).is_empty(), "the service is not asked about it");
    for fields in [
        "cookie: s=1\r\norigin: https://a.test\r\n",
        "cookie: s=1\r\n",
        "authorization: Bearer t\r\norigin: https://evil.test\r\n",
        "origin: https://evil.test\r\n",
    ] {
        assert_ne!(open(fields).await, 403, "{fields}");
    }
}
