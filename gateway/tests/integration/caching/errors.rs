//! What is kept where the upstream fails, breaks off, or is slow.

use std::time::Duration;

use super::{Origin, World, ok, seconds, told};

const BAD: &str = "HTTP/1.1 503 Unavailable\r\ncontent-length: 3\r\n\r\nbad";

#[tokio::test(start_paused = true)]
async fn a_stale_answer_stands_in_where_none_can_be_had() {
    let origin = Origin::always(&ok("cache-control: max-age=10\r\n", "old"));
    let world = World::with("cache = { stale_if_error = '60s' }", "", &origin);
    world.get("/a").await;
    seconds(20).await;
    for (says, status) in [(BAD, 503), ("", 502)] {
        origin.says(says);
        let stale = world.get("/a").await;
        assert_eq!((stale.status, &stale.body[..]), (200, &b"old"[..]));
        assert_eq!(told(&stale), format!("portcullis; fwd=stale; fwd-status={status}; ttl=-10"));
        assert_eq!(stale.header("age"), Some("20"));
    }
    origin.says("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(world.get("/a").await.status, 404, "that is an answer");
    origin.says(BAD);
    assert_eq!(world.get("/a").await.status, 503, "which took the old one's place");
    let records = world.inside.records();
    let stood_in = |at: usize| (&records[at]["status"], &records[at]["cache"]);
    assert_eq!((stood_in(1), stood_in(2)), ((&200.into(), &"stale".into()), (&200.into(), &"stale".into())));
    let code = |at: usize| records[at]["code"].as_str().unwrap();
    assert!(code(1) == "ok" && code(2).starts_with("upstream_"), "who looks after it is told: {records:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_stands_in_for_longer_than_it_may_or_where_that_is_forbidden() {
    let of_route = "cache = { stale_if_error = '60s' }";
    for (route, said, after, stands_in) in [
        ("cache = true", "max-age=10, stale-if-error=60", 60, true),
        ("cache = true", "max-age=10, stale-if-error=60", 70, false),
        ("cache = true", "max-age=10", 11, false),
        (of_route, "max-age=10", 60, true),
        (of_route, "max-age=10", 70, false),
        (of_route, "max-age=10, must-revalidate", 11, false),
        (of_route, "max-age=10, proxy-revalidate", 11, false),
        (of_route, "s-maxage=10", 11, false),
        (of_route, "max-age=10, stale-if-error=0", 11, false),
    ] {
        let origin = Origin::always(&ok(&format!("cache-control: {said}\r\n"), "old"));
        let world = World::with(route, "", &origin);
        world.get("/a").await;
        seconds(after).await;
        origin.says(BAD);
        let status = world.get("/a").await.status;
        assert_eq!(status, if stands_in { 200 } else { 503 }, "{route}, {said}, after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_not_kept() {
    for cut in [
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\n",
    ] {
        // The connection closes behind it.
        let origin = Origin::new(move |_| cut.to_owned());
        let world = World::new(&origin);
        if cut.contains("chunked") {
            // That one stays open, and its client leaves.
            let leaving = tokio::time::timeout(Duration::from_secs(1), world.get("/a"));
            assert!(leaving.await.is_err());
        } else {
            assert!(!world.get("/a").await.whole);
        }
        assert_eq!(world.inside.gateway.shared().cache.fill().answers, 0);
        origin.says(&ok("cache-control: max-age=60\r\n", "hello"));
        assert_eq!(told(&world.get("/a").await), "portcullis; fwd=uri-miss; ttl=60; stored");
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_are_kept_as_a_whole_and_trailers_that_nobody_was_told_of_are_left_out() {
    let chunked = |more: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{more}\r\n"
        )
    };
    let origin = Origin::always(&chunked(""));
    let world = World::new(&origin);
    assert_eq!(world.get("/a").await.body, b"hello");
    let kept = world.get("/a").await;
    assert_eq!((&kept.body[..], kept.header("content-length")), (&b"hello"[..], Some("5")));
    origin.says(&chunked("x-sum: 1\r\n"));
    assert_eq!(told(&world.get("/b").await), "portcullis; fwd=uri-miss; ttl=60; stored");
    let kept = world.get("/b").await;
    assert_eq!((told(&kept), &kept.body[..]), ("portcullis; hit; ttl=60", &b"hello"[..]), "as it was said");
    origin.says(&chunked("x-sum: 1\r\n").replace("transfer", "trailer: x-sum\r\ntransfer"));
    for _ in 0..2 {
        assert_eq!(told(&world.get("/c").await), "portcullis; fwd=uri-miss; detail=trailer");
    }
}

#[tokio::test(start_paused = true)]
async fn what_many_ask_for_at_the_same_moment_is_asked_for_once() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "hello"));
    origin.takes(Duration::from_secs(1));
    for more in ["", "coalesce = true"] {
        let world = World::with(&format!("cache = true\n{more}"), "", &origin);
        let before = origin.asked();
        let all = (0..20).map(|_| world.get("/a"));
        for answer in futures_util::future::join_all(all).await {
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
        }
        assert_eq!(origin.asked(), before + 1);
        assert!(told(&world.get("/a").await).contains("hit"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_nobody_elses_is_waited_for_no_longer_than_to_know_that() {
    let origin = Origin::always(&ok("cache-control: private\r\n", "mine"));
    origin.takes(Duration::from_secs(1));
    let world = World::new(&origin);
    let burst = async || {
        let clock = &world.inside.gateway.shared().clock;
        let began = clock.now();
        let all = (0..10).map(|_| world.get("/a"));
        assert!(futures_util::future::join_all(all).await.iter().all(|answer| answer.status == 200));
        clock.now().saturating_duration_since(began).as_millis()
    };
    let first = burst().await;
    assert!((2000..2200).contains(&first), "the first one's answer, then all of theirs at once: {first} ms");
    assert_eq!(origin.asked(), 10);
    let second = burst().await;
    assert!((1000..1200).contains(&second), "it is known by now: {second} ms");
    assert_eq!(origin.asked(), 20);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_leaves_the_question_to_another() {
    let origin = Origin::always(&ok("cache-control: max-age=60\r\n", "hello"));
    origin.takes(Duration::from_secs(2));
    let world = World::new(&origin);
    let leaving = tokio::time::timeout(Duration::from_secs(1), world.get("/a"));
    let others = async {
        seconds(0).await;
        futures_util::future::join_all((0..5).map(|_| world.get("/a"))).await
    };
    let (left, others) = tokio::join!(leaving, others);
    assert!(left.is_err());
    assert!(others.iter().all(|answer| answer.status == 200 && answer.body == b"hello"));
    assert_eq!(origin.asked(), 2, "the one who left, and one on behalf of all others");
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_for_an_upstream_is_not_kept_in_its_name() {
    let origin = Origin::new(|head| {
        let is_second = head.contains("host: second:9");
        if is_second { ok("cache-control: max-age=60\r\n", "second") } else { String::new() }
    });
    let route = "cache = true\nhost = 'upstream'\nfallback = { upstream = 'second' }";
    let world = World::with(route, "[upstreams.second]\nendpoints = ['second:9']", &origin);
    for _ in 0..2 {
        let answer = world.get("/a").await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"second"[..]));
        assert_eq!(told(&answer), "portcullis; fwd=uri-miss; detail=fallback");
    }
    assert_eq!(world.inside.gateway.shared().cache.fill().answers, 0);
}
