//! Gateways that share a bucket, in virtual time, with a store that is late in every way there is.
#![expect(clippy::disallowed_methods, reason = "this time is virtual: tokio's, paused")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::algorithms::rng::Draws;
use crate::clock::Clock;
use crate::config::settings::rate_limit::{LimitKey, Mode, Rate, Shared};
use crate::config::settings::store::Servers;
use crate::config::settings::{self, RateLimit};
use crate::rate_limit::{Registry, leases};
use crate::store::tests::double::{Delay, Double, Troubles};
use crate::store::{Stores, Surroundings, watch};
use crate::telemetry::metrics::Registry as Metrics;

const RATE: u64 = 1000;
const BURST: u64 = 200;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A gateway, as far as limits go.
struct Gateway {
    clock: Clock,
    store: Arc<Store>,
    stores: Stores,
    registry: Registry,
    rule: Arc<Rule>,
}

fn compile(registry: &Registry, stores: &Stores, clock: &Clock, (name, rate, mode): (&str, Rate, Mode)) -> Arc<Rule> {
    let limit = RateLimit {
        name: name.into(),
        key: LimitKey::Global,
        rate,
        anonymous: None,
        cost: 1,
        ipv6_prefix: 64,
        shadow: false,
        max_keys: 1000,
        shared: Some(Shared { store: "shared".into(), mode, on_failure: OnFailure::LocalShare }),
    };
    Arc::new(registry.compile(&Arc::new(limit), stores, clock.monotonic_ns(clock.now())))
}

impl Gateway {
    fn start(double: &str, number: u16, mode: Mode) -> Self {
        let clock = Clock::starting_at(Duration::from_secs(1_800_000_000));
        let metrics = Arc::new(Metrics::new(1));
        let surroundings =
            Surroundings { clock: clock.clone(), events: Arc::default(), metrics: Arc::clone(&metrics), workers: 2 };
        let stores = Stores::new(surroundings);
        stores.apply(&[Arc::new(settings::Store {
            name: "shared".into(),
            servers: Servers::One((double.to_owned(), number), 0),
            tls: false,
            ca: None,
            access: settings::store::Access::default(),
            connect_timeout: ms(500),
            command_timeout: ms(20),
            consecutive_failures: 3,
            open_for: ms(1000),
        })]);
        let registry = Registry::new(metrics, 1, number.into());
        let rate = Rate { tokens: RATE, period: Duration::from_secs(1), burst: BURST };
        let rule = compile(&registry, &stores, &clock, ("all", rate, mode));
        watch::start(&stores, &format!("gateway {number}").into());
        Self { clock, store: stores.find("shared").unwrap(), stores, registry, rule }
    }

    /// A rule of so large a burst, whose tokens do not come back while anybody waits.
    fn slow(&self, name: &str, burst: u64) -> Arc<Rule> {
        let rate = Rate { tokens: 1, period: Duration::from_secs(3600), burst };
        compile(&self.registry, &self.stores, &self.clock, (name, rate, Mode::Exact))
    }

    /// What a request does.
    async fn ask(&self) -> bool {
        let now = self.clock.monotonic_ns(self.clock.now());
        let (key, tier) = (Key::Global, Tier::Own);
        let hash = self.rule.hash(&key, tier);
        if let Some(Mode::Leased(most)) = self.rule.settings.shared.as_ref().map(|shared| shared.mode) {
            return match leases::take(&self.rule, By::worker(0), (&key, tier, hash), most, now).await {
                Ok(taken) => taken.is_some_and(|outcome| outcome.taken),
                Err(_missed) => asked_of(&self.rule, &self.store).take_share(self.store.now_ns(), false).is_ok(),
            };
        }
        self.take(&self.rule, 0).await
    }

    /// Takes a request's token for a rule whose mode is exact.
    async fn take(&self, rule: &Arc<Rule>, worker: usize) -> bool {
        let now = self.clock.monotonic_ns(self.clock.now());
        let asked = [asked_of(rule, &self.store)];
        if rule.quota(Tier::Own).wait(asked[0].seen(now).known, now) > 0 && self.store.health.is_up() {
            return false;
        }
        let Ok(mut flight) = Flight::start(&self.store, By::worker(worker), &asked, now) else {
            return asked[0].take_share(now, false).is_ok();
        };
        let skips = rule.has_share() && self.store.is_silent(worker);
        let landed = if skips { Err(Down) } else { flight.land(now).await };
        match landed {
            Ok(charged) => charged.refused == 0,
            Err(Down) => {
                flight.decided_alone();
                flight.take_share(0, self.store.now_ns()).is_ok()
            }
        }
    }
}

