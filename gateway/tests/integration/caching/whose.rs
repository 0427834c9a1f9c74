//! Whose an answer is: subjects, credentials, and what a client could lead an answer astray with.

use serde_json::json;

use super::{Origin, World, ok, told};
use crate::support::Issuer;

/// Answers with who asks, as the gateway tells it.
fn greets(control: &'static str) -> Origin {
    Origin::new(move |head| {
        let subject = head.lines().find_map(|line| line.strip_prefix("x-auth-subject: ")).unwrap_or("nobody");
        ok(&format!("cache-control: {control}\r\n"), subject)
    })
}

fn bearer(issuer: &Issuer, subject: &str, more: &str) -> String {
    let token = issuer.token(&json!({ "sub": subject, "exp": 4_000_000_000_i64, "jti": more, "tier": subject.len() }));
    format!("authorization: Bearer {token}\r\n")
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_one_subject_is_given_to_no_other() {
    let issuer = Issuer::new("k1");
    for control in ["max-age=60", "public, max-age=60"] {
        let origin = greets(control);
        let route = "cache = true\nauth = { providers = ['main'], optional = true }";
        let world = World::with(route, &issuer.provider(""), &origin);
        for (fields, subject, asked) in [
            (bearer(&issuer, "ada", "1"), "ada", 1),
            (bearer(&issuer, "bob", "2"), "bob", 2),
            (String::new(), "nobody", 3),
            // Another token of the same subject.
            (bearer(&issuer, "ada", "3"), "ada", 3),
            (bearer(&issuer, "bob", "4"), "bob", 3),
            (String::new(), "nobody", 3),
        ] {
            let answer = world.ask("GET /me", &fields).await;
            assert_eq!(
                (answer.status, &answer.body[..], origin.asked()),
                (200, subject.as_bytes(), asked),
                "{control}"
            );
        }
        // Who is not let in is given nothing that is kept.
        let refused = world.ask("GET /me", "authorization: Bearer x.y.z\r\n").await;
        assert_eq!((refused.status, refused.header("cache-status")), (401, None));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_anybodys_is_given_to_all_subjects_where_the_route_says_so() {
    let issuer = Issuer::new("k1");
    let route = "cache = { shared = true }\nauth = { providers = ['main'] }";
    let (ada, bob) = (bearer(&issuer, "ada", "1"), bearer(&issuer, "bob", "2"));
    for (control, shared) in [("public, max-age=60", true), ("s-maxage=60", true), ("max-age=60", false)] {
        let origin = greets(control);
        let world = World::with(route, &issuer.provider(""), &origin);
        assert_eq!(world.ask("GET /a", &ada).await.body, b"ada");
        let other = world.ask("GET /a", &bob).await;
        assert_eq!((other.body == b"ada", origin.asked()), (shared, if shared { 1 } else { 2 }), "{control}");
    }
    // One that hangs on a header in which the subject is named is the subject's.
    let origin = Origin::always(&ok("cache-control: public, max-age=60\r\nvary: x-auth-subject\r\n", "x"));
    let world = World::with(route, &issuer.provider(""), &origin);
    world.ask("GET /a", &ada).await;
    world.ask("GET /a", &bob).await;
    assert_eq!(origin.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_nobody_has_proven_gets_what_is_for_all() {
    for credential in ["authorization: Basic YTpi\r\n", "cookie: session=1\r\n", "x-api-key: k\r\n"] {
        let name = credential.split(':').next().unwrap();
        for (fields, kept) in [
            ("cache-control: max-age=60\r\n".to_owned(), false),
            ("cache-control: public, max-age=60\r\n".to_owned(), true),
            ("cache-control: s-maxage=60\r\n".to_owned(), true),
            (format!("cache-control: max-age=60\r\nvary: {name}\r\n"), name != "authorization"),
        ] {
            let origin = Origin::always(&ok(&fields, "x"));
            let world = World::new(&origin);
            // What nobody in particular was given is not for who shows a credential either.
            world.get("/a").await;
            world.ask("GET /a", credential).await;
            let again = world.ask("GET /a", credential).await;
            assert_eq!(told(&again).contains("hit"), kept, "{credential} {fields}: {}", told(&again));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_route_takes_from_the_upstream_is_no_credential() {
    for name in ["authorization", "cookie", "x-api-key"] {
        for fields in ["cache-control: max-age=60\r\n", &format!("vary: accept, {name}\r\n"), ""] {
            let origin = Origin::always(&ok(fields, "x"));
            let route = format!("cache = {{ default_ttl = '60s' }}\nrequest_headers = {{ remove = ['{name}'] }}");
            let world = World::with(&route, "", &origin);
            for (shown, hit) in [("a=1", false), ("b=2", true)] {
                let answer = world.ask("GET /a", &format!("{name}: {shown}\r\n")).await;
                assert_eq!((answer.status, told(&answer).contains("hit")), (200, hit), "{name}: {}", told(&answer));
            }
            assert!(told(&world.get("/a").await).contains("hit"));
            assert_eq!(origin.asked(), 1);
            assert!(!origin.last().contains(name), "{}", origin.last());
        }
    }
}

/// A file that is asked for before it is there is found once it is.
#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_kept_for_as_long_as_the_route_says() {
    let origin = Origin::always("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno");
    let world = World::with("cache = { default_ttl = '10m', status_ttl = { 404 = '2s' } }", "", &origin);
    assert_eq!(told(&world.get("/z.css").await), "portcullis; fwd=uri-miss; ttl=2; stored");
    assert!(told(&world.get("/z.css").await).contains("hit"));
    origin.says(&ok("", "css"));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await; // virtual time
    let found = world.get("/z.css").await;
    assert_eq!((found.status, told(&found)), (200, "portcullis; fwd=stale; ttl=600; stored"));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_anew_is_a_credential_as_ever() {
    let origin = Origin::new(|head| {
        let said = head.lines().find_map(|line| line.strip_prefix("x-session-token: ")).unwrap_or("nobody");
        ok("", said)
    });
    let edits = "request_headers = { set = { x-session-token = '{header:x-who}' } }";
    let world = World::with(&format!("cache = {{ default_ttl = '60s' }}\n{edits}"), "", &origin);
    for who in ["ada", "bob", "ada"] {
        let answer = world.ask("GET /a", &format!("x-session-token: mine\r\nx-who: {who}\r\n")).await;
        assert_eq!(answer.body, who.as_bytes());
    }
    assert_eq!(origin.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn subjects_stay_apart_where_their_cookies_are_taken_away() {
    let issuer = Issuer::new("k1");
    let origin = greets("max-age=60");
    let route =
        "cache = true\nauth = { providers = ['main'] }\nrequest_headers = { remove = ['cookie', 'authorization'] }";
    let world = World::with(route, &issuer.provider("forward_token = true"), &origin);
    for (subject, asked) in [("ada", 1), ("bob", 2), ("ada", 2)] {
        let fields = format!("{}cookie: _ga=1\r\n", bearer(&issuer, subject, "1"));
        let answer = world.ask("GET /me", &fields).await;
        assert_eq!((answer.body, origin.asked()), (subject.as_bytes().to_vec(), asked));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_proven_by_one_credential_may_show_the_service_another() {
    let issuer = Issuer::new("k1");
    let origin = Origin::new(|head| {
        let user = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or("nobody");
        ok("cache-control: max-age=60\r\n", user)
    });
    let route = "cache = true\nauth = { providers = ['main'] }";
    let world = World::with(route, &issuer.provider("token_from = ['header:x-app']"), &origin);
    let app = bearer(&issuer, "app", "1").replace("authorization: Bearer", "x-app:");
    for user in ["ada", "bob", "ada"] {
        let answer = world.ask("GET /me", &format!("{app}authorization: Bearer {user}\r\n")).await;
        assert_eq!((answer.status, &*answer.body), (200, user.as_bytes()));
    }
    // What the app alone is told is kept for the app.
    for _ in 0..2 {
        assert_eq!(world.ask("GET /me", &app).await.body, b"nobody");
    }
    assert_eq!(origin.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_proxies_say_was_asked_for_is_apart() {
    let origin = Origin::new(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("x-forwarded-host: ")).unwrap_or("none");
        ok("cache-control: max-age=60\r\n", host)
    });
    let world = World::with("cache = true", "[server]\ntrusted_proxies = ['0.0.0.0/0', '::/0']", &origin);
    for host in ["a.example", "b.example", "a;1", "a;2"] {
        for client in 1..3 {
            let fields = format!("forwarded: for=203.0.113.{client};host=\"{host}\";proto=https\r\n");
            assert_eq!(world.ask("GET /a", &fields).await.body, host.as_bytes());
        }
    }
    assert_eq!(origin.asked(), 4, "whoever it is for");
}

#[tokio::test(start_paused = true)]
async fn no_client_leads_others_to_what_it_asked_for() {
    let origin = Origin::new(|head| {
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none").to_owned();
        let (host, url) = (value("x-forwarded-host: "), value("x-original-url: "));
        ok("cache-control: max-age=60\r\n", &format!("{host} {url} {}", value("x-http-method-override: ")))
    });
    let world = World::new(&origin);
    for evil in [
        "x-forwarded-host: evil.test\r\n",
        "x-original-url: /admin\r\n",
        "x-http-method-override: DELETE\r\n",
        "x-rewrite-url: /admin\r\n",
        "x-forwarded-scheme: http\r\n",
        "x-host: evil.test\r\n",
    ] {
        let path = format!("/{}", origin.asked());
        world.ask(&format!("GET {path}"), evil).await;
        assert_eq!(world.get(&path).await.body, b"a.test none none", "{evil}");
    }
    // The host itself is in the key.
    let other = world.inside.connect();
    let mut other = crate::support::Client::on(other);
    let asked = origin.asked();
    assert_eq!(other.ask("GET /0 HTTP/1.1\r\nhost: b.test\r\n\r\n").await.body, b"b.test none none");
    assert_eq!(origin.asked(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn the_key_has_what_the_upstream_is_sent() {
    let origin = Origin::new(|head| ok("cache-control: max-age=60\r\n", head.split(' ').nth(1).unwrap()));
    let route = "cache = true\nrequest_headers = { set = { x-tenant = '{header:x-shop}' } }";
    let world = World::with(route, "", &origin);
    for (path, asked) in [
        ("/a/b", 1),
        ("/a/x/../b", 1),
        ("/%61/b", 1),
        ("/a/b;v=1", 2),
        ("/a/b.css", 3),
        ("/a/b/", 4),
        ("/a/b?", 5),
        ("/a/b?c", 6),
    ] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, origin.asked()), (200, asked), "{path}");
    }
    // What an edit sends of a request is in it too.
    for (shop, asked) in [("one", 7), ("two", 8), ("one", 8)] {
        world.ask("GET /a/b", &format!("x-shop: {shop}\r\n")).await;
        assert_eq!(origin.asked(), asked, "{shop}");
    }
}
