//! What becomes of traces, and of requests, while no collector takes them.

use crate::support::{Collector, Events, Gateway, Process, echo, eventually, guarded, one_route, traced};

/// Serves so many requests at once and in turn; every one of them is answered well.
async fn serve(gateway: &Gateway, count: usize) {
    let mut client = gateway.client().await;
    for _ in 0..count {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
}

async fn spans(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(&format!("gateway_spans_total{{result=\"{result}\"}}")).await.unwrap()
}

#[tokio::test]
async fn a_collector_that_hangs_makes_no_request_wait_and_what_it_holds_up_is_bounded() {
    let upstream = echo().await;
    // It accepts, as the kernel does for it, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let keys = "otlp_queue = 64\notlp_timeout = '60s'\n";
    let text = format!("{}{keys}{}", traced(&endpoint), one_route("", "", upstream.addr()));
    let gateway = Gateway::start(&text).await;
    // The guard is shorter than the collector's time: who waited for it would not come through.
    guarded("answers", serve(&gateway, 2000)).await;
    let dropped = gateway.metric("gateway_spans_dropped_total").await.unwrap();
    assert_eq!((dropped, spans(&gateway, "exported").await), (spans(&gateway, "queue_full").await, 0.0));
    // All but what is on its way and what waits: two spans a request, but of one that is not traced one is counted.
    assert!(dropped >= 1700.0, "{dropped}");
}

#[tokio::test]
async fn a_collector_that_fails_is_told_once_and_once_more_when_it_is_well() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    collector.will_answer([503, 503]);
    let text = format!("{}{}", traced(&collector.endpoint()), one_route("", "", upstream.addr()));
    let gateway = Gateway::start(&text).await;
    let mut events = Events::of(&gateway, "?kinds=tracing").await;
    serve(&gateway, 3).await;
    let told = guarded("two events", events.next(2)).await;
    assert_eq!((&told[0]["failing"], &told[1]["failing"]), (&true.into(), &false.into()), "{told:?}");
    assert_eq!(told[0]["detail"], format!("{}/v1/traces: it answered 503", collector.endpoint()));
    collector.spans(6).await;
    assert_eq!(collector.messages(), 3, "the same message, until it was taken");
    eventually("all is counted", || gateway.inner().shared().metrics.spans().dropped() == 0).await;
    assert_eq!(spans(&gateway, "exported").await, 6.0);
}

#[tokio::test]
async fn a_drain_sends_what_is_left_before_the_process_ends() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n[telemetry.access_log]\noutput = 'off'\n{}{}",
        traced(&collector.endpoint()),
        one_route("", "", upstream.addr())
    );
    std::fs::write(&file, text).unwrap();
    let mut process = Process::start(&file).await;
    let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert_eq!(crate::support::Client::connect(process.address).await.ask(head).await.status, 200);
    process.signal("TERM").await;
    assert_eq!(process.ended().await, 0);
    assert_eq!(collector.spans(2).await.len(), 2);
}

#[tokio::test]
async fn a_reload_turns_it_on_and_off() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let plain = one_route("", "", upstream.addr());
    let gateway = Gateway::start(&plain).await;
    serve(&gateway, 1).await;
    gateway.rewrite(&format!("{}{plain}", traced(&collector.endpoint())));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    serve(&gateway, 1).await;
    collector.spans(2).await;
    gateway.rewrite(&plain);
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    serve(&gateway, 1).await;
    gateway.drain().await;
    collector.spans(2).await;
}
