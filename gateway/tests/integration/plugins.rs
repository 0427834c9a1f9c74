//! Balancers, providers of identity and limit keys of the program around the gateway, and what it is told of mistakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::any;
use gateway::builder::{BuildError, Builder};
use gateway::prelude::{Denied, Granted, IdentityProvider, LimitRequest};
use mocks::{Effect, Rule};

use crate::support::{Answer, Client, Gateway, echo};

#[path = "../../examples/balancer.rs"]
mod balancer;
#[path = "../../examples/identity_provider.rs"]
mod identity_provider;

async fn get(client: &mut Client, path: &str, fields: &str) -> Answer {
    client.ask(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn the_example_of_a_balancer_asks_who_is_near_while_it_has_room() {
    let (near, far) = (echo().await, echo().await);
    let addresses = (near.addr().to_string(), far.addr().to_string());
    let running = balancer::program(&addresses.0, &addresses.1, "127.0.0.1:0").start().await.unwrap();
    let mut client = Client::connect(running.listeners[0]).await;
    for _ in 0..5 {
        assert_eq!(get(&mut client, "/a", "").await.status, 200);
    }
    assert_eq!((near.journal().len(), far.journal().len()), (5, 0));
    near.set_rules([Rule::any().effect(Effect::Hang)]);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(running.listeners[0]).await;
        client.send("GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await;
        waiting.push(client);
    }
    let upstream = running.gateway().upstreams().remove(0);
    let in_flight = || upstream.active().endpoints[1].in_flight.count();
    crate::support::eventually("both wait", || in_flight() == 2).await;
    assert_eq!(get(&mut client, "/c", "").await.status, 200);
    assert_eq!(far.journal().len(), 1, "who is near has no room");
    drop(waiting);
    running.drain().await;
}

#[tokio::test]
async fn the_example_of_a_provider_proves_sessions() {
    let upstream = echo().await;
    let running = identity_provider::program(&upstream.url(""), "127.0.0.1:0").start().await.unwrap();
    let mut client = Client::connect(running.listeners[0]).await;
    for _ in 0..2 {
        let echo = get(&mut client, "/orders/1", "x-session: s-1\r\nx-auth-tenant: forged\r\n").await.echo();
        assert_eq!((echo.header("x-auth-subject"), echo.header("x-auth-scopes")), (Some("ada"), Some("orders:read")));
        assert_eq!((echo.all("x-auth-tenant"), echo.header("x-session")), (vec!["acme"], None));
    }
    assert_eq!(get(&mut client, "/orders/1", "x-session: s-2\r\n").await.code(), "forbidden");
    assert_eq!(get(&mut client, "/orders/1", "x-session: s-3\r\n").await.code(), "unauthorized");
    assert_eq!(get(&mut client, "/orders/1", "").await.code(), "unauthorized");
    running.drain().await;
}

/// Says what its credential says, and counts how often it is asked.
struct Counting(Arc<AtomicUsize>);

impl IdentityProvider for Counting {
    async fn identify(&self, credential: &str) -> Result<Granted, Denied> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match credential {
            "yes" => Ok(Granted::to("ada")),
            "empty" => Ok(Granted::to("")),
            "down" => Err(Denied::Unavailable),
            "panic" => panic!("a bug in the program"),
            "hang" => std::future::pending().await,
            _ => Err(Denied::Invalid),
        }
    }
}

#[tokio::test]
async fn a_providers_word_is_remembered_and_who_cannot_say_lets_nobody_in() {
    let upstream = echo().await;
    let asked = Arc::default();
    let text = format!(
        "[identity.providers.own]\nkind = 'custom'\nname = 'own'\ntimeout = '20ms'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{}'\nauth = {{ providers = ['own'] }}\n",
        upstream.addr()
    );
    let gateway = Gateway::built(&text, |builder| builder.identity("own", Counting(Arc::clone(&asked)))).await;
    for (token, status, result, times) in [
        ("yes", 200, None, 1),
        ("no", 401, Some("inactive"), 1),
        ("empty", 401, Some("claims"), 1),
        ("down", 503, Some("unavailable"), 2),
        ("panic", 503, Some("unavailable"), 2),
        ("hang", 503, Some("unavailable"), 2),
    ] {
        for _ in 0..2 {
            // A connection each, so that it is the provider that remembers.
            let answer = gateway
                .ask(format!("GET /x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\nx-n: {token}\r\n\r\n"))
                .await;
            assert_eq!(answer.status, status, "{token}");
        }
        assert_eq!(asked.swap(0, Ordering::Relaxed), times, "{token}");
        let _ = result;
    }
    assert_eq!(gateway.metric("gateway_panics_total").await, Some(2.0));
    assert_eq!(upstream.journal().len(), 2);
    let records = gateway.records(12).await;
    assert_eq!((&records[0]["subject"], &records[2]["auth"]), (&"ada".into(), &"inactive".into()));
    assert_eq!(gateway.metric("gateway_auth_total{provider=\"own\",result=\"granted\"}").await, Some(2.0));
}

#[tokio::test]
async fn requests_are_counted_by_what_the_program_says() {
    let upstream = echo().await;
    let text = format!(
        "[rate_limits.own]\nrate = '1/h'\nburst = 2\nkey = 'custom:org'\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'http://{}'\nrate_limits = ['own']\n",
        upstream.addr()
    );
    let organisation =
        |request: &LimitRequest<'_>| request.path.split('/').nth(1).filter(|it| *it != "-").map(str::to_owned);
    let gateway = Gateway::built(&text, |builder| builder.limit_key("org", organisation)).await;
    let mut client = gateway.client().await;
    for (path, status) in
        [("/a/1", 200), ("/a/2", 200), ("/a/3", 429), ("/b/1", 200), ("/-/1", 200), ("/-/2", 200), ("/-/3", 429)]
    {
        assert_eq!(get(&mut client, path, "").await.status, status, "{path}");
    }
    let shown = gateway.admin("GET", "/limits").await.json().to_string();
    assert!(shown.contains("sha256:") && !shown.contains("\"a\""), "{shown}");
}

/// What a builder says of a text, as `line:column: message (help)`; warnings where it holds.
fn told(text: &str, register: impl FnOnce(Builder) -> Builder) -> Vec<String> {
    let builder = register(gateway::gateway::Gateway::builder().config_text(text));
    let shown = |problem: &gateway::config::Problem| {
        let help = problem.help.as_deref().unwrap_or_default();
        assert_eq!(problem.file.to_str(), Some("config_text"));
        format!("{}:{}: {} ({help})", problem.line, problem.column, problem.message)
    };
    match builder.check() {
        Ok(warnings) => warnings.iter().map(shown).collect(),
        Err(BuildError::Configuration(gateway::config::LoadError::Invalid(problems))) => {
            problems.iter().map(shown).collect()
        }
        Err(other) => vec![other.to_string()],
    }
}

const ROUTE: &str = "[[routes]]\npath = '/a'\n";

#[test]
fn mistakes_are_told_with_their_place_and_what_is_registered() {
    let plain = |builder: Builder| builder;
    let two = |builder: Builder| builder.handler("hello", any(|| async {})).handler("other", any(|| async {}));
    assert_eq!(
        told(&format!("{ROUTE}handler = 'helo'"), two),
        ["3:11: no handler \"helo\" is registered (did you mean \"hello\"? registered are: \"hello\", \"other\")"]
    );
    assert_eq!(
        told(&format!("{ROUTE}handler = 'x'"), plain),
        ["3:11: no handler \"x\" is registered (the program registers no handler)"]
    );
    let upstream = format!("{ROUTE}upstream = 'http://127.0.0.1:1'\n");
    assert_eq!(
        told(&upstream, |builder| builder.handler("hello", any(|| async {}))),
        ["1:1: the program registers the handler \"hello\", and no route has `handler` \
          (a name is used where it is written in the configuration)"]
    );
    for (text, message) in [
        (format!("{upstream}stages = ['s']"), "no stage \"s\" is registered"),
        (
            "[upstreams.u]\nendpoints = ['127.0.0.1:1']\nbalance = { policy = 'custom', name = 'b' }".to_owned(),
            "no balancer \"b\" is registered",
        ),
        ("[identity.providers.p]\nkind = 'custom'\nname = 'n'".to_owned(), "no identity provider \"n\" is registered"),
        ("[rate_limits.l]\nrate = '1/s'\nburst = 1\nkey = 'custom:k'".to_owned(), "no limit key \"k\" is registered"),
    ] {
        let problems = told(&text, plain);
        assert!(problems.len() == 1 && problems[0].contains(message), "{problems:?}");
    }
    assert_eq!(
        told("", |builder| builder.handler("a", any(|| async {})).handler("a", any(|| async {}))),
        ["two of kind handler are registered under the name \"a\""]
    );
    let none = gateway::gateway::Gateway::builder().build();
    assert!(matches!(none, Err(BuildError::OneConfiguration)));
    let both = gateway::gateway::Gateway::builder().config_text("").config_text("").build();
    assert!(matches!(both, Err(BuildError::OneConfiguration)));
}