fn asked_of<'a>(rule: &'a Arc<Rule>, store: &'a Arc<Store>) -> Asked<'a> {
    let (key, tier) = (Key::Global, Tier::Own);
    Asked { index: 0, rule, store, key, id: None, tier, hash: rule.hash(&key, tier) }
}

/// One greedy client on four connections, whom the second of two rules refuses: the first has the tokens that it took
/// for those requests again, however they overlap.
#[test]
fn what_another_rule_refuses_takes_nothing_from_the_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // Each worker's answers take another time.
        let us = |now: Duration| Duration::from_micros(100 + now.as_micros() as u64 * 7919 % 300);
        let double = Double::put_up("two rules", Box::new(move |_, now| (us(now), us(now))), Troubles::default());
        let gateway = Rc::new(Gateway::start("two rules", 0, Mode::Exact));
        let (edge, user) = (gateway.slow("edge", 1000), gateway.slow("user", 10));
        let id = ShortId::of(&Key::Global);
        let connections: Vec<_> = (0..4)
            .map(|connection: usize| {
                let (gateway, edge, user) = (Rc::clone(&gateway), Arc::clone(&edge), Arc::clone(&user));
                tokio::task::spawn_local(async move {
                    let mut passed = 0;
                    for _ in 0..200 {
                        assert!(gateway.take(&edge, connection % 2).await);
                        if gateway.take(&user, connection % 2).await {
                            passed += 1;
                        } else {
                            let hash = edge.hash(&Key::Global, Tier::Own);
                            super::super::shared::give_back(&edge, connection % 2, (id, Tier::Own, hash));
                        }
                    }
                    passed
                })
            })
            .collect();
        let mut passed = 0;
        for connection in connections {
            passed += connection.await.unwrap();
        }
        assert_eq!(passed, 10);
        // What is given back is on its way.
        // virtual time
        tokio::time::sleep(ms(50)).await;
        let lacks = double.lacks(&edge.name_in_store(id, Tier::Own), edge.quota(Tier::Own).interval());
        assert_eq!(lacks, 10, "of 800 requests ten were let through");
    });
}

#[test]
fn a_store_that_was_away_for_a_moment_gives_no_burst_though_nobody_gave_it_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let troubles = Troubles { dead: Some((ms(100), ms(200))), ..Troubles::default() };
        Double::put_up("a moment", quick(), troubles);
        let gateway = Gateway::start("a moment", 0, Mode::Exact);
        let rule = gateway.slow("slow", 50);
        let passed = async |times: usize| {
            let mut passed = 0;
            for _ in 0..times {
                passed += usize::from(gateway.take(&rule, 0).await);
            }
            passed
        };
        assert_eq!(passed(30).await, 30);
        // virtual time
        tokio::time::sleep(ms(120)).await;
        let meanwhile = passed(1).await;
        // virtual time
        tokio::time::sleep(ms(100)).await;
        assert!(gateway.store.health.is_up() && gateway.store.health.last_failure().is_some());
        assert_eq!(30 + meanwhile + passed(60).await, 50, "it forgot everything, and was told");
    });
}

#[test]
fn who_skips_a_silent_store_is_told_apart_from_who_waited_for_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let stalls = vec![(Duration::ZERO, Duration::from_secs(5))];
        let _double = Double::put_up("silent", quick(), Troubles { stalls, ..Troubles::default() });
        let gateway = Gateway::start("silent", 0, Mode::Leased(10));
        let rate = Rate { tokens: 1, period: Duration::from_secs(3600), burst: 40 };
        let other = compile(&gateway.registry, &gateway.stores, &gateway.clock, ("other", rate, Mode::Leased(10)));
        let take = |rule: Arc<Rule>| {
            let now = gateway.store.now_ns();
            tokio::task::spawn_local(async move {
                let who = (&Key::Global, Tier::Own, rule.hash(&Key::Global, Tier::Own));
                leases::take(&rule, By::worker(0), who, 10, now).await
            })
        };
        let first = take(Arc::clone(&gateway.rule));
        // virtual time
        tokio::time::sleep(ms(10)).await;
        assert_eq!(take(other).await.unwrap(), Err(leases::Missed::Skipped));
        assert_eq!(first.await.unwrap(), Err(leases::Missed::InVain));
    });
}

