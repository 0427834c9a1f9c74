//! One operation of a route: what the route does with a request, added to what its service says of it.

use http::{HeaderName, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::servers::{self, Listening};
use super::template::Template;
use super::{answers, limits, problems, security};
use crate::config::settings::own_answer::Https;
use crate::config::settings::route::{RouteMatch, ValueMatch};
use crate::config::settings::target::may_be_secret;
use crate::config::settings::{Config, Route};

/// Methods that OpenAPI has a place for, in its order.
pub(super) const METHODS: [Method; 8] = [
    Method::GET,
    Method::PUT,
    Method::POST,
    Method::DELETE,
    Method::OPTIONS,
    Method::HEAD,
    Method::PATCH,
    Method::TRACE,
];
/// What is shown of a route that takes any method.
const USUAL: [Method; 5] = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
/// Marks a parameter that is there because the route asks for it.
pub(super) const CONDITION: &str = "x-condition";

/// The methods that a route is shown with, and those that OpenAPI has no place for.
pub(super) fn methods(route: &Route) -> (Vec<Method>, Vec<&Method>) {
    let named = &route.matches.methods;
    if named.is_empty() {
        return (USUAL.to_vec(), Vec::new());
    }
    let others = named.iter().filter(|method| !METHODS.contains(method)).collect();
    (METHODS.into_iter().filter(|method| named.contains(method)).collect(), others)
}

/// What a service says of an operation; empty where it says nothing.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Texts and extensions.
    pub(super) words: Map<String, Value>,
    /// Its tags.
    pub(super) tags: Vec<Value>,
    /// Parameters in the path, by their names in the template.
    pub(super) in_path: Vec<(String, Value)>,
    /// The other parameters.
    pub(super) parameters: Vec<Value>,
    /// What a request brings.
    pub(super) body: Option<Value>,
    /// Answers by status; empty where it says nothing.
    pub(super) responses: Map<String, Value>,
}

/// A route, and where it is asked.
#[derive(Clone, Copy)]
pub(super) struct Of<'c> {
    pub(super) config: &'c Config,
    pub(super) route: &'c Route,
    pub(super) listeners: &'c [Listening],
}

