//! Which routes a request may take whose body has not been read: what can be said of it before a byte of it is asked
//! for.

use std::cmp::Reverse;

use super::content::Body;
use super::content_index::Leaves;
use super::method::{HEAD, bit};
use super::table::{Ask, Params, RouteTable};
use super::tree::Visitor;

/// What may come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Every route that it may take, the best first. That it takes none may be, too.
    pub routes: Vec<usize>,
    /// How far the furthest of them looks into the body, bytes.
    pub body_limit: usize,
}

impl RouteTable {
    /// The routes that a request may take, whatever its body is.
    #[cold]
    pub fn undecided(&self, ask: &Ask<'_>) -> Undecided {
        let ask = Ask { body: Body::Unread, ..*ask };
        let mut search = Search { table: self, ask: &ask, method: bit(ask.method), candidates: Vec::new() };
        self.each_place(&ask, &mut Params::new(), &mut search);
        let Search { mut candidates, method, .. } = search;
        // Places come in the order of how specific they are; only a higher priority goes before that.
        candidates.sort_by_key(|(_, priority)| Reverse(*priority));
        let mut routes: Vec<usize> = candidates.into_iter().map(|(route, _)| route).collect();
        routes.dedup();
        let certain = routes.iter().position(|route| self.content(*route).body_limit().is_none());
        // A route that names HEAD may come before an equal one that does not: none is certain for it.
        if let Some(last) = certain.filter(|_| method != HEAD) {
            routes.truncate(last + 1);
        }
        let body_limit = routes.iter().filter_map(|route| self.content(*route).body_limit()).max().unwrap_or(0);
        Undecided { routes, body_limit }
    }
}

/// Looks for every route of which all conditions hold but those on the body.
struct Search<'t, 'a> {
    table: &'t RouteTable,
    ask: &'t Ask<'a>,
    method: u16,
    /// With their priorities.
    candidates: Vec<(usize, i64)>,
}

impl Visitor for Search<'_, '_> {
    fn above(&self) -> Option<i64> {
        None
    }

    fn leaves(&mut self, leaves: &Leaves, _: &Params) {
        let ask = self.ask;
        let answers = leaves.list.iter().filter(|leaf| {
            let content = self.table.content(leaf.route as usize);
            leaf.methods.answers_bit(self.method, ask.method)
                && content.is_reached_by(ask.listener)
                && content.is_for(ask.client)
                && content.takes_path(ask.path)
                && content.holds(ask.headers, ask.query, ask.body)
        });
        self.candidates.extend(answers.map(|leaf| (leaf.route as usize, leaf.priority)));
    }
}

#[cfg(test)]
mod tests {
    use crate::request_fields::RequestFields;
    use http::Method;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::naive::route;
    use super::super::table::Found;
    use super::*;
    use crate::config::settings::route::{BodyMatch, RouteMatch};

    fn wants(pointer: &str, value: Value, limit: usize) -> impl FnOnce(&mut RouteMatch) + use<> {
        let condition = BodyMatch { pointer: pointer.into(), value, is_hidden: false };
        move |matches| (matches.body, matches.body_limit) = (vec![condition], limit)
    }

    fn ask<'a>(method: &'a Method, path: &'a str, headers: &'a RequestFields, body: Body<'a>) -> Ask<'a> {
        Ask { listener: "", host: "", method, path, query: None, client: None, headers, body }
    }

    #[test]
    fn routes_behind_one_that_is_certain_do_not_count() {
        let table = RouteTable::build(&[
            route("/a", wants("/x", json!(1), 10)),
            route("/a", wants("/x", json!(2), 20)),
            route("/a", |_| {}),
            route("/{*rest}", wants("/x", json!(3), 1000)),
            route("/{*rest}", |matches| {
                wants("/x", json!(4), 30)(matches);
                matches.priority = 1;
            }),
        ]);
        let undecided = |path| table.undecided(&ask(&Method::POST, path, &RequestFields::new(), Body::Unread));
        assert_eq!(undecided("/a"), Undecided { routes: vec![4, 0, 1, 2], body_limit: 30 });
        assert_eq!(undecided("/b"), Undecided { routes: vec![4, 3], body_limit: 1000 });
    }

    proptest! {
        /// Whatever the body turns out to be, the route that is taken is one of those that were told.
        #[test]
        fn what_is_found_was_among_them(
            routes in prop::collection::vec((0_usize..4, 0..3_i64, 0..3_u8, 0..4_u8), 1..8),
            path in prop::sample::select(vec!["/", "/a", "/a/b"]),
            method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST]),
            body in prop::option::of(0..4_u8),
        ) {
            let paths = ["/a", "/{x}", "/{*rest}", "/a/{*rest}"];
            let routes: Vec<_> = routes.iter().map(|&(path, priority, wanted, methods)| {
                route(paths[path], |matches| {
                    if wanted > 0 {
                        wants("/x", json!(wanted), 100)(matches);
                    }
                    matches.priority = priority;
                    matches.methods = match methods {
                        0 => vec![],
                        1 => vec![Method::GET],
                        2 => vec![Method::HEAD, Method::POST],
                        _ => vec![Method::POST],
                    };
                })
            }).collect();
            let (table, headers) = (RouteTable::build(&routes), RequestFields::new());
            let told = table.undecided(&ask(&method, path, &headers, Body::Unread));
            let value = json!({ "x": body });
            let body = if body.is_some() { Body::Json(&value, 7) } else { Body::Absent };
            if let Found::Route { index, .. } = table.find(&ask(&method, path, &headers, body)) {
                prop_assert!(told.routes.contains(&index), "{told:?} without {index}");
            }
        }
    }
}
