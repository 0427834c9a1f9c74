//! The document while it grows: paths, each operation in its place, and what happens where two routes have the same
//! one.
//!
//! OpenAPI has one operation for a method of a path, and no place for hosts and headers beside it. So where routes
//! share a path and a method, the one that asks for least is the operation, and the others are its alternatives, told
//! in words and in `x-alternatives`. A route that no request comes to, since another one takes them all, is not told
//! of: what it asks for is asked of nobody.

use std::collections::HashMap;

use http::Method;
use serde_json::{Map, Value, json};

use super::operation::{CONDITION, METHODS, Rank, rank, when};
use super::precedence::{Precedence, Shadow, View};
use super::template::Template;
use crate::config::settings::Route;

/// Paths in the order in which they came.
#[derive(Debug)]
pub(super) struct Draft {
    /// For whom it is.
    view: View,
    paths: Vec<Place>,
    by_shape: HashMap<String, usize>,
}

/// One path.
#[derive(Debug)]
struct Place {
    template: Template,
    /// All routes of each method, in the order of the file.
    operations: Vec<(Method, Vec<Drawn>)>,
    /// Methods that OpenAPI has no place for.
    others: Vec<Value>,
}

/// One route's operation, and how much it asks for.
#[derive(Debug)]
struct Drawn {
    rank: Rank,
    precedence: Precedence,
    route: String,
    when: Option<String>,
    /// What is told of it where another one stands first.
    told: Value,
    operation: Map<String, Value>,
}

impl Draft {
    /// Without paths.
    pub(super) fn new(view: View) -> Self {
        Self { view, paths: Vec::new(), by_shape: HashMap::new() }
    }

    /// Whether a route has this method of a path already.
    pub(super) fn has(&self, method: &Method, template: &Template, route: &Route) -> bool {
        let place = self.by_shape.get(&template.shape()).and_then(|at| self.paths.get(*at));
        let drawn = place.and_then(|place| place.operations.iter().find(|(own, _)| own == method));
        drawn.is_some_and(|(_, drawn)| drawn.iter().any(|one| one.route == *route.name))
    }

    /// Adds methods that OpenAPI cannot show.
    pub(super) fn add_others(&mut self, template: &Template, methods: &[&Method], route: &Route) {
        let place = self.place(template);
        place.others.extend(methods.iter().map(|method| json!({ "method": method.as_str(), "route": &*route.name })));
    }

    /// Adds an operation.
    pub(super) fn add(
        &mut self,
        method: &Method,
        template: &Template,
        (route, mut operation): (&Route, Map<String, Value>),
    ) {
        let precedence = Precedence::of(&route.matches, self.view);
        let place = self.place(template);
        let (name, when) = (route.name.to_string(), when(&route.matches));
        let told = told(&name, when.as_deref(), &operation);
        rename(&mut operation, template, &place.template);
        let drawn = Drawn { rank: rank(&route.matches), precedence, route: name, when, told, operation };
        match place.operations.iter_mut().find(|(own, _)| own == method) {
            None => place.operations.push((method.clone(), vec![drawn])),
            Some((_, all)) => all.push(drawn),
        }
    }

    fn place(&mut self, template: &Template) -> &mut Place {
        let (paths, by_shape) = (&mut self.paths, &mut self.by_shape);
        let at = *by_shape.entry(template.shape()).or_insert_with(|| {
            paths.push(Place { template: template.clone(), operations: Vec::new(), others: Vec::new() });
            paths.len() - 1
        });
        &mut paths[at]
    }

    /// The paths as the document has them.
    pub(super) fn paths(self) -> Map<String, Value> {
        let item = |place: Place| {
            let mut item = Map::new();
            let mut operations = place.operations;
            operations.sort_by_key(|(method, _)| METHODS.iter().position(|known| known == method));
            for (method, drawn) in operations {
                if let Some(operation) = settled(drawn) {
                    item.insert(method.as_str().to_ascii_lowercase(), operation.into());
                }
            }
            if !place.others.is_empty() {
                item.insert("x-other-methods".to_owned(), place.others.into());
            }
            (place.template.written(), item.into())
        };
        self.paths.into_iter().map(item).collect()
    }
}