impl Of<'_> {
    /// The operation, but for its id.
    pub(super) fn operation(self, method: &Method, template: &Template, said: Option<Said>) -> Map<String, Value> {
        let Self { config, route, listeners } = self;
        let is_documented = said.is_some();
        let mut said = said.unwrap_or_default();
        let mut operation = Map::new();
        let summary = said.words.remove("summary").unwrap_or_else(|| json!(&*route.name));
        operation.insert("summary".to_owned(), summary);
        let told = said.words.remove("description");
        let told = told.as_ref().and_then(Value::as_str).map(str::to_owned);
        operation.insert("description".to_owned(), self.in_words(method, told.filter(|text| !text.is_empty())).into());
        let tags = if said.tags.is_empty() { vec![json!(&*route.name)] } else { std::mem::take(&mut said.tags) };
        operation.insert("tags".to_owned(), tags.into());
        operation.extend(std::mem::take(&mut said.words));
        let parameters = self.parameters(template, &mut said);
        if !parameters.is_empty() {
            operation.insert("parameters".to_owned(), parameters.into());
        }
        if let Some(body) = self.body(method, said.body.take(), is_documented) {
            operation.insert("requestBody".to_owned(), body);
        }
        let responses = if said.responses.is_empty() { answers::of_route(route) } else { said.responses };
        operation.insert("responses".to_owned(), self.responses(method, responses).into());
        operation.insert("security".to_owned(), security::of_route(config, route).unwrap_or_default().into());
        if !route.matches.hosts.is_empty() {
            operation.insert("servers".to_owned(), servers::of_hosts(listeners, &route.matches.hosts).into());
        }
        let rules = limits::all_told(config, route);
        if !rules.is_empty() {
            operation.insert("x-rate-limits".to_owned(), rules.into());
        }
        operation.insert("x-gateway".to_owned(), self.told(method, is_documented));
        operation
    }

    /// The parameters of its path, those of its service, and those that the route asks for.
    fn parameters(self, template: &Template, said: &mut Said) -> Vec<Value> {
        let mut all = Vec::new();
        for name in template.names() {
            let known = said.in_path.iter().find(|(own, _)| own == name).map(|(_, parameter)| parameter.clone());
            let mut parameter = known.unwrap_or_else(|| json!({ "schema": { "type": "string" } }));
            parameter["name"] = name.into();
            parameter["in"] = "path".into();
            parameter["required"] = true.into();
            if template.rest() == Some(name) {
                parameter["description"] = "All that follows, slashes too; it may be empty.".into();
                parameter["x-catch-all"] = true.into();
            }
            all.push(parameter);
        }
        let given = self.route.aggregate.iter().flat_map(|aggregate| aggregate.query_parameters());
        all.extend(given.map(|(name, parts)| {
            let parts = parts.iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", ");
            let description = format!("What {parts} is asked with; it may be there several times.");
            json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } })
        }));
        let conditions = conditions(&self.route.matches);
        let is_asked_for = |one: &Value| conditions.iter().any(|own| is_same(own, one));
        all.extend(said.parameters.drain(..).filter(|one| !is_asked_for(one)));
        all.extend(conditions);
        all
    }

    /// What a request may bring.
    fn body(self, method: &Method, said: Option<Value>, is_documented: bool) -> Option<Value> {
        if said.is_some() || is_documented || problems::is_fixed(self.route) || !problems::brings_body(method) {
            return said;
        }
        let most = problems::max_body(self.config, self.route);
        let description = most.map_or_else(|| "Of any size.".to_owned(), |most| format!("At most {}.", size(most)));
        Some(json!({ "description": description, "content": { "*/*": {} } }))
    }

    /// The answers, with what the gateway itself answers.
    fn responses(self, method: &Method, mut responses: Map<String, Value>) -> Map<String, Value> {
        let Self { config, route, .. } = self;
        let rules = limits::of_route(config, route);
        if rules.iter().any(|rule| !rule.shadow) {
            for (_, response) in
                responses.iter_mut().filter(|(status, _)| status.starts_with('2') || *status == "default")
            {
                answers::add_headers(response, &["ratelimit", "ratelimit-policy"]);
            }
        }
        if route.origin.as_ref().is_some_and(|origin| origin.https == Https::Redirect) {
            let status = StatusCode::PERMANENT_REDIRECT;
            let entry = responses
                .entry(status.as_str())
                .or_insert_with(|| answers::redirect("Asked in the clear: the same over https."));
            answers::add_headers(entry, &[]);
        }
        answers::add_fallback(route, &mut responses);
        for told in problems::responses(config, route, &problems::codes(config, route, method)) {
            answers::add_problem(&mut responses, told);
        }
        for (statuses, response) in problems::of_others(route) {
            responses.entry(statuses).or_insert(response);
        }
        responses
    }

    /// What the route does with a request, for people.
    fn in_words(self, method: &Method, told: Option<String>) -> String {
        let Self { config, route, .. } = self;
        let mut paragraphs: Vec<String> = told.into_iter().collect();
        paragraphs.extend(answers::in_words(route));
        paragraphs.extend(when(&route.matches).map(|when| format!("Only {when}.")));
        paragraphs.extend(security::in_words(route));
        if route.grpc_web && *method == Method::POST {
            paragraphs.push("Web pages may call it as gRPC-Web.".to_owned());
        }
        let rules = limits::all_in_words(config, route);
        if !rules.is_empty() {
            paragraphs.push(format!("Limits: {}.", rules.join("; ")));
        }
        if let Some(most) = problems::max_body(config, route).filter(|_| problems::brings_body(method)) {
            paragraphs.push(format!("Bodies up to {}.", size(most)));
        }
        paragraphs.join("\n\n")
    }

    /// The same for programs.
    fn told(self, method: &Method, is_documented: bool) -> Value {
        let Self { config, route, .. } = self;
        let codes = problems::codes(config, route, method);
        let mut told = json!({
            "route": &*route.name,
            "documented": is_documented,
            "problems": codes.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
        });
        if let Some(timeout) = route.timeout.filter(|_| !problems::is_fixed(route)) {
            told["timeout_ms"] = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).into();
        }
        if let Some(most) = problems::max_body(config, route).filter(|_| problems::brings_body(method)) {
            told["max_body_bytes"] = most.into();
        }
        if let Some(when) = when(&route.matches) {
            told["when"] = when.into();
        }
        if route.origin.as_ref().is_some_and(|origin| !origin.allow.is_empty() || !origin.deny.is_empty()) {
            told["addresses"] = true.into();
        }
        if let Some(aggregate) = &route.aggregate {
            told["parts"] =
                aggregate.parts.iter().map(|part| json!({ "name": &*part.name, "required": part.required })).collect();
        }
        if let Some(batch) = &route.batch {
            told["batch"] = json!({ "id": batch.id, "max_size": batch.max_size });
        }
        if let Some(regex) = &route.matches.path_regex {
            told["path_regex"] = (*regex.written).into();
        }
        if route.grpc_web && *method == Method::POST {
            told["grpc_web"] = true.into();
        }
        if let Some(cors) = &route.cors {
            let origins = cors.origins.as_ref().map_or_else(|| json!("*"), |_| json!(cors.origins_texts()));
            told["cors"] =
                json!({ "origins": origins, "methods": cors.methods_text(), "headers": cors.headers_text() });
        }
        told
    }
}

