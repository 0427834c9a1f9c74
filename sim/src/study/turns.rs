//! Turns in front of one mock: our gateway with several configurations, and other gateways, in interleaved rounds.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use loadgen::control::call;
use loadgen::environment::CpuTicks;
use loadgen::target::Target;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use super::experiment::{Arm as Wanted, Claim, Load, Work};
use super::figure::Sample;
use super::perform::{Performed, Shop};
use super::validity::{Shown, judge_round};
use super::written;
use crate::children::{Child, MockService};
use crate::peers::{Contender, Place, Running, idle, keepalive};
use crate::process::Process;
use crate::processors;
use crate::rounds::Cores;
use crate::rounds::luggage::Luggage;
use crate::rounds::order::shuffled;
use crate::rounds::turn::{Arm, Pace, Road, Turn};
use crate::run::RunKeys;
use crate::scenario::model::{TokenAlgorithm, TokenPart};

/// Unmeasured load before each turn.
const WARM_UP: Duration = Duration::from_millis(250);
/// The same before the first: caches of tokens fill.
const FIRST_WARM_UP: Duration = Duration::from_millis(1_500);
/// The mock's answer where an authority is asked about a token.
const AUTHORITY: &str = r#"{"rules":[{"match":{"path":"/introspect*"},
    "act":{"body":"{\"active\":true,\"sub\":\"user\",\"client_id\":\"api\"}"}}]}"#;
/// After this long an idle connection has given back what it does not need to wait.
const SETTLING: Duration = Duration::from_secs(3);
/// Tokens outlive the longest comparison.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// One that serves, and what its requests carry.
struct Ready {
    name: &'static str,
    served_by: ServedBy,
    luggage: Luggage,
    load: Load,
    idle_rss: u64,
}

enum ServedBy {
    Ours(Child),
    Other(Running),
}

impl Ready {
    fn process(&self) -> &Process {
        match &self.served_by {
            ServedBy::Ours(child) => &child.process,
            ServedBy::Other(running) => &running.process,
        }
    }

    fn arm(&self) -> Arm<'_> {
        let address = match &self.served_by {
            ServedBy::Ours(child) => child.ready.listeners[0],
            ServedBy::Other(running) => running.address,
        };
        Arm { name: self.name, process: Some(self.process()), address }
    }
}

/// Runs all turns of a claim, on a thread of its own, since the driver is pinned to a core.
pub(super) fn perform(shop: &Shop<'_>, claim: &Claim, arms: &[&Wanted], folder: &Path, done: &mut Performed) {
    let rounds = done.rounds;
    let outcome = std::thread::scope(|scope| {
        let (programs, scenarios, stop, seed) = (shop.programs, shop.scenarios, shop.stop, shop.seed);
        let still = Still { programs, scenarios, stop, seed, is_quick: shop.is_quick, folder };
        let (tell, told) = std::sync::mpsc::sync_channel::<String>(64);
        let thread = scope.spawn(move || all(&still, arms, rounds, &tell));
        told.iter().for_each(|text| (shop.tell)(&format!("{}  {text}", claim.id)));
        thread.join().unwrap_or_else(|_| Err("the driver ended early".to_owned()))
    });
    match outcome {
        Ok(all) => {
            for (arm, samples) in all.samples {
                samples.into_iter().for_each(|sample| done.put(arm, sample));
            }
            all.notes.into_iter().for_each(|note| done.note(note));
            all.configuration.into_iter().for_each(|line| done.told(line));
        }
        Err(why) => done.note(why),
    }
}

/// What the driver's thread needs of the shop.
struct Still<'a> {
    programs: &'a crate::children::Programs,
    scenarios: &'a Path,
    stop: &'a std::sync::Arc<std::sync::atomic::AtomicBool>,
    seed: u64,
    is_quick: bool,
    folder: &'a Path,
}

