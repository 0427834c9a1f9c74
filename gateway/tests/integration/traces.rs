//! Traces as collectors get them: which spans a request leaves, what they say, and what upstreams are told of them.

use mocks::raw::{Raw, Script};
use mocks::{Effect, Rule};

use crate::aggregates;
use crate::batches;
use crate::stores;
use crate::support::{Collector, Gateway, GrpcCollector, Redis, Seen, echo, nowhere, one_route, traced};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn server(spans: &[Seen]) -> &Seen {
    spans.iter().find(|seen| seen.is_server()).expect("the request's own span")
}

fn clients(spans: &[Seen]) -> Vec<&Seen> {
    spans.iter().filter(|seen| seen.is_client()).collect()
}

/// The span id that an upstream was told of.
fn told(traceparent: &str) -> (String, String) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!((parts.len(), parts[3]), (4, "01"), "{traceparent}");
    (parts[1].to_owned(), parts[2].to_owned())
}

#[tokio::test]
async fn a_request_and_its_attempt_are_told_and_the_upstreams_own_span_belongs_under_the_attempt() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let keys = "otlp_headers = { authorization = 'Bearer token' }\nservice_name = 'edge'\n";
    let text = format!("{}{keys}{}", traced(&collector.endpoint()), one_route("", "", upstream.addr()));
    let gateway = Gateway::start(&text).await;
    let head = format!(
        "GET /a/../orders/7?token=secret HTTP/1.1\r\nhost: shop.test:8080\r\ntraceparent: {PARENT}\r\n\
         tracestate: vendor=1\r\nauthorization: Bearer secret\r\ncookie: s=secret\r\n\r\n"
    );
    let answer = gateway.ask(head).await;
    let (trace, parent) = told(answer.echo().header("traceparent").unwrap());
    let record = gateway.record().await;
    let spans = collector.spans(2).await;
    let (own, attempt) = (server(&spans), clients(&spans)[0]);

    assert_eq!((own.trace(), attempt.trace()), (trace.clone(), trace.clone()));
    assert_eq!(record["trace_id"], trace, "a record joins the trace");
    assert_eq!(record["span_id"], own.id());
    assert_eq!((own.parent(), attempt.parent(), attempt.id()), ("b7ad6b7169203331".to_owned(), own.id(), parent));
    assert_eq!(own.span.flags & 0x300, 0x300, "the parent is another process's");
    assert_eq!((&*own.span.trace_state, attempt.is_within(own)), ("vendor=1", true));

    assert_eq!((own.name(), attempt.name()), ("GET /{*rest}", "GET"));
    let (port, endpoint) = (upstream.addr().port().to_string(), upstream.addr().to_string());
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/{*rest}"),
        ("url.path", "/orders/7"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("server.address", "shop.test"),
        ("server.port", "8080"),
        ("gateway.route", "all"),
        ("gateway.code", "ok"),
        ("gateway.upstream", "up"),
        ("gateway.attempts", "1"),
        ("gateway.request_id", record["request_id"].as_str().unwrap()),
        ("error.type", ""),
    ] {
        assert_eq!(own.get(key), value, "{key}");
    }
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.full", &format!("http://{endpoint}/orders/7")),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("gateway.outcome", "ok"),
        ("gateway.breaker", "closed"),
        ("http.request.resend_count", ""),
    ] {
        assert_eq!(attempt.get(key), value, "{key}");
    }
    assert!(!own.failed() && !attempt.failed());
    assert_eq!(
        (own.resource("service.name"), collector.field("authorization")),
        ("edge".into(), Some("Bearer token".into()))
    );
    assert_eq!(own.resource("service.version"), env!("CARGO_PKG_VERSION"));
    assert!(!format!("{spans:?}").contains("secret"), "{spans:?}");
}

