//! Alerts and dashboards ask for what the gateway says: metrics, labels, and values of labels that are fixed lists.

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};

use super::*;
use crate::telemetry::metrics::{FallbackResult, HedgeResult, LimitDecision};

const ALERTS: &str = include_str!("../../../../../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../../../deploy/grafana/portcullis.json");

/// Labels that Prometheus itself puts on everything that it fetches.
const OF_EVERY_SERIES: [&str; 2] = ["job", "instance"];

/// What every label with a fixed list of values may be, of a metric.
fn values_of(metric: &str, label: &str) -> Option<Vec<&'static str>> {
    fn all<T: Copy>(list: impl IntoIterator<Item = T>, word: impl Fn(T) -> &'static str) -> Option<Vec<&'static str>> {
        Some(list.into_iter().map(word).collect())
    }
    match (metric, label) {
        ("gateway_requests_total", "code") => {
            all(Code::ALL.iter().map(|code| Some(*code)).chain([None]), |code| code.map_or("ok", Code::as_str))
        }
        ("gateway_requests_total", "status_class") => Some(vec!["1xx", "2xx", "3xx", "4xx", "5xx"]),
        ("gateway_retries_total", "result") => all(RetryResult::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_hedges_total", "result") => all(HedgeResult::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_fallbacks_total", "result") => all(FallbackResult::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_upstream_attempts_total", "outcome") => all(AttemptOutcome::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_upstream_tls_handshakes_total", "result") => {
            all(UpstreamHandshake::ALL.iter().copied(), |one| one.as_str())
        }
        ("gateway_tls_handshakes_total", "result") => all(HandshakeResult::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_limit_decisions_total", "decision") => all(LimitDecision::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_shed_total", "reason") => all(ShedReason::ALL, |one| one.as_str()),
        ("gateway_forward_auth_total", "result") => all(WordResult::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_auth_total", "result") => all(AuthResult::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_endpoints", "state") => all(EndpointState::ALL.iter().copied(), |one| one.as_str()),
        ("gateway_grpc_answers_total", "grpc_status") => {
            Some(vec!["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"])
        }
        ("gateway_token_cache_total", "result") => all(CacheResult::ALL, |one| one.as_str()),
        _ => None,
    }
}

/// Every selector of an expression, however deep.
fn selectors<'a>(expr: &'a Expr, found: &mut Vec<&'a VectorSelector>) {
    match expr {
        Expr::Aggregate(one) => {
            selectors(&one.expr, found);
            if let Some(parameter) = &one.param {
                selectors(parameter, found);
            }
        }
        Expr::Unary(one) => selectors(&one.expr, found),
        Expr::Binary(one) => {
            selectors(&one.lhs, found);
            selectors(&one.rhs, found);
        }
        Expr::Paren(one) => selectors(&one.expr, found),
        Expr::Subquery(one) => selectors(&one.expr, found),
        Expr::VectorSelector(one) => found.push(one),
        Expr::MatrixSelector(one) => found.push(&one.vs),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| selectors(argument, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// The labels that results are grouped by, wherever in an expression.
fn grouped_by(expr: &Expr) -> Vec<String> {
    match expr {
        Expr::Aggregate(one) => {
            let own = one.modifier.iter().flat_map(|by| by.labels().labels.clone());
            own.chain(grouped_by(&one.expr)).collect()
        }
        Expr::Binary(one) => [grouped_by(&one.lhs), grouped_by(&one.rhs)].concat(),
        Expr::Unary(one) => grouped_by(&one.expr),
        Expr::Paren(one) => grouped_by(&one.expr),
        Expr::Call(call) => call.args.args.iter().flat_map(|argument| grouped_by(argument)).collect(),
        _ => Vec::new(),
    }
}

/// The metrics there are, each with its labels.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let contract = contract();
    let page = page(Format::Prometheus);
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (family, kind) in &page.types {
        let ends: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        for end in ends {
            let labels = known.entry(format!("{family}{end}")).or_default();
            labels.extend(contract.get(family).into_iter().flatten().cloned());
            labels.extend((*end == "_bucket").then(|| "le".to_owned()));
        }
    }
    for (name, labels, _) in &page.samples {
        known.get_mut(name).expect("a family").extend(labels.iter().map(|(label, _)| label.clone()));
    }
    known
}

/// What an expression asks for that there is not.
fn faults(text: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let expr = match parser::parse(text) {
        Ok(expr) => expr,
        Err(why) => return vec![format!("{why}: {text}")],
    };
    let (mut asked, mut faults) = (Vec::new(), Vec::new());
    selectors(&expr, &mut asked);
    let mut there: BTreeSet<String> = OF_EVERY_SERIES.iter().map(|label| (*label).to_owned()).collect();
    for selector in asked {
        let name = selector.name.clone().unwrap_or_default();
        // Whether a target answers is Prometheus's own series.
        let none = BTreeSet::new();
        let Some(labels) = known.get(&name).or((name == "up").then_some(&none)) else {
            faults.push(format!("there is no {name}"));
            continue;
        };
        there.extend(labels.iter().cloned());
        for matcher in &selector.matchers.matchers {
            let label = &matcher.name;
            if !labels.contains(label) && !OF_EVERY_SERIES.contains(&label.as_str()) {
                faults.push(format!("{name} has no label {label}"));
            }
            let words = match &matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => vec![matcher.value.clone()],
                MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').map(str::to_owned).collect(),
            };
            if let Some(values) = values_of(&name, label) {
                let wrong = words.iter().filter(|word| !values.contains(&word.as_str()));
                faults.extend(wrong.map(|word| format!("{label} of {name} is never {word:?}")));
            }
        }
    }
    let missing = grouped_by(&expr).into_iter().filter(|label| !there.contains(label));
    faults.extend(missing.map(|label| format!("nothing in `{text}` has a label {label}")));
    faults
}

