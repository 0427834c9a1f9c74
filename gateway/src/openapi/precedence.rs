//! Which of two routes of one path and method a request comes to, as far as that is certain.

use crate::config::settings::route::{HostPattern, RouteMatch};
use crate::explain::judge::conditions;

/// How much of a route another one takes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shadow {
    /// Perhaps some.
    #[default]
    None,
    /// All that is as long as the other's path; what lies deeper is left.
    Shallow,
    /// All of it.
    Whole,
}

/// For whom routes are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct View {
    /// All of them serve one host that is asked for.
    pub(super) is_of_host: bool,
    /// All of them are reached by one listener, by which requests come.
    pub(super) is_of_listener: bool,
}

/// What decides between routes.
#[derive(Debug, Clone)]
pub(super) struct Precedence {
    priority: i64,
    hosts: Vec<HostPattern>,
    view: View,
    /// The best and the worst of its hosts: exact, wildcard, any.
    tiers: (u8, u8),
    is_catch_all: bool,
    /// How many conditions there are, as routes are ordered by; methods and listeners are one each.
    conditions: u32,
    /// Some of them may not be met, though path, method and view are.
    is_conditional: bool,
}

impl Precedence {
    /// Of a route, among those that are looked at.
    pub(super) fn of(matches: &RouteMatch, view: View) -> Self {
        let tier = |host: &HostPattern| u8::from(matches!(host, HostPattern::Wildcard(_)));
        let tiers = (matches.hosts.iter().map(tier).min(), matches.hosts.iter().map(tier).max());
        Self {
            priority: matches.priority,
            hosts: matches.hosts.clone(),
            view,
            tiers: (tiers.0.unwrap_or(2), tiers.1.unwrap_or(2)),
            is_catch_all: matches.path.contains("{*"),
            conditions: conditions(matches),
            is_conditional: matches.is_conditional() || !(view.is_of_listener || matches.listeners.is_empty()),
        }
    }

    /// How much of the other one's requests this one takes, which stands before or behind it in the file.
    pub(super) fn shadow_on(&self, other: &Self, is_before: bool) -> Shadow {
        if self.is_conditional || !self.covers_hosts_of(other) || !self.is_before(other, is_before) {
            return Shadow::None;
        }
        if other.is_catch_all && !self.is_catch_all { Shadow::Shallow } else { Shadow::Whole }
    }

    fn covers_hosts_of(&self, other: &Self) -> bool {
        let are_all_own = || other.hosts.iter().all(|host| self.hosts.contains(host));
        self.view.is_of_host || self.hosts.is_empty() || !other.hosts.is_empty() && are_all_own()
    }

    /// Whether it is certain that this one is asked first, by the order of [`crate::routing`].
    fn is_before(&self, other: &Self, stands_before: bool) -> bool {
        if self.priority != other.priority {
            return self.priority > other.priority;
        }
        if self.tiers.1 < other.tiers.0 {
            return true;
        }
        let is_same_tier = self.tiers == other.tiers && self.tiers.0 == self.tiers.1;
        if !is_same_tier || self.tiers.0 == 1 && self.hosts != other.hosts {
            return false;
        }
        if self.is_catch_all != other.is_catch_all {
            return other.is_catch_all;
        }
        self.conditions > other.conditions || self.conditions == other.conditions && stands_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hosts: &[&str], path: &str, conditions: usize, priority: i64) -> RouteMatch {
        let host = |host: &&str| match host.strip_prefix("*.") {
            Some(suffix) => HostPattern::Wildcard(suffix.to_owned()),
            None => HostPattern::Exact((*host).to_owned()),
        };
        RouteMatch {
            listeners: Vec::new(),
            hosts: hosts.iter().map(host).collect(),
            path: path.into(),
            path_regex: None,
            methods: Vec::new(),
            headers: Vec::new(),
            query: (0..conditions)
                .map(|number| (number.to_string(), crate::config::settings::route::ValueMatch::Present))
                .collect(),
            clients: crate::config::settings::clients::Clients::default(),
            body: Vec::new(),
            body_limit: 0,
            priority,
        }
    }

    fn shadow(one: &RouteMatch, other: &RouteMatch, is_of_host: bool) -> Shadow {
        let view = View { is_of_host, is_of_listener: false };
        Precedence::of(one, view).shadow_on(&Precedence::of(other, view), true)
    }

    #[test]
    fn what_takes_all_requests_leaves_none() {
        let (plain, rest) = (of(&[], "/a/{id}", 0, 0), of(&[], "/a/{*rest}", 0, 0));
        assert_eq!(shadow(&plain, &rest, false), Shadow::Shallow);
        assert_eq!(shadow(&rest, &plain, false), Shadow::None);
        assert_eq!(shadow(&of(&[], "/a/{id}", 0, 1), &plain, false), Shadow::Whole, "the higher priority");
        assert_eq!(shadow(&of(&[], "/a/{*rest}", 0, 1), &plain, false), Shadow::Whole);
        assert_eq!(shadow(&of(&[], "/a/{id}", 1, 1), &plain, false), Shadow::None, "others than its own go on");
        assert_eq!(shadow(&plain, &of(&[], "/a/{id}", 1, 0), false), Shadow::None, "more conditions come first");
    }

    #[test]
    fn a_route_that_names_the_method_or_the_listener_comes_before_one_that_names_none() {
        let (any, mut named) = (of(&[], "/a", 0, 0), of(&[], "/a", 0, 0));
        named.methods = vec![http::Method::GET];
        assert_eq!((shadow(&any, &named, false), shadow(&named, &any, false)), (Shadow::None, Shadow::Whole));
        let mut inside = of(&[], "/a", 0, 0);
        inside.listeners = vec!["inside".into()];
        assert_eq!((shadow(&any, &inside, false), shadow(&inside, &any, false)), (Shadow::None, Shadow::None));
        let view = View { is_of_host: false, is_of_listener: true };
        let within = |one, other| Precedence::of(one, view).shadow_on(&Precedence::of(other, view), true);
        assert_eq!((within(&any, &inside), within(&inside, &any)), (Shadow::None, Shadow::Whole));
    }

    #[test]
    fn hosts_decide_where_one_is_asked_for() {
        let (named, any) = (of(&["a.test"], "/a", 0, 0), of(&[], "/a", 0, 0));
        assert_eq!(shadow(&named, &any, false), Shadow::None, "other hosts come to it");
        assert_eq!(shadow(&named, &any, true), Shadow::Whole);
        assert_eq!(shadow(&any, &named, true), Shadow::None);
        assert_eq!(shadow(&named, &of(&["*.test"], "/a", 3, 0), true), Shadow::Whole);
        assert_eq!(shadow(&of(&[], "/a", 0, 1), &named, false), Shadow::Whole);
        assert_eq!(shadow(&of(&["b.test"], "/a", 0, 1), &named, false), Shadow::None);
    }
}
