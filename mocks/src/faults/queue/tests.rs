//! The queue against a naive one that moves server by server, and against the textbook, in virtual time.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn line(servers: u32, room: u32) -> Line {
    Line::new(&Station { servers, time: Delay::Fixed(Duration::ZERO), room })
}

/// Steps through time by events: who is in which server, who waits, who goes.
fn naive(servers: usize, room: usize, requests: &[(u64, u64)]) -> Vec<Ticket> {
    let mut tickets = vec![Ticket::Full; requests.len()];
    let (mut running, mut waiting): (Vec<u64>, VecDeque<usize>) = (Vec::new(), VecDeque::new());
    // The server that is free first takes the first who waits, at the time at which it is free.
    let serve_until = |now: u64, running: &mut Vec<u64>, waiting: &mut VecDeque<usize>, tickets: &mut [Ticket]| {
        while let Some(at) = (0..running.len()).min_by_key(|at| running[*at]).filter(|at| running[*at] <= now) {
            let free = running.remove(at);
            if let Some(next) = waiting.pop_front() {
                let end = free + requests[next].1;
                tickets[next] = Ticket::Served { arrived_ns: requests[next].0, start_ns: free, end_ns: end };
                running.push(end);
            }
        }
    };
    for (index, (arrival, service)) in requests.iter().enumerate() {
        serve_until(*arrival, &mut running, &mut waiting, &mut tickets);
        if running.len() < servers {
            running.push(arrival + service);
            tickets[index] = Ticket::Served { arrived_ns: *arrival, start_ns: *arrival, end_ns: arrival + service };
        } else if waiting.len() < room {
            waiting.push_back(index);
        }
    }
    serve_until(u64::MAX, &mut running, &mut waiting, &mut tickets);
    tickets
}

proptest! {
    #[test]
    fn it_is_what_stepping_through_time_gives(
        gaps in proptest::collection::vec((0u64..20, 0u64..60), 0..80), servers in 1u32..5, room in 0u32..6,
    ) {
        let mut now = 0;
        let requests: Vec<(u64, u64)> = gaps.iter().map(|(gap, service)| { now += gap; (now, *service) }).collect();
        let mut line = line(servers, room);
        let tickets: Vec<Ticket> =
            requests.iter().map(|(at, service)| line.arrive(*at, Duration::from_nanos(*service))).collect();
        prop_assert_eq!(tickets, naive(servers as usize, room as usize, &requests));
        prop_assert!(line.seen.busy_max <= servers as usize && line.seen.waiting_max <= room as usize);
    }
}

#[test]
fn two_servers_and_a_room_for_one() {
    let mut line = line(2, 1);
    let arrivals = [0, 1, 2, 3, 10].map(|ms| line.arrive(ms * MS, Duration::from_millis(10)));
    let served = |came: u64, start: u64, end: u64| Ticket::Served {
        arrived_ns: came * MS,
        start_ns: start * MS,
        end_ns: end * MS,
    };
    assert_eq!(arrivals, [served(0, 0, 10), served(1, 1, 11), served(2, 10, 20), Ticket::Full, served(10, 11, 21)]);
    assert_eq!((line.seen.served, line.seen.refused, line.seen.busy_max, line.seen.waiting_max), (4, 1, 2, 1));
}

#[test]
fn with_unlimited_servers_nobody_waits() {
    let mut line = line(0, 0);
    for n in 0..1000 {
        let ticket = line.arrive(n, Duration::from_secs(1));
        assert_eq!(ticket, Ticket::Served { arrived_ns: n, start_ns: n, end_ns: n + 1_000_000_000 });
    }
    assert_eq!((line.seen.busy_max, line.seen.waiting_max), (1000, 0));
}

#[test]
fn an_arrival_that_comes_late_is_taken_as_one_of_now() {
    let mut line = line(1, 10);
    line.arrive(100, Duration::from_nanos(5));
    assert_eq!(
        line.arrive(90, Duration::from_nanos(5)),
        Ticket::Served { arrived_ns: 100, start_ns: 105, end_ns: 110 }
    );
}

/// The mean wait in milliseconds of Poisson arrivals at this rate, over many requests.
fn mean_wait_ms(servers: u32, rate_per_s: f64, service: impl Fn(&mut Draws) -> f64, seed: u64) -> f64 {
    const REQUESTS: u64 = 400_000;
    let mut line = line(servers, u32::MAX);
    let mut now = 0.0;
    for n in 0..REQUESTS {
        let mut draws = Draws::new(seed, 0, n, 0);
        now -= (1.0 - draws.unit()).ln() / rate_per_s * 1e9;
        line.arrive(now as u64, Duration::from_secs_f64(service(&mut draws)));
    }
    line.seen.waited_ns as f64 / 1e6 / REQUESTS as f64
}

/// A time with this mean, exponentially distributed.
fn exponential(mean_s: f64) -> impl Fn(&mut Draws) -> f64 {
    move |draws| -mean_s * (1.0 - draws.unit()).ln()
}

fn close(what: &str, found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 0.05, "{what}: {found} ms instead of {expected} ms");
}

#[test]
fn waits_of_one_server_are_those_of_the_textbook() {
    // M/M/1: mean wait = utilisation / (service rate - arrival rate).
    for (seed, rate) in [(1, 250.0), (2, 400.0)] {
        let expected = rate * 0.002 / (500.0 - rate) * 1e3;
        close("M/M/1", mean_wait_ms(1, rate, exponential(0.002), seed), expected);
    }
    // Pollaczek and Khinchine: half of M/M/1 when all services take the same time.
    close("M/D/1", mean_wait_ms(1, 400.0, |_| 0.002, 3), 400.0 * 0.002 / (500.0 - 400.0) * 1e3 / 2.0);
    // The same for lognormal times: the mean wait is rate * E[s^2] / (2 (1 - utilisation)).
    let (time, sigma) = (Delay::Lognormal(Duration::from_millis(2), 0.4), 0.4_f64);
    let mean = 0.002 * (sigma * sigma / 2.0).exp();
    let expected = 300.0 * mean * mean * (sigma * sigma).exp() / (2.0 * (1.0 - 300.0 * mean)) * 1e3;
    close("M/G/1", mean_wait_ms(1, 300.0, |draws| time.sample(draws).as_secs_f64(), 4), expected);
}

#[test]
fn waits_of_many_servers_are_those_of_erlang() {
    for (seed, servers, rate) in [(5, 2, 800.0), (6, 8, 3400.0)] {
        let (offered, service_rate) = (rate * 0.002, f64::from(servers) * 500.0);
        // Erlang's C from his B by recursion: B(n) = a B(n-1) / (n + a B(n-1)).
        let blocked = (1..=servers).fold(1.0, |b, n| offered * b / (f64::from(n) + offered * b));
        let utilisation = rate / service_rate;
        let waits = blocked / (1.0 - utilisation * (1.0 - blocked));
        close("M/M/k", mean_wait_ms(servers, rate, exponential(0.002), seed), waits / (service_rate - rate) * 1e3);
    }
}
