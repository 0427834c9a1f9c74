//! A drawn world: topology, load and faults, as values that can be taken apart again.
//!
//! Swarm testing (Groce and others, 2012): each seed first draws which features its world has at all, and then uses
//! those more than a world that has a little of everything would. So rare pairs of features meet undiluted.

use super::dice::Dice;

/// A world.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    pub seed: u64,
    /// The gateway's workers.
    pub workers: u64,
    pub services: Vec<Service>,
    pub loads: Vec<Load>,
    pub faults: Vec<Fault>,
    /// When the configuration is read anew.
    pub reloads_ms: Vec<u64>,
}

/// A service, its upstream and its route, all of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    pub name: String,
    /// One for each endpoint.
    pub weights: Vec<u64>,
    pub policy: &'static str,
    pub service_time: Option<&'static str>,
    /// Requests that an endpoint works on at once; 0 for all.
    pub servers: u64,
    /// The route's, until the answer's head.
    pub timeout_ms: u64,
    /// The route's: 1 is no retry.
    pub attempts: u64,
    /// The route's: when a second attempt begins beside a slow first one, and how many there may be.
    pub hedge: Option<(&'static str, u64)>,
    /// What the route gives where its upstream cannot.
    pub fallback: Option<Fallback>,
    /// Idle connections live so long; short ones meet requests at the moment of their end.
    pub pool_idle_ms: u64,
    pub max_idle: u64,
    /// Its endpoints' active checks.
    pub health: Option<Health>,
    /// Its breaker, where it is not the default's: quick enough to open and close again within a world.
    pub breaker: Option<Breaker>,
}

/// A breaker, and what is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Breaker {
    pub consecutive: u64,
    pub open_for_ms: u64,
    pub max_open_for_ms: u64,
    pub probes: u64,
    pub probe_timeout_ms: u64,
    /// Ejection's cap, in hundredths of the endpoints.
    pub max_percent: u64,
}

/// Active checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub healthy_after: u64,
    pub unhealthy_after: u64,
}

/// What stands in for a failing upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fallback {
    /// An answer that is always the same.
    Fixed,
    /// The upstream of another service.
    Other(String),
}

/// What one kind of client asks of one service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    pub name: String,
    pub service: String,
    /// Requests a second; 0 for a closed load.
    pub rate: u64,
    /// Clients of a closed load.
    pub connections: u64,
    pub duration_ms: u64,
    /// The client leaves after this long.
    pub timeout_ms: u64,
    pub requests: Vec<Request>,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub method: &'static str,
    /// Below the service's prefix.
    pub path: String,
    pub body_bytes: u64,
}

/// A fault.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub at_ms: u64,
    pub for_ms: u64,
    pub service: String,
    /// All endpoints when `None`.
    pub endpoint: Option<usize>,
    /// As a scenario writes it.
    pub act: String,
    pub share: f64,
}

/// Clients that stay to the end of everything.
pub(super) const PATIENT_MS: u64 = 30_000;

const POLICIES: &[&str] = &["round_robin", "least_request", "peak_ewma", "random", "consistent_hash"];
const HEDGES: &[(&str, u64)] = &[("2ms", 1), ("10ms", 1), ("30ms", 2), ("p95", 1), ("p50", 3)];
/// None of them ever takes as long as the shortest timeout of a route.
const TIMES: &[Option<&str>] =
    &[None, None, Some("1ms"), Some("uniform(1ms, 8ms)"), Some("lognormal(3ms, 0.5)"), Some("pareto(1ms, 4)")];