#[tokio::test]
async fn each_attempt_has_a_span_of_its_own_and_the_upstream_is_told_of_that_one() {
    let (mock, collector) = (echo().await, Collector::start().await);
    for edits in ["", "request_headers = { set = { x-a = '1' } }\n"] {
        mock.reset();
        mock.set_rules([Rule::any().requests(1..3).status(503)]);
        let text = format!(
            "{}[upstreams.up]\nendpoints = ['{}']\n[[routes]]\nname = 'all'\npath = '/a'\nupstream = 'up'\n{edits}\
             retry = {{ attempts = 3, on = ['503'] }}\n",
            traced(&collector.endpoint()),
            mock.addr()
        );
        let gateway = Gateway::start(&text).await;
        let answer = gateway.get("/a").await;
        assert_eq!(answer.status, 200);
        let (_, parent) = told(answer.echo().header("traceparent").unwrap());
        let seen = if edits.is_empty() { 4 } else { 8 };
        let spans = collector.spans(seen).await;
        let spans = &spans[spans.len() - 4..];
        let [first, second, third] = clients(spans)[..] else { panic!("{spans:#?}") };
        assert_eq!((first.failed(), second.failed(), third.failed()), (true, true, false));
        assert_eq!((first.get("error.type"), first.get("gateway.outcome")), ("503".into(), "status_5xx".into()));
        let again = [first, second, third].map(|seen| seen.get("http.request.resend_count"));
        assert_eq!((again, third.id()), ([String::new(), "1".into(), "2".into()], parent));
        assert!([first, second, third].iter().all(|seen| seen.parent() == server(spans).id()));
        assert!(!server(spans).failed(), "the client has its answer");
    }
}

#[tokio::test]
async fn parts_of_an_aggregate_are_spans_with_their_attempts_under_them() {
    let (a, collector) = (aggregates::json("{}").await, Collector::start().await);
    let broken = Raw::script(Script::always("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let parts = [
        "name = 'user', upstream = 'a', path = '/users/{id}', required = true",
        "name = 'offers', upstream = 'b', path = '/offers'",
    ];
    let text = aggregates::text(&[a.addr(), broken.addr()], "", &parts);
    let gateway = Gateway::start(&format!("{}{text}", traced(&collector.endpoint()))).await;
    assert_eq!(gateway.get("/board/7").await.status, 200);
    let spans = collector.spans(5).await;
    let own = server(&spans);
    assert_eq!((own.name(), own.get("gateway.parts")), ("GET /board/{id}", "2".into()));
    for (name, result, failed, url) in [("user", "ok", false, "/users/7"), ("offers", "status", true, "/offers")] {
        let part = spans.iter().find(|seen| seen.name() == format!("part {name}")).unwrap();
        assert_eq!((part.parent(), part.failed()), (own.id(), failed), "{name}");
        assert_eq!((part.get("gateway.part"), part.get("gateway.part.result")), (name.into(), result.into()));
        let attempt = clients(&spans).into_iter().find(|seen| seen.parent() == part.id()).unwrap();
        assert!(attempt.get("url.full").ends_with(url) && attempt.is_within(part) && part.is_within(own));
    }
    let heads = aggregates::asked(&a).concat();
    let attempt = clients(&spans).into_iter().find(|seen| !seen.failed()).unwrap();
    assert!(heads.contains(&attempt.id()), "the part's upstream is told of the part's attempt: {heads}");
}

#[tokio::test]
async fn a_call_of_a_store_is_a_span() {
    let (redis, upstream, collector) = (Redis::start(), echo().await, Collector::start().await);
    let rule = "[rate_limits.all]\nrate = '1/h'\nburst = 1\nkey = 'client_ip'\nstore = 'shared'\n";
    let text = stores::text(&stores::patient(&redis), rule, "'all'", &upstream);
    let gateway = Gateway::start(&format!("{}{text}", traced(&collector.endpoint()))).await;
    let statuses = [gateway.get("/").await.status, gateway.get("/").await.status];
    assert_eq!(statuses, [200, 429]);
    // The second one is refused from memory: nobody is asked.
    let spans = collector.spans(4).await;
    let calls: Vec<&Seen> = spans.iter().filter(|seen| seen.name() == "EVALSHA").collect();
    for call in &calls {
        for (key, value) in [
            ("db.system.name", "redis"),
            ("db.operation.name", "EVALSHA"),
            ("db.stored_procedure.name", "charge"),
            ("gateway.store", "shared"),
            ("server.port", &redis.address.port().to_string()),
        ] {
            assert_eq!(call.get(key), value, "{key}");
        }
        let own = spans.iter().find(|seen| seen.id() == call.parent()).unwrap();
        assert!(own.is_server() && call.is_within(own) && !call.failed());
    }
    assert_eq!(calls.len(), 1);
    let refused = spans.iter().find(|seen| seen.get("gateway.limit") == "all").unwrap();
    assert_eq!((refused.get("http.response.status_code"), refused.get("error.type")), ("429".into(), String::new()));
    assert_eq!(refused.get("gateway.code"), "rate_limited");
    assert!(!refused.failed(), "a client that asks too much is no failure of the server");
}

#[tokio::test]
async fn a_clients_sampled_bit_counts_only_from_trusted_proxies_and_who_is_not_sampled_leaves_nothing() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let never = traced(&collector.endpoint()).replace("1.0", "0.0");
    let strangers = Gateway::start(&format!("{never}{}", one_route("", "", upstream.addr()))).await;
    let trusting = one_route("trusted_proxies = ['127.0.0.1']", "", upstream.addr());
    let trusting = Gateway::start(&format!("{never}{trusting}")).await;
    let head = |bit: &str| format!("GET / HTTP/1.1\r\nhost: a\r\ntraceparent: {}{bit}\r\n\r\n", &PARENT[..53]);
    let flags = async |gateway: &Gateway, bit: &str| {
        let echo = gateway.ask(head(bit)).await.echo();
        echo.header("traceparent").unwrap()[53..].to_owned()
    };
    assert_eq!(flags(&strangers, "01").await, "00", "the bit costs money");
    assert_eq!(flags(&trusting, "00").await, "00");
    assert_eq!(flags(&trusting, "01").await, "01");
    strangers.drain().await;
    trusting.drain().await;
    assert_eq!(server(&collector.spans(2).await).parent(), "b7ad6b7169203331");
}

