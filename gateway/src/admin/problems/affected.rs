//! Which routes feel a problem.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::board::Feels;
use crate::config::settings::{Config, Route};

/// Routes that are named; the rest is counted.
const MOST_NAMED: usize = 20;

/// As the admin API shows it: `routes`, by name, and how many `more`; `all` where it may be any.
pub(super) fn by(feels: &Feels, config: &Config) -> Value {
    let feels_it = |route: &Route| match feels {
        Feels::Upstream(name) => upstreams_of(route).any(|used| *used == **name),
        Feels::Route(name) => route.name == *name || uses_as(route, name),
        Feels::Store(name) => config.rate_limits.iter().any(|limit| {
            limit.shared.as_ref().is_some_and(|shared| shared.store == *name) && route.rate_limits.contains(&limit.name)
        }),
        Feels::Authority(name) => route.forward_auth.as_ref().is_some_and(|auth| auth.upstream == *name),
        Feels::Provider(name) => route.auth.as_ref().is_some_and(|auth| auth.providers.contains(name)),
        Feels::All | Feels::Nobody => false,
    };
    let mut routes: Vec<&str> =
        config.routes.iter().filter(|route| feels_it(route)).map(|route| &*route.name).collect();
    let more = routes.len().saturating_sub(MOST_NAMED);
    routes.truncate(MOST_NAMED);
    json!({ "all": *feels == Feels::All, "routes": routes, "more": more })
}

/// The upstreams whose answers its clients get, or wait for, one that stands in for another among them. Copies for a
/// mirror are nobody's wait.
fn upstreams_of(route: &Route) -> impl Iterator<Item = &str> {
    let shares = route.split.iter().flat_map(|split| &split.shares).map(|share| &*share.route.upstream);
    let parts = route.aggregate.iter().flat_map(|aggregate| &aggregate.parts).map(|part| &*part.route.upstream);
    let asked = route.forward_auth.iter().map(|auth| &*auth.upstream);
    let stand_in = route.fallback.iter().filter_map(|fallback| fallback.upstream());
    std::iter::once(&*route.upstream).chain(shares).chain(parts).chain(asked).chain(stand_in)
}

/// Every upstream that clients of some route wait for. What is none of these gets copies of requests (`mirror`) at
/// most: it may fail, and no client notices.
pub(in crate::admin) fn felt(config: &Config) -> HashSet<&str> {
    config.routes.iter().flat_map(|route| upstreams_of(route)).collect()
}

/// Whether this is what the route calls one of its upstreams by.
fn uses_as(route: &Route, name: &str) -> bool {
    route.split.iter().flat_map(|split| &split.shares).any(|share| *share.route.name == *name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    #[test]
    fn a_route_feels_every_upstream_that_its_clients_wait_for() {
        let text = "[upstreams.a]\nendpoints = ['127.0.0.1:1']\n[upstreams.b]\nendpoints = ['127.0.0.1:2']\n\
                    [upstreams.c]\nendpoints = ['127.0.0.1:3']\n\
                    [[routes]]\nname = 'one'\npath = '/1'\nupstream = 'a'\n\
                    [[routes]]\nname = 'asks'\npath = '/2'\nupstream = 'b'\n\
                    forward_auth = { upstream = 'a', path = '/may' }\n\
                    [upstreams.d]\nendpoints = ['127.0.0.1:4']\n[upstreams.e]\nendpoints = ['127.0.0.1:5']\n\
                    [[routes]]\nname = 'falls back'\npath = '/6'\nupstream = 'b'\nfallback = { upstream = 'd' }\n\
                    [[routes]]\nname = 'copied too'\npath = '/7'\nupstream = 'b'\nmirror = { upstream = 'e' }\n\
                    [[routes]]\nname = 'copied'\npath = '/3'\nupstream = 'b'\nmirror = { upstream = 'a' }\n\
                    [[routes]]\nname = 'split'\npath = '/4'\n\
                    split = [{ upstream = 'a', weight = 1 }, { upstream = 'b', weight = 1 }]\n\
                    [[aggregates]]\nname = 'board'\npath = '/5'\n\
                    parts = [{ name = 'x', upstream = 'a', path = '/x' }, { name = 'y', upstream = 'c', path = '/y' }]\n";
        let config = load_text(text, Path::new("a.toml"), Purpose::Check).expect("a configuration").config;
        let felt = |feels: Feels| by(&feels, &config)["routes"].clone();
        assert_eq!(felt(Feels::Upstream("a".into())), json!(["one", "asks", "split", "board"]));
        assert_eq!(felt(Feels::Upstream("c".into())), json!(["board"]));
        assert_eq!(felt(Feels::Upstream("d".into())), json!(["falls back"]));
        assert_eq!(felt(Feels::Upstream("e".into())), json!([]));
        assert_eq!(felt(Feels::Authority("a".into())), json!(["asks"]));
        assert_eq!(felt(Feels::Route("one".into())), json!(["one"]));
        assert_eq!(super::felt(&config), HashSet::from(["a", "b", "c", "d", ""]), "a copy alone is nobody's wait");
        assert_eq!(by(&Feels::All, &config), json!({ "all": true, "routes": [], "more": 0 }));
    }
}