const ACTS: &[&str] = &[
    "delay = \"40ms\"",
    "delay = \"uniform(1ms, 600ms)\"",
    "status = 503",
    "status = 500",
    "status = 429",
    "status = 204",
    "hang = true",
    "reset = \"before_headers\"",
    "reset = \"in_headers\"",
    "reset = \"in_body\"",
    "truncate = true",
    "slow_body = \"2KiB/s\"",
    "close = 0",
    "close = 1",
    "close = 3",
    "refuse = true",
    "garbage = \"bytes\"",
    "garbage = \"status_line\"",
    "garbage = \"cl_te\"",
    "garbage = \"two_cl\"",
    "garbage = \"bad_chunk\"",
    "garbage = \"huge_head\"",
    "garbage = \"flood_1xx\"",
];
/// What services do that are out.
const OUTAGES: &[&str] = &[
    "status = 503",
    "hang = true",
    "reset = \"before_headers\"",
    "refuse = true",
    "delay = \"uniform(100ms, 600ms)\"",
    "status = 429",
    "status = 503, flap = { period = \"170ms\", duty = 0.5 }",
];
/// The last outage of a world ends so long before its load does: longer than any of its breakers may take to close.
const CALM_MS: u64 = 3_000;
const CALM_RATE: u64 = 120;

/// What a world of this seed has at all.
#[derive(Debug)]
struct Swarm {
    bodies: bool,
    large: bool,
    streams: bool,
    heads: bool,
    impatient: bool,
    closed: bool,
    busy: bool,
    fleeting_pools: bool,
    reloads: bool,
    hedges: bool,
    fallbacks: bool,
    outages: bool,
    acts: Vec<&'static str>,
}

impl Swarm {
    fn draw(dice: &mut Dice) -> Self {
        let mut on = || dice.chance(0.4);
        let (bodies, large, streams, heads) = (on(), on(), on(), on());
        let (impatient, closed, busy, fleeting_pools, reloads) = (on(), on(), on(), on(), on());
        let (hedges, fallbacks, outages) = (on(), on(), on());
        let kinds = dice.between(0, 4);
        let acts = (0..kinds).map(|_| *dice.pick(ACTS)).collect();
        Self {
            bodies,
            large,
            streams,
            heads,
            impatient,
            closed,
            busy,
            fleeting_pools,
            reloads,
            hedges,
            fallbacks,
            outages,
            acts,
        }
    }
}

impl Draft {
    /// The world of a seed.
    pub(super) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let swarm = Swarm::draw(&mut dice);
        let names: &[&str] = &["orders", "users", "search"];
        let count = usize::try_from(dice.between(1, 3)).unwrap_or(1);
        let names = &names[..count];
        let mut services: Vec<Service> =
            names.iter().map(|name| Service::draw(name, names, &swarm, &mut dice)).collect();
        Health::spread(&mut services, seed);
        let duration_ms = dice.between(500, 4_000);
        let mut loads: Vec<Load> = services.iter().map(|of| Load::draw(of, duration_ms, &swarm, &mut dice)).collect();
        if swarm.impatient {
            let mut impatient = Load::draw(dice.pick(&services), duration_ms, &swarm, &mut dice);
            (impatient.name, impatient.timeout_ms) = ("impatient".to_owned(), dice.between(1, 60));
            loads.push(impatient);
        }
        let faults = if swarm.acts.is_empty() { 0 } else { dice.between(1, 6) };
        let mut faults: Vec<Fault> =
            (0..faults).map(|_| Fault::draw(&services, duration_ms, &swarm, &mut dice)).collect();
        if swarm.outages {
            let outages = dice.between(1, 3);
            faults.extend((0..outages).map(|_| Fault::outage(&services, duration_ms, &mut dice)));
            loads.iter_mut().for_each(|load| load.last_beyond(duration_ms));
        }
        let reloads = if swarm.reloads { dice.between(1, 12) } else { 0 };
        let mut reloads_ms: Vec<u64> = (0..reloads).map(|_| dice.between(0, duration_ms - 1)).collect();
        reloads_ms.sort_unstable();
        Self { seed, workers: dice.between(1, 3), services, loads, faults, reloads_ms }
    }
}

