//! The double's scripts and a real server's: the same answers to the same calls, by the server's own clock.
//!
//! The server says what time it was, and the double is asked at that time. Lua counts in fractions of microseconds, so
//! times may differ by some nanoseconds; a decision that hangs on those is the server's.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use redis::Value;
use tempfile::TempDir;

use super::scripts::{Bucket, Buckets};
use crate::config::settings;
use crate::config::settings::store::Servers;
use crate::store::link::Link;
use crate::store::{Call, Script, courier};

/// A double has 53 bits: nanoseconds since 2026 are exact to 4 of them, and what is computed with them to some more. A
/// bucket that changes its rate scales them.
const NEAR: i64 = 64;
/// What may be between a call and a look at what it left, nanoseconds.
const EXPIRY: i64 = 1_000_000_000;
/// Keys of a case.
const KEYS: usize = 3;
/// A bucket may change its rate from one call to the next.
const RATES: usize = 2;

struct Server {
    child: Child,
    _folder: TempDir,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = address.port().to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("redis-server is installed: `cargo xtask test` does that");
        Self { child, _folder: folder, address }
    }

    async fn connect(&self) -> Link {
        let patience = Duration::from_secs(10);
        let settings = settings::Store {
            name: "real".into(),
            servers: Servers::One(("127.0.0.1".to_owned(), self.address.port()), 0),
            tls: false,
            ca: None,
            access: settings::store::Access::default(),
            connect_timeout: patience,
            command_timeout: patience,
            consecutive_failures: 1,
            open_for: patience,
        };
        for _ in 0..2_000 {
            if let Ok(link) = Link::connect(&settings, patience).await {
                return link;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("no connection to {}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one bucket is asked for, in tokens and thousandths of its window.
#[derive(Debug, Clone)]
struct Terms {
    rate: usize,
    cost: i64,
    floor: i64,
    may_refuse: bool,
    owed: i64,
}

#[derive(Debug, Clone)]
enum Step {
    /// Of these keys, when it was sent before it arrived, microseconds.
    Charge(Vec<(usize, Terms)>, Option<i64>),
    /// Of a key: rate, floor, tokens that are wanted and that come back.
    Lease(usize, usize, i64, i64, i64),
}

/// The time of a token and the size of a bucket, for each rate.
type Rates = [(i64, i64); RATES];

fn terms() -> impl Strategy<Value = Terms> {
    let often_none = |most: i64| prop_oneof![3 => Just(0), 1 => 0..most];
    (0..RATES, -3i64..5, often_none(2_000), any::<bool>(), often_none(2_000))
        .prop_map(|(rate, cost, floor, may_refuse, owed)| Terms { rate, cost, floor, may_refuse, owed })
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec((0..KEYS, terms()), 1..=KEYS).prop_map(|mut keys| {
        keys.sort_by_key(|(key, _)| *key);
        keys.dedup_by_key(|(key, _)| *key);
        keys
    });
    let sent = prop_oneof![Just(None), (-1_000i64..20_000_000).prop_map(Some)];
    prop_oneof![
        3 => (keys, sent).prop_map(|(keys, sent)| Step::Charge(keys, sent)),
        1 => (0..KEYS, 0..RATES, 0i64..2_000, 0i64..10, 0i64..6)
            .prop_map(|(key, rate, floor, wanted, back)| Step::Lease(key, rate, floor, wanted, back)),
    ]
}

/// From a microsecond to some seconds a token.
fn rates() -> impl Strategy<Value = Rates> {
    let one =
        || (0u32..7, 1_000i64..10_000, 1i64..9).prop_map(|(scale, token, burst)| (token * 10i64.pow(scale), burst));
    [one(), one()].prop_map(|rates| rates.map(|(token, burst)| (token, token * burst)))
}

impl Step {
    fn call(&self, rates: &Rates, names: &[String], last: i64) -> Call {
        match self {
            Self::Charge(buckets, sent) => {
                let mut call = Call::new(Script::Charge);
                for (key, Terms { rate, cost, floor, may_refuse, owed }) in buckets {
                    let (token, window) = rates[*rate];
                    let of_window = |part: i64| window / 1000 * part;
                    call.keys.push(names[*key].clone());
                    let may_refuse = i64::from(*may_refuse);
                    call.numbers.extend([cost * token, window, of_window(*floor), may_refuse, of_window(*owed), token]);
                }
                call.numbers.push(sent.map_or(0, |ago| (last - ago).max(1)));
                call
            }
            Self::Lease(key, rate, floor, wanted, back) => {
                let (token, window) = rates[*rate];
                let mut call = Call::new(Script::Lease);
                call.keys.push(names[*key].clone());
                call.numbers.extend([token, window, window / 1000 * floor, *wanted, *back]);
                call
            }
        }
    }
}

/// Whether what the call decides hangs on some nanoseconds.
fn is_tie(before: &Buckets, call: &Call, (now, near): (i64, i64)) -> bool {
    let decided = |by: i64| {
        // The same call a little earlier and later.
        let mut buckets = Buckets(before.0.clone());
        if call.script == Script::Charge {
            let answer = buckets.charge(now + by, &call.keys, &call.numbers);
            let watched = answer[2..2 + call.keys.len()].iter().map(|debt| *debt < 0).collect::<Vec<_>>();
            (answer[0], watched)
        } else {
            (buckets.lease(now + by, &call.keys[0], &call.numbers)[0], Vec::new())
        }
    };
    decided(-near) != decided(near)
}

async fn kept(link: &mut Link, key: &str) -> Option<Bucket> {
    let answer = link.send(&[redis::Cmd::get(key)]).await.unwrap().remove(0).unwrap();
    let Value::BulkString(text) = answer else { return None };
    let text = String::from_utf8(text).unwrap();
    let (tat, token) = text.split_once(':').unwrap();
    Some(Bucket { tat: tat.parse().unwrap(), token: token.parse().unwrap() })
}

async fn holds_for(link: &mut Link, rates: &Rates, steps: &[Step], names: &[String]) -> Result<(), TestCaseError> {
    let (mut double, mut last) = (Buckets::default(), 1);
    let [(one, _), (other, _)] = *rates;
    let nearness = NEAR * (one.max(other) / one.min(other)).max(1);
    for step in steps {
        let call = step.call(rates, names, last);
        let real = courier::call(link, std::slice::from_ref(&call), 0).await.unwrap().remove(0);
        let real = real.map_err(TestCaseError::fail)?;
        last = real[1];
        let now = last * 1000;
        let is_tie = is_tie(&double, &call, (now, nearness));
        let ours = match call.script {
            Script::Charge => double.charge(now, &call.keys, &call.numbers),
            _ => double.lease(now, &call.keys[0], &call.numbers),
        };
        let near = |one: i64, other: i64| one.abs_diff(other) <= nearness.unsigned_abs();
        if !is_tie {
            prop_assert_eq!(real[0], ours[0], "{:?}: {:?} {:?}", call, &real, &ours);
            prop_assert_eq!(real.len(), ours.len());
            for (theirs, ours) in real.iter().zip(&ours) {
                prop_assert!(near(*theirs, *ours), "{:?}: {:?} {:?}", call, theirs, ours);
            }
        }
        for (at, key) in call.keys.iter().enumerate() {
            let token = if call.script == Script::Charge { call.numbers[6 * at + 5] } else { call.numbers[0] };
            let (real, ours) = (kept(link, key).await, double.0.get(key).copied());
            let debt = |bucket: Option<Bucket>| bucket.map_or(0, |bucket| bucket.debt(token, now).max(0));
            // A key may have expired since; then it was about to be full, at the rate that it had.
            let rest = |bucket: Bucket| bucket.debt(bucket.token, now);
            let has_gone = real.is_none() && ours.is_none_or(|bucket| rest(bucket) < EXPIRY);
            prop_assert!(is_tie || has_gone || near(debt(real), debt(ours)), "{call:?}: {real:?} {ours:?} at {now}");
            // From where the server stands, so that nanoseconds do not add up.
            match real {
                Some(real) => drop(double.0.insert(key.clone(), real)),
                None => drop(double.0.remove(key)),
            }
        }
    }
    Ok(())
}

#[test]
fn the_double_answers_as_a_real_server_does() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let link = std::cell::RefCell::new(runtime.block_on(server.connect()));
    let number = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let cases = (rates(), prop::collection::vec(step(), 1..40));
    let outcome = runner.run(&cases, |(rates, steps)| {
        number.set(number.get() + 1);
        let names: Vec<String> = (0..KEYS).map(|key| format!("{{{}}}:{key}", number.get())).collect();
        runtime.block_on(holds_for(&mut link.borrow_mut(), &rates, &steps, &names))
    });
    outcome.unwrap();
}
