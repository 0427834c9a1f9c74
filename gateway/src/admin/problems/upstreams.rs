//! What is wrong with an upstream: its endpoints, breakers of routes' own, its name, and what is turned away for it.

use std::sync::Arc;

use super::board::{Feels, Problem, Severity};
use crate::algorithms::breaker::State;
use crate::algorithms::ejection::Place;
use crate::algorithms::tiers::Serving;
use crate::clock::Clock;
use crate::config::settings::upstream::Endpoints;
use crate::network::Network;
use crate::telemetry::metrics::ShedReason;
use crate::upstream::scope::Scope;
use crate::upstream::state::Active;
use crate::upstream::{Endpoint, Upstream};

/// Endpoints that are named in one sentence.
const MOST_NAMED: usize = 8;

/// Clients that leave without an answer, one after the other, before that is told.
const MANY_LEFT: u32 = 3;
/// And for how long nothing came, nanoseconds.
const SILENT_FOR: u64 = 5_000_000_000;

/// Adds what is wrong with it.
pub(super) fn of<N: Network>(upstream: &Upstream<N>, clock: &Clock, found: &mut Vec<Problem>) {
    let active = upstream.active();
    let failed = upstream.lookup.failed();
    if let (Some(failed), Endpoints::Dns(_)) = (&failed, &active.settings.endpoints) {
        let is_empty = active.endpoints.is_empty();
        found.push(Problem {
            what: "discovery",
            name: upstream.name.to_string(),
            severity: if is_empty { Severity::Bad } else { Severity::Warn },
            since: Some(ns(clock.monotonic_ns(failed.since))),
            why: if is_empty { format!("no endpoint: {}", failed.why) } else { failed.why.clone() },
            feels: Feels::Upstream(Arc::clone(&upstream.name)),
            remedy: "mend the name or the resolver; the last good answer serves meanwhile, where there was one",
        });
    }
    found.extend(unresolved(upstream, &active, clock));
    for scope in &active.scopes {
        found.extend(of_scope(upstream, &active, scope));
    }
    found.extend(silent(upstream, &active, clock.monotonic_ns(clock.now())));
    for (reason, _) in upstream.episodes.there() {
        found.push(Problem {
            what: "overload",
            name: format!("{}: {}", upstream.name, reason.as_str()),
            severity: Severity::Bad,
            since: None,
            // Not how many: a sentence that stays is told once.
            why: of_limit(reason).to_owned(),
            feels: Feels::Upstream(Arc::clone(&upstream.name)),
            remedy: "give the service room, or raise the limit where it can take more: GET /upstreams shows both",
        });
    }
}

/// Endpoints whose names are not resolved, while the addresses that they had serve.
fn unresolved<N: Network>(upstream: &Upstream<N>, active: &Active<N>, clock: &Clock) -> Option<Problem> {
    let now = clock.now();
    let all = active.endpoints.iter().filter_map(|endpoint| Some((&endpoint.address, endpoint.stands_in(now)?)));
    let all: Vec<_> = all.collect();
    let since = all.iter().map(|(_, (since, _))| *since).min()?;
    let named = all.iter().take(MOST_NAMED).map(|(address, (_, why))| format!("{address}: {why}"));
    let more = if all.len() > MOST_NAMED { "; and more" } else { "" };
    Some(Problem {
        what: "discovery",
        name: upstream.name.to_string(),
        severity: Severity::Warn,
        since: Some(ns(clock.monotonic_ns(since))),
        why: format!("{}{more}", named.collect::<Vec<_>>().join("; ")),
        feels: Feels::Upstream(Arc::clone(&upstream.name)),
        remedy: "mend the name or the resolver; new connections go to the addresses of the last good answer meanwhile",
    })
}

