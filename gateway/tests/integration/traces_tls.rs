//! Collectors over TLS: whom the gateway believes.

use std::net::SocketAddr;

use crate::support::{
    Authority, Collector, Events, Front, Gateway, GrpcCollector, echo, guarded, one_route, quoted, traced,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// TLS in front of a collector, which shows a certificate of this authority.
async fn front(authority: &Authority, collector: &str, protocol: &[u8]) -> Front {
    let target: SocketAddr = collector.trim_start_matches("http://").parse().unwrap();
    let mut config = authority.server(&["127.0.0.1"]);
    config.alpn_protocols = vec![protocol.to_vec()];
    Front::start(config, target).await
}

async fn gateway(front: &Front, believed: &Authority, keys: &str, upstream: SocketAddr) -> Gateway {
    let ca = format!("otlp_ca = {}\n{keys}", quoted(&believed.file()));
    let traced = traced(&format!("https://{}", front.address));
    Gateway::start(&format!("{traced}{ca}{}", one_route("", "", upstream))).await
}

#[tokio::test]
async fn a_collector_is_believed_that_shows_a_certificate_of_otlp_ca() {
    let (upstream, authority) = (echo().await, Authority::new());
    let (http, grpc) = (Collector::start().await, GrpcCollector::start().await);
    let front_of_http = front(&authority, &http.endpoint(), b"http/1.1").await;
    let over_http = gateway(&front_of_http, &authority, "", upstream.addr()).await;
    over_http.ask(GET).await;
    http.spans(2).await;
    let front_of_grpc = front(&authority, &grpc.endpoint(), b"h2").await;
    let over_grpc = gateway(&front_of_grpc, &authority, "otlp_protocol = 'grpc'\n", upstream.addr()).await;
    over_grpc.ask(GET).await;
    grpc.spans(2).await;
}

#[tokio::test]
async fn a_collector_of_another_authority_is_sent_nothing() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let (authority, other) = (Authority::new(), Authority::new());
    let front = front(&other, &collector.endpoint(), b"http/1.1").await;
    let gateway = gateway(&front, &authority, "", upstream.addr()).await;
    let mut events = Events::of(&gateway, "?kinds=tracing").await;
    assert_eq!(gateway.ask(GET).await.status, 200);
    let told = &guarded("the event", events.next(1)).await[0];
    assert_eq!(told["failing"], true);
    let why = told["detail"].as_str().unwrap();
    assert!(why.contains("certificate"), "{why}");
    assert_eq!((collector.messages(), front.shaken().len()), (0, 0));
}