#[test]
fn what_buckets_are_called_in_a_store_is_fixed() {
    // Gateways of two versions share a store: by another name a key would have two buckets.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        Double::put_up("names", quick(), Troubles::default());
        let gateway = Gateway::start("names", 0, Mode::Exact);
        let (rule, id) = (gateway.slow("edge", 1), ShortId::of(&Key::Address("10.0.0.7".parse().unwrap())));
        assert_eq!(rule.name_in_store(id, Tier::Own), "limit:{goAFTqJb0_Fyw-DUEiOm53}:edge");
        assert_eq!(rule.name_in_store(id, Tier::Anonymous), "limit:{goAFTqJb0_Fyw-DUEiOm53}:edge:anonymous");
    });
}

/// The house has a runtime of its own, in which no worker's way may run.
#[test]
fn what_nobody_used_goes_back_by_the_houses_way_and_no_workers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        Double::put_up("idle", quick(), Troubles::default());
        let gateway = Gateway::start("idle", 0, Mode::Leased(10));
        let (rule, store) = (&gateway.rule, &gateway.store);
        let who = (&Key::Global, Tier::Own, rule.hash(&Key::Global, Tier::Own));
        assert!(leases::take(rule, By::worker(1), who, 10, store.now_ns()).await.unwrap().unwrap().taken);
        // It asks for more the sooner the last ones were gone.
        for _ in 0..10 {
            leases::take(rule, By::worker(1), who, 10, store.now_ns()).await.unwrap();
        }
        let held = rule.state.leases.held();
        assert!(held.1 > 0, "{held:?}");
        // virtual time
        tokio::time::sleep(ms(300)).await;
        leases::end_idle(rule, store.now_ns());
        assert_eq!(rule.state.leases.held(), (0, 0));
        assert_eq!([0, 1, store.house()].map(|worker| store.has_way(worker)), [false, true, true]);
    });
}

/// What came of a run: when each admitted request was let through, and the longest wait.
struct Outcome {
    admitted: Vec<Duration>,
    late: usize,
    asked: usize,
}

impl Outcome {
    fn between(&self, from: u64, until: u64) -> f64 {
        let (from, until) = (Duration::from_secs(from), Duration::from_secs(until));
        self.admitted.iter().filter(|at| (from..until).contains(*at)).count() as f64
    }

    /// Of the most that may pass in the run.
    fn of_bound(&self, seconds: u64) -> f64 {
        self.between(0, seconds) / (BURST + RATE * seconds) as f64
    }
}

/// A rule that asks for each request, [`run_in`] its mode.
fn run(name: &str, gateways: u16, offered: (u64, f64), delay: Delay, troubles: Troubles) -> Outcome {
    run_in(Mode::Exact, name, gateways, offered, delay, troubles)
}

/// So many gateways that are asked for so many times the rate together, at times drawn from a seed.
fn run_in(
    mode: Mode,
    name: &str,
    gateways: u16,
    (seconds, load): (u64, f64),
    delay: Delay,
    troubles: Troubles,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        Double::put_up(name, delay, troubles);
        let gateways: Vec<_> = (0..gateways).map(|number| Rc::new(Gateway::start(name, number, mode))).collect();
        let houses = gateways.clone();
        tokio::task::spawn_local(async move {
            loop {
                // virtual time
                tokio::time::sleep(ms(100)).await;
                for gateway in &houses {
                    leases::end_idle(&gateway.rule, gateway.store.now_ns());
                    pay_tabs(&gateway.rule, &gateway.store);
                }
            }
        });
        // They hear of each other.
        // virtual time
        tokio::time::sleep(ms(1500)).await;
        let outcome = Rc::new(RefCell::new(Outcome { admitted: Vec::new(), late: 0, asked: 0 }));
        let (mut draws, origin) = (Draws::new(7), tokio::time::Instant::now());
        let mut at = 0.0;
        loop {
            let drawn = (draws.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            at -= (1.0 - drawn).ln() / (RATE as f64 * load);
            if at > seconds as f64 {
                break;
            }
            // virtual time
            tokio::time::sleep_until(origin + Duration::from_secs_f64(at)).await;
            let gateway = Rc::clone(&gateways[(draws.next_u64() % gateways.len() as u64) as usize]);
            let outcome = Rc::clone(&outcome);
            tokio::task::spawn_local(async move {
                let began = tokio::time::Instant::now();
                let passed = gateway.ask().await;
                let mut outcome = outcome.borrow_mut();
                outcome.asked += 1;
                outcome.late += usize::from(began.elapsed() >= ms(20));
                assert!(began.elapsed() <= ms(21), "nobody waits for longer than the command may take");
                if passed {
                    outcome.admitted.push(origin.elapsed());
                }
            });
        }
        // virtual time
        tokio::time::sleep(ms(50)).await;
        for gateway in &gateways {
            assert_eq!(gateway.stores.all().len(), 1);
        }
        drop(gateways);
        let mut outcome = outcome.borrow_mut();
        Outcome { admitted: std::mem::take(&mut outcome.admitted), late: outcome.late, asked: outcome.asked }
    })
}