/// What stands in the way of requests under one breaker policy.
fn of_scope<N: Network>(upstream: &Upstream<N>, active: &Active<N>, scope: &Scope) -> Option<Problem> {
    let out: Vec<usize> = (0..active.endpoints.len()).filter(|at| active.is_out(scope, *at)).collect();
    let all = active.endpoints.len();
    // Without an endpoint it is the name's lookup that says why. Failing checks are told of once, and not again of each
    // route with a breaker of its own.
    let has_tripped = || out.iter().any(|at| !scope.standings[*at].guard.is_closed());
    if out.is_empty() || scope.route.is_some() && !has_tripped() {
        return None;
    }
    let kept: Vec<usize> = out.iter().copied().filter(|at| scope.standings[*at].place() == Place::Capped).collect();
    // Of who takes requests the check may be all that is wrong.
    let may_serve = kept.iter().any(|at| active.endpoints[*at].health.may_ask_wrongly());
    let is_down = scope.rolled_up() != State::Closed || out.len() == all && !may_serve;
    let since = out.iter().filter_map(|at| scope.standings[*at].trouble());
    // That it is down began with the last of them.
    let since = if is_down { since.max() } else { since.min() };
    let named = out.iter().take(MOST_NAMED).map(|at| {
        let address = &active.endpoints[*at].address;
        format!("{address}: {}", active.reasons_under(scope, *at).join(", "))
    });
    let more = if out.len() > MOST_NAMED { "; and more" } else { "" };
    let named = named.collect::<Vec<_>>().join("; ");
    let (what, name, feels) = match &scope.route {
        None => ("upstream", upstream.name.to_string(), Feels::Upstream(Arc::clone(&upstream.name))),
        Some(route) => ("breaker", format!("{} for route {route}", upstream.name), Feels::Route(Arc::clone(route))),
    };
    // Such a breaker has no time of its own: it waits for requests, and there may be none.
    let waits =
        |at: &usize| scope.standings[*at].guard.state() == State::HalfOpen && active.endpoints[*at].health.is_healthy();
    let is_untried = out.iter().all(waits);
    let is_held = out.iter().all(|at| scope.standings[*at].guard.is_held_open());
    Some(Problem {
        what,
        name,
        severity: if is_down { Severity::Bad } else { Severity::Warn },
        since: since.map(ns),
        why: format!("{}{}: {named}{more}", out_of((out.len(), kept.len()), all), of_backups(scope.serving())),
        feels,
        remedy: match (is_held, is_down) {
            (true, _) => "an operator's word: POST /breakers/UPSTREAM/ENDPOINT/auto takes it back",
            _ if is_untried => "it waits for requests: the next ones try it, and where they do well it is as before",
            _ if out.len() == all && kept.iter().any(|at| !active.endpoints[*at].health.is_healthy()) => {
                "look at the service, or at `health`: it may ask for a path that the service does not have"
            }
            (_, true) => "look at the service: it is tried again by itself, and GET /breakers says when",
            _ if scope.serving() != Serving::Primaries => {
                "backups have its part, as long as they can: look at the service; it is tried again by itself, and GET \
                 /breakers says when"
            }
            (_, false) => "the others have its part; it is tried again by itself, and GET /breakers says when",
        },
    })
}

/// How many endpoints are out, and how many of these take requests all the same: there is nobody to spare them.
fn out_of((out, kept): (usize, usize), all: usize) -> String {
    let takes = match (kept, out == all) {
        (0, _) => return format!("{out} of {all} endpoints out"),
        (1, true) => "takes requests as the last one",
        (1, false) => "takes requests all the same",
        _ => "take requests all the same",
    };
    let which = if kept == out { "and".to_owned() } else { format!("of which {kept}") };
    format!("{out} of {all} endpoints should be out, {which} {takes}")
}

/// Who has the requests of those that are out.
fn of_backups(serving: Serving) -> &'static str {
    match serving {
        Serving::Primaries => "",
        Serving::Both => ", backups take requests too",
        Serving::Backups => ", backups take the requests",
    }
}

/// Endpoints that answer nobody, though they are asked, while others do.
fn silent<N: Network>(upstream: &Upstream<N>, active: &Active<N>, now: u64) -> Vec<Problem> {
    let look = |endpoint: &Endpoint<N>| endpoint.answers.look(endpoint.in_flight.count() > 0, now);
    let silences: Vec<_> = active.endpoints.iter().map(|endpoint| look(endpoint)).collect();
    let last = active.endpoints.iter().filter_map(|endpoint| endpoint.answers.last()).max().unwrap_or(0);
    let told = active.endpoints.iter().zip(silences).filter_map(|(endpoint, silence)| {
        let silence = silence.filter(|it| it.left >= MANY_LEFT && now.saturating_sub(it.since) >= SILENT_FOR)?;
        // Where nobody answers, the requests may be what takes its time.
        (last > silence.since).then(|| Problem {
            what: "silent",
            name: format!("{} {}", upstream.name, endpoint.address),
            severity: Severity::Warn,
            since: Some(ns(silence.since)),
            why: "it answers nobody while others of its upstream do, and clients leave".to_owned(),
            feels: Feels::Upstream(Arc::clone(&upstream.name)),
            remedy: "look at the service; `health`, or `per_try_timeout` on the route, takes such an endpoint out",
        })
    });
    told.collect()
}

fn of_limit(reason: ShedReason) -> &'static str {
    match reason {
        ShedReason::UpstreamInFlight => "its `max_in_flight` is used up",
        ShedReason::UpstreamLatency => "the adaptive limit of each endpoint is used up",
        ShedReason::UpstreamConnections => "its `max_connections` are in use",
        _ => "see GET /status, `overload`",
    }
}

/// Times of the monotonic clock that may be taken from each other.
pub(super) fn ns(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