#[derive(Default)]
struct All {
    samples: Vec<(&'static str, Vec<Option<Sample>>)>,
    notes: Vec<String>,
    configuration: Vec<String>,
}

fn all(
    still: &Still<'_>,
    arms: &[&Wanted],
    rounds: usize,
    tell: &std::sync::mpsc::SyncSender<String>,
) -> Result<All, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    std::fs::create_dir_all(still.folder).map_err(|error| words(&error))?;
    let cores = Cores::find();
    let (max_connections, max_pairs) = idle::raise_file_limit(most_connections(arms)).map_err(|error| words(&error))?;
    let place = Place { cores: cores.contender(), max_connections, max_pairs, ..Place::default() };
    let service = MockService { name: "mock", endpoints: 1, seed: still.seed };
    let mock = still.programs.start_mock(&service, &still.folder.join("mock.log"), &cores.load());
    let mock = mock.map_err(|error| words(&error))?;
    // Who is asked about a token says that it holds.
    let target = Target::plain(mock.ready.control.unwrap_or(mock.ready.listeners[0]), "/faults");
    call(&target, "PUT", AUTHORITY.as_bytes()).map_err(|error| words(&error))?;
    let mut found = All::default();
    let mut ready = Vec::new();
    for arm in arms {
        match start(still, arm, &mock, &place) {
            Ok((one, told)) => {
                found.configuration.push(told);
                ready.push(one);
            }
            Err(why) => found.notes.push(why),
        }
    }
    let length = if still.is_quick { Duration::from_millis(700) } else { Duration::from_secs(2) };
    found.configuration.push(format!(
        "turns of {} s, {}, one worker; {}",
        length.as_secs_f64(),
        loads_in_words(arms),
        cores.pinning()
    ));
    let driver = &Driver { still, mock: &mock };
    found.notes.extend(processors::note(&cores.pinning()));
    ready.retain(|one| match driver.checked(one) {
        Ok(()) => true,
        Err(why) => {
            found.notes.push(format!("{}: {why}", one.name));
            false
        }
    });
    cores.pin_driver().map_err(|error| words(&error))?;
    let mut shown = driver.beside_direct(&ready, length)?;
    for one in &ready {
        driver.turn(one, FIRST_WARM_UP)?;
    }
    let (mut rng, ticks) = (Pcg64::seed_from_u64(still.seed), CpuTicks::read);
    for round in 1..=rounds {
        let before = ticks();
        for index in shuffled(ready.len(), &mut rng) {
            let said = driver.take_turn(&ready[index], length, &mut shown[index])?;
            // Nobody listens when the other side has gone.
            let _ = said.map(|said| tell.send(format!("round {round} of {rounds}  {said}")));
        }
        found.notes.extend(judge_round(round, ticks().steal_since(&before), &mut shown));
    }
    for (one, shown) in ready.iter().zip(shown) {
        found.notes.extend(shown.notes(one.name));
        found.samples.push((one.name, shown.into_samples()));
    }
    Ok(found)
}

/// Ends idle connections, and waits until that is dealt with: it is no part of the next turn.
fn let_go(idle: Vec<TcpStream>) {
    if !idle.is_empty() {
        drop(idle);
        std::thread::sleep(SETTLING);
    }
}

/// Connections are opened within a turn, so one with many of them is longer.
fn lasting(length: Duration, load: &Load) -> Duration {
    length * (1 + u32::try_from(load.connections / 1_000).unwrap_or(u32::MAX))
}

fn most_connections(arms: &[&Wanted]) -> usize {
    arms.iter().map(|arm| arm.load.connections + arm.load.idle).max().unwrap_or_default()
}

/// What comes to all of them, as far as it is the same.
fn loads_in_words(arms: &[&Wanted]) -> String {
    let of = |get: fn(&Load) -> u64| {
        let mut all: Vec<u64> = arms.iter().map(|arm| get(&arm.load)).collect();
        all.sort_unstable();
        match (all.first(), all.last()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            (first, _) => first.map(u64::to_string).unwrap_or_default(),
        }
    };
    let idle = of(|load| load.idle as u64);
    let idle = if idle == "0" { String::new() } else { format!(" beside {idle} idle ones") };
    format!("{} connections{idle}, answers of {} bytes", of(|load| load.connections as u64), of(|load| load.body))
}

struct Driver<'a> {
    still: &'a Still<'a>,
    mock: &'a Child,
}

