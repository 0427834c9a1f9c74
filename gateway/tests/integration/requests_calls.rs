//! The flight recorder, of requests for which others are asked: a service that lets them pass, parts, calls for many.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Reset, Rule};
use serde_json::{Value, json};

use crate::requests::{asked, names, recording, word};
use crate::support::{Gateway, echo, eventually, nowhere, one_route};

#[tokio::test]
async fn another_services_no_is_told_with_who_said_it() {
    let (upstream, authority) = (echo().await, echo().await);
    authority.set_rules([Rule::any().status(403)]);
    let route = format!("forward_auth = {{ upstream = 'http://{}', path = '/ask' }}", authority.addr());
    let gateway = Gateway::start(&recording("sample = 0.0", &one_route("", &route, upstream.addr()))).await;
    let ask = "GET /a HTTP/1.1\r\nhost: a\r\nauthorization: Bearer secret\r\n\r\n";
    assert_eq!(gateway.ask(ask).await.status, 403);
    let told = gateway.only("failed", 1).await;
    assert_eq!(told["cause"], format!("{} does not let it pass.", authority.addr()));
    let exchange = &told["exchanges"][0];
    assert_eq!((&exchange["upstream"], &exchange["status"]), (&json!(authority.addr().to_string()), &json!(403)));
    assert!(names(&told["received"]).contains(&"authorization") && !told.to_string().contains("secret"), "{told:#}");
}

#[tokio::test]
async fn another_service_that_cannot_say_is_told_with_where_it_was_asked_and_one_reason() {
    let (upstream, authority) = (echo().await, echo().await);
    authority.set_rules([Rule::any().status(500)]);
    let nobody = nowhere();
    let refused = format!("http://{nobody}/ask: Connection refused (os error 111)");
    let failed = format!("http://{}/ask: it answered 500", authority.addr());
    for (at, why) in [(nobody.to_string(), refused), (authority.addr().to_string(), failed)] {
        let route = format!("forward_auth = {{ upstream = 'http://{at}', path = '/ask?key=secret' }}");
        let gateway = Gateway::start(&recording("sample = 0.0", &one_route("", &route, upstream.addr()))).await;
        assert_eq!(gateway.get("/a").await.status, 503);
        let told = gateway.only("failed", 1).await;
        let cause = format!("Whether this request may pass cannot be found out now. ({at}: {why})");
        assert_eq!(told["cause"], cause);
    }
}

#[tokio::test]
async fn the_parts_of_an_answer_are_told_with_who_was_asked_for_each() {
    let (user, offers) = (echo().await, crate::aggregates::json("{\"tier\":\"gold\"}").await);
    user.set_rules([Rule::any().effect(Effect::Reset(Reset::BeforeHeaders))]);
    let text = format!(
        "[upstreams.a]\nendpoints = ['{}']\n[upstreams.b]\nendpoints = ['{}']\n\
         [[aggregates]]\nname = 'board'\npath = '/board'\nparts = [\n\
         {{ name = 'offers', upstream = 'b', path = '/offers' }},\n\
         {{ name = 'user', upstream = 'a', path = '/users/{{offers.tier}}', required = true }},\n]\n",
        user.addr(),
        offers.addr()
    );
    let gateway = Gateway::start(&recording("sample = 0.0", &text)).await;
    let ask = "GET /board HTTP/1.1\r\nhost: a\r\ncookie: s=secret\r\n\r\n";
    assert_eq!(gateway.ask(ask).await.status, 502);
    let told = gateway.only("failed", 1).await;
    let (a, b) = (user.addr().to_string(), offers.addr().to_string());
    let of = |part: &str| asked(&told).into_iter().filter(|it| it.0 == part).collect::<Vec<_>>();
    assert_eq!(of("user"), [("user", &*a, "reset"), ("user", &*a, "reset")], "{told:#}");
    assert_eq!(of("offers"), [("offers", &*b, "ok")], "{told:#}");
    assert_eq!((&told["attempts"], &told["shared_call"]), (&json!(3), &Value::Null));
    assert!(told["exchanges"].as_array().unwrap().iter().all(|it| it["breaker"] == "closed"), "{told:#}");
    assert_eq!(told["sent"]["part"], "user");
    assert!(names(&told["sent"]).contains(&"cookie") && !told.to_string().contains("secret"), "{told:#}");
    let id = told["request_id"].as_str().unwrap();
    let text = String::from_utf8(gateway.admin("GET", &format!("/requests/{id}?format=text")).await.body).unwrap();
    assert!(text.contains(&format!("asked a at {a} for the part user")), "{text}");
}

#[tokio::test]
async fn a_call_for_many_is_told_by_each_of_them() {
    let up = Raw::script(Script::always("HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno")).await.unwrap();
    let text = crate::batches::text(up.addr(), "max_size = 2", "");
    let gateway = Gateway::start(&recording("sample = 0.0", &text)).await;
    let asking = ["1", "2"].map(|id| crate::batches::get(id, ""));
    let mut clients = crate::batches::asking(&gateway, &asking).await;
    for answer in crate::batches::answers(&mut clients).await {
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    let (address, mut shared) = (up.addr().to_string(), Vec::new());
    for listed in gateway.listed("failed", 2).await {
        let told = gateway.told(word(&listed, "request_id")).await;
        assert_eq!(asked(&told), [("", &*address, "status_5xx"), ("", &*address, "status_5xx")], "{told:#}");
        assert_eq!((&told["batch_size"], &told["exchanges"][1]["status"]), (&json!(2), &json!(503)));
        assert!(names(&told["sent"]).contains(&"content-type"), "{told:#}");
        shared.push(word(&told, "shared_call").to_owned());
    }
    shared.sort_unstable();
    assert_eq!(shared, ["began", "joined"]);
}

#[tokio::test]
async fn a_call_that_was_shared_is_told_by_all_who_waited_for_it() {
    let gate = Gate::new();
    let answer = "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno";
    let script = Script::new().read_request().wait(&gate).send(answer).again();
    let up = Raw::script(script).await.unwrap();
    let route = one_route("", "coalesce = true\nretry = { attempts = 2, backoff = '1ms' }", up.addr());
    let gateway = Gateway::start(&recording("sample = 0.0", &route)).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.client().await;
        client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    let flights = &gateway.inner().shards()[0].flights;
    eventually("both wait for one call", || flights.waiting() == 2).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 503);
    }
    let (address, mut shared) = (up.addr().to_string(), Vec::new());
    for listed in gateway.listed("failed", 2).await {
        let told = gateway.told(word(&listed, "request_id")).await;
        assert_eq!(asked(&told), [("", &*address, "status_5xx"), ("", &*address, "status_5xx")], "{told:#}");
        assert!(!names(&told["sent"]).is_empty() && !names(&told["answered"]).is_empty(), "{told:#}");
        shared.push((word(&told, "shared_call").to_owned(), told["attempts"].as_u64().unwrap()));
    }
    shared.sort_unstable();
    assert_eq!(shared, [("began".to_owned(), 2), ("joined".to_owned(), 0)]);
}
