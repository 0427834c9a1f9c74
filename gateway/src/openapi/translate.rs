//! The operations of a service as clients of a route find them: under the route's paths, and only those that it lets
//! pass.
//!
//! A path is led back through the route's rewrite, and then tried out: routing has to choose this route for it, and
//! what the route sends has to be the service's path. So nothing is promised that the gateway does not do.

use http::Method;
use serde_json::{Map, Value};

use super::lift::{self, Lift};
use super::operation::{METHODS, Said};
use super::source::Source;
use super::template::{Candidate, Template, ways_to};
use crate::config::settings::Route;
use crate::explain::judge::{Judge, Past, Verdict};

/// Tags of one operation.
const MAX_TAGS: usize = 20;
/// Parameters of one operation.
const MAX_PARAMETERS: usize = 256;
/// Operations of one service that are tried out.
const MAX_TRIED: usize = 50_000;

/// What of a service clients can reach.
pub(super) struct All<'s> {
    /// Operations in their order.
    pub(super) operations: Vec<Translated<'s>>,
    /// How many the route does not let pass.
    pub(super) passed_over: usize,
}

/// One operation, under its path for clients.
pub(super) struct Translated<'s> {
    pub(super) method: Method,
    pub(super) template: Template,
    item: &'s Map<String, Value>,
    operation: &'s Value,
}

/// Finds what of a service clients of a route can reach, asking for this host.
pub(super) fn translated<'s>(
    judge: &Judge<'_>,
    (index, route, host): (usize, &Route, &str),
    source: &'s Source,
) -> All<'s> {
    let own = Template::of_route(&route.matches.path);
    let mut all = All { operations: Vec::new(), passed_over: 0 };
    for (path, item) in source.paths() {
        let Some(item) = source.path_item(item) else { continue };
        // Asked for by name: several paths may share an item, and an item may hold any number of other names.
        for method in METHODS {
            let operation = item.get(&method.as_str().to_ascii_lowercase()).filter(|operation| operation.is_object());
            let Some(operation) = operation else { continue };
            if all.operations.len() + all.passed_over >= MAX_TRIED {
                return all;
            }
            let base = base_path([operation.get("servers"), item.get("servers")], source);
            let asked = Template::of_document(&format!("{base}{path}"));
            let ways = asked.map(|asked| ways_to(&own, route.rewrite.as_ref(), &asked)).unwrap_or_default();
            let leads = |way: &Candidate| leads_there(judge, (index, &method, host), way);
            match ways.into_iter().find(leads) {
                Some((template, _)) => all.operations.push(Translated { method, template, item, operation }),
                None => all.passed_over += 1,
            }
        }
    }
    all
}

/// Whether a request for this path takes the route, and the service is asked for what it calls so.
fn leads_there(judge: &Judge<'_>, (index, method, host): (usize, &Method, &str), (way, asked): &Candidate) -> bool {
    if !way.has_distinct_names() {
        return false;
    }
    let path = way.sample();
    let decision = judge.look_back(&Past { method, host, path: &path, query: None, known: &[], client: None });
    if decision.verdict == Verdict::Route(index) {
        return decision.sent.as_deref() == Some(&asked.sample());
    }
    // With the headers, the query or the body that the route asks for.
    decision.instead.contains(&index)
}

/// The path of the server that an operation is relative to: the nearest list's first.
fn base_path(near: [Option<&Value>; 2], source: &Source) -> String {
    let near = near.into_iter().flatten().find_map(Value::as_array);
    let servers = near.or_else(|| source.list("servers"));
    let url = servers.and_then(|list| list.first()?.get("url")?.as_str()).unwrap_or("/");
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    // A path of variables is not known here, one that is relative is relative to the document.
    if path.contains('{') || !path.starts_with('/') { String::new() } else { path.to_owned() }
}

impl Translated<'_> {
    /// Its own id.
    pub(super) fn id(&self) -> Option<&str> {
        self.operation.get("operationId")?.as_str().filter(|id| !id.is_empty())
    }

    /// What the service says of it, in the form of the merged document.
    pub(super) fn said(&self, lift: &mut Lift<'_>) -> Said {
        // The operation's own come before those that hold for the whole path.
        let lists = [self.operation.get("parameters"), self.item.get("parameters")];
        let all = lists.into_iter().filter_map(|list| list?.as_array()).flatten();
        let mut parameters: Vec<Value> = all.take(MAX_PARAMETERS + 1).cloned().collect();
        if parameters.len() > MAX_PARAMETERS {
            lift.notes.tell(format!("parameters beyond {MAX_PARAMETERS} of an operation are left out"));
            parameters.truncate(MAX_PARAMETERS);
        }
        let tags = self.operation.get("tags").and_then(Value::as_array).into_iter().flatten();
        let mut words = lift::words_of_operation(self.operation);
        for name in ["summary", "description"] {
            if let (false, Some(text)) = (words.contains_key(name), self.item.get(name).filter(|it| it.is_string())) {
                words.insert(name.to_owned(), text.clone());
            }
        }
        if self.operation.get("callbacks").is_some() {
            lift.notes.tell("callbacks are left out: they do not pass the gateway".to_owned());
        }
        Said {
            words,
            tags: tags.filter(|tag| tag.is_string()).take(MAX_TAGS).cloned().collect(),
            in_path: self.in_path(&parameters, lift),
            parameters: lift.parameters(parameters.iter()),
            body: self.operation.get("requestBody").and_then(|body| lift.request_body_or_reference(body)),
            responses: self.responses(lift),
        }
    }

    fn in_path(&self, parameters: &[Value], lift: &mut Lift<'_>) -> Vec<(String, Value)> {
        let source = lift.source;
        let names = self.template.names();
        let mut found: Vec<(String, Value)> = Vec::new();
        for parameter in parameters.iter().filter_map(|parameter| source.resolved("parameters", parameter)) {
            let is_in_path = parameter.get("in").and_then(Value::as_str) == Some("path");
            let Some(name) = parameter.get("name").and_then(Value::as_str).filter(|_| is_in_path) else { continue };
            if names.contains(&name)
                && !found.iter().any(|(known, _)| known == name)
                && let Some(lifted) = lift.parameter(parameter)
            {
                found.push((name.to_owned(), lifted));
            }
        }
        found
    }

    fn responses(&self, lift: &mut Lift<'_>) -> Map<String, Value> {
        let mut responses = lift.responses(self.operation.get("responses"));
        if responses.is_empty() {
            responses.insert("default".to_owned(), serde_json::json!({ "description": "What the service answers." }));
        }
        responses
    }
}
