//! Routes that are there for some listeners alone: on others nothing tells that they exist.

use crate::support::h2::H2Client;
use crate::support::{Answer, Client, Gateway, echo};

/// Two listeners, the first of this name, and what is reached by one of them.
fn text(first: &str, second: &str, upstream: std::net::SocketAddr) -> String {
    let listener = |name: &str| format!("[[listeners]]\nname = '{name}'\naddress = '127.0.0.1:0'\n\n");
    let route = |name: &str, path: &str, keys: &str| {
        format!("[[routes]]\nname = '{name}'\npath = '{path}'\nanswer = {{ body = '{name}' }}\n{keys}\n\n")
    };
    [
        listener(first),
        listener(second),
        format!("[upstreams.up]\nendpoints = ['{upstream}']\n\n"),
        route("ops", "/ops", "methods = ['GET']\nlisteners = ['inside']"),
        route("same-inside", "/same", "listeners = ['inside']"),
        route("same-outside", "/same", "listeners = ['outside']"),
        route("all", "/all", ""),
        "[[aggregates]]\nname = 'board'\npath = '/board'\nlisteners = ['inside']\n\
         parts = [{ name = 'a', upstream = 'up', path = '/' }]\n"
            .to_owned(),
    ]
    .concat()
}

async fn ask(client: &mut Client, method: &str, path: &str) -> Answer {
    client.ask(format!("{method} {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n")).await
}

fn body(answer: &Answer) -> (u16, &str) {
    (answer.status, std::str::from_utf8(&answer.body).unwrap())
}

#[tokio::test]
async fn a_route_of_one_listener_is_not_there_on_another() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("outside", "inside", upstream.addr())).await;
    let [outside, inside] = gateway.addresses() else { panic!("there are two") };
    let (mut outside, mut inside) = (Client::connect(*outside).await, Client::connect(*inside).await);
    assert_eq!(body(&ask(&mut inside, "GET", "/ops").await), (200, "ops"));
    for method in ["GET", "POST"] {
        let answer = ask(&mut outside, method, "/ops").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"), "{method}");
        assert_eq!(answer.header("allow"), None);
    }
    let answer = ask(&mut inside, "POST", "/ops").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(body(&ask(&mut outside, "GET", "/same").await), (200, "same-outside"));
    assert_eq!(body(&ask(&mut inside, "GET", "/same").await), (200, "same-inside"));
    for client in [&mut outside, &mut inside] {
        assert_eq!(body(&ask(client, "GET", "/all").await), (200, "all"));
    }
    assert_eq!(ask(&mut outside, "GET", "/board").await.status, 404);
    assert_eq!(upstream.counters().requests, 0);
    assert_ne!(ask(&mut inside, "GET", "/board").await.status, 404);
}

/// What is not there for others is not told to them either.
#[tokio::test]
async fn the_document_of_a_listener_has_what_it_reaches() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("outside", "inside", upstream.addr())).await;
    for (listener, reached, own) in [("outside", false, "same-outside-get"), ("inside", true, "same-inside-get")] {
        let document = gateway.admin("GET", &format!("/openapi.json?listener={listener}")).await.json();
        let paths = &document["paths"];
        assert_eq!((paths["/ops"].is_object(), paths["/board"].is_object()), (reached, reached), "{listener}");
        assert!(paths["/all"].is_object());
        assert_eq!(paths["/same"]["get"]["operationId"], own);
        let at = usize::from(reached);
        assert_eq!(document["servers"][0]["url"], format!("http://{}", gateway.addresses()[at]));
        assert_eq!(document["servers"].as_array().unwrap().len(), 1);
    }
    assert!(gateway.admin("GET", "/openapi.json").await.json()["paths"]["/ops"].is_object(), "all of them");
    assert_eq!(gateway.admin("GET", "/openapi.json?listener=nobody").await.status, 400);
}

#[tokio::test]
async fn streams_of_a_connection_come_by_its_listener() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("outside", "inside", upstream.addr())).await;
    for (address, expected) in gateway.addresses().iter().zip([404, 200]) {
        let mut client = H2Client::connect(*address).await;
        assert_eq!(client.get("/ops").await.status, expected);
    }
}

#[tokio::test]
async fn a_reload_that_calls_them_otherwise_holds_for_the_next_request() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("outside", "inside", upstream.addr())).await;
    let mut first = gateway.client().await;
    assert_eq!(ask(&mut first, "GET", "/ops").await.status, 404);
    gateway.rewrite(&text("inside", "outside", upstream.addr()));
    let report = gateway.reload().await;
    assert!(report.ok && report.needs_restart.is_empty(), "{report:?}");
    assert_eq!(body(&ask(&mut first, "GET", "/ops").await), (200, "ops"));
    let mut second = Client::connect(gateway.addresses()[1]).await;
    assert_eq!(ask(&mut second, "GET", "/ops").await.status, 404);
}

#[tokio::test]
async fn one_that_the_file_does_not_have_any_more_keeps_its_name_until_the_restart() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("outside", "inside", upstream.addr())).await;
    let mut inside = Client::connect(gateway.addresses()[1]).await;
    assert_eq!(ask(&mut inside, "GET", "/ops").await.status, 200);
    // The second one asks for another address.
    let changed = text("outside", "inside", upstream.addr());
    let (first, second) = changed.rsplit_once("127.0.0.1:0").unwrap();
    gateway.rewrite(&format!("{first}127.0.0.2:0{second}"));
    let report = gateway.reload().await;
    assert!(report.ok && !report.needs_restart.is_empty(), "{report:?}");
    assert_eq!(ask(&mut inside, "GET", "/ops").await.status, 200, "it waits for the restart, and nothing has changed");
}

#[tokio::test]
async fn operators_are_told_by_which_listener_a_route_is_reached() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("outside", "inside", upstream.addr())).await;
    let routes = gateway.admin("GET", "/routes").await.json();
    let routes = routes["routes"].as_array().unwrap();
    let of = |name: &str| routes.iter().find(|route| route["name"] == name).unwrap()["listeners"].clone();
    assert_eq!((of("ops"), of("all")), (serde_json::json!(["inside"]), serde_json::json!([])));
    let explain = async |more: &str| gateway.admin("GET", &format!("/explain?url=/ops{more}")).await.json();
    assert_eq!(explain("&listener=inside").await["routing"]["route"], "ops");
    // Where none is said, it is the first.
    for more in ["", "&listener=outside"] {
        let told = explain(more).await;
        assert_eq!(told["routing"]["outcome"], "not_found");
        let misses = told["routing"]["misses"].to_string();
        assert!(misses.contains("reached by the listener \\\"inside\\\" alone"), "{misses}");
    }
    let told = explain("&listener=elsewhere").await;
    assert_eq!(told["refused"], "no listener is called \"elsewhere\": outside, inside");
}
