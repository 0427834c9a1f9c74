//! Puts the document together: each route by itself, or in the words of its service where these are known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::lift::{self, Lift, Notes};
use super::names::{Renamed, Taken};
use super::operation::{Of, methods};
use super::precedence::View;
use super::servers::{self, Listening};
use super::source::Source;
use super::template::Template;
use super::translate::{Translated, translated};
use super::{problems, security};
use crate::config::settings::api_document::{ApiDocument, Key};
use crate::config::settings::{Config, Route};
use crate::explain::judge::Judge;

/// Operations that are taken from services, in all.
const MAX_OPERATIONS: usize = 20_000;
/// What these may take together, bytes: a part that many of them refer to may stand in each.
const MAX_OPERATION_BYTES: usize = 32 << 20;
/// Tags that are described.
const MAX_TAGS: usize = 1000;

/// What is known of a service's document that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The last one that came.
    pub text: Option<Arc<[u8]>>,
    /// Why there is none, or none that is newer.
    pub failed: Option<String>,
}

/// What a document is made for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where clients connect: all of the listeners, or the one that is asked for.
    pub listeners: &'a [Listening],
    /// Only what a client finds that comes by the listener of this name.
    pub listener: Option<&'a str>,
    /// Only what a client finds that asks for this host, in lower case.
    pub host: Option<&'a str>,
    /// The documents of services that are asked for.
    pub given: &'a BTreeMap<Key, Given>,
}

/// The merged document.
pub fn merged(config: &Config, wanted: &Wanted<'_>) -> Value {
    let mut merging = Merging::new(config, wanted);
    for (index, route) in config.routes.iter().enumerate() {
        let matches = &route.matches;
        if servers::are_for(&matches.hosts, wanted.host) && servers::is_reached_by(&matches.listeners, wanted.listener)
        {
            merging.route(index, route);
        }
    }
    merging.finish()
}

/// The document of one service, and what its components are called.
struct Service {
    source: Arc<Source>,
    renamed: Renamed,
    notes: Notes,
    /// The route by which it came first.
    prefix: String,
}

struct Merging<'c> {
    config: &'c Config,
    wanted: &'c Wanted<'c>,
    judge: Judge<'c>,
    draft: Draft,
    taken: Taken,
    /// By where they come from: routes to one service share its document.
    services: HashMap<Key, Result<Service, String>>,
    /// The order in which they came.
    order: Vec<Key>,
    tags: Vec<Value>,
    /// What is told of documents, route by route.
    told: Vec<Value>,
    operations: usize,
    bytes: usize,
}

impl<'c> Merging<'c> {
    fn new(config: &'c Config, wanted: &'c Wanted<'c>) -> Self {
        let mut taken = Taken::default();
        taken.component("schemas", problems::SCHEMA, "");
        for name in problems::components().keys() {
            taken.component("responses", name, "");
        }
        for name in problems::headers().keys() {
            taken.component("headers", name, "");
        }
        Self {
            config,
            wanted,
            judge: Judge::new(config),
            draft: Draft::new(View { is_of_host: wanted.host.is_some(), is_of_listener: wanted.listener.is_some() }),
            taken,
            services: HashMap::new(),
            order: Vec::new(),
            tags: Vec::new(),
            told: Vec::new(),
            operations: 0,
            bytes: 0,
        }
    }

    fn route(&mut self, index: usize, route: &'c Route) {
        let merged = match &route.openapi {
            Some(document) => self.documented(index, route, document),
            None => 0,
        };
        if merged > 0 {
            return;
        }
        let template = Template::of_route(&route.matches.path);
        let (shown, others) = methods(route);
        for method in shown {
            let mut operation = self.of(route).operation(&method, &template, None);
            self.identify(&mut operation, &format!("{}-{}", route.name, method.as_str().to_ascii_lowercase()), route);
            self.draft.add(&method, &template, (route, operation));
        }
        if !others.is_empty() {
            self.draft.add_others(&template, &others, route);
        }
        self.tag(&json!({ "name": &*route.name }));
    }

