//! Edits of the query: what an upstream, a handler and a copy are asked for, and what everybody else goes by.

use std::net::SocketAddr;

use axum::http::Uri;
use axum::routing::any;
use mocks::raw::{Gate, Raw, Script};

use crate::support::{Gateway, echo, eventually};

/// One route at `/t/{tenant}/{*rest}` with these keys.
fn text(upstream: SocketAddr, keys: &str) -> String {
    format!("[[routes]]\nname = 't'\npath = '/t/{{tenant}}/{{*rest}}'\nupstream = 'http://{upstream}'\n{keys}\n")
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: Shop.Test:8443\r\n{fields}\r\n")
}

/// Answers, and keeps what it was sent.
async fn remembers() -> Raw {
    Raw::script(Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").again())
        .await
        .unwrap()
}

/// The target of the last request.
fn last(upstream: &Raw) -> String {
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    let line = sent.rsplit("\r\n").find(|line| line.ends_with(" HTTP/1.1"));
    line.and_then(|line| line.split(' ').nth(1)).unwrap_or("nothing").to_owned()
}

#[tokio::test]
async fn an_upstream_is_asked_with_the_query_that_the_route_makes() {
    let upstream = remembers().await;
    let edits = "rewrite = { path = '/{rest}' }\n[routes.request_query]\nremove = ['admin', 'debug']\n\
                 add = { via = 'gw & co' }\n[routes.request_query.set]\ntenant = '{tenant}'\nip = '{client_ip}'\n\
                 uri = '{uri}'\ntrace = '{header:X-Trace}'\nnone = '{header:x-none}'\n\
                 of = '{method} {host}:{port}{path}'\n";
    let gateway = Gateway::start(&text(upstream.addr(), edits)).await;
    let fields = "x-trace: a&admin=1\r\nx-trace: 2#\r\n";
    let asked = "/t/blue%20%26sky/./a?x=%7e+1&%61dmin=1&&tenant=root&debug&y;admin=2&none=mine";
    assert_eq!(gateway.ask(get(asked, fields)).await.status, 200);
    let uri = "%2Ft%2Fblue%2520%2526sky%2F.%2Fa%3Fx%3D%257e%2B1%26%2561dmin%3D1%26%26tenant%3Droot%26debug%26y%3B\
               admin%3D2%26none%3Dmine";
    let of = "GET%20shop.test%3A8443%2Ft%2Fblue%2520%2526sky%2Fa";
    let written = format!("tenant=blue%20%26sky&ip=127.0.0.1&uri={uri}&trace=a%26admin%3D1%2C%202%23&of={of}");
    assert_eq!(last(&upstream), format!("/a?x=%7e+1&&y&{written}&via=gw%20%26%20co"));
    let record = gateway.record().await;
    assert_eq!(record["path"], "/t/blue%20%26sky/a", "as ever");
}

#[tokio::test]
async fn without_a_rewrite_and_without_a_query_the_path_stays() {
    let upstream = remembers().await;
    for (edits, asked, sent) in [
        ("remove = ['a']", "/t/b/c", "/t/b/c"),
        ("remove = ['a']", "/t/b/c?", "/t/b/c?"),
        ("remove = ['a']", "/t/b/c?%61=1", "/t/b/c"),
        ("remove = ['a']", "/t/b/./c?b=%zz&c", "/t/b/c?b=%zz&c"),
        ("set = { a = '' }", "/t/b/c", "/t/b/c?a="),
        ("keep = ['q']", "/t/b/c?utm_source=x&q=1&Q=2", "/t/b/c?q=1"),
        ("keep = []", "/t/b/c?utm_source=x&q=1", "/t/b/c"),
        ("keep = [], set = { q = '{rest}' }", "/t/b/c/d%2Be?q=1", "/t/b/c/d%2Be?q=c%2Fd%2Be"),
    ] {
        let gateway = Gateway::start(&text(upstream.addr(), &format!("request_query = {{ {edits} }}"))).await;
        assert_eq!(gateway.ask(get(asked, "")).await.status, 200, "{edits}");
        assert_eq!(last(&upstream), sent, "{edits} of {asked}");
    }
}

#[tokio::test]
async fn conditions_redirects_to_tls_and_other_services_go_by_what_the_client_sent() {
    let (upstream, authority) = (remembers().await, remembers().await);
    let edits = format!(
        "query = {{ plan = 'gold' }}\nrequest_query = {{ set = {{ plan = 'none' }} }}\n\
         forward_auth = {{ upstream = 'http://{}' }}",
        authority.addr()
    );
    let secure = "[[routes]]\npath = '/secure'\nhttps = 'redirect'\nupstream = 'http://127.0.0.1:9'\n\
                  request_query = { remove = ['a'] }\n[server]\ntrusted_proxies = ['192.0.2.1']\n";
    let gateway = Gateway::start(&format!("{}{secure}", text(upstream.addr(), &edits))).await;
    assert_eq!(gateway.ask(get("/t/a/b?plan=gold&x=1", "")).await.status, 200);
    assert_eq!(last(&upstream), "/t/a/b?x=1&plan=none");
    let told = String::from_utf8(authority.received().concat()).unwrap();
    assert!(told.contains("x-forwarded-uri: /t/a/b?plan=gold&x=1\r\n"), "{told}");
    assert_eq!(gateway.ask(get("/t/a/b?plan=none", "")).await.status, 404);
    let sent_on = gateway.ask(get("/secure?a=1", "")).await;
    assert_eq!((sent_on.status, sent_on.header("location")), (308, Some("https://shop.test/secure?a=1")));
}

#[tokio::test]
async fn requests_that_come_to_the_same_share_a_call_and_others_do_not() {
    let gate = Gate::new();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let up = Raw::script(Script::new().read_request().wait(&gate).send(answer).again()).await.unwrap();
    let edits = "coalesce = true\nrequest_query = { keep = ['q'], set = { who = '{header:x-who}' } }";
    let gateway = Gateway::start(&text(up.addr(), edits)).await;
    let asked = [("q=1&utm=a", "1"), ("utm=b&q=1", "1"), ("q=2", "1"), ("q=1", "2")];
    let mut clients = Vec::new();
    for (query, who) in asked {
        let mut client = gateway.client().await;
        client.send(get(&format!("/t/a/b?{query}"), &format!("x-who: {who}\r\n"))).await;
        clients.push(client);
    }
    let flights = &gateway.inner().shards()[0].flights;
    eventually("four requests wait", || flights.waiting() == 4).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    let sent = String::from_utf8(up.received().concat()).unwrap();
    let mut targets: Vec<&str> =
        sent.split("\r\n").filter_map(|line| line.strip_prefix("GET ")?.split(' ').next()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["/t/a/b?q=1&who=1", "/t/a/b?q=1&who=2", "/t/a/b?q=2&who=1"]);
}

#[tokio::test]
async fn handlers_and_copies_are_asked_alike_and_redirects_are_the_clients() {
    async fn told(uri: Uri) -> String {
        uri.to_string()
    }
    let (upstream, shadow) = (echo().await, remembers().await);
    let edits = "request_query = { remove = ['a'], set = { b = '1' } }";
    let mirrored = format!("{edits}\nmirror = {{ upstream = 'shadow' }}\n");
    let more = format!(
        "[policies.edits]\n{edits}\n[[routes]]\npath = '/own'\nhandler = 'told'\npolicies = ['edits']\n\
         [[routes]]\npath = '/moved'\npolicies = ['edits']\nredirect = {{ path = '/new' }}\n[upstreams.shadow]\nendpoints = ['{}']\n",
        shadow.addr()
    );
    let gateway =
        Gateway::built(&format!("{}{more}", text(upstream.addr(), &mirrored)), |it| it.handler("told", any(told)))
            .await;
    assert_eq!(gateway.ask(get("/own?a=9&c=%7e", "")).await.body, b"/own?c=%7e&b=1");
    let moved = gateway.ask(get("/moved?a=9", "")).await;
    assert_eq!((moved.status, moved.header("location")), (308, Some("http://Shop.Test:8443/new?a=9")));
    assert_eq!(gateway.ask(get("/t/a/b?a=9", "")).await.status, 200);
    eventually("the copy has come", || last(&shadow) == "/t/a/b?b=1").await;
}