/// Parameters by which a request is this route's.
fn conditions(matches: &RouteMatch) -> Vec<Value> {
    // What these say is described in other ways than as parameters.
    let is_parameter = |name: &HeaderName| !matches!(name.as_str(), "accept" | "content-type" | "authorization");
    let headers = matches.headers.iter().filter(|(name, _)| is_parameter(name));
    let headers = headers.map(|(name, value)| condition("header", name.as_str(), value));
    headers.chain(matches.query.iter().map(|(name, value)| condition("query", name, value))).collect()
}

/// Whether two parameters are one: headers are, whatever their case.
fn is_same(one: &Value, other: &Value) -> bool {
    let name = |of: &Value| of["name"].as_str().map(str::to_ascii_lowercase);
    let is_header = one["in"] == "header";
    one["in"] == other["in"] && if is_header { name(one) == name(other) } else { one["name"] == other["name"] }
}

fn condition(place: &str, name: &str, value: &ValueMatch) -> Value {
    let schema = match value {
        ValueMatch::Exact(text) if !may_be_secret(name) => json!({ "type": "string", "const": text }),
        _ => json!({ "type": "string" }),
    };
    let description = format!("{}.", wanted(name, value));
    json!({ "name": name, "in": place, "required": true, "description": description, "schema": schema, CONDITION: true })
}

fn wanted(name: &str, value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => "Any value".to_owned(),
        // The document is for others than those who know it.
        ValueMatch::Hidden(_) => "A value that is not shown".to_owned(),
        _ if may_be_secret(name) => "A value that is not shown".to_owned(),
        ValueMatch::Exact(text) => format!("`{text}`"),
        // Another language's regular expressions than JSON Schema's: told in words.
        ValueMatch::Pattern(pattern) => format!("The whole value matches `{pattern}`"),
    }
}

/// Which requests are this route's, beside path and method; `None` where all are.
pub(super) fn when(matches: &RouteMatch) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    if !matches.listeners.is_empty() {
        let names = matches.listeners.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        parts.push(format!("by the listener {names}"));
    }
    // Which ones is the operators' to know.
    parts.extend((!matches.clients.is_empty()).then(|| "for clients at some addresses".to_owned()));
    if let Some(regex) = &matches.path_regex {
        parts.push(format!("where the whole path matches `{}`", regex.written));
    }
    if !matches.hosts.is_empty() {
        let hosts = matches.hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(" or ");
        parts.push(format!("for the host {hosts}"));
    }
    for (place, name, value) in matches
        .headers
        .iter()
        .map(|(name, value)| ("header", name.as_str(), value))
        .chain(matches.query.iter().map(|(name, value)| ("query parameter", name.as_str(), value)))
    {
        parts.push(match value {
            ValueMatch::Present => format!("with the {place} `{name}`"),
            ValueMatch::Hidden(_) => format!("with a value of the {place} `{name}` that is not shown"),
            _ if may_be_secret(name) => format!("with a value of the {place} `{name}` that is not shown"),
            ValueMatch::Exact(text) => format!("with the {place} `{name}` = `{text}`"),
            ValueMatch::Pattern(pattern) => format!("with a {place} `{name}` that matches `{pattern}`"),
        });
    }
    parts.extend(matches.body.iter().map(|wanted| match wanted.may_be_secret() {
        true => format!("with a value at `{}` in the body that is not shown", wanted.pointer),
        false => format!("with `{}` at `{}` in the body", wanted.value, wanted.pointer),
    }));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// How many things a request has to bring to be this route's: what is asked for least stands first.
pub(super) fn rank(matches: &RouteMatch) -> Rank {
    let of_listeners = usize::from(!matches.listeners.is_empty());
    let of_path = usize::from(matches.path_regex.is_some()) + usize::from(!matches.clients.is_empty());
    let conditions = matches.headers.len() + matches.query.len() + matches.body.len() + of_listeners + of_path;
    (conditions, !matches.hosts.is_empty(), matches.path.contains("{*"))
}

/// Conditions, whether it is for some hosts alone, whether it is for all that lies below.
pub(super) type Rank = (usize, bool, bool);

/// Bytes, for people.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes > 0 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes > 0 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