#[tokio::test]
async fn whatever_clients_send_names_are_few_and_texts_are_short() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let route =
        "[upstreams.up]\nendpoints = ['{}']\n[[routes]]\nname = 'orders'\npath = '/orders/{id}'\nupstream = 'up'\n";
    let text = format!("{}{}", traced(&collector.endpoint()), route.replace("{}", &upstream.addr().to_string()));
    let gateway = Gateway::start(&text).await;
    let long = "x".repeat(4000);
    for number in 0..40 {
        gateway.ask(format!("M{number} /orders/{number} HTTP/1.1\r\nhost: h{number}\r\n\r\n")).await;
        gateway.get(&format!("/none/{number}/{long}")).await;
    }
    gateway.ask("no request\r\n\r\n").await;
    let spans = collector.spans(121).await;
    let names: std::collections::BTreeSet<&str> = spans.iter().map(Seen::name).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["GET", "HTTP", "HTTP /orders/{id}"]);
    let made_up = spans.iter().find(|seen| seen.get("http.request.method_original") == "M7").unwrap();
    assert_eq!(made_up.get("http.request.method"), "_OTHER");
    assert!(spans.iter().all(|seen| seen.get("url.path").len() <= 512));
}

#[tokio::test]
async fn a_failing_upstream_is_told_on_both_spans() {
    let collector = Collector::start().await;
    let text = format!("{}{}", traced(&collector.endpoint()), one_route("", "", nowhere()));
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/").await.status, 502);
    let spans = collector.spans(2).await;
    let (own, attempt) = (server(&spans), clients(&spans)[0]);
    assert!(own.failed() && attempt.failed());
    assert_eq!((own.get("error.type"), attempt.get("error.type")), ("upstream_connect".into(), "connect".into()));
    assert_eq!(
        (own.get("gateway.fault"), attempt.get("http.response.status_code")),
        ("upstream".into(), String::new())
    );
}

#[tokio::test]
async fn an_attempt_whose_answer_breaks_off_has_failed_though_its_head_was_good() {
    let (mock, collector) = (echo().await, Collector::start().await);
    mock.set_rules([Rule::any().effect(Effect::Truncate(Some(1)))]);
    let text = format!("{}{}", traced(&collector.endpoint()), one_route("", "", mock.addr()));
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/").await.status, 200);
    let spans = collector.spans(2).await;
    let (own, attempt) = (server(&spans), clients(&spans)[0]);
    assert!(own.failed() && attempt.failed());
    assert_eq!(own.get("gateway.ended"), "upstream_cut");
    assert_eq!(attempt.get("gateway.outcome"), attempt.get("error.type"), "said once, and not that it went well");
    assert_eq!(attempt.get("http.response.status_code"), "200");
}

#[tokio::test]
async fn over_grpc_it_is_the_same() {
    let (upstream, collector) = (echo().await, GrpcCollector::start().await);
    let keys = "otlp_protocol = 'grpc'\notlp_headers = { x-tenant = 'one' }\n";
    let text = format!("{}{keys}{}", traced(&collector.endpoint()), one_route("", "", upstream.addr()));
    collector.will_be_unavailable(1);
    let gateway = Gateway::start(&text).await;
    assert_eq!(gateway.get("/").await.status, 200);
    let spans = collector.spans(2).await;
    assert_eq!((clients(&spans)[0].parent(), collector.messages()), (server(&spans).id(), 2));
    assert_eq!(collector.field("x-tenant").as_deref(), Some("one"));
    assert_eq!(gateway.metric("gateway_spans_total{result=\"exported\"}").await, Some(2.0));
    assert_eq!(gateway.metric("gateway_spans_dropped_total").await, Some(0.0));
}

