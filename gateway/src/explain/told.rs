//! An explanation in words, a line for each thing: as `gateway explain` prints it, and as the dashboard shows it.
//!
//! Whatever it tells of a request is on one line and without commands to a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use super::sending::Sending;
use super::{Answer, Explanation, Policies};
use crate::config::{show_duration, show_size};
use crate::identity::Trial;
use crate::terminal::one_line;

/// The answer in words; each line ends with a newline.
#[must_use]
pub fn in_words(answer: &Answer) -> String {
    let mut text = String::new();
    if let Some(path) = &answer.path {
        line(&mut text, "path", path);
    }
    if let Some(came) = &answer.came {
        line(&mut text, "came", came);
    }
    for (name, told) in [("client", &answer.client), ("not sent", &answer.not_sent), ("hsts", &answer.hsts)] {
        if let Some(told) = told {
            line(&mut text, name, told);
        }
    }
    if let Some(why) = &answer.refused {
        match (answer.status, answer.code) {
            (Some(status), Some(code)) => line(&mut text, "refused", &format!("{status} {code}: {why}")),
            _ => line(&mut text, "not asked", why),
        }
    }
    for removed in &answer.removed {
        line(&mut text, "taken away", removed);
    }
    if let Some(policies) = &answer.policies {
        render_policies(&mut text, answer.routing.as_ref(), policies);
    }
    for (number, problem) in answer.problems.iter().enumerate() {
        line(&mut text, if number == 0 { "problems" } else { "" }, &problem.to_string());
    }
    if let Some(trace) = &answer.trace {
        line(&mut text, "trace", trace);
    }
    if let Some(routing) = &answer.routing {
        render_routing(&mut text, routing);
    }
    text
}

fn render_policies(text: &mut String, routing: Option<&Explanation>, policies: &Policies) {
    line(text, "route", routing.and_then(|routing| routing.route.as_deref()).unwrap_or(""));
    for because in routing.map(|routing| &routing.because[..]).unwrap_or_default() {
        line(text, "", because);
    }
    if policies.preflight || policies.to_https {
        return render_unasked(text, policies);
    }
    match (&policies.auth, &policies.forward_auth) {
        (Some(auth), _) => render_auth(text, auth),
        (None, None) => line(text, "auth", "none: everybody may use it"),
        (None, Some(_)) => line(text, "auth", "none of its own: another service says who may use it"),
    }
    each(text, &[("preflight", &policies.unanswered_preflight)]);
    for limit in &policies.rate_limits {
        let shadow = if limit.shadow { ", only watched" } else { "" };
        let store = limit.store.as_ref().map(|store| format!("; in {store}")).unwrap_or_default();
        let shown = format!("{} ({}; {}{store}{shadow}), by {}", limit.rule, limit.rate, limit.runs, limit.key);
        line(text, "limit", &shown);
    }
    if let Some(origin) = &policies.origin {
        line(text, "origin", origin);
    }
    if let Some(asked) = &policies.forward_auth {
        line(text, "asks first", asked);
    }
    if let Some(own) = &policies.own_answer {
        render_sending(text, &policies.sending);
        line(text, "answer", own);
        return line(text, if own.starts_with("redirect") { "leads to" } else { "asked as" }, &policies.target);
    }
    if !policies.parts.is_empty() {
        return render_parts(text, policies);
    }
    render_split(text, policies);
    line(text, "upstream", &format!("{} ({}: {})", policies.upstream, policies.balance, policies.endpoints.join(", ")));
    line(text, "protocol", policies.protocol);
    if let Some(tls) = &policies.tls {
        line(text, "tls", tls);
    }
    if policies.batch.is_empty() {
        line(text, "sent as", &policies.target);
    }
    for (number, rule) in policies.batch.iter().enumerate() {
        line(text, if number == 0 { "batch" } else { "" }, rule);
    }
    render_sending(text, &policies.sending);
    let timeout = policies.timeout_ms.map_or_else(|| "none".to_owned(), duration);
    let body = policies.max_body.map_or_else(|| "no limit".to_owned(), show_size);
    line(text, "timeout", &timeout);
    line(text, "max body", &body);
    line(text, "class", &class(policies));
    line(text, "websocket", if policies.websocket { "allowed" } else { "not allowed" });
    let coalesce = policies.coalesce.then(|| "identical concurrent GETs share one call".to_owned());
    let more = [
        ("ws pages", &policies.websocket_pages),
        ("coalesce", &coalesce),
        ("103 hints", &policies.early_hints.map(str::to_owned)),
        ("mirror", &policies.mirror),
        ("hedge", &policies.hedge),
        ("fallback", &policies.fallback),
        ("intercept", &policies.intercept),
        ("compress", &policies.compress),
        ("cache", &policies.cache),
        ("grpc web", &policies.grpc_web),
        ("cors", &policies.cors),
        ("page", &policies.page),
    ];
    each(text, &more);
}