fn quick() -> Delay {
    Box::new(|_, _| (Duration::from_micros(200), Duration::from_micros(200)))
}

/// Times in which the store does nothing: three a second, of 5 to 85 ms.
fn stalls(seconds: u64) -> Troubles {
    let mut draws = Draws::new(3);
    let each = |number: u64| {
        let from = ms(1500 + number * 333 + draws.next_u64() % 200);
        (from, from + ms(5 + draws.next_u64() % 80))
    };
    Troubles { stalls: (0..seconds * 3).map(each).collect(), ..Troubles::default() }
}

#[test]
fn a_store_that_is_in_time_lets_exactly_the_limit_through() {
    for gateways in [1, 8] {
        let outcome = run("in time", gateways, (5, 3.0), quick(), Troubles::default());
        assert!((0.99..=1.0).contains(&outcome.of_bound(5)), "{gateways}: {}", outcome.of_bound(5));
        assert_eq!(outcome.late, 0);
    }
}

#[test]
fn a_store_that_stalls_lets_no_more_than_the_limit_through() {
    for gateways in [1, 8] {
        let outcome = run("stalls", gateways, (6, 3.0), quick(), stalls(6));
        let of_bound = outcome.of_bound(6);
        assert!(of_bound <= 1.01, "{gateways}: {of_bound}");
        assert!(of_bound >= 0.95, "{gateways}: {of_bound}");
        assert!(outcome.late > 100);
    }
}

#[test]
fn answers_that_are_late_to_one_gateway_or_the_other_add_nothing() {
    for gateways in [2, 8] {
        // Each gateway's answers are late in times of its own.
        let delay: Delay = Box::new(|gateway, now| {
            let turn = (now.as_millis() as u64 + u64::from(gateway) * 137) % 700;
            let back = 60_u64.saturating_sub(turn);
            (Duration::from_micros(200), Duration::from_micros(200) + ms(back))
        });
        let outcome = run("late", gateways, (6, 3.0), delay, Troubles::default());
        let of_bound = outcome.of_bound(6);
        assert!((0.9..=1.01).contains(&of_bound), "{gateways}: {of_bound}");
    }
}

#[test]
fn two_of_four_that_are_cut_off_add_their_shares_and_no_more() {
    let cut = |gateway: u16, now: Duration| gateway < 2 && (ms(3500)..ms(7500)).contains(&now);
    let delay: Delay = Box::new(move |gateway, now| {
        let there = if cut(gateway, now) { Duration::from_secs(1000) } else { Duration::from_micros(200) };
        (there, Duration::from_micros(200))
    });
    let outcome = run("cut", 4, (9, 3.0), delay, Troubles::default());
    let rate = |from: u64, until: u64| outcome.between(from, until) / (RATE * (until - from)) as f64;
    assert!((0.99..=1.01).contains(&rate(1, 2)));
    assert!((1.45..=1.5).contains(&rate(2, 6)), "1 + 2/4: {}", rate(2, 6));
    assert!((0.95..=1.01).contains(&rate(7, 9)), "no burst: {}", rate(7, 9));
}

#[test]
fn a_store_that_is_gone_for_all_leaves_the_limit_and_only_the_first_few_wait() {
    for mode in [Mode::Exact, Mode::Leased(10)] {
        let troubles = Troubles { stalls: vec![(ms(3500), ms(7500))], ..Troubles::default() };
        let outcome = run_in(mode, &format!("gone {mode:?}"), 4, (9, 3.0), quick(), troubles);
        let rate = |from: u64, until: u64| outcome.between(from, until) / (RATE * (until - from)) as f64;
        assert!((0.9..=1.01).contains(&rate(2, 6)), "{mode:?}: {}", rate(2, 6));
        assert!((0.9..=1.01).contains(&rate(6, 9)), "no burst: {mode:?}: {}", rate(6, 9));
        // Those who found out: 750 a second ask each gateway.
        assert!(outcome.late < 60, "{mode:?}: {}", outcome.late);
    }
}