#[tokio::test]
async fn a_buckets_exemplar_names_the_trace_of_a_request_in_it() {
    let (upstream, collector) = (echo().await, Collector::start().await);
    let text = format!("{}{}", traced(&collector.endpoint()), one_route("", "", upstream.addr()));
    let gateway = Gateway::start(&text).await;
    gateway.get("/").await;
    let own = server(&collector.spans(2).await).clone();
    let page = async |accept: &str| {
        let head = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\n\r\n", gateway.admin);
        let answer = crate::support::Client::connect(gateway.admin).await.ask(head).await;
        String::from_utf8(answer.body).unwrap()
    };
    let open = page("application/openmetrics-text").await;
    let label = format!(" # {{trace_id=\"{}\",span_id=\"{}\"}} 0.", own.trace(), own.id());
    let shown: Vec<&str> = open.lines().filter(|line| line.contains(&label)).collect();
    assert_eq!(shown.len(), 1, "{open}");
    assert!(shown[0].starts_with("gateway_request_duration_seconds_bucket{route=\"all\",le="), "{shown:?}");
    assert!(!page("text/plain").await.contains("trace_id"), "the older format has none");
}

#[tokio::test]
async fn a_batch_is_a_span_of_its_first_request_and_the_others_are_linked_to_it() {
    let (upstream, collector) = (batches::always(&batches::items(&["1", "2", "3"])).await, Collector::start().await);
    let text = batches::text(upstream.addr(), "max_size = 3\n", "");
    let gateway = Gateway::start(&format!("{}{text}", traced(&collector.endpoint()))).await;
    let requests = ["1", "2", "3"].map(|id| batches::get(id, ""));
    let mut clients = batches::asking(&gateway, &requests).await;
    assert!(batches::answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    let spans = collector.spans(5).await;
    let batch = spans.iter().find(|seen| seen.name() == "batch items").unwrap();
    assert_eq!((batch.get("gateway.batch"), batch.get("gateway.batch_size")), ("items".into(), "3".into()));
    assert_eq!(clients_of(&spans).parent(), batch.id(), "one call for all");
    let (first, others): (Vec<&Seen>, Vec<&Seen>) =
        spans.iter().filter(|seen| seen.is_server()).partition(|seen| seen.id() == batch.parent());
    assert_eq!((first.len(), first[0].span.links.len(), others.len()), (1, 0, 2));
    for other in others {
        assert_ne!(other.trace(), batch.trace());
        let [link] = &other.span.links[..] else { panic!("{other:?}") };
        assert_eq!((&link.trace_id, &link.span_id), (&batch.span.trace_id, &batch.span.span_id));
    }
}

fn clients_of(spans: &[Seen]) -> &Seen {
    let [only] = clients(spans)[..] else { panic!("{spans:#?}") };
    only
}

const CALL: &str = "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
                    content-length: 5\r\n\r\n\0\0\0\0\0";

/// A status of gRPC is no status of HTTP: what came was 200, and the call has failed all the same.
#[tokio::test]
async fn a_call_of_grpc_that_fails_is_told_on_both_spans_with_the_status_that_came() {
    for (status, name, is_servers) in [(13, "INTERNAL", true), (14, "UNAVAILABLE", true), (5, "NOT_FOUND", false)] {
        let collector = Collector::start().await;
        let mock = mocks::Mock::builder().service("up").start().await.unwrap();
        mock.set_rules([Rule::any().grpc_status(status)]);
        let text = crate::upstream_http2::text("", "", mock.addr());
        let gateway = Gateway::start(&format!("{}{text}", traced(&collector.endpoint()))).await;
        assert_eq!(gateway.ask(CALL).await.header("grpc-status"), Some(&*status.to_string()));
        let spans = collector.spans(2).await;
        let (own, attempt) = (server(&spans), clients(&spans)[0]);
        for span in [own, attempt] {
            assert_eq!(span.get("http.response.status_code"), "200", "{status}");
            assert_eq!(span.get("rpc.grpc.status_code"), status.to_string());
        }
        assert_eq!((own.failed(), attempt.failed()), (is_servers, true), "{status}: to who calls, each is an error");
        let told = (own.get("error.type"), attempt.get("error.type"));
        assert_eq!(told, (if is_servers { name.into() } else { String::new() }, name.into()));
    }
}