    fn of(&self, route: &'c Route) -> Of<'c> {
        Of { config: self.config, route, listeners: self.wanted.listeners }
    }

    /// Takes what the route's service says; how many operations there are of it.
    fn documented(&mut self, index: usize, route: &'c Route, document: &ApiDocument) -> usize {
        let key = document.key(route);
        let given = match document {
            ApiDocument::File(file) => Given { text: Some(Arc::clone(&file.text)), failed: None },
            ApiDocument::Upstream { .. } => self.wanted.given.get(&key).cloned().unwrap_or_default(),
        };
        let mut told = json!({ "route": &*route.name, "from": document.to_string() });
        let mut service = match self.service(&key, route, given.text.as_deref()) {
            Ok(service) => service,
            Err(why) => {
                told["missing"] = given.failed.unwrap_or(why).into();
                self.told.push(told);
                return 0;
            }
        };
        if let Some(failed) = given.failed {
            told["stale"] = failed.into();
        }
        for (what, name) in [("title", "title"), ("version", "version")] {
            if let Some(text) = service.source.info(name) {
                told[what] = super::source::short(text).into();
            }
        }
        let host = servers::sample_of(&route.matches.hosts, self.wanted.host);
        let source = Arc::clone(&service.source);
        let all = translated(&self.judge, (index, route, &host), &source);
        let mut merged = 0;
        for operation in &all.operations {
            if self.operations >= MAX_OPERATIONS || self.bytes >= MAX_OPERATION_BYTES {
                service.notes.tell(format!("operations beyond {MAX_OPERATIONS} or too many bytes are left out"));
                break;
            }
            merged += usize::from(self.take(route, &mut service, operation));
        }
        told["operations"] = merged.into();
        if all.passed_over > 0 {
            told["not_reachable"] = all.passed_over.into();
        }
        for tag in service.source.list("tags").into_iter().flatten().filter_map(lift::tag) {
            self.tag(&tag);
        }
        self.told.push(told);
        self.services.insert(key, Ok(service));
        merged
    }

    /// The service, taken out; for a first time read.
    fn service(&mut self, key: &Key, route: &Route, text: Option<&[u8]>) -> Result<Service, String> {
        match self.services.remove(key) {
            Some(Ok(service)) => return Ok(service),
            Some(Err(why)) => {
                self.services.insert(key.clone(), Err(why.clone()));
                return Err(why);
            }
            None => {}
        }
        let text = text.ok_or("it has not been asked for yet")?;
        match Source::read(text) {
            Ok(source) => {
                self.order.push(key.clone());
                let prefix = route.name.to_string();
                Ok(Service { source: Arc::new(source), renamed: Renamed::default(), notes: Notes::default(), prefix })
            }
            Err(why) => {
                self.services.insert(key.clone(), Err(why.clone()));
                Err(why)
            }
        }
    }

    /// Takes one operation; whether there is a place for it.
    fn take(&mut self, route: &'c Route, service: &mut Service, operation: &Translated<'_>) -> bool {
        if self.draft.has(&operation.method, &operation.template, route) {
            return false;
        }
        let Service { source, renamed, notes, prefix } = service;
        let mut lift = Lift { source, renamed, taken: &mut self.taken, notes, prefix };
        let said = operation.said(&mut lift);
        let wished = operation.id().map_or_else(
            || {
                format!(
                    "{}-{}-{}",
                    route.name,
                    operation.method.as_str().to_ascii_lowercase(),
                    operation.template.written()
                )
            },
            str::to_owned,
        );
        if said.tags.is_empty() {
            self.tag(&json!({ "name": &*route.name }));
        }
        let mut drawn = self.of(route).operation(&operation.method, &operation.template, Some(said));
        self.identify(&mut drawn, &wished, route);
        self.bytes += drawn.values().map(weight).sum::<usize>();
        self.draft.add(&operation.method, &operation.template, (route, drawn));
        self.operations += 1;
        true
    }

    /// Gives an operation an id of its own.
    fn identify(&mut self, operation: &mut Map<String, Value>, wished: &str, route: &Route) {
        let id = self.taken.operation(wished, &route.name);
        operation.insert("operationId".to_owned(), id.into());
    }

    /// Tags have one entry each; the first is kept.
    fn tag(&mut self, tag: &Value) {
        if self.tags.len() < MAX_TAGS && !self.tags.iter().any(|known| known["name"] == tag["name"]) {
            self.tags.push(tag.clone());
        }
    }

    fn finish(mut self) -> Value {
        let mut components: BTreeMap<&'static str, Map<String, Value>> = BTreeMap::from([
            ("schemas", Map::from_iter([(problems::SCHEMA.to_owned(), problems::schema())])),
            ("responses", problems::components()),
            ("headers", problems::headers()),
        ]);
        let mut notes: Vec<Value> = Vec::new();
        for key in &self.order {
            let Some(Ok(mut service)) = self.services.remove(key) else { continue };
            while let Some((section, old, new)) = service.renamed.next() {
                let Service { source, renamed, notes, prefix } = &mut service;
                let mut lift = Lift { source, renamed, taken: &mut self.taken, notes, prefix };
                let component = lift.component(section, &old);
                components.entry(section).or_default().insert(new, component);
            }
            let said = service.notes.list();
            if !said.is_empty() {
                notes.push(json!({ "route": service.prefix, "notes": said }));
            }
        }
        let schemes = security::schemes(self.config);
        if !schemes.is_empty() {
            components.insert("securitySchemes", schemes);
        }
        let mut document = json!({
            "openapi": "3.1.0",
            "info": info(self.wanted),
            "servers": servers::of_listeners(self.wanted.listeners),
            "tags": self.tags,
            "paths": self.draft.paths(),
            "components": components,
        });
        if !self.told.is_empty() {
            document["x-documents"] = self.told.into();
        }
        if !notes.is_empty() {
            document["x-left-out"] = notes.into();
        }
        document
    }
}

fn info(wanted: &Wanted<'_>) -> Value {
    let host = wanted.host.map(|host| format!(", as {host}")).unwrap_or_default();
    let listener = wanted.listener.map(|name| format!(", by the listener {name}")).unwrap_or_default();
    let title = format!("Gateway{host}{listener}");
    json!({
        "title": title,
        "version": crate::build::VERSION,
        "description": "What this gateway lets through, with who may use it and how often. A path that answers GET answers HEAD \
                        too. Whatever the gateway refuses, it says why in a problem document (RFC 9457); beside those that \
                        operations name, a request that no route takes is answered with 404 or 405, one that cannot be read \
                        with 400, 408, 414, 417, 421 or 431, and a bug of the gateway with 500.",
        "x-generator": "portcullis",
    })
}

/// About the bytes of a value.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}