#[test]
fn a_store_that_is_killed_and_comes_back_empty_leaves_the_limit() {
    let dead = Some((ms(3500), ms(7450)));
    let outcome = run("killed", 4, (10, 3.0), quick(), Troubles { dead, ..Troubles::default() });
    let rate = |from: u64, until: u64| outcome.between(from, until) / (RATE * (until - from)) as f64;
    assert!((0.9..=1.01).contains(&rate(2, 6)), "{}", rate(2, 6));
    assert!((0.9..=1.01).contains(&rate(6, 10)), "no burst: {}", rate(6, 10));
    assert_eq!(outcome.late, 0, "nobody waits for a server that is not there");
}

#[test]
fn a_store_that_is_always_too_slow_is_left_alone() {
    let delay: Delay = Box::new(|_, _| (ms(12), ms(13)));
    let outcome = run("slow", 4, (6, 3.0), delay, Troubles::default());
    assert!((0.9..=1.01).contains(&outcome.of_bound(6)), "{}", outcome.of_bound(6));
    assert!(outcome.late < 400, "nobody waits after the first few: {} of {}", outcome.late, outcome.asked);
}

/// How far what passed was above `burst + rate x t` in the worst window.
fn worst_excess(outcome: &Outcome) -> f64 {
    let (mut lowest, mut worst) = (f64::MAX, f64::MIN);
    for (number, at) in outcome.admitted.iter().enumerate() {
        let above = number as f64 - at.as_secs_f64() * RATE as f64;
        lowest = lowest.min(above);
        worst = worst.max(above + 1.0 - lowest);
    }
    worst - BURST as f64
}

#[test]
fn leases_of_any_size_are_paid_for_and_what_is_held_bounds_the_moment() {
    for most in [1, 5, 20, 100] {
        let name = format!("leases of {most}");
        let outcome = run_in(Mode::Leased(most), &name, 4, (5, 3.0), quick(), Troubles::default());
        let (of_bound, excess) = (outcome.of_bound(5), worst_excess(&outcome));
        // Together, gateways hold at most half of a burst.
        let held = (4 * most).min(BURST / 2) as f64;
        assert!(of_bound <= 1.0 && excess <= held, "{most}: {of_bound}, {excess} above");
        assert!(of_bound >= 0.97, "what is held unused is missing: {most}: {of_bound}");
        // Who asks for less than there is gets it, though a part of it lies elsewhere.
        let name = format!("leases of {most}, asked for less");
        let outcome = run_in(Mode::Leased(most), &name, 4, (5, 0.8), quick(), Troubles::default());
        let refused = 1.0 - outcome.admitted.len() as f64 / outcome.asked as f64;
        assert!(refused <= 0.001, "{most}: {refused} refused in vain");
    }
}

#[test]
fn what_is_no_answer_of_the_script_is_none() {
    assert!(Charged::read(&[], 1).is_none() && Charged::read(&[0, 1], 1).is_none());
    assert!(Charged::read(&[2, 1, 5], 1).is_none(), "there is no second bucket");
    assert!(Charged::read(&[0, 1, 5, 6, 7], 2).is_none(), "payments of one");
    assert!(Charged::read(&[0, 1, 5, -6], 1).is_none(), "nobody pays less than nothing");
    let charged = Charged::read(&[0, 1, -6, 7, 1, 2], 2).unwrap();
    assert_eq!((charged.of(0), charged.debts[0].1, charged.of(1)), ((5, 1), true, (7, 2)));
}

proptest::proptest! {
    /// Whatever a server says, it is read or refused; what is read has a figure for each bucket.
    #[test]
    fn any_answer_is_read_or_refused(
        answer in proptest::collection::vec(proptest::prelude::any::<i64>(), 0..9), count in 0usize..4,
    ) {
        let small: Vec<i64> = answer.iter().map(|number| number % 4).collect();
        for answer in [answer, small] {
            if let Some(charged) = Charged::read(&answer, count) {
                proptest::prop_assert!(charged.refused <= count && charged.debts.len() == count);
                let _ = (0..count).map(|at| charged.of(at)).collect::<Vec<_>>();
            }
        }
    }
}