/// What is answered before anybody is asked for identity.
fn render_unasked(text: &mut String, policies: &Policies) {
    if policies.to_https {
        line(text, "origin", policies.origin.as_deref().unwrap_or_default());
        return line(text, "auth", "not asked for: it is sent to https before identity and limits");
    }
    line(text, "auth", "not asked for: preflights are answered before identity and limits");
    for (name, value) in [("cors", &policies.cors), ("page", &policies.page)] {
        line(text, name, value.as_deref().unwrap_or_default());
    }
}

/// A time as a configuration has it.
fn duration(ms: u64) -> String {
    show_duration(Duration::from_millis(ms))
}

/// How it is sent on, and again.
fn render_sending(text: &mut String, sending: &Sending) {
    let silence = sending.idle_timeout_ms.map(|ms| format!("{} at most", duration(ms)));
    let told = [
        ("host sent", &sending.host),
        ("request", &sending.request_headers),
        ("query", &sending.request_query),
        ("response", &sending.response_headers),
        ("retry", &sending.retry),
        ("breaker", &sending.breaker),
        ("silence", &silence),
    ];
    each(text, &told);
}

/// What there is of these, a line each.
fn each(text: &mut String, told: &[(&str, &Option<String>)]) {
    for (name, value) in told {
        if let Some(value) = value {
            line(text, name, value);
        }
    }
}

/// The upstreams that share the route's requests, and why this one gets the request.
fn render_split(text: &mut String, policies: &Policies) {
    for share in &policies.split {
        line(text, "split", share);
    }
    if let Some(chosen) = &policies.chosen {
        line(text, "chosen", chosen);
    }
}

/// What an aggregate's answer is put together of.
fn render_parts(text: &mut String, policies: &Policies) {
    for part in &policies.parts {
        line(text, "part", part);
    }
    render_sending(text, &policies.sending);
    let timeout = policies.timeout_ms.map_or_else(|| "none".to_owned(), |ms| format!("{} in all", duration(ms)));
    line(text, "timeout", &timeout);
    line(text, "class", &class(policies));
    for (name, value) in [("cors", &policies.cors), ("page", &policies.page)] {
        if let Some(value) = value {
            line(text, name, value);
        }
    }
}

/// What it counts for under overload.
fn class(policies: &Policies) -> String {
    let mut class = policies.criticality.to_owned();
    if let Some(places) = policies.places {
        let _ = write!(class, ", {places} in flight in the whole gateway");
    }
    if let Some(places) = policies.route_places {
        let _ = write!(class, ", {places} in flight on the route");
    }
    if let Some(places) = policies.upstream_places {
        let _ = write!(class, ", {places} in flight to the upstream");
    }
    if policies.adaptive {
        class.push_str(", and a limit at each endpoint that follows its latency");
    }
    class
}

fn render_auth(text: &mut String, auth: &Trial) {
    let or_none = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let optional = if auth.optional { " (or nobody: it is optional)" } else { "" };
    line(text, "auth", &format!("{}{optional}", auth.providers.join(", then ")));
    line(text, "", &format!("scopes needed: {}", or_none(&auth.scopes)));
    line(text, "", &format!("claims needed: {}", or_none(&auth.claims)));
    let by = auth.decided_by.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    let status = auth.status.map(|status| format!(" ({status})")).unwrap_or_default();
    line(text, "identity", &format!("{}{by}{status}", auth.result));
    if let Some(lacks) = &auth.lacks {
        line(text, "", &format!("lacks: {lacks}"));
    }
    if let Some(subject) = &auth.subject {
        line(text, "", &format!("subject: {subject}"));
    }
    if let Some(granted) = &auth.granted {
        line(text, "", &format!("scopes granted: {}", or_none(granted)));
    }
    for field in &auth.fields {
        line(text, "", &format!("sent: {field}"));
    }
    for what in &auth.not_tried {
        line(text, "", &format!("not tried: {what}"));
    }
    for name in &auth.removed {
        line(text, "", &format!("not sent: {name}"));
    }
}

fn render_routing(text: &mut String, routing: &Explanation) {
    if routing.route.is_none() {
        line(text, "route", &format!("none ({})", routing.outcome));
    }
    if let Some(allow) = &routing.allow {
        line(text, "allow", allow);
    }
    for miss in &routing.misses {
        line(text, "not", &format!("{}: {}", miss.route, miss.reason));
    }
    if routing.misses_left_out > 0 {
        line(text, "", &format!("and {} routes more", routing.misses_left_out));
    }
}

pub(crate) fn line(text: &mut String, what: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what:<10} {}", one_line(value));
}
