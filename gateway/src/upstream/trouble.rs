//! What is wrong with endpoints, in words for operators.

use std::fmt::Write as _;

use super::scope::Scope;
use super::standing::Standing;
use super::state::{Active, Upstream};
use crate::algorithms::breaker::State;
use crate::network::Network;

/// Endpoints that are named in one sentence.
const MOST_NAMED: usize = 8;

impl<N: Network> Active<N> {
    /// Everything that speaks against an endpoint of these: its breaker, those that routes have of it, its checks.
    pub fn reasons(&self, endpoint: usize) -> Vec<String> {
        let of_scopes = self.scopes.iter().filter_map(|scope| {
            let standing = &scope.standings[endpoint];
            let whose = scope.route.as_ref().map(|route| format!(" for route {route}")).unwrap_or_default();
            self.of_breaker(standing, endpoint, &whose)
        });
        of_scopes.chain(self.of_checks(endpoint)).collect()
    }

    /// Whether anything keeps requests under this breaker policy from an endpoint.
    pub fn is_out(&self, scope: &Scope, endpoint: usize) -> bool {
        !scope.standings[endpoint].guard.is_closed() || !self.endpoints[endpoint].health.is_healthy()
    }

    /// Each endpoint that is, with what keeps requests from it; of many the first.
    pub fn out_under(&self, scope: &Scope) -> Vec<String> {
        let out = (0..self.endpoints.len()).filter(|endpoint| self.is_out(scope, *endpoint)).take(MOST_NAMED);
        let told = |endpoint: usize| {
            format!("{}: {}", self.endpoints[endpoint].address, self.reasons_under(scope, endpoint).join(", "))
        };
        out.map(told).collect()
    }

    /// What does.
    pub fn reasons_under(&self, scope: &Scope, endpoint: usize) -> Vec<String> {
        let standing = &scope.standings[endpoint];
        self.of_breaker(standing, endpoint, "").into_iter().chain(self.of_checks(endpoint)).collect()
    }

    /// What a breaker says against its endpoint: what it tripped for, whatever its probes came to since, and what the
    /// endpoint failed with last.
    fn of_breaker(&self, standing: &Standing, endpoint: usize, whose: &str) -> Option<String> {
        let guard = &standing.guard;
        if guard.is_held_open() {
            return Some(format!("an operator holds its breaker{whose} open"));
        }
        if guard.is_closed() {
            return None;
        }
        let cause = standing.last().trip.map_or("", |trip| trip.cause.as_str());
        let last = self.endpoints[endpoint].last_failure().map(|last| format!("; last failure {last}"));
        // Half-open it stays until somebody asks: that is no news of the service.
        let state = if guard.state() == State::HalfOpen { "half-open: the next requests try it" } else { "open" };
        Some(format!("its breaker{whose} is {state} ({cause}{})", last.unwrap_or_default()))
    }

    /// What the endpoint's checks say against it.
    fn of_checks(&self, endpoint: usize) -> Option<String> {
        let health = &self.endpoints[endpoint].health;
        (!health.is_healthy()).then(|| format!("its health checks fail ({})", health.last_bad().unwrap_or_default()))
    }
}

impl<N: Network> Upstream<N> {
    /// Its name, and what keeps requests of this route from each endpoint: a breaker with what it tripped for.
    pub fn and_what_is_wrong(&self, route: Option<&str>) -> String {
        let (active, mut text) = (self.active(), self.name.to_string());
        let standings = active.scope(route).standings.iter().zip(&active.endpoints).enumerate();
        let wrong = standings.filter_map(|(index, (standing, endpoint))| {
            let why = active.of_breaker(standing, index, "").or_else(|| active.of_checks(index))?;
            Some((&endpoint.address, why))
        });
        for (number, (address, why)) in wrong.enumerate() {
            if number == MOST_NAMED {
                text.push_str("; and more");
                break;
            }
            // Writing into a text does not fail.
            let _ = write!(text, "; {address}: {why}");
        }
        text
    }
}
