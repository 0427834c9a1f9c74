//! What a request gets at a mock, and when: the same rules as at the mocks on sockets (`mocks`, `server::site`).
//!
//! A `delay` is a wait, in place of the service's own time: it takes no server. What is never served (`hang`, `refuse`,
//! `close = 0`) takes none either. What stands in a line has its time on arrival, so its work is done also for a client
//! that has left; one that comes to a full waiting room gets a 503.

use std::time::Duration;

use mocks::{Act, Draws, Effect, Queue, Ticket};

use super::faults::Faults;
use super::mock::Place;
use crate::history::Hit;

/// What is done with a request.
#[derive(Debug)]
pub(super) struct Fate<'a> {
    /// `None` where a waiting room was full: a 503 then.
    pub act: Option<&'a Act>,
    pub hit: Hit,
    pub draws: Draws,
    /// How long nothing happens.
    pub wait: Duration,
}

/// An act that changes nothing.
static PLAIN: std::sync::LazyLock<Act> = std::sync::LazyLock::new(Act::default);

/// What this request of an endpoint, which comes now, gets.
pub(super) fn of<'a>(place: &Place, faults: &'a Faults, request: u64, now_ns: u64) -> Fate<'a> {
    let found = faults.hit(&place.endpoint, place.number, request, now_ns);
    let (rule, act) = found.map_or((0, &*PLAIN), |(rule, act)| (rule, act));
    let hit = found.map_or(Hit::None, |(rule, _)| Hit::Rule(rule));
    let mut draws = faults.draws_of(place.number, request, rule);
    let never_served = matches!(act.effect, Effect::Hang | Effect::Refuse) || act.close == Some(0);
    let own_line = place.line.as_ref();
    let delay = act.delay.as_ref().or_else(|| act.service.as_ref().filter(|_| own_line.is_none()));
    let arrive = |line: &Queue, time| line.arrive_for(now_ns, time);
    let ticket = match (delay, own_line) {
        (Some(delay), _) => {
            let time = delay.sample(&mut draws);
            match found.and_then(|(rule, _)| faults.line(rule)) {
                Some(line) => arrive(line, time),
                None => return Fate { act: Some(act), hit, draws, wait: time },
            }
        }
        (None, Some(line)) if !never_served => match (&act.service, &place.service) {
            (Some(time), _) => arrive(line, time.sample(&mut draws)),
            (None, Some(time)) => arrive(line, faults.service(time, place.number, request)),
            (None, None) => return Fate { act: Some(act), hit, draws, wait: Duration::ZERO },
        },
        _ => return Fate { act: Some(act), hit, draws, wait: Duration::ZERO },
    };
    match ticket {
        Ticket::Served { end_ns, .. } => {
            let wait = Duration::from_nanos(end_ns.saturating_sub(now_ns));
            Fate { act: Some(act), hit, draws, wait }
        }
        // As the mocks' journal is read: nothing hit it but the service's own state.
        Ticket::Full => Fate { act: None, hit: Hit::None, draws, wait: Duration::ZERO },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::virtual_time::mock;

    const MS: u64 = 1_000_000;

    /// The waits of requests that come all at once in the fault's time, milliseconds; `None` for a full waiting room.
    fn waits(scenario: &Scenario, requests: u64) -> Vec<Option<u128>> {
        let (places, faults) = (mock::places(scenario), Faults::of(scenario));
        let at = |request| {
            let fate = of(&places[0], &faults, request, 2_000 * MS);
            fate.act.map(|_| fate.wait.as_millis())
        };
        (1..=requests).map(at).collect()
    }

    /// One endpoint with this service, and a fault from the first second on.
    fn scenario(service: &str, act: &str) -> Scenario {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        let gateway =
            "[upstreams.a]\nendpoints = [\"mock://a/0\"]\n[[routes]]\npath = \"/{*rest}\"\nupstream = \"a\"\n";
        std::fs::write(folder.path().join("s.gateway.toml"), gateway).unwrap();
        let text = format!(
            "name = \"s\"\nruntime = \"virtual\"\n[gateway]\nconfig = \"s.gateway.toml\"\n\
             [mocks.a]\nendpoints = 1\n{service}\n\
             [[load]]\nmodel = \"open\"\narrivals = \"constant\"\nrate = \"10/s\"\nduration = \"4s\"\n\
             request = {{ path = \"/x\" }}\n\
             [[faults]]\nat = \"1s\"\non = \"a\"\nact = {act}\n"
        );
        std::fs::write(&path, text).unwrap();
        crate::scenario::load(&path).unwrap()
    }

    const TWO: &str = "service_time = \"10ms\"\nservers = 2";

    #[test]
    fn a_delay_is_a_wait_and_takes_no_server() {
        assert_eq!(waits(&scenario(TWO, "{ delay = \"200ms\" }"), 6), [Some(200); 6]);
        assert_eq!(waits(&scenario("", "{ service = \"200ms\" }"), 3), [Some(200); 3], "nor where there are none");
        let served = waits(&scenario(TWO, "{ service = \"200ms\" }"), 4);
        assert_eq!(served, [200, 200, 400, 400].map(Some), "a service does");
    }

    #[test]
    fn what_is_never_served_takes_no_server() {
        for act in ["{ hang = true }", "{ close = 0 }", "{ refuse = true }"] {
            assert_eq!(waits(&scenario(TWO, act), 4), [Some(0); 4], "{act}");
        }
    }

    #[test]
    fn a_fault_may_be_a_line_of_its_own_with_a_waiting_room() {
        let line = scenario("", "{ delay = \"queue(1, 50ms, 2)\" }");
        assert_eq!(waits(&line, 5), [Some(50), Some(100), Some(150), None, None]);
    }

    #[test]
    fn a_services_own_line_has_the_waiting_room_of_the_mocks() {
        let waits = waits(&scenario("service_time = \"10ms\"\nservers = 1", "{ status = 500 }"), 1_003);
        assert_eq!(waits[..3], [10, 20, 30].map(Some));
        assert_eq!(waits.iter().filter(|wait| wait.is_none()).count(), 2, "one is served, a thousand wait");
    }
}