/// What comes under `key`, at any depth of a document.
fn texts_under<'a>(value: &'a serde_json::Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                match value {
                    serde_json::Value::String(text) if name == key => found.push(text),
                    _ => texts_under(value, key, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts_under(item, key, found)),
        _ => {}
    }
}

#[test]
fn alerts_ask_for_what_there_is() {
    let rules: serde_json::Value = serde_saphyr::from_str(ALERTS).unwrap();
    let (mut asked, known) = (Vec::new(), known());
    texts_under(&rules, "expr", &mut asked);
    assert!(asked.len() > 12, "{asked:?}");
    let faults: Vec<String> = asked.iter().flat_map(|text| faults(text, &known)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let (mut asked, known) = (Vec::new(), known());
    texts_under(&dashboard, "expr", &mut asked);
    assert!(asked.len() > 40, "{asked:?}");
    let faults: Vec<String> =
        asked.iter().flat_map(|text| faults(&text.replace("$__rate_interval", "1m"), &known)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let mut ids: Vec<&serde_json::Value> =
        dashboard["panels"].as_array().unwrap().iter().map(|panel| &panel["id"]).collect();
    let all = ids.len();
    ids.sort_by_key(|id| id.as_u64());
    ids.dedup();
    assert_eq!(ids.len(), all, "two panels have one id");
}

/// What is wrong with whom an endpoint is, or how it speaks, stays so until somebody looks. The rest may be a moment's.
#[test]
fn a_handshake_that_time_does_not_mend_wakes_somebody() {
    let rules: serde_json::Value = serde_saphyr::from_str(ALERTS).unwrap();
    let mut asked = Vec::new();
    texts_under(&rules, "expr", &mut asked);
    let asked = asked.into_iter().find(|text| text.contains("gateway_upstream_tls_handshakes_total")).unwrap();
    for result in UpstreamHandshake::ALL {
        let passes = ["full", "resumed", "refused", "broken", "unfinished"].contains(&result.as_str());
        let is_named = asked.split(['"', '|']).any(|word| word == result.as_str());
        assert_eq!(is_named, !passes, "{}", result.as_str());
    }
}

/// No client feels a shadow, and whoever gives a request no time has himself to thank.
#[test]
fn nobody_is_woken_for_what_no_client_feels() {
    let rules: serde_json::Value = serde_saphyr::from_str(ALERTS).unwrap();
    let named = |name: &str| {
        let groups = rules["groups"].as_array().unwrap().iter();
        let rule = groups.flat_map(|group| group["rules"].as_array().unwrap()).find(|rule| rule["alert"] == name);
        let rule = rule.unwrap();
        rule["expr"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let without = named("UpstreamWithoutEndpoints");
    assert!(without.ends_with("unless on (instance, upstream) gateway_upstream_shadow == 1"), "{without}");
    let spared = |name: &str| named(name).matches("- (sum by (route) (rate(gateway_client_deadlines_total[").count();
    assert_eq!((spared("GatewayErrors"), spared("GrpcCallsFail")), (2, 1));
    assert!(named("GatewaySheds").contains("|deadline|"));
}

/// A family by the name of one of its samples.
fn family(sample: &str) -> String {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.strip_suffix(end));
    base.unwrap_or(sample).to_owned()
}

/// Who is woken looks at the dashboard first.
#[test]
fn the_dashboard_shows_what_alerts_stand_on() {
    let rules: serde_json::Value = serde_saphyr::from_str(ALERTS).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let metrics = |document: &serde_json::Value| -> BTreeSet<String> {
        let mut asked = Vec::new();
        texts_under(document, "expr", &mut asked);
        let names = |text: &&str| {
            let expr = parser::parse(&text.replace("$__rate_interval", "1m")).unwrap();
            let mut found = Vec::new();
            selectors(&expr, &mut found);
            found.into_iter().filter_map(|selector| Some(family(selector.name.as_ref()?))).collect::<Vec<_>>()
        };
        asked.iter().flat_map(names).collect()
    };
    let shown = metrics(&dashboard);
    let missing: Vec<String> = metrics(&rules).into_iter().filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_there_is_not_is_found() {
    let known = known();
    for (text, why) in [
        ("rate(gateway_request_total[5m])", "there is no gateway_request_total"),
        ("gateway_requests_total{routes=\"a\"}", "gateway_requests_total has no label routes"),
        ("gateway_requests_total{code=~\"upstream_reset|upstream_cut\"}", "never \"upstream_cut\""),
        ("gateway_retries_total{result=\"refused\"}", "result of gateway_retries_total is never \"refused\""),
        ("sum by (rout) (gateway_requests_total)", "has a label rout"),
        ("histogram_quantile(0.9, gateway_overhead_seconds)", "there is no gateway_overhead_seconds"),
        ("sum(rate(gateway_requests_total[5m])", "unclosed"),
    ] {
        let found = faults(text, &known);
        assert!(found.iter().any(|fault| fault.contains(why)), "{text}: {found:?}");
    }
}
