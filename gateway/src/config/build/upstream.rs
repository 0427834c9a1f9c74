//! `[upstreams.NAME]`, and upstreams that a route wrote as a URL.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::RootCertStore;

use crate::algorithms::breaker::{Policy, WHOLE};
use crate::algorithms::ejection::Bounds;
use crate::algorithms::health::Thresholds;
use crate::algorithms::retry_budget::Allowance;
use crate::config::certificates;
use crate::config::check::{Context, Reader};
use crate::config::settings::Upstream;
use crate::config::settings::affinity::Affinity;
use crate::config::settings::upstream::{
    Balance, Breaker, Concurrency, ConsistentHash, DnsDiscovery, Endpoint, Endpoints, Failures, HashKey, Health, Pool,
    Protocol, Target,
};
use crate::config::settings::upstream_tls::{Trust, UpstreamTls, server_name};
use crate::config::tree::{Node, Value};
use crate::config::value::upstream_url::UpstreamUrl;
use crate::config::value::{host_port, statuses, text};

/// A written upstream; `None` where its endpoints are not understood.
pub(crate) fn build(context: &Context<'_>, name: &str, table: &Reader<'_>) -> Option<Upstream> {
    let endpoints = if table.get("discovery").is_some() {
        Endpoints::Dns(discovery(&table.table("discovery"))?)
    } else {
        let endpoints: Vec<Endpoint> = table.nodes("endpoints").iter().filter_map(endpoint).collect();
        Endpoints::Static(endpoints).nonempty()?
    };
    let tls = table.get("tls").map(|_| tls(context, &table.table("tls"), &endpoints));
    Some(with_endpoints(context, name, (endpoints, tls), table))
}

/// The upstream of a URL, which says whether TLS is spoken; shared keys hold for it too.
pub(crate) fn implicit(context: &Context<'_>, url: &UpstreamUrl, shared: &Reader<'_>) -> Upstream {
    let (address, target) = (Arc::from(url.authority.as_str()), url.target.clone());
    let endpoint = Endpoint { address, target, weight: 1, backup: false };
    let endpoints = Endpoints::Static(vec![endpoint]);
    let tls = url.tls.then(|| tls(context, &shared.table("tls"), &endpoints));
    with_endpoints(context, &url.authority, (endpoints, tls), shared)
}

impl Endpoints {
    fn nonempty(self) -> Option<Self> {
        if matches!(&self, Self::Static(list) if list.is_empty()) { None } else { Some(self) }
    }
}

fn affinity(context: &Context<'_>, name: &str, table: &Reader<'_>) -> Option<Affinity> {
    let secret = context.environment.get(table.get("key_env")?.text()?)?;
    let mut attributes = format!("; Path={}; HttpOnly", table.text("path"));
    if let Some(max_age) = table.timeout("max_age") {
        attributes.push_str(&format!("; Max-Age={}", max_age.as_secs()));
    }
    attributes.push_str(match &*table.text("same_site") {
        "strict" => "; SameSite=Strict",
        "none" => "; SameSite=None",
        _ => "; SameSite=Lax",
    });
    Some(Affinity::new(&affinity_cookie(name, table), attributes, &secret))
}

