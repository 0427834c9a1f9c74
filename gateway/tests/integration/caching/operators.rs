//! What operators see of the cache and do with it; what a reload leaves of it.

use mocks::raw::Raw;
use serde_json::Value;

use super::{Origin, ok, told};
use crate::support::Gateway;

async fn served(origin: &Origin) -> Raw {
    let origin = origin.clone();
    Raw::serve(move |stream, _| origin.clone().serve(stream)).await.unwrap()
}

fn text(up: &Raw, shop: &str, more: &str) -> String {
    let up = up.addr();
    format!(
        "[upstreams.up]\nendpoints = ['{up}']\n\
         [[routes]]\nname = 'shop'\npath = '/shop/{{*rest}}'\nupstream = 'up'\nrewrite = {{ strip_prefix = '/shop' }}\n{shop}\n\
         [[routes]]\nname = 'blog'\npath = '/blog/{{*rest}}'\nupstream = 'up'\ncache = true\n{more}\n"
    )
}

/// What is kept of a route: entries, hits and misses.
async fn kept(gateway: &Gateway, route: &str) -> (u64, u64, u64) {
    let page = gateway.admin("GET", "/cache").await.json();
    let routes: &Vec<Value> = page["routes"].as_array().unwrap();
    let Some(shown) = routes.iter().find(|shown| shown["route"] == route) else { return (0, 0, 0) };
    let requests = |how: &str| shown["requests"][how].as_u64().unwrap_or(0);
    (shown["entries"].as_u64().unwrap(), requests("hit"), requests("miss"))
}

#[tokio::test]
async fn operators_see_what_is_kept_and_let_go_of_it() {
    let origin = Origin::always(&ok("cache-control: max-age=600\r\n", "hello"));
    let up = served(&origin).await;
    let gateway = Gateway::start(&text(&up, "cache = true", "")).await;
    for path in ["/shop/a/1", "/shop/a/2", "/shop/b", "/blog/a", "/shop/b"] {
        assert_eq!(gateway.get(path).await.status, 200);
    }
    // Each is counted when it is over.
    gateway.records(5).await;
    assert_eq!((kept(&gateway, "shop").await, kept(&gateway, "blog").await), ((3, 1, 3), (1, 0, 1)));
    assert_eq!(gateway.metric("gateway_cache_requests_total{route=\"shop\",result=\"hit\"}").await, Some(1.0));
    assert_eq!(gateway.metric("gateway_cache_entries").await, Some(4.0));
    assert!(gateway.metric("gateway_cache_bytes").await.unwrap() > 0.0);
    assert_eq!(gateway.metric("gateway_cache_evicted_total").await, Some(0.0));
    let purge = async |query: &str| {
        let answer = gateway.admin("POST", &format!("/cache/purge{query}")).await;
        if answer.status == 200 { answer.json()["purged"].as_u64().unwrap() } else { u64::from(answer.status) }
    };
    assert_eq!(purge("?route=shop&path=/shop/a").await, 0, "that one alone");
    assert_eq!(purge("?route=shop&path=/shop/a/1").await, 1, "as it was asked for");
    assert_eq!(purge("?route=shop&path=/a/*").await, 1, "or as it was sent");
    // The spelling that was asked for first need not be the one that is named.
    assert_eq!(purge("?route=shop&path=/shop/x/../%2562").await, 1);
    assert_eq!(gateway.get("/shop/b").await.status, 200);
    assert_eq!(purge("?route=shop").await, 1);
    assert_eq!((kept(&gateway, "shop").await.0, kept(&gateway, "blog").await.0), (0, 1));
    assert_eq!(purge("?route=nobody").await, 404);
    assert_eq!(purge("").await, 404);
    assert_eq!(purge("?route=blog&path=a").await, 400);
    assert_eq!(gateway.admin("GET", "/cache/purge?route=blog").await.status, 405);
    assert!(told(&gateway.get("/shop/b").await).contains("uri-miss"));
}

#[tokio::test]
async fn what_is_sent_as_one_path_is_let_go_of_by_any_that_leads_to_it() {
    let origin = Origin::always(&ok("cache-control: max-age=600\r\n", "hello"));
    let up = served(&origin).await;
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\nname = 'r'\nhosts = ['*.a.test']\npath = '/{{version}}/{{*rest}}'\nupstream = 'up'\ncache = true\n\
         rewrite = {{ path = '/{{rest}}' }}\n",
        up.addr()
    ))
    .await;
    for path in ["/v1/a", "/v2/a", "/v1/b"] {
        let answer = gateway.client().await.ask(format!("GET {path} HTTP/1.1\r\nhost: x.a.test\r\n\r\n")).await;
        assert_eq!(answer.status, 200);
    }
    let purge = async |path: &str| gateway.admin("POST", &format!("/cache/purge?route=r&path={path}")).await.json();
    assert_eq!(purge("/v3").await["purged"], 0);
    assert_eq!(purge("/v2/a").await["purged"], 1, "it was asked for as /v1/a first");
    assert_eq!(purge("/b").await["purged"], 1, "as it is sent");
}

#[tokio::test]
async fn a_reload_keeps_what_nothing_has_changed_for() {
    let origin = Origin::always(&ok("cache-control: max-age=600\r\n", "hello"));
    let up = served(&origin).await;
    let gateway = Gateway::start(&text(&up, "cache = true", "")).await;
    let fill = async || {
        gateway.get("/shop/a").await;
        gateway.get("/blog/a").await;
    };
    fill().await;
    let unlike = [
        ("cache = true\nresponse_headers = { set = { x-a = '1' } }\ntimeout = '3s'\nrate_limits = []", true),
        ("cache = true\nrequest_headers = { set = { x-a = '1' } }", false),
        ("cache = { max_ttl = '5s' }", false),
        ("", false),
        ("cache = true", false),
    ];
    for (shop, stays) in unlike {
        gateway.rewrite(&text(&up, shop, ""));
        assert!(gateway.reload().await.ok);
        assert_eq!(kept(&gateway, "shop").await.0, u64::from(stays), "{shop}");
        assert_eq!(kept(&gateway, "blog").await.0, 1, "{shop}");
        let answer = gateway.get("/shop/a").await;
        assert_eq!(told(&answer).contains("hit"), stays, "{shop}");
        fill().await;
    }
}
