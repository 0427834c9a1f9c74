//! Routes with `clients`: for whom they are there, what others find in their place, and whose answer is whose.

use crate::support::{Answer, Gateway, nowhere};

const PROXY: &str = "[server]\ntrusted_proxies = ['127.0.0.0/8']\n";

/// Routes of one path that answer with their names.
fn text(server: &str, more: &str) -> String {
    format!(
        "{server}[[routes]]\nname = 'inner'\npath = '/a'\nmethods = ['GET', 'PUT']\nclients = ['10.0.0.0/8', 'fd00::/8', '!10.1.0.0/16']\n\
         answer = {{ body = 'inner' }}\n\
         [[routes]]\nname = 'outer'\npath = '/a'\nmethods = ['GET']\nanswer = {{ body = 'outer' }}\n\
         [[routes]]\nname = 'only'\npath = '/only'\nclients = ['!203.0.113.0/24']\nanswer = {{ body = 'only' }}\n{more}"
    )
}

async fn ask(gateway: &Gateway, method: &str, path: &str, fields: &str) -> Answer {
    gateway.ask(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await
}

fn from(client: &str) -> String {
    format!("x-forwarded-for: {client}\r\n")
}

#[tokio::test]
async fn a_route_is_there_for_its_clients_and_others_take_the_next() {
    let gateway = Gateway::start(&text(PROXY, "")).await;
    for (client, route) in [
        ("10.2.0.1", "inner"),
        ("fd00::7", "inner"),
        ("203.0.113.7, 10.2.0.1", "inner"),
        ("::ffff:10.2.0.1", "inner"),
        ("10.1.0.1", "outer"),
        ("10.2.0.1, 203.0.113.7", "outer"),
        ("203.0.113.7", "outer"),
    ] {
        let answer = ask(&gateway, "GET", "/a", &from(client)).await;
        assert_eq!((answer.status, &answer.body[..]), (200, route.as_bytes()), "{client}");
    }
    let put = ask(&gateway, "PUT", "/a", &from("203.0.113.7")).await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD")), "what is not there is not told of");
    assert_eq!(ask(&gateway, "PUT", "/a", &from("10.2.0.1")).await.status, 200);
    let away = ask(&gateway, "GET", "/only", &from("203.0.113.7")).await;
    assert_eq!((away.status, &*away.code()), (404, "route_not_found"));
    assert_eq!(ask(&gateway, "GET", "/only", &from("192.0.2.1")).await.status, 200);
}

#[tokio::test]
async fn what_is_not_known_of_a_client_meets_no_condition() {
    let gateway = Gateway::start(&text(PROXY, "")).await;
    for hidden in ["forwarded: for=unknown\r\n", "forwarded: for=_a\r\n", "x-forwarded-for: unix:\r\n"] {
        assert_eq!(ask(&gateway, "GET", "/a", hidden).await.body, b"outer", "{hidden}");
        assert_eq!(ask(&gateway, "GET", "/only", hidden).await.status, 404, "{hidden}");
    }
    // A proxy that asks for itself, as its health checks do, is known.
    assert_eq!(ask(&gateway, "GET", "/only", "").await.status, 200);
    // Nobody is trusted: what a client says of itself is nothing.
    let alone = Gateway::start(&text("", "").replace("'10.0.0.0/8'", "'127.0.0.0/8'")).await;
    assert_eq!(ask(&alone, "GET", "/a", &from("203.0.113.7")).await.body, b"inner");
}

#[tokio::test]
async fn it_is_explained_for_whom_a_route_is_there() {
    let gateway = Gateway::start(&text(PROXY, "")).await;
    let told = async |client: &str| {
        gateway.admin("GET", &format!("/explain?method=GET&url=/a{client}")).await.json()["routing"].clone()
    };
    let inner = told("&client=10.2.0.1").await;
    assert_eq!(inner["route"], "inner");
    assert!(inner["because"].to_string().contains("client in 10.0.0.0/8, fd00::/8, but not 10.1.0.0/16"), "{inner}");
    let outer = told("&client=10.1.0.1").await;
    assert_eq!(outer["route"], "outer");
    let why = outer["misses"][0]["reason"].as_str().unwrap();
    assert_eq!(why, "client: 10.1.0.1 is not in 10.0.0.0/8, fd00::/8, but not 10.1.0.0/16");
    let unknown = told("").await["misses"][0]["reason"].as_str().unwrap().to_owned();
    assert!(unknown.starts_with("client: the address is not known"), "{unknown}");
}

#[tokio::test]
async fn kept_answers_are_a_routes_own() {
    let inside = mocks::raw::Raw::script(mocks::raw::Script::always(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 6\r\n\r\ninside",
    ))
    .await
    .unwrap();
    let keys = "path = '/kept'\ncache = true\nretry = { attempts = 1 }";
    let more = format!(
        "[[routes]]\nname = 'kept-inside'\nclients = ['10.0.0.0/8']\nupstream = 'http://{}'\n{keys}\n\
         [[routes]]\nname = 'kept'\nupstream = 'http://{}'\n{keys}\n",
        inside.addr(),
        nowhere()
    );
    let gateway = Gateway::start(&text(PROXY, &more)).await;
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "GET", "/kept", &from("10.2.0.1")).await.body, b"inside");
        assert_eq!(ask(&gateway, "GET", "/kept", &from("203.0.113.7")).await.status, 502);
    }
    assert_eq!(inside.received().len(), 1, "the second time it was kept");
}
