//! What both sides of a gate are configured with, and what is asked of them: one route and one upstream, which is the
//! gateway's own cost and nothing else; or what a scenario says, so that a team's own routes, policies and requests are
//! compared. Of a scenario that is its gateway's configuration, its mocks and the requests of its first load; faults,
//! events and expectations are `sim run`'s.

use std::net::SocketAddr;
use std::path::Path;

use super::GateError;
use crate::children::{Child, ChildError, MockService, Programs};
use crate::rounds::luggage::Luggage;
use crate::run::RunKeys;
use crate::scenario::gateway::Filling;
use crate::scenario::topology::topology;
use crate::scenario::{Scenario, load};

/// The configuration of both sides, where no scenario says another.
const CONFIG: &str = include_str!("gateway.toml");
/// Requests that the mocks keep: nobody asks for them.
const JOURNAL: u64 = 1_000;

/// What both sides do.
#[derive(Debug, Default)]
pub struct Task {
    scenario: Option<Scenario>,
    /// The public keys of the run, as a JWK set.
    key_set: String,
    /// What requests are.
    pub luggage: Luggage,
}

impl Task {
    /// That of a scenario's file; the gate's own when `None`.
    ///
    /// # Errors
    /// When the scenario cannot be read, is not right, or needs what a gate has not.
    pub fn of(file: Option<&Path>) -> Result<Self, GateError> {
        let Some(file) = file else { return Ok(Self::default()) };
        let scenario = load(file)?;
        let unfit = |why: String| GateError::Unfit { file: file.to_path_buf(), why };
        lacks(&scenario).map_or(Ok(()), |what| Err(unfit(format!("a gate has no {what}"))))?;
        let keys = RunKeys::make(&scenario.tokens).map_err(|error| unfit(error.to_string()))?;
        let requests = scenario.loads.first().map(|load| load.requests.clone()).unwrap_or_default();
        let key_set = keys.set().to_owned();
        let luggage = Luggage { requests, key: Some(keys.signing), ..Luggage::default() };
        Ok(Self { scenario: Some(scenario), key_set, luggage })
    }

    /// What it is called, where it is not the gate's own.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.scenario.as_ref().map(|scenario| scenario.name.as_str())
    }

    /// Starts the mocks behind both sides.
    ///
    /// # Errors
    /// When they cannot be started, or a file cannot be written.
    pub fn start_mocks(
        &self,
        programs: &Programs,
        folder: &Path,
        seed: u64,
        cores: &[usize],
    ) -> Result<Child, GateError> {
        let log = folder.join("mock.log");
        let Some(scenario) = &self.scenario else {
            let service = MockService { name: "mock", endpoints: 1, seed };
            return Ok(programs.start_mock(&service, &log, cores)?);
        };
        let file = folder.join("mocks.toml");
        super::write(&file, &topology(&scenario.mocks))?;
        let mocks = programs.start_mocks(&file, seed, JOURNAL, &log, cores)?;
        if mocks.ready.listeners.len() != scenario.endpoints().count() || mocks.ready.control.is_none() {
            let line = format!("{:?}", mocks.ready);
            return Err(ChildError::Ready { name: "the mocks".to_owned(), line }.into());
        }
        Ok(mocks)
    }

    /// The configuration of both sides, with the addresses of the mocks that serve.
    #[must_use]
    pub fn config(&self, mocks: &[SocketAddr]) -> String {
        let Some(scenario) = &self.scenario else {
            let upstream = mocks.first().map(ToString::to_string).unwrap_or_default();
            return CONFIG.replace("{upstream}", &upstream);
        };
        let endpoints = scenario.endpoints().zip(mocks.iter().copied()).collect();
        let access_log = "off".to_owned();
        scenario.gateway.template.fill(&Filling {
            endpoints,
            key_set: self.key_set.clone(),
            access_log,
            ..Filling::default()
        })
    }
}

/// What a scenario needs and a gate has not.
fn lacks(scenario: &Scenario) -> Option<&'static str> {
    let first = scenario.loads.first()?;
    [
        (scenario.redis, "Redis"),
        (scenario.gateway.instances > 1, "second gateway on a side"),
        (scenario.has_key_server(), "key server: write jwks = { inline = \"mock://jwks\" }"),
        (scenario.mocks.iter().any(|mock| !mock.calls.is_empty()), "services that call others"),
        (scenario.mocks.iter().any(|mock| mock.tls.is_some()), "TLS to its mocks"),
        (first.journey.is_some(), "users of journeys: its first load has to be one of requests"),
        (
            !first.way.is_plain(),
            "TLS, HTTP/2 or PROXY protocol: its first load goes to the first listener in the clear",
        ),
    ]
    .into_iter()
    .find_map(|(needs, what)| needs.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str = "[upstreams.orders]\nendpoints = [\"mock://orders/0\", \"mock://orders/1\"]\n\
                           [[routes]]\npath = \"/api/{*rest}\"\nupstream = \"orders\"\n";
    const SCENARIO: &str = "name = \"ours\"\n[gateway]\nconfig = \"gateway.toml\"\n[mocks.orders]\nendpoints = 2\n\
                            [[load]]\nname = \"web\"\nmodel = \"open\"\nrate = \"9/s\"\nduration = \"1s\"\n\
                            request = { path = \"/api/7\", expect = [200, 429] }\n";

    fn task(scenario: &str) -> Result<Task, GateError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gateway.toml"), GATEWAY).unwrap();
        std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
        Task::of(Some(&folder.path().join("s.toml")))
    }

    #[test]
    fn without_a_scenario_it_is_one_route_and_one_upstream() {
        let own = Task::of(None).unwrap();
        let text = own.config(&[SocketAddr::from(([127, 0, 0, 1], 9))]);
        assert!(text.contains("endpoints = [\"127.0.0.1:9\"]") && own.luggage.requests.is_empty(), "{text}");
        assert_eq!(own.name(), None);
    }

    #[test]
    fn a_scenario_gives_its_configuration_and_its_first_loads_requests() {
        let ours = task(SCENARIO).unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = ours.config(&[at(9), at(10)]);
        assert!(text.contains("endpoints = [\"127.0.0.1:9\", \"127.0.0.1:10\"]"), "{text}");
        assert!(text.contains("output = \"off\"") && text.contains("[[listeners]]"), "{text}");
        assert_eq!((ours.name(), ours.luggage.requests[0].path.as_str()), (Some("ours"), "/api/7"));
    }

    #[test]
    fn what_a_gate_has_not_is_refused_and_so_is_what_leads_elsewhere() {
        let redis = task(&format!("{SCENARIO}[redis]\ninstances = 1\n")).unwrap_err();
        assert!(redis.to_string().contains("a gate has no Redis") && redis.exit_code() == 2, "{redis}");
        let two = task(&SCENARIO.replace("config =", "instances = 2\nconfig =")).unwrap_err();
        assert!(two.to_string().contains("second gateway"), "{two}");
        let tls = Task::of(Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/edge-upstream-tls.toml"))));
        let tls = tls.unwrap_err();
        assert!(tls.to_string().contains("TLS to its mocks") && tls.exit_code() == 2, "{tls}");
        let wrong = task(&SCENARIO.replace("rate", "rat")).unwrap_err();
        assert_eq!(wrong.exit_code(), 1, "{wrong}");
        assert_eq!(Task::of(Some(Path::new("/no/such.toml"))).unwrap_err().exit_code(), 3);
    }
}
