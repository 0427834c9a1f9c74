//! Paths (security.md, group C): what was matched is what is sent, and disguises are refused.

use mocks::raw::{Raw, Script};

use crate::support::{Gateway, echo};

#[tokio::test]
async fn c1_a_path_has_one_form_and_that_is_sent() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for (asked, sent) in [
        ("/a/../admin", "/admin"),
        ("/a/./b", "/a/b"),
        ("//admin", "/admin"),
        ("/a//b///c", "/a/b/c"),
        ("/%2e%2e/admin", ""),
        ("/a/%2e%2e/admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/ADMIN", "/ADMIN"),
        ("/a;x=1/b", "/a;x=1/b"),
        ("/a%3fb", "/a%3Fb"),
        ("/a/..", "/"),
        ("/a/", "/a/"),
    ] {
        let answer = gateway.get(asked).await;
        if sent.is_empty() {
            assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{asked}");
        } else {
            assert_eq!(answer.echo().path(), sent, "{asked}");
        }
    }
}

/// `http://a.test?x` has an empty path, and so has `:path: ?x`; its one form is `/`.
#[tokio::test]
async fn c1_an_empty_path_is_sent_as_it_was_matched() {
    let upstream = Raw::script(Script::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.ask("GET http://a.test?x=1 HTTP/1.1\r\nhost: a.test\r\n\r\n").await.status, 200);
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    assert!(sent.starts_with("GET /?x=1 HTTP/1.1\r\n"), "{sent}");
}

#[tokio::test]
async fn c1_disguised_separators_and_nuls_are_refused() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for path in ["/admin%2f", "/a%2Fb", "/admin%5c..", "/a%00b", "/a%", "/a%zz", "/..", "/../etc", "/..;/admin"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{path}");
    }
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn c1_escaped_slashes_can_be_kept_and_are_then_never_decoded() {
    let upstream = echo().await;
    let gateway = Gateway::with("escaped_slash = 'keep'", upstream.addr()).await;
    assert_eq!(gateway.get("/a%2Fb").await.echo().path(), "/a%2Fb");
    assert_eq!(gateway.get("/a%5cb").await.echo().path(), "/a%5Cb");
    assert_eq!(gateway.get("/a/..%2fb").await.status, 400, "dots in disguise are refused all the same");
    assert_eq!(gateway.get("/a%00").await.status, 400);
}

#[tokio::test]
async fn c1_slashes_are_merged_only_where_that_is_wanted() {
    let upstream = echo().await;
    let gateway = Gateway::with("merge_slashes = false", upstream.addr()).await;
    assert_eq!(gateway.get("/a//b").await.echo().path(), "/a//b");
}

#[tokio::test]
async fn c1_no_spelling_of_a_path_gets_around_its_own_route() {
    let (public, private) = (echo().await, echo().await);
    let text = format!(
        "[[routes]]\nname = 'public'\npath = '/{{*rest}}'\nupstream = 'http://{}'\n\
         [[routes]]\nname = 'admin'\npath = '/admin/{{*rest}}'\nupstream = 'http://{}'\n",
        public.addr(),
        private.addr()
    );
    let gateway = Gateway::start(&text).await;
    let spellings = [
        "/admin",
        "/admin/",
        "/x/../admin/a",
        "//admin/a",
        "/./admin/a",
        "/%61dmin/a",
        "/admin/./a",
        "/x/%2e%2E/admin/a",
    ];
    for spelling in spellings {
        assert_eq!(gateway.get(spelling).await.status, 200, "{spelling}");
    }
    assert_eq!((public.counters().requests, private.counters().requests), (0, spellings.len() as u64));
    // A query is not a path.
    assert_eq!(gateway.get("/x?/../admin/a=%2f%00").await.echo().get("query"), "/../admin/a=%2f%00");
    assert_eq!(public.counters().requests, 1);
}

#[tokio::test]
async fn c2_what_fits_no_route_reaches_no_upstream() {
    let upstream = echo().await;
    let text =
        format!("[[routes]]\npath = '/api/{{*rest}}'\nhosts = ['api.test']\nupstream = 'http://{}'\n", upstream.addr());
    let gateway = Gateway::start(&text).await;
    for (host, path) in [("api.test", "/"), ("api.test", "/apix"), ("other.test", "/api/x"), ("test", "/api/x")] {
        let answer = gateway.ask(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"), "{host}{path}");
    }
    assert_eq!(upstream.counters().accepts, 0);
}

#[tokio::test]
async fn c3_no_part_of_a_request_names_where_it_goes() {
    let (upstream, secret) = (echo().await, echo().await);
    let gateway = Gateway::to(upstream.addr()).await;
    let inner = secret.addr();
    let head = format!("GET http://{inner}/x HTTP/1.1\r\nhost: {inner}\r\nx-forwarded-host: {inner}\r\n\r\n");
    assert_eq!(gateway.ask(head).await.status, 200);
    assert_eq!((upstream.counters().requests, secret.counters().accepts), (1, 0));
}

#[tokio::test]
async fn c4_method_overrides_are_not_obeyed() {
    let upstream = echo().await;
    let text = format!("[[routes]]\npath = '/{{*rest}}'\nmethods = ['GET']\nupstream = 'http://{}'\n", upstream.addr());
    let gateway = Gateway::start(&text).await;
    let head = "POST /x HTTP/1.1\r\nhost: a\r\nx-http-method-override: GET\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(gateway.ask(head).await.status, 405);
    let head = "GET /x HTTP/1.1\r\nhost: a\r\nx-http-method-override: DELETE\r\n\r\n";
    assert_eq!(gateway.ask(head).await.echo().get("method"), "GET");
}
