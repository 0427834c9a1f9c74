//! What all that is kept takes, and what is too much for it.

use super::{Origin, World, ok, told};

const KIB: usize = 1024;

#[tokio::test(start_paused = true)]
async fn the_memory_is_bounded_and_what_was_not_used_for_longest_goes() {
    let origin = Origin::always(&ok("cache-control: max-age=6000\r\n", &"x".repeat(8 * KIB)));
    let world = World::with("cache = true", "[server]\ncache_memory = '64KiB'", &origin);
    for n in 0..20 {
        world.get(&format!("/{n}")).await;
        super::seconds(2).await;
        assert!(told(&world.get("/0").await).contains("hit"), "it is used all the time");
        assert!(world.inside.gateway.shared().cache.fill().bytes <= 64 * KIB);
    }
    assert!(told(&world.get("/19").await).contains("hit"));
    assert!(told(&world.get("/1").await).contains("uri-miss"));
    let cache = &world.inside.gateway.shared().cache;
    assert!(cache.evicted() > 10 && cache.fill().answers >= 6, "{} {:?}", cache.evicted(), cache.fill());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_streams_and_is_not_kept() {
    let large = "x".repeat(3 * KIB);
    let length = ok("cache-control: max-age=60\r\n", &large);
    let chunks = format!(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\nc00\r\n{large}\r\n0\r\n\r\n"
    );
    for answer in [length, chunks] {
        let origin = Origin::always(&answer);
        let world = World::with("cache = { max_body = '2KiB' }", "", &origin);
        for asked in 1..=2 {
            let given = world.get("/a").await;
            assert_eq!((given.body.len(), given.whole, origin.asked()), (3 * KIB, true, asked));
        }
        assert_eq!(world.inside.gateway.shared().cache.fill().bytes, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_one_uri_are_bounded() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\nvary: accept\r\n", "x"));
    let world = World::with("cache = { vary_limit = 3 }", "", &origin);
    for n in 0..10 {
        world.ask("GET /a", &format!("accept: a/{n}\r\n")).await;
    }
    assert_eq!(world.inside.gateway.shared().cache.fill().answers, 3);
    assert!(told(&world.ask("GET /a", "accept: a/9\r\n").await).contains("hit"));
    assert!(told(&world.ask("GET /a", "accept: a/0\r\n").await).contains("vary-miss"));
}