impl Service {
    fn draw(name: &str, names: &[&str], swarm: &Swarm, dice: &mut Dice) -> Self {
        let endpoints = dice.between(1, 4);
        let weighted = dice.chance(0.3);
        let weights = (0..endpoints).map(|_| if weighted { dice.between(1, 4) } else { 1 }).collect();
        Self {
            name: name.to_owned(),
            weights,
            policy: *dice.pick(POLICIES),
            service_time: *dice.pick(TIMES),
            servers: 0,
            timeout_ms: if swarm.outages { 300 } else { *dice.pick(&[300, 1_000, 5_000]) },
            attempts: dice.between(1, 3),
            hedge: (swarm.hedges && dice.chance(0.6)).then(|| *dice.pick(HEDGES)),
            fallback: (swarm.fallbacks && dice.chance(0.6)).then(|| Fallback::draw(name, names, dice)),
            pool_idle_ms: if swarm.fleeting_pools { dice.between(2, 40) } else { 60_000 },
            max_idle: if swarm.fleeting_pools { dice.between(0, 4) } else { 128 },
            health: None,
            breaker: swarm.outages.then(|| Breaker::draw(dice)),
        }
    }
}

impl Health {
    /// Gives checks to some services of some worlds. They are drawn apart, so that a world is otherwise the one that
    /// its seed had before there were checks.
    fn spread(services: &mut [Service], seed: u64) {
        let mut dice = Dice::apart(seed);
        if !dice.chance(0.4) {
            return;
        }
        for service in services {
            service.health = dice.chance(0.7).then(|| Self {
                interval_ms: dice.between(100, 400),
                timeout_ms: dice.between(15, 150),
                healthy_after: dice.between(1, 3),
                unhealthy_after: dice.between(1, 3),
            });
        }
    }
}

impl Breaker {
    fn draw(dice: &mut Dice) -> Self {
        let open_for_ms = dice.between(20, 400);
        Self {
            consecutive: dice.between(1, 10),
            open_for_ms,
            max_open_for_ms: open_for_ms * dice.between(1, 4),
            probes: dice.between(1, 4),
            probe_timeout_ms: dice.between(50, 400),
            max_percent: *dice.pick(&[0, 34, 50, 100]),
        }
    }
}

impl Fallback {
    fn draw(name: &str, names: &[&str], dice: &mut Dice) -> Self {
        let other = *dice.pick(names);
        if other == name { Self::Fixed } else { Self::Other(other.to_owned()) }
    }
}

impl Load {
    fn draw(of: &Service, duration_ms: u64, swarm: &Swarm, dice: &mut Dice) -> Self {
        let closed = swarm.closed && dice.chance(0.5);
        let kinds = dice.between(1, 3);
        Self {
            name: of.name.clone(),
            service: of.name.clone(),
            rate: match (closed, swarm.busy) {
                (true, _) => 0,
                (false, true) => dice.between(200, 1_500),
                (false, false) => dice.between(5, 200),
            },
            connections: dice.between(1, 6),
            duration_ms,
            timeout_ms: PATIENT_MS,
            requests: (0..kinds).map(|_| Request::draw(swarm, dice)).collect(),
        }
    }

    /// It goes on for so long after the last fault that all must be well again, and is no heavier for it: open, since a
    /// closed one would send as much as it can all the time.
    fn last_beyond(&mut self, faults_ms: u64) {
        self.duration_ms = faults_ms * 3 / 2 + CALM_MS;
        self.rate = if self.rate == 0 { CALM_RATE } else { self.rate.min(CALM_RATE) };
    }
}

impl Request {
    fn draw(swarm: &Swarm, dice: &mut Dice) -> Self {
        let with_body = swarm.bodies && dice.chance(0.5);
        let method = match (with_body, swarm.heads && dice.chance(0.3)) {
            (true, _) => *dice.pick(&["POST", "PUT", "PATCH", "DELETE"]),
            (false, true) => "HEAD",
            (false, false) => *dice.pick(&["GET", "GET", "GET", "OPTIONS", "DELETE", "POST"]),
        };
        let large = swarm.large && dice.chance(0.4);
        let path = match (swarm.streams && dice.chance(0.4), large) {
            (true, _) => format!("/stream/{}/{}", dice.between(0, 12), dice.between(0, 20)),
            (false, true) => format!("/bytes/{}", dice.between(20_000, 200_000)),
            (false, false) => match dice.between(0, 3) {
                0 => "/items/7?q=a%20b&c".to_owned(),
                1 => "/bytes/0".to_owned(),
                _ => format!("/bytes/{}", dice.between(1, 3_000)),
            },
        };
        let body_bytes = match (with_body, large) {
            (false, _) => 0,
            (true, true) => dice.between(20_000, 300_000),
            (true, false) => dice.between(1, 4_000),
        };
        Self { method, path, body_bytes }
    }
}

