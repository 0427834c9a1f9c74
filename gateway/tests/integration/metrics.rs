//! Metrics over the admin API: the contract's names, and counts that agree with what was sent.

use crate::support::{Gateway, echo};

#[tokio::test]
async fn requests_connections_and_attempts_are_counted() {
    let upstream = echo().await;
    let gateway = Gateway::start(&format!(
        "[upstreams.up]\nendpoints = ['{}']\n[[routes]]\nname = 'a'\npath = '/a/{{*rest}}'\nupstream = 'up'",
        upstream.addr()
    ))
    .await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET /a/1 HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    let failing = "GET /a/2 HTTP/1.1\r\nhost: a\r\nx-mock-fault: status=503\r\n\r\n";
    assert_eq!(client.ask(failing).await.status, 503);
    assert_eq!(client.ask("GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 404);
    gateway.records(5).await;
    let endpoint = upstream.addr();
    for (sample, value) in [
        ("gateway_requests_total{route=\"a\",status_class=\"2xx\",code=\"ok\"}", 3.0),
        ("gateway_requests_total{route=\"a\",status_class=\"5xx\",code=\"ok\"}", 1.0),
        ("gateway_upstream_connections_opened_total{upstream=\"up\"}", 1.0),
        ("gateway_upstream_connections{upstream=\"up\",state=\"idle\"}", 1.0),
        ("gateway_upstream_connections{upstream=\"up\",state=\"busy\"}", 0.0),
        ("gateway_upstream_attempts_total{upstream=\"up\",outcome=\"ok\"}", 3.0),
        (&format!("gateway_endpoint_in_flight{{upstream=\"up\",endpoint=\"{endpoint}\"}}"), 0.0),
        ("gateway_request_duration_seconds_count{route=\"a\"}", 4.0),
        ("gateway_overhead_seconds_count{route=\"a\"}", 4.0),
        ("gateway_upstream_duration_seconds_count{upstream=\"up\"}", 4.0),
        ("gateway_log_dropped_total", 0.0),
        ("gateway_config_version", 1.0),
        ("gateway_config_reload_failures_total", 0.0),
        ("gateway_panics_total", 0.0),
    ] {
        assert_eq!(gateway.metric(sample).await, Some(value), "{sample}");
    }
    let page = String::from_utf8(gateway.admin("GET", "/metrics").await.body).unwrap();
    assert!(page.contains("status_class=\"4xx\",code=\"route_not_found\"} 1"), "{page}");
    assert!(page.contains("process_"), "{page}");
}

#[tokio::test]
async fn what_passes_each_endpoint_is_told_whatever_the_balance() {
    let (good, sick) = (echo().await, echo().await);
    sick.set_rules([mocks::Rule::any().status(503)]);
    for balance in ["round_robin", "random", "least_request"] {
        let gateway = Gateway::start(&format!(
            "[upstreams.up]\nendpoints = ['{}', '{}']\nbalance = '{balance}'\nbreaker = {{ failures = [] }}\n\
             [[routes]]\nname = 'a'\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n",
            good.addr(),
            sick.addr()
        ))
        .await;
        let (mut client, mut sent) = (gateway.client().await, 0.0);
        // Rates are those of the last seconds, however slow the machine is.
        let endpoints = loop {
            client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            sent += 1.0;
            let shown = gateway.admin("GET", "/upstreams").await.json();
            let endpoints = shown["upstreams"][0]["endpoints"].clone();
            let passes = |number: usize| endpoints[number]["attempts_per_second"].as_f64().unwrap_or(0.0) > 0.0;
            if passes(0) && passes(1) && endpoints[1]["failing_per_second"].as_f64() > Some(0.0) {
                break endpoints;
            }
        };
        assert_eq!(endpoints[0]["failing_per_second"], 0.0, "{balance}: {endpoints:#}");
        assert!(endpoints[0]["in_flight_ms"].is_f64(), "{balance}: {endpoints:#}");
        let mut counted = 0.0;
        for endpoint in [good.addr(), sick.addr()] {
            let sample = format!("gateway_endpoint_attempts_total{{upstream=\"up\",endpoint=\"{endpoint}\"}}");
            counted += gateway.metric(&sample).await.unwrap();
        }
        assert_eq!(counted, sent, "{balance}");
    }
}

#[tokio::test]
async fn client_connections_are_counted_for_each_listener() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut clients = [gateway.client().await, gateway.client().await];
    for client in &mut clients {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    let sample = format!("gateway_connections{{listener=\"{}\"}}", gateway.address);
    assert_eq!(gateway.metric(&sample).await, Some(2.0));
}

#[tokio::test]
async fn a_client_cannot_make_a_series() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.get("/warm").await.status, 200);
    gateway.records(1).await;
    // What a worker's loop is late by is there once it was looked at, whoever asks.
    let is_ours = |line: &&str| !line.contains("process_") && !line.contains("_loop_delay_");
    let lines = |body: Vec<u8>| String::from_utf8(body).unwrap().lines().filter(is_ours).count();
    let before = lines(gateway.admin("GET", "/metrics").await.body);
    for n in 0..20 {
        let head = format!("M{n} /path-{n} HTTP/1.1\r\nhost: h{n}\r\nx-{n}: 1\r\n\r\n");
        assert_eq!(gateway.ask(head).await.status, 200);
    }
    gateway.records(21).await;
    assert_eq!(lines(gateway.admin("GET", "/metrics").await.body), before);
}
