//! Which routes a URL has, whatever else of a request they look at: its method, its headers, by which listener it came.
//!
//! Slower than a match, and for what is rare.

use std::sync::Arc;

use http::Method;

use super::content::Body;
use super::content_index::Leaves;
use super::table::{Ask, Params, RouteTable};
use super::tree::Visitor;
use crate::config::settings::Route;
use crate::request_fields::RequestFields;

/// Of the routes of this host and path (in its one form) those of which `is_wanted` is true, by their places among the
/// routes of the table, and where the parameters of each are in the path.
pub(super) fn of_url(
    table: &RouteTable,
    (host, path): (&str, &str),
    is_wanted: impl Fn(usize) -> bool,
) -> Vec<(usize, Params)> {
    let headers = RequestFields::new();
    let (method, body) = (&Method::GET, Body::Absent);
    let ask = Ask { listener: "", host, method, path, query: None, client: None, headers: &headers, body };
    let mut all = All { table, path, is_wanted, found: Vec::new() };
    table.each_place(&ask, &mut Params::new(), &mut all);
    all.found
}

/// Where the parameters of a route are in a path that it takes, whatever the host.
pub fn params_of(route: &Route, path: &str) -> Option<Params> {
    let mut alone = route.clone();
    alone.matches.hosts.clear();
    of_url(&RouteTable::build(&[Arc::new(alone)]), ("", path), |_| true).pop().map(|(_, params)| params)
}

struct All<'t, F> {
    table: &'t RouteTable,
    path: &'t str,
    is_wanted: F,
    found: Vec<(usize, Params)>,
}

impl<F: Fn(usize) -> bool> Visitor for All<'_, F> {
    fn above(&self) -> Option<i64> {
        None
    }

    fn leaves(&mut self, leaves: &Leaves, params: &Params) {
        for index in leaves.list.iter().map(|leaf| leaf.route as usize) {
            let content = self.table.content(index);
            if (self.is_wanted)(index) && content.takes_path(self.path) {
                let mut params = params.clone();
                content.add_groups(self.path, &mut params);
                self.found.push((index, params));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::route;
    use super::*;
    use crate::config::settings::route::{HostPattern, RouteMatch};

    #[test]
    fn a_url_has_all_routes_of_its_host_and_path() {
        let on = |host: &str| {
            let host = HostPattern::Exact(host.into());
            move |it: &mut RouteMatch| it.hosts = vec![host]
        };
        let table = RouteTable::build(&[
            route("/a/{id}", |it| it.methods = vec![Method::POST]),
            route("/a/{*rest}", |it| it.listeners = vec!["inside".into()]),
            route("/a/1", on("a.test")),
            route("/a/1", on("b.test")),
            route("/b", |_| {}),
        ]);
        let of = |host: &str, path: &str| {
            let mut found: Vec<usize> = of_url(&table, (host, path), |_| true).iter().map(|it| it.0).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(of("a.test", "/a/1"), [0, 1, 2]);
        assert_eq!(of("", "/a/1"), [0, 1]);
        assert_eq!(of("a.test", "/a/1/2"), [1]);
        assert_eq!(of("a.test", "/c"), [0; 0]);
        let wanted = of_url(&table, ("a.test", "/a/77"), |index| index == 0);
        let params: Params = [(3, 5)].into_iter().collect();
        assert_eq!(wanted, [(0, params)]);
    }

    #[test]
    fn a_routes_parameters_are_found_whatever_its_host() {
        let route = route("/a/{id}/b", |it| it.hosts = vec![HostPattern::Wildcard("a.test".into())]);
        assert_eq!(params_of(&route, "/a/77/b"), Some([(3, 5)].into_iter().collect()));
        assert_eq!(params_of(&route, "/a/77"), None);
    }
}
