//! What is written is read back by a strict parser of both formats.

mod deployed;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;

use super::*;
use crate::telemetry::metrics::{
    AdminAction, AdminResult, AuthResult, CacheResult, CacheUse, HandshakeResult, UpstreamHandshake,
};

const HOSTILE: &str = "a\"b\\c\nd{e=\"f\"} # \u{e9}";

/// Name, labels and value.
type Sample = (String, Vec<(String, String)>, f64);

/// A parsed page: families with their types, and samples by name and labels.
#[derive(Debug, Default)]
struct Parsed {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Parsed {
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found: Vec<_> = self.samples.iter().filter(|sample| sample.0 == name && sample.1 == wanted).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0].2
    }
}

/// Takes nothing that the formats do not allow: each sample follows its family's head, no series comes twice.
fn parse(text: &str, format: Format) -> Parsed {
    let sample = Regex::new(r#"^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)$"#).unwrap();
    let label = Regex::new(r#"([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)""#).unwrap();
    let mut parsed = Parsed::default();
    let mut seen = BTreeSet::new();
    let mut family = String::new();
    assert!(text.ends_with('\n'));
    let text = match format {
        Format::Prometheus => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("ends with its mark"),
    };
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# HELP ") {
            family = head.split_once(' ').expect("a help text").0.to_owned();
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert_eq!(name, family, "TYPE follows HELP");
            assert!(parsed.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else {
            let found = sample.captures(line).unwrap_or_else(|| panic!("not a sample: {line}"));
            let labels = found.get(2).map_or("", |labels| labels.as_str());
            let labels: Vec<_> =
                label.captures_iter(labels).map(|one| (one[1].to_owned(), unescape(&one[2]))).collect();
            assert!(seen.insert((found[1].to_owned(), labels.clone())), "{line} twice");
            assert!(belongs(&found[1], &family, &parsed.types[&family], format), "{line} in {family}");
            parsed.samples.push((found[1].to_owned(), labels, found[3].parse().expect("a number")));
        }
    }
    parsed
}

fn unescape(value: &str) -> String {
    value.replace("\\\\", "\u{0}").replace("\\\"", "\"").replace("\\n", "\n").replace('\u{0}', "\\")
}

fn belongs(sample: &str, family: &str, kind: &str, format: Format) -> bool {
    match (kind, format) {
        ("counter", Format::OpenMetrics) => sample.strip_suffix("_total") == Some(family),
        ("counter", Format::Prometheus) => sample == family && family.ends_with("_total"),
        ("gauge", _) => sample == family,
        ("histogram", _) => ["_bucket", "_sum", "_count"].iter().any(|end| sample.strip_suffix(end) == Some(family)),
        _ => false,
    }
}

fn busy_registry() -> Registry {
    let registry = Registry::new(2);
    let ms = Duration::from_millis(1);
    registry.route("unused");
    for worker in [0, 1, 1] {
        registry.route("orders").record(worker, 200, None, 2 * ms, Some(ms / 100));
        registry.upstream("orders").attempt(worker, AttemptOutcome::Ok, ms);
    }
    registry.route(HOSTILE).record(0, 502, Some(Code::UpstreamReset), Duration::from_secs(100), None);
    registry.upstream(HOSTILE).connection(1, crate::telemetry::metrics::ConnectionEvent::Opened);
    registry.upstream("orders").retried(1, RetryResult::NoBudget);
    registry.part("board", "user").settled(1, PartResult::Timeout);
    registry.batch("items").sent(1, 3, Reason::Window);
    registry.batch("items").merged(1);
    registry.upstream("orders").shook_hands(UpstreamHandshake::Full);
    registry.share("orders", "canary").chosen(1);
    registry.route("orders").mirrored(1, MirrorResult::Answered);
    registry.route("orders").told_grpc_status(1, 14);
    registry.route("orders").ran_out_of_clients_time(1);
    registry.route("orders").coalesced(1, CoalesceResult::Shared);
    registry.route("orders").came_by(1, CacheUse::Hit);
    registry.route("orders").heard(1, WordResult::Failed);
    registry.listener("127.0.0.1:8080").opened();
    registry.listener("127.0.0.1:8080").shook_hands(HandshakeResult::Ok);
    registry.gateway().shed(ShedReason::InFlight);
    registry.in_flight_limit("exports").decided(0, LimitDecision::Refused);
    registry.admin().wrote(AdminAction::Reload, AdminResult::Failed);
    registry.auth("main").count(1, AuthResult::Granted);
    registry.token_cache().count(0, CacheResult::Hit);
    registry.gateway().set_config_version(7);
    registry.gateway().reload_failed();
    registry.gateway().panicked();
    registry.gateway().loop_delay(1, ms);
    registry
}

fn page(format: Format) -> Parsed {
    let inputs = ScrapeInputs {
        endpoints: vec![EndpointInFlight {
            upstream: "orders".into(),
            endpoint: "127.0.0.1:9001".into(),
            in_flight: 4,
            attempts: 40,
            failures: 6,
            cancelled: 5,
            last_answer: 1_795_958_482,
            limit: Some(12),
        }],
        breakers: vec![EndpointBreaker {
            upstream: "orders".into(),
            endpoint: "127.0.0.1:9001".into(),
            state: State::HalfOpen,
            trips: vec![("failure_ratio", 3)],
        }],
        route_breakers: vec![RouteBreaker {
            upstream: "orders".into(),
            route: "export".into(),
            endpoint: "127.0.0.1:9001".into(),
            state: State::Open,
        }],
        held: vec![
            HeldPlaces { name: "exports".into(), is_route: false, requests: 5 },
            HeldPlaces { name: "orders".into(), is_route: true, requests: 2 },
        ],
        ejections: vec![Ejections { upstream: "orders".into(), endpoints: 1 }],
        states: vec![EndpointStates::new("orders".into(), [EndpointState::HalfOpen])],
        keys: vec![
            Keys { provider: "main".into(), seconds: Some(2.5), failing: false },
            Keys { provider: "new".into(), seconds: None, failing: true },
        ],
        issuers: vec![
            AskedIssuer { provider: "opaque".into(), failing: true },
            AskedIssuer { provider: "other".into(), failing: false },
        ],
        discoveries: vec![Discovered { upstream: "orders".into(), failing: true }],
        backups: vec![BackedUp { upstream: "orders".into(), serving: true }],
        shadows: vec![("orders".into(), false), ("next".into(), true)],
        reload_refused: true,
        needs_restart: false,
        certificates: vec![("127.0.0.1:8443".into(), [2_000_000_000, 1_990_000_000])],
        revocation_lists: vec![("127.0.0.1:8443".into(), [1_900_000_000, 1_890_000_000])],
        log_dropped: 9,
        log_write_failures: 3,
        log_failing: true,
        kept: KeptAnswers { entries: 3, bytes: 4096, evicted: 1 },
        process: ProcessStats {
            cpu_seconds: Some(1.5),
            resident_bytes: Some(1 << 20),
            open_fds: Some(9),
            max_fds: Some(1024),
            ..ProcessStats::default()
        },
    };
    let text = render(format, &busy_registry(), &inputs);
    parse(std::str::from_utf8(&text).unwrap(), format)
}

#[test]
fn both_formats_say_the_same() {
    let (old, new) = (page(Format::Prometheus), page(Format::OpenMetrics));
    assert_eq!(old.samples, new.samples);
    for page in [&old, &new] {
        let requests = |route, class, code| {
            page.value("gateway_requests_total", &[("route", route), ("status_class", class), ("code", code)])
        };
        assert_eq!(requests("orders", "2xx", "ok"), 3.0);
        assert_eq!(requests(HOSTILE, "5xx", "upstream_reset"), 1.0);
        assert_eq!(page.value("gateway_grpc_answers_total", &[("route", "orders"), ("grpc_status", "14")]), 1.0);
        assert_eq!(page.value("gateway_client_deadlines_total", &[("route", "orders")]), 1.0);
        let attempts = [("upstream", "orders"), ("outcome", "ok")];
        assert_eq!(page.value("gateway_upstream_attempts_total", &attempts), 3.0);
        assert_eq!(page.value("gateway_upstream_connections", &[("upstream", HOSTILE), ("state", "busy")]), 1.0);
        let endpoint = [("upstream", "orders"), ("endpoint", "127.0.0.1:9001")];
        assert_eq!(page.value("gateway_endpoint_in_flight", &endpoint), 4.0);
        assert_eq!(page.value("gateway_concurrency_limit", &endpoint), 12.0);
        assert_eq!(page.value("gateway_endpoint_attempts_total", &endpoint), 40.0);
        assert_eq!(page.value("gateway_endpoint_failures_total", &endpoint), 6.0);
        assert_eq!(page.value("gateway_endpoint_cancelled_total", &endpoint), 5.0);
        assert_eq!(page.value("gateway_endpoint_last_answer_seconds", &endpoint), 1_795_958_482.0);
        let in_state = |state| page.value("gateway_endpoints", &[("upstream", "orders"), ("state", state)]);
        assert_eq!(["in", "half_open", "ejected", "unhealthy"].map(in_state), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(page.value("gateway_keys_failing", &[("provider", "new")]), 1.0);
        assert_eq!(page.value("gateway_issuer_failing", &[("provider", "opaque")]), 1.0);
        assert_eq!(page.value("gateway_issuer_failing", &[("provider", "other")]), 0.0);
        assert_eq!(page.value("gateway_discovery_failing", &[("upstream", "orders")]), 1.0);
        assert_eq!(page.value("gateway_log_failing", &[]), 1.0);
        assert_eq!(page.value("gateway_config_last_reload_ok", &[]), 0.0);
        assert_eq!(page.value("gateway_config_needs_restart", &[]), 0.0);
        assert_eq!(page.value("gateway_retries_total", &[("upstream", "orders"), ("result", "no_budget")]), 1.0);
        assert_eq!(page.value("gateway_breaker_state", &endpoint), 1.0);
        let of_route = [endpoint[0], ("route", "export"), endpoint[1]];
        assert_eq!(page.value("gateway_route_breaker_state", &of_route), 2.0);
        let tripped = [endpoint[0], endpoint[1], ("cause", "failure_ratio")];
        assert_eq!(page.value("gateway_breaker_trips_total", &tripped), 3.0);
        assert_eq!(page.value("gateway_backups_serving", &endpoint[..1]), 1.0);
        let is_shadow = ["orders", "next"].map(|name| page.value("gateway_upstream_shadow", &[("upstream", name)]));
        assert_eq!(is_shadow, [0.0, 1.0]);
        assert_eq!(page.value("gateway_ejections", &endpoint[..1]), 1.0);
        let listener = [("listener", "127.0.0.1:8443")];
        assert_eq!(page.value("gateway_tls_certificate_expiry_seconds", &listener), 2e9);
        assert_eq!(page.value("gateway_tls_certificate_due_seconds", &listener), 1.99e9);
        assert_eq!(page.value("gateway_tls_crl_expiry_seconds", &listener), 1.9e9);
        assert_eq!(page.value("gateway_tls_crl_due_seconds", &listener), 1.89e9);
        assert_eq!(page.value("gateway_connections", &[("listener", "127.0.0.1:8080")]), 1.0);
        assert_eq!(page.value("gateway_shed_total", &[("reason", "in_flight")]), 1.0);
        let refused = [("rule", "exports"), ("decision", "refused")];
        assert_eq!(page.value("gateway_limit_in_flight_decisions_total", &refused), 1.0);
        assert_eq!(page.value("gateway_limit_in_flight", &refused[..1]), 5.0);
        assert_eq!(page.value("gateway_route_in_flight", &[("route", "orders")]), 2.0);
        let reload = [("action", "reload"), ("result", "failed")];
        assert_eq!(page.value("gateway_admin_writes_total", &reload), 1.0);
        assert_eq!(page.value("gateway_log_dropped_total", &[]), 9.0);
        assert_eq!(page.value("gateway_unbuffered_bodies_total", &[]), 0.0);
        assert_eq!(page.value("gateway_log_write_failures_total", &[]), 3.0);
        assert_eq!(page.value("gateway_config_version", &[]), 7.0);
        assert_eq!(page.value("gateway_config_reload_failures_total", &[]), 1.0);
        assert_eq!(page.value("gateway_panics_total", &[]), 1.0);
        assert_eq!(page.value("process_cpu_seconds_total", &[]), 1.5);
        assert!(!page.samples.iter().any(|(_, labels, _)| labels.iter().any(|(_, value)| value == "unused")));
    }
}

#[test]
fn histograms_are_cumulated_over_shards() {
    let page = page(Format::OpenMetrics);
    let name = "gateway_request_duration_seconds";
    let bucket = |route, le| page.value(&format!("{name}_bucket"), &[("route", route), ("le", le)]);
    assert_eq!(bucket("orders", "0.0016"), 0.0);
    assert_eq!(bucket("orders", "0.0024"), 3.0);
    assert_eq!(bucket("orders", "+Inf"), 3.0);
    assert_eq!(bucket(HOSTILE, "26.2144"), 0.0);
    assert_eq!(bucket(HOSTILE, "+Inf"), 1.0);
    assert_eq!(page.value(&format!("{name}_sum"), &[("route", "orders")]), 0.006);
    assert_eq!(page.value(&format!("{name}_count"), &[("route", "orders")]), 3.0);
    let mut last = BTreeMap::new();
    for (name, labels, value) in page.samples.iter().filter(|(name, ..)| name.ends_with("_bucket")) {
        let series: Vec<_> = labels.iter().filter(|(name, _)| name != "le").cloned().collect();
        let before = last.insert((name, series), *value).unwrap_or(0.0);
        assert!(before <= *value, "{name} {labels:?}");
    }
}

/// What the contract does not name, and names nothing else.
const OURS: &[&str] = &[
    "gateway_admin_writes_total",
    "gateway_limit_in_flight",
    "gateway_limit_in_flight_decisions_total",
    "gateway_route_in_flight",
    "gateway_unbuffered_bodies_total",
    "gateway_upstream_stale_replays_total",
    "gateway_cache_bytes",
    "gateway_cache_entries",
    "gateway_cache_evicted_total",
    "gateway_cache_requests_total",
    "gateway_issuer_failing",
    "gateway_log_failing",
    "gateway_backups_serving",
    "gateway_upstream_shadow",
    "gateway_discovery_failing",
    "gateway_route_breaker_state",
    "gateway_log_write_failures_total",
    "gateway_forward_auth_total",
    "gateway_endpoint_attempts_total",
    "gateway_endpoint_failures_total",
    "gateway_endpoint_cancelled_total",
    "gateway_endpoint_last_answer_seconds",
    "gateway_endpoints",
    "gateway_keys_failing",
    "gateway_config_last_reload_ok",
    "gateway_config_needs_restart",
    "gateway_grpc_answers_total",
    "gateway_client_deadlines_total",
    "gateway_batches_sent_total",
    "gateway_batch_merged_total",
    "gateway_spans_total",
    "gateway_coalesced_total",
    "gateway_split_total",
    "gateway_mirrored_total",
    "gateway_fallbacks_total",
    "gateway_panics_total",
    "gateway_build_info",
    "gateway_concurrency_limit",
    "gateway_tls_handshakes_total",
    "gateway_upstream_tls_handshakes_total",
    "gateway_proxy_protocol_total",
    "gateway_tls_certificate_expiry_seconds",
    "gateway_tls_certificate_due_seconds",
    "gateway_tls_crl_expiry_seconds",
    "gateway_tls_crl_due_seconds",
];

/// The metrics that the contract names, each with its labels.
fn contract() -> BTreeMap<String, BTreeSet<String>> {
    let contract = include_str!("../../../../../docs/contract/records.md");
    let paragraph = contract.lines().find(|line| line.starts_with("**Metrics**")).unwrap();
    let family = Regex::new(r"`([a-z_]+?)(?:\{([a-z_,]+)\})?`").unwrap();
    family
        .captures_iter(paragraph)
        .filter(|found| !found[1].ends_with('_'))
        .map(|found| {
            let labels = found.get(2).map_or("", |labels| labels.as_str());
            let labels = labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
            (format!("gateway_{}", &found[1]), labels)
        })
        .collect()
}

/// The contract's names with their labels, as far as they are built; and nothing that is not in it.
#[test]
fn names_and_labels_are_the_contracts() {
    let promised = contract();
    assert!(promised.len() > 25);
    let page = page(Format::Prometheus);
    for (name, labels, _) in &page.samples {
        if name.starts_with("process_") || OURS.contains(&name.as_str()) {
            continue;
        }
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let expected = promised.get(base).unwrap_or_else(|| panic!("{base} is not in the contract"));
        let found: BTreeSet<_> = labels.iter().map(|(name, _)| name.clone()).filter(|name| name != "le").collect();
        assert_eq!(&found, expected, "{name}");
    }
    for name in promised.keys() {
        assert!(page.types.contains_key(name), "{name}");
    }
}
