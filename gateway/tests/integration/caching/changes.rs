//! What takes a kept answer away: the upstream's word on the resource, and nothing that one client provokes.

use super::{Origin, World, ok, seconds, told};

/// What says nothing of a resource, or no more than that one request was wrong, or came at a wrong moment.
const OF_A_REQUEST: [u16; 16] = [206, 400, 401, 403, 405, 406, 408, 413, 414, 418, 421, 429, 431, 451, 501, 505];

fn bare(status: u16) -> String {
    format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n")
}

/// Is answered with the status that the request names; else well.
fn provoked(fields: &'static str) -> Origin {
    Origin::new(move |head| {
        let named = head.lines().find_map(|line| line.strip_prefix("x-provokes: "));
        named.map_or_else(|| ok(fields, "kept"), |status| bare(status.parse().unwrap()))
    })
}

#[tokio::test(start_paused = true)]
async fn what_one_client_provokes_takes_nothing_from_others() {
    for fields in ["cache-control: max-age=60\r\n", "cache-control: max-age=60\r\netag: \"v1\"\r\n"] {
        let origin = provoked(fields);
        let world = World::new(&origin);
        world.get("/a").await;
        // Nor do those that would say something of the resource, were they not asked for: 404 and 410 are not kept
        // here, and who else asks that way is nobody's concern.
        for status in OF_A_REQUEST.into_iter().chain([200, 302, 404, 410, 500, 502, 503, 504]) {
            let asks = format!("cache-control: no-cache\r\nx-provokes: {status}\r\n");
            assert_eq!(world.ask("GET /a", &asks).await.status, status);
            let others = world.get("/a").await;
            assert_eq!((told(&others), &others.body[..]), ("portcullis; hit; ttl=60", &b"kept"[..]), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_as_the_client_wanted_takes_the_old_ones_place_where_it_may_be_kept() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "old"));
    let world = World::new(&origin);
    world.get("/a").await;
    origin.says(&ok("cache-control: max-age=60\r\n", "new"));
    assert_eq!(world.ask("GET /a", "cache-control: no-cache\r\n").await.body, b"new");
    assert_eq!(world.get("/a").await.body, b"new");
    origin.says("HTTP/1.1 410 Gone\r\ncache-control: max-age=60\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(world.ask("GET /a", "cache-control: no-cache\r\n").await.status, 410);
    assert_eq!(world.get("/a").await.status, 410);
    assert_eq!(origin.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_moment_leaves_the_stale_answer_to_those_who_come_next() {
    let fields = "cache-control: max-age=1, stale-while-revalidate=100, stale-if-error=600\r\netag: \"v1\"\r\n";
    for status in OF_A_REQUEST {
        let origin = Origin::always(&ok(fields, "kept"));
        let world = World::new(&origin);
        world.get("/a").await;
        seconds(2).await;
        origin.says(&bare(status));
        for round in 0..3 {
            let stale = world.get("/a").await;
            assert_eq!((stale.status, &stale.body[..]), (200, &b"kept"[..]), "{status}, round {round}");
            seconds(20).await;
        }
        // Beyond that time it is asked for first, and still there for when nobody answers.
        seconds(100).await;
        assert_eq!(world.get("/a").await.status, status);
        origin.says(&bare(503));
        assert_eq!(world.get("/a").await.body, b"kept", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_gone_or_is_not_to_be_kept_any_more_takes_it_away() {
    let fields = "cache-control: max-age=1, stale-while-revalidate=600\r\n";
    let private = ok("cache-control: private\r\n", "mine");
    for gone in [bare(404), bare(410), bare(302), private] {
        let origin = Origin::always(&ok(fields, "kept"));
        let world = World::new(&origin);
        world.get("/a").await;
        seconds(2).await;
        origin.says(&gone);
        assert_eq!(world.get("/a").await.body, b"kept", "given meanwhile");
        seconds(1).await;
        assert!(told(&world.get("/a").await).contains("uri-miss"), "{gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_of_another_answer_confirms_nothing() {
    let of = |tag: &str, body: &str| ok(&format!("cache-control: max-age=10\r\netag: \"{tag}\"\r\n"), body);
    let not_modified = |tag: &str| format!("HTTP/1.1 304 Not Modified\r\netag: \"{tag}\"\r\n\r\n");
    for more in ["", "coalesce = true"] {
        let origin = Origin::always(&of("v1", "first"));
        let world = World::with(&format!("cache = true\n{more}"), "", &origin);
        world.get("/a").await;
        seconds(10).await;
        // It says so of the second, whatever it is asked about.
        let (known, whole) = (not_modified("v2"), of("v2", "second"));
        *origin.0.says.lock().unwrap() =
            Box::new(move |head: &str| if head.contains("if-none-match") { known.clone() } else { whole.clone() });
        let answer = world.get("/a").await;
        assert_eq!((answer.status, &answer.body[..], answer.header("etag")), (200, &b"second"[..], Some("\"v2\"")));
        assert_eq!((told(&answer), origin.asked()), ("portcullis; fwd=stale; ttl=10; stored", 3), "{more}");
        assert!(!origin.last().contains("if-none-match"), "without conditions: {}", origin.last());
        assert_eq!(told(&world.get("/a").await), "portcullis; hit; ttl=10");
        // Who has the second says so itself.
        seconds(10).await;
        origin.says(&not_modified("v3"));
        let knows = world.ask("GET /a", "if-none-match: \"v3\"\r\n").await;
        assert_eq!((knows.status, knows.header("etag")), (304, Some("\"v3\"")));
        assert!(origin.last().contains("if-none-match: \"v3\""), "as it came: {}", origin.last());
        assert_eq!(origin.asked(), 5);
    }
}

/// nginx says `W/` with what it has compressed, and the file's own tag with its 304. Pieces of both make no file.
#[tokio::test(start_paused = true)]
async fn a_weak_tag_stays_weak_whatever_a_confirmation_names() {
    let fields = "cache-control: max-age=60\r\ncontent-encoding: gzip\r\netag: W/\"a\"\r\n";
    let origin = Origin::always(&ok(fields, "packed"));
    let world = World::new(&origin);
    world.get("/a").await;
    origin.says("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\nx-own: 2\r\n\r\n");
    let confirmed = world.ask("GET /a", "cache-control: no-cache\r\n").await;
    assert_eq!(told(&confirmed), "portcullis; fwd=request; fwd-status=304; ttl=60; stored");
    for answer in [confirmed, world.get("/a").await] {
        assert_eq!((answer.header("etag"), answer.header("x-own")), (Some("W/\"a\""), Some("2")));
    }
    assert_eq!(origin.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_shows_another_answer_makes_the_kept_one_stale() {
    let fields = "cache-control: max-age=60\r\netag: \"a\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let (kept, no_cache) = (ok(fields, "hello"), "cache-control: no-cache\r\n");
    for (head, asks, is_stale) in [
        (kept.clone(), no_cache, false),
        (kept.replace("etag: \"a\"", "etag: \"b\""), no_cache, true),
        (kept.replace("08:49:37", "08:49:38"), no_cache, true),
        (kept.replace("length: 5", "length: 6"), no_cache, true),
        (kept.replace("length: 5", "length: 6").replace("200 OK", "404 Not Found"), no_cache, false),
        // It may be that one's own.
        (kept.replace("length: 5", "length: 6"), "cache-control: no-cache\r\nauthorization: x\r\n", false),
    ] {
        let origin = Origin::always(&kept);
        let world = World::new(&origin);
        world.get("/a").await;
        origin.says(&head);
        seconds(5).await;
        world.head_with("/a", asks).await;
        assert_eq!(origin.asked(), 2);
        origin.says("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n");
        let answer = world.get("/a").await;
        let expected =
            if is_stale { "portcullis; fwd=stale; fwd-status=304; ttl=60; stored" } else { "portcullis; hit; ttl=55" };
        assert_eq!((told(&answer), &answer.body[..]), (expected, &b"hello"[..]), "{head}");
    }
}
