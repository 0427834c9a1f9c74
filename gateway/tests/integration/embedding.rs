//! The gateway inside an axum program: the example, and what must hold of the service.

use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{Client, echo};

#[path = "../../examples/embed.rs"]
mod embed;

#[tokio::test]
async fn the_example_serves_its_own_routes_and_the_gateways() {
    let upstream = echo().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = upstream.url("");
    tokio::spawn(async move { embed::serve(listener, &url).await.unwrap_or_else(|error| panic!("{error}")) });
    let mut client = Client::connect(address).await;
    let own = client.ask("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((own.status, &own.body[..]), (200, &b"hello from the program\n"[..]));
    let greeted = client.ask("GET /greet/ada HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((greeted.status, &greeted.body[..]), (200, &b"hello ada\n"[..]));
    assert!(greeted.header("x-request-id").is_some(), "a handler's answer is the gateway's");
    let echo =
        client.ask("POST /x?y HTTP/1.1\r\nhost: a\r\nx-auth-subject: me\r\ncontent-length: 2\r\n\r\nhi").await.echo();
    assert_eq!((echo.path(), echo.get("body_bytes")), ("/x", &2.into()));
    assert_eq!(echo.header("x-forwarded-for"), Some("127.0.0.1"), "axum told it who asks");
    assert_eq!(echo.all("x-auth-subject"), [""; 0], "the rules are the same everywhere");
}

async fn ask(upstream: &mocks::Mock, request: http::Request<Body>) -> (u16, serde_json::Value) {
    let router = embed::program(&upstream.url("")).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn limits_and_timeouts_hold_without_sockets_of_the_gateways_own() {
    let upstream = echo().await;
    let of = |body: Body| http::Request::post("/x").header("host", "a").body(body).unwrap();
    assert_eq!(ask(&upstream, of(Body::from("b".repeat(1024)))).await.0, 200);
    let (status, problem) = ask(&upstream, of(Body::from("b".repeat(1025)))).await;
    assert_eq!((status, &problem["code"]), (413, &"body_too_large".into()));
    let chunks = [Ok::<_, std::io::Error>("b".repeat(1000)), Ok("b".repeat(1000))];
    let streamed = Body::from_stream(tokio_stream(chunks));
    let (status, problem) = ask(&upstream, of(streamed)).await;
    assert_eq!((status, &problem["code"]), (413, &"body_too_large".into()), "counted as it streams");

    upstream.set_rules([mocks::Rule::any().effect(mocks::Effect::Hang)]);
    let (status, problem) = ask(&upstream, of(Body::empty())).await;
    assert_eq!((status, &problem["code"]), (504, &"upstream_timeout".into()));
    let nobody = http::Request::get("/x").body(Body::empty()).unwrap();
    assert_eq!(ask(&upstream, nobody).await.0, 400, "no host, no route");
}

/// A stream of what is there already.
fn tokio_stream<T>(items: impl IntoIterator<Item = T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::iter(items)
}

#[tokio::test]
async fn l11_a_panic_costs_its_own_request_alone() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let text = format!(
        "[telemetry.access_log]\noutput = '{}'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        log.display(),
        upstream.addr()
    );
    let config = gateway::config::load_text(&text, folder.path(), gateway::config::Purpose::Run).unwrap().config;
    let world = gateway::gateway::World {
        network: gateway::network::Sockets,
        clock: gateway::clock::Clock::system(),
        seed: 1,
        shards: 1,
    };
    let gateway = std::sync::Arc::new(gateway::gateway::Gateway::new(config, world).unwrap());
    let service = std::sync::Arc::clone(&gateway).into_service();
    // The gateway's own code is not expected to panic; a body of the program around it may.
    let bad = futures_util::stream::once(async { panic!("a bug in the program") });
    let bad = Body::from_stream(futures_util::StreamExt::map(bad, |()| Ok::<_, std::io::Error>("never")));
    let answer =
        service.clone().oneshot(http::Request::post("/x").header("host", "a").body(bad).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 500);
    drop(answer);
    let good = http::Request::get("/x").header("host", "a").body(Body::empty()).unwrap();
    let answer = service.oneshot(good).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    assert_eq!(gateway.shared().metrics.gateway().panics_total(), 1);
    assert_eq!(gateway.upstreams()[0].active().endpoints[0].in_flight.count(), 0);
    gateway.shared().log.flush(std::time::Duration::from_secs(5));
    let lines = std::fs::read_to_string(log).unwrap();
    let statuses: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].clone()).collect();
    assert_eq!(statuses, [500, 200], "a record for each, the bug's too");
}

#[test]
fn the_service_and_its_future_can_move_between_threads() {
    fn send<T: Send>(_: &T) {}
    let service = |gateway: std::sync::Arc<gateway::gateway::Gateway<gateway::network::Sockets>>| {
        let mut service = gateway.into_service();
        send(&service);
        let future = tower_service::Service::call(&mut service, http::Request::new(Body::empty()));
        send(&future);
    };
    // That it compiles is the test; it is never called.
    let _ = service;
}