impl Fault {
    fn draw(services: &[Service], duration_ms: u64, swarm: &Swarm, dice: &mut Dice) -> Self {
        let of = dice.pick(services);
        let at_ms = dice.between(0, duration_ms - 1);
        let endpoint = dice.between(0, of.weights.len() as u64 - 1);
        let act = *dice.pick(&swarm.acts);
        let share = *dice.pick(&[1.0, 1.0, 0.5, 0.1]);
        Self {
            at_ms,
            for_ms: dice.between(1, duration_ms / 2),
            service: of.name.clone(),
            endpoint: if dice.chance(0.8) { usize::try_from(endpoint).ok() } else { None },
            act: act.to_owned(),
            // A closed port sees no request that it could choose among.
            share: if act.starts_with("refuse") { 1.0 } else { share },
        }
    }

    /// A whole service, or most of one endpoint, is out.
    fn outage(services: &[Service], duration_ms: u64, dice: &mut Dice) -> Self {
        let of = dice.pick(services);
        let endpoint = dice.between(0, of.weights.len() as u64 - 1);
        Self {
            at_ms: dice.between(0, duration_ms - 1),
            for_ms: dice.between(duration_ms / 8, duration_ms / 2),
            service: of.name.clone(),
            endpoint: if dice.chance(0.4) { usize::try_from(endpoint).ok() } else { None },
            act: (*dice.pick(OUTAGES)).to_owned(),
            share: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_world_and_seeds_have_many() {
        assert_eq!(Draft::draw(5), Draft::draw(5));
        let drafts: Vec<Draft> = (0..200).map(Draft::draw).collect();
        let share = |of: &dyn Fn(&Draft) -> bool| drafts.iter().filter(|draft| of(draft)).count();
        let some = 20..180;
        assert!(some.contains(&share(&|draft| draft.faults.is_empty())));
        assert!(some.contains(&share(&|draft| !draft.reloads_ms.is_empty())));
        assert!(some.contains(&share(&|draft| draft.loads.iter().any(|load| load.timeout_ms < PATIENT_MS))));
        assert!(some.contains(&share(&|draft| draft.loads.iter().any(|load| load.rate == 0))));
        let hedges = |draft: &Draft| draft.services.iter().any(|service| service.hedge.is_some());
        assert!(some.contains(&share(&hedges)));
        let checks = |draft: &Draft| draft.services.iter().any(|service| service.health.is_some());
        assert!(some.contains(&share(&checks)));
        let stands_in = |draft: &Draft, other: bool| {
            let is = |service: &Service| {
                matches!((&service.fallback, other), (Some(Fallback::Other(_)), true) | (Some(Fallback::Fixed), false))
            };
            draft.services.iter().any(is)
        };
        assert!(
            some.contains(&share(&|draft| stands_in(draft, true)))
                && some.contains(&share(&|draft| stands_in(draft, false)))
        );
        let is_out = |draft: &Draft| draft.services.iter().any(|service| service.breaker.is_some());
        assert!(some.contains(&share(&is_out)));
        for draft in drafts.iter().filter(|draft| is_out(draft)) {
            let healed = draft.faults.iter().map(|fault| fault.at_ms + fault.for_ms).max().unwrap();
            assert!(draft.loads.iter().all(|load| load.duration_ms >= healed + CALM_MS), "{draft:?}");
        }
        let acts: std::collections::BTreeSet<&str> =
            drafts.iter().flat_map(|draft| draft.faults.iter().map(|fault| fault.act.as_str())).collect();
        assert!(acts.len() > ACTS.len() - 3, "{acts:?}");
    }
}