/// The cookie by which this upstream's `affinity` brings clients back.
pub(crate) fn affinity_cookie(name: &str, table: &Reader<'_>) -> String {
    match table.get("cookie").and_then(|node| node.text()) {
        Some(given) => given.to_owned(),
        None => format!("gw-{}", name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-")),
    }
}

fn with_endpoints(
    context: &Context<'_>,
    name: &str,
    (endpoints, tls): (Endpoints, Option<UpstreamTls>),
    table: &Reader<'_>,
) -> Upstream {
    let pool = table.table("pool");
    Upstream {
        name: Arc::from(name),
        endpoints,
        protocol: if table.text("protocol") == "http2" { Protocol::Http2 } else { Protocol::Http1 },
        tls: tls.map(Arc::new),
        balance: balance(table),
        affinity: table.get("affinity").and_then(|_| affinity(context, name, &table.table("affinity"))),
        pool: Pool {
            connect_timeout: pool.duration("connect_timeout"),
            idle_timeout: pool.duration("idle_timeout"),
            max_idle_per_worker: pool.integer("max_idle_per_worker"),
            max_lifetime: pool.duration("max_lifetime"),
            max_connections: pool.limit("max_connections"),
        },
        breaker: breaker(&table.table("breaker")),
        route_breakers: Vec::new(),
        ejection: Bounds {
            max_percent: table.table("ejection").integer("max_percent"),
            panic_below: millionths(table.number("panic_below")),
        },
        health: health(&table.table("health")),
        slow_start: table.duration("slow_start"),
        retry_budget: Allowance {
            share: millionths(table.table("retry_budget").number("ratio")),
            min_per_second: table.table("retry_budget").integer("min_per_second"),
        },
        concurrency: concurrency(&table.table("concurrency")),
    }
}

/// `tls`. What has gone since it was checked leaves nobody who is believed.
fn tls(context: &Context<'_>, table: &Reader<'_>, endpoints: &Endpoints) -> UpstreamTls {
    let file = |key| table.get(key).and_then(|node| context.path(node));
    let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
    let nobody = || Arc::new(RootCertStore::empty());
    let trust = match &ca {
        _ if table.flag("insecure") => Trust::Anybody,
        Some(file) => Trust::Own(certificates::roots(file).unwrap_or_else(|_| nobody())),
        None => Trust::System(context.system_roots().unwrap_or_else(|_| nobody())),
    };
    let asked = table.get("sni").and_then(|node| server_name(&host_port::host(node.text()?).ok()?));
    let discovered = || match endpoints {
        Endpoints::Dns(dns) => server_name(&dns.host),
        Endpoints::Static(_) => None,
    };
    let certificate = cert.as_ref().zip(key.as_ref()).and_then(|(cert, key)| context.certificate(cert, key).ok());
    let files = [ca, cert, key].into_iter().flatten().collect();
    UpstreamTls { trust, name: asked.or_else(discovered), certificate, files }
}

fn concurrency(table: &Reader<'_>) -> Concurrency {
    let limit = table.limit("max_in_flight").map(|limit: usize| u32::try_from(limit).unwrap_or(u32::MAX));
    Concurrency { max_in_flight: limit, adaptive: table.flag("adaptive"), ..Concurrency::default() }
}

fn health(table: &Reader<'_>) -> Option<Health> {
    let path = table.text("path");
    let path = Some(path.into_owned()).filter(|path| !path.is_empty())?.try_into().ok()?;
    let thresholds =
        Thresholds { healthy_after: table.integer("healthy_after"), unhealthy_after: table.integer("unhealthy_after") };
    Some(Health {
        path,
        host: table.get("host").and_then(|node| node.text()?.parse().ok()),
        statuses: table.texts("status").iter().filter_map(|text| statuses::parse(text).ok()).collect(),
        interval: table.duration("interval"),
        timeout: table.duration("timeout"),
        thresholds,
    })
}

/// A breaker, of an upstream or of a route.
pub(super) fn breaker(table: &Reader<'_>) -> Breaker {
    let slow_call = table.timeout("slow_call");
    let consecutive: u32 = table.integer("consecutive_failures");
    let failures = failures(&table.texts("failures"));
    // Where nothing is a failure, and nothing is slow, nothing is looked at.
    let is_off = failures == Failures::default() && slow_call.is_none();
    Breaker {
        failures,
        slow_call,
        policy: Policy {
            window: table.duration("window"),
            min_requests: if is_off { Policy::NEVER } else { table.integer("min_requests") },
            failure_share: millionths(table.number("failure_ratio")),
            consecutive_failures: Some(consecutive).filter(|count| *count > 0 && !is_off),
            slow_share: slow_call.map(|_| millionths(table.number("slow_ratio"))),
            open_for: table.duration("open_for"),
            max_open_for: table.duration("max_open_for"),
            probes: table.integer("probes"),
            probe_timeout: table.duration("probe_timeout"),
        },
    }
}

/// Ways to fail, as they are written.
pub(super) fn failures(written: &[String]) -> Failures {
    let has = |name: &str| written.iter().any(|text| text == name);
    Failures {
        connect: has("connect"),
        reset: has("reset"),
        timeout: has("timeout"),
        statuses: failing_statuses(written),
    }
}

/// Each status that is written, alone or within a class, once and in the order of the file.
pub(super) fn failing_statuses(written: &[String]) -> Box<[u16]> {
    let mut seen = BTreeSet::new();
    let all = written.iter().filter_map(|text| text::failure(text).ok().flatten()).flatten();
    all.filter(|status| seen.insert(*status)).collect()
}

/// A share in millionths, so that it is compared exactly: 0.1 is a tenth, not the nearest float.
fn millionths(share: f64) -> u32 {
    // Bounded by the schema to 0..=10.
    (share * f64::from(WHOLE)).round() as u32
}

fn endpoint(node: &Node) -> Option<Endpoint> {
    let (address, weight, backup) = match &node.value {
        Value::Table(table) => {
            let weight = match table.get("weight").map(|weight| &weight.value) {
                Some(Value::Integer(weight)) => u32::try_from(*weight).ok()?,
                _ => 1,
            };
            let backup = table.get("backup").is_some_and(|backup| matches!(backup.value, Value::Bool(true)));
            (table.get("address")?.text()?, weight, backup)
        }
        _ => (node.text()?, 1, false),
    };
    Some(Endpoint { address: Arc::from(address), target: host_port::parse(address).ok()?, weight, backup })
}

fn discovery(table: &Reader<'_>) -> Option<DnsDiscovery> {
    let (host, port) = match host_port::parse(&table.text("dns")).ok()? {
        Target::Name(host, port) => (host, port),
        Target::Socket(address) => (Arc::from(address.ip().to_string()), address.port()),
    };
    Some(DnsDiscovery { host, port, refresh: table.duration("refresh") })
}

fn balance(table: &Reader<'_>) -> Balance {
    let detail = table.table("balance");
    let policy = match table.get("balance").and_then(Node::text) {
        Some(short) => short.to_owned(),
        None => detail.text("policy").into_owned(),
    };
    match policy.as_str() {
        "round_robin" => Balance::RoundRobin,
        "peak_ewma" => Balance::PeakEwma,
        "random" => Balance::Random,
        "consistent_hash" => Balance::ConsistentHash(ConsistentHash {
            key: hash_key(&detail.text("key")),
            bound: detail.number("bound"),
            bound_min: detail.integer("bound_min"),
        }),
        "custom" => Balance::Custom(Arc::from(&*detail.text("name"))),
        _ => Balance::LeastRequest,
    }
}

fn hash_key(written: &str) -> HashKey {
    match written.split_once(':') {
        Some(("header", name)) => text::header_name(name).map_or(HashKey::ClientIp, HashKey::Header),
        Some(("cookie", name)) => HashKey::Cookie(name.to_owned()),
        _ if written == "path" => HashKey::Path,
        _ => HashKey::ClientIp,
    }
}
