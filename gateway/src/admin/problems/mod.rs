//! What is wrong now, since when, why, who feels it and what to do: one list, made of states that are kept elsewhere.
//!
//! It is looked at once a second, and whenever somebody asks. What is well costs a look at a flag; whose requests feel
//! a problem is found only for who asks.

mod affected;
mod authorities;
mod board;
mod own;
mod upstreams;

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

pub(super) use self::affected::felt;

use self::authorities::AuthorityWatch;
use self::board::{Board, Feels, Healed, Problem, Severity};
use self::own::LogWatch;
use super::State;
use super::drain::{self, Progress};
use crate::clock::Clock;
use crate::config::settings::Config;
use crate::locked::lock;
use crate::network::Network;
use crate::reload::TEXT;
use crate::telemetry::timestamp::rfc3339;

/// How often it is looked at when nobody asks.
const LOOK: Duration = Duration::from_secs(1);

/// What is kept between two looks.
#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<(Board, LogWatch, AuthorityWatch)>);

/// A time by both clocks: nanoseconds of the monotonic one, microseconds since the Unix epoch.
struct Moment<'a> {
    clock: &'a Clock,
    ns: i64,
    unix_us: i64,
}

impl Moment<'_> {
    /// What time of day it was then, to the millisecond: the same whenever it is asked.
    fn day(&self, ns: i64) -> String {
        let us = match u64::try_from(ns) {
            Ok(ns) => self.clock.unix_us_at(ns),
            Err(_) => self.unix_us.saturating_add(ns.saturating_sub(self.ns) / 1_000),
        };
        rfc3339(us.saturating_add(500).div_euclid(1_000) * 1_000)
    }
}

/// Looks again and again, for as long as the admin API is there.
pub async fn keep_looking<N: Network>(state: Weak<State<N>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(state) = state.upgrade() else { return };
        look(&state, drain::progress(&state).as_ref());
    }
}

/// What is wrong now, and what healed a moment ago, as JSON. `drain` is how far one is, where one has begun: who tells
/// of it beside this looks once.
pub(super) fn told<N: Network>(state: &State<N>, drain: Option<&Progress>) -> (Vec<Value>, Vec<Value>) {
    let (problems, healed, now) = look(state, drain);
    let snapshot = state.gateway.snapshot();
    let shown = |problem: &Problem| {
        let since = problem.since.unwrap_or(now.ns);
        json!({
            "what": problem.what,
            "name": problem.name,
            "severity": problem.severity.as_str(),
            "since": now.day(since),
            "for_seconds": now.ns.saturating_sub(since) / 1_000_000_000,
            "why": problem.why,
            "affects": affected::by(&problem.feels, &snapshot.config),
            "remedy": problem.remedy,
        })
    };
    let of_healed = |it: &Healed| {
        let (since, until) = (now.day(it.since), now.day(it.until));
        json!({ "what": it.what, "name": it.name, "since": since, "until": until, "why": it.why })
    };
    (problems.iter().map(shown).collect(), healed.iter().map(of_healed).collect())
}

/// `GET /problems`
pub(super) async fn problems<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let (problems, healed) = told(&state, drain::progress(&state).as_ref());
    Json(json!({ "problems": problems, "healed": healed }))
}

/// No request fails by an upstream that no client waits for: nothing but copies of requests go there.
fn spare_the_unfelt(found: &mut [Problem], config: &Config) {
    if found.is_empty() {
        return;
    }
    let felt = felt(config);
    for problem in found {
        if matches!(&problem.feels, Feels::Upstream(name) if !felt.contains(&**name)) {
            problem.severity = Severity::Warn;
        }
    }
}

fn look<'s, N: Network>(state: &'s State<N>, drain: Option<&Progress>) -> (Vec<Problem>, Vec<Healed>, Moment<'s>) {
    let shared = state.gateway.shared();
    let at = shared.clock.now();
    let now = Moment {
        clock: &shared.clock,
        ns: upstreams::ns(shared.clock.monotonic_ns(at)),
        unix_us: shared.clock.unix_us(at),
    };
    let both = (now.ns, now.unix_us);
    let mut kept = lock(&state.problems.0);
    let (board, log, authorities) = &mut *kept;
    let snapshot = state.gateway.snapshot();
    let mut found = Vec::new();
    for upstream in state.gateway.upstreams() {
        upstreams::of(&upstream, &shared.clock, &mut found);
    }
    spare_the_unfelt(&mut found, &snapshot.config);
    authorities::of(&snapshot, authorities, now.ns, &mut found);
    found.extend(shared.stores.all().iter().filter_map(|store| own::of_store(store, &shared.clock)));
    own::of_identity(shared, &mut found);
    found.extend(own::of_tracing(shared));
    own::of_log(&shared.log, log, now.ns, &mut found);
    found.extend(own::of_event_file(&shared.events));
    own::of_certificates(shared, both, &mut found);
    let file = state.reloader.path().unwrap_or(Path::new(TEXT)).display().to_string();
    found.extend(own::of_reload(state.reloader.refused().as_ref(), &file, both));
    found.extend(own::of_restart(&state.reloader.needs_restart()));
    own::of_overload(shared, &mut found);
    found.extend(drain.map(|progress| own::of_drain(progress, &shared.clock)));
    let problems = board.look(found, now.ns);
    (problems, board.healed().cloned().collect(), now)
}
