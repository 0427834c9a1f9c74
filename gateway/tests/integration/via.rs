//! `[server] via`: the gateway is named among those who passed a message on (RFC 9110, section 7.6.3).

use axum::response::{IntoResponse, Response};
use gateway::prelude::{RequestInfo, Stage};
use http::StatusCode;
use mocks::raw::{Raw, Script};

use crate::support::h2::{H2Client, get};
use crate::support::{Gateway, echo};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nvia: 1.0 fred\r\n\r\n";

#[tokio::test]
async fn via_is_extended_both_ways_by_who_has_a_name_there() {
    let upstream = echo().await;
    let gateway = Gateway::with("via = 'edge-1'", upstream.addr()).await;
    let answer = gateway.ask(GET).await;
    assert_eq!(answer.header("via"), Some("1.1 edge-1"));
    assert_eq!(answer.echo().all("via"), ["1.0 fred", "1.1 edge-1"]);
    let answer = gateway.ask("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer.echo().all("via"), ["1.0 edge-1"]);
    let mut client = H2Client::connect(gateway.address).await;
    let answer = client.get("/").await;
    assert_eq!((answer.header("via"), answer.echo().all("via")), (Some("1.1 edge-1"), vec!["2.0 edge-1"]));
    let mut other = get("/");
    other.headers_mut().insert("via", "1.1 a, 1.1 b".parse().unwrap());
    assert_eq!(client.send(other, "").await.echo().all("via"), ["1.1 a, 1.1 b", "2.0 edge-1"]);
}

#[tokio::test]
async fn an_answer_names_those_who_passed_it_on_in_their_order() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nvia: 1.0 inner\r\n\r\n";
    let upstream = Raw::script(Script::always(ok)).await.unwrap();
    let gateway = Gateway::with("via = 'edge:8080'", upstream.addr()).await;
    let told = |headers: &[(String, String)]| -> Vec<String> {
        headers.iter().filter(|(name, _)| name == "via").map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(told(&gateway.get("/").await.headers), ["1.0 inner", "1.1 edge:8080"]);
    let plain = Gateway::to(upstream.addr()).await;
    assert_eq!(told(&plain.get("/").await.headers), ["1.0 inner"], "nobody adds anything who has no name");
}

#[tokio::test]
async fn what_the_gateway_says_itself_was_passed_on_by_nobody() {
    let gateway = Gateway::start(
        "[server]\nvia = 'edge'\n[[routes]]\nname = 'one'\npath = '/one'\nanswer = { status = 200, body = 'a' }\n",
    )
    .await;
    for path in ["/one", "/none"] {
        assert_eq!(gateway.get(path).await.header("via"), None, "{path}");
    }
}

/// A stage of the program that makes of every answer one that cannot be given.
struct Spoils;

impl Stage for Spoils {
    async fn response(&self, _: &RequestInfo, _: Response) -> Response {
        StatusCode::CONTINUE.into_response()
    }
}

#[tokio::test]
async fn nor_was_a_problem_in_the_place_of_an_upstreams_answer() {
    let upstream = echo().await;
    let text = format!(
        "[server]\nvia = 'edge'\nown_headers = {{ 'x-frame-options' = 'DENY' }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\nstages = ['spoils']\n",
        upstream.addr()
    );
    let gateway = Gateway::built(&text, |builder| builder.stage("spoils", Spoils)).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert_eq!(answer.header("via"), None);
    assert_eq!(answer.header("x-frame-options"), Some("DENY"), "it is one of the gateway's own answers");
}