impl Driver<'_> {
    fn road<'b>(&'b self, one: &'b Ready) -> Road<'b> {
        Road {
            mock: self.mock,
            body: one.load.body,
            connections: one.load.connections,
            seed: self.still.seed,
            luggage: &one.luggage,
            stop: self.still.stop,
        }
    }

    fn checked(&self, one: &Ready) -> Result<(), String> {
        self.road(one).check_bytes(one.arm()).map_err(|error| error.to_string())
    }

    /// Connections that are open from now on, and say nothing. That they have come, and that they have nothing more to
    /// say, is dealt with before anything is measured.
    fn idle_beside(&self, one: &Ready) -> Result<Vec<TcpStream>, String> {
        if one.load.idle == 0 {
            return Ok(Vec::new());
        }
        let opened = idle::open(&self.road(one).target(one.arm().address), one.load.idle);
        let opened = opened.map_err(|error| format!("{}: idle connections: {error}", one.name))?;
        std::thread::sleep(SETTLING);
        Ok(opened)
    }

    fn turn(&self, one: &Ready, length: Duration) -> Result<Turn, String> {
        self.road(one).turn(one.arm(), Pace::Closed, length).map_err(|error| error.to_string())
    }

    /// What the driver does straight to the mock under the load of each.
    fn beside_direct(&self, ready: &[Ready], length: Duration) -> Result<Vec<Shown>, String> {
        let mut known: BTreeMap<_, f64> = BTreeMap::new();
        let mut all = Vec::new();
        for one in ready {
            let load = (one.load.connections, one.load.body, &one.luggage.headers);
            let direct = match known.get(&load) {
                Some(direct) => *direct,
                None => self.direct(one, length)?,
            };
            known.insert(load, direct);
            all.push(Shown::beside(direct));
        }
        Ok(all)
    }

    fn direct(&self, one: &Ready, length: Duration) -> Result<f64, String> {
        let straight = Arm { name: "mock", process: None, address: self.mock.ready.listeners[0] };
        let turn = |length| self.road(one).turn(straight, Pace::Closed, length).map_err(|error| error.to_string());
        turn(WARM_UP)?;
        Ok(turn(lasting(length, &one.load))?.requests_per_second())
    }

    /// The turn of one in a round, and a line about it; neither after an interrupt.
    fn take_turn(&self, one: &Ready, length: Duration, shown: &mut Shown) -> Result<Option<String>, String> {
        if self.still.stop.load(std::sync::atomic::Ordering::Relaxed) {
            shown.skip();
            return Ok(None);
        }
        let idle = self.idle_beside(one)?;
        self.turn(one, WARM_UP)?;
        let turn = self.turn(one, lasting(length, &one.load))?;
        let_go(idle);
        shown.put(&turn, &one.load, one.idle_rss);
        let (rate, cpu_us) = (turn.requests_per_second(), turn.cpu_us_per_request());
        Ok(Some(format!("{:<16} {rate:>7.0}/s  {cpu_us:>7.1} us", one.name)))
    }
}

fn start(still: &Still<'_>, arm: &Wanted, mock: &Child, place: &Place) -> Result<(Ready, String), String> {
    let upstream = mock.ready.listeners[0];
    let place = &Place { connections: arm.load.connections, ..place.clone() };
    let (served_by, luggage, told) = match arm.work {
        Work::Peer(name) => {
            let missing = || format!("{name} is not on this machine: `cargo xtask peers` brings it");
            let contender = Contender::peer(name, None, place).ok_or_else(missing)?;
            let told = format!("{name}: {}", contender.version);
            let running = contender.start(upstream, still.folder, "").map_err(|error| error.to_string())?;
            (ServedBy::Other(running), Luggage::default(), told)
        }
        Work::Turn { config, edits, copies, headers } => {
            let (luggage, jwks) = luggage(headers)?;
            let upstream = upstream.to_string();
            let dir = still.folder.display().to_string();
            let kept = keepalive(arm.load.connections).to_string();
            let blanks = [
                ("upstream", upstream.as_str()),
                ("jwks", jwks.as_str()),
                ("dir", dir.as_str()),
                ("keepalive", kept.as_str()),
            ];
            let text = written::configuration(still.scenarios, (config, edits, copies), &blanks)?;
            let path = still.folder.join(format!("{}.toml", arm.name));
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            let log = still.folder.join(format!("{}.log", arm.name));
            let child = still.programs.start_gateway(&path, &log, &place.cores).map_err(|error| error.to_string())?;
            (ServedBy::Ours(child), luggage, format!("{}: {config}{}", arm.name, in_words(edits)))
        }
        Work::Scenario { .. } | Work::Here(_) => return Err(format!("{} has no turns", arm.name)),
    };
    let mut ready = Ready { name: arm.name, served_by, luggage, load: arm.load, idle_rss: 0 };
    ready.idle_rss = ready.process().usage().rss_bytes;
    Ok((ready, told))
}

fn in_words(edits: &[super::experiment::Edit]) -> String {
    edits.iter().map(|edit| format!(" with `{}`", edit.1.trim().replace('\n', " "))).collect()
}

/// What requests carry, and the public keys that it is held against; keys are made only where a token is carried.
fn luggage(headers: &[(&str, &str)]) -> Result<(Luggage, String), String> {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if !headers.iter().any(|(_, value)| value.contains("{token(")) {
        return Ok((Luggage { headers, ..Luggage::default() }, String::new()));
    }
    let keys = RunKeys::make(&TokenPart {
        algorithm: TokenAlgorithm::Es256,
        issuer: Some("https://idp.example".to_owned()),
        audience: Some("api".to_owned()),
        lifetime: LIFETIME,
        keys: Vec::new(),
    });
    let keys = keys.map_err(|error| error.to_string())?;
    let jwks = keys.set().to_owned();
    Ok((Luggage { headers, key: Some(keys.signing), ..Luggage::default() }, jwks))
}