/// The operation of several routes.
fn settled(all: Vec<Drawn>) -> Option<Map<String, Value>> {
    let shadow = |of: usize| {
        let others = all[..of].iter().map(|one| (one, true)).chain(all[of + 1..].iter().map(|one| (one, false)));
        others.map(|(one, is_before)| one.precedence.shadow_on(&all[of].precedence, is_before)).max()
    };
    let shadows: Vec<Shadow> = (0..all.len()).map(|of| shadow(of).unwrap_or_default()).collect();
    let mut kept: Vec<(Shadow, Drawn)> = shadows.into_iter().zip(all).collect();
    kept.retain(|(shadow, _)| *shadow != Shadow::Whole);
    kept.sort_by_key(|(shadow, one)| (*shadow, one.rank));
    let mut kept = kept.into_iter();
    let (_, mut first) = kept.next()?;
    for (shadow, other) in kept {
        first.tell_of(&other, shadow);
        if shadow == Shadow::None {
            first.take_in(&other);
        }
    }
    Some(first.operation)
}

impl Drawn {
    /// Tells of another route with the same method and path.
    fn tell_of(&mut self, other: &Self, shadow: Shadow) {
        let deeper = "whatever lies deeper";
        let when = other.when.as_deref().unwrap_or(if shadow == Shadow::None { "whatever else comes" } else { deeper });
        let said = self.operation.get("description").and_then(Value::as_str).unwrap_or_default();
        let security = security_in_words(&other.operation);
        let said = format!("{said}\n\nAnother route takes it, `{}`: {when}. {security}", other.route);
        self.operation.insert("description".to_owned(), said.trim().into());
        append(&mut self.operation, "x-alternatives", vec![other.told.clone()]);
    }

    /// Takes in what another route asks and answers: either may be who a request comes to.
    fn take_in(&mut self, other: &Self) {
        // What only one of them asks for is no more asked for by all.
        for parameter in self.operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            if parameter.get(CONDITION).is_some() {
                parameter["required"] = false.into();
                parameter["schema"] = json!({ "type": "string" });
            }
        }
        self.union("security", other);
        self.union_servers(other);
        self.answer_too(other);
    }

    fn union(&mut self, name: &str, other: &Self) {
        // No alternative at all is that nothing is asked for.
        let list = |operation: &Map<String, Value>| match operation.get(name).and_then(Value::as_array) {
            Some(list) if !list.is_empty() => list.clone(),
            _ => vec![json!({})],
        };
        let (mut own, others) = (list(&self.operation), list(&other.operation));
        own.extend(others);
        dedup(&mut own);
        let asks_nothing = own == [json!({})];
        self.operation.insert(name.to_owned(), if asks_nothing { json!([]) } else { own.into() });
    }

    fn union_servers(&mut self, other: &Self) {
        let theirs = other.operation.get("servers").and_then(Value::as_array);
        match (self.operation.get_mut("servers").and_then(Value::as_array_mut), theirs) {
            (Some(own), Some(theirs)) => {
                for server in theirs {
                    if !own.contains(server) {
                        own.push(server.clone());
                    }
                }
            }
            // One of them is asked at any of the gateway's addresses.
            _ => drop(self.operation.remove("servers")),
        }
    }

    fn answer_too(&mut self, other: &Self) {
        let theirs = other.operation.get("responses").and_then(Value::as_object);
        let Some(own) = self.operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
        for (status, response) in theirs.into_iter().flatten() {
            own.entry(status.clone()).or_insert_with(|| response.clone());
        }
    }
}

/// A route as it is told of beside another one, by itself.
fn told(route: &str, when: Option<&str>, operation: &Map<String, Value>) -> Value {
    let mut told = json!({ "route": route, "when": when, "summary": operation.get("summary") });
    for name in ["security", "servers", "x-rate-limits", "x-gateway"] {
        if let Some(value) = operation.get(name) {
            told[name] = value.clone();
        }
    }
    told
}

fn security_in_words(operation: &Map<String, Value>) -> &'static str {
    match operation.get("security").and_then(Value::as_array) {
        Some(list) if !list.is_empty() => "Who may use it there: see `x-alternatives`.",
        _ => "",
    }
}

fn append(operation: &mut Map<String, Value>, name: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    let list = operation.entry(name).or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut() {
        list.extend(more);
    }
}

fn dedup(list: &mut Vec<Value>) {
    let mut seen: Vec<Value> = Vec::new();
    list.retain(|value| {
        let is_new = !seen.contains(value);
        if is_new {
            seen.push(value.clone());
        }
        is_new
    });
}

/// Gives the parameters of a path the names that they have where the path stands already.
fn rename(operation: &mut Map<String, Value>, from: &Template, to: &Template) {
    let names: Vec<(&str, &str)> = from.names().into_iter().zip(to.names()).filter(|(old, new)| old != new).collect();
    if names.is_empty() {
        return;
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] != "path" {
            continue;
        }
        if let Some((_, new)) = names.iter().find(|(old, _)| parameter["name"] == *old) {
            parameter["name"] = (*new).into();
        }
    }
}
