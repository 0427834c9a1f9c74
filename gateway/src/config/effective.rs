//! What a configuration comes to, as one value: each key with what holds for it, defaults and shared keys filled in, in
//! one form. Two configurations that mean the same come to the same value, however they are written.
//!
//! Tables that have a name or an address are objects under it, whatever their order; lists whose order means nothing
//! are sorted; a table that is turned off is `"off"`. Variables of the environment stay names, as do files.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::build;
use super::check::same::same;
use super::check::{Context, Reader};
use super::parse::document;
use super::schema::aggregate::AGGREGATE;
use super::schema::batch::BATCH;
use super::schema::root::ROOT;
use super::schema::route::ROUTE;
use super::schema::route_policy::RETRY;
use super::schema::server::LISTENER;
use super::schema::upstream::UPSTREAM;
use super::schema::{Key, Kind, TableDef};
use super::tree::{Entry, Node, Table, Value as Written};
use super::value::text::TextKind;
use super::value::{quantity, text, upstream_url};

/// Lists whose order says something: who is asked first, what a request passes first, what comes first in a document.
const ORDERED: [&str; 6] = ["providers", "rate_limits", "stages", "certificates", "codings", "parts"];
/// What only helps to write a file, and what is walked through below.
const WRITING: [&str; 7] = ["include", "defaults", "policies", "routes", "aggregates", "batches", "listeners"];

/// What a checked configuration comes to.
pub(crate) fn of(context: &Context<'_>, root: &Reader<'_>) -> Value {
    let walk = Walk { context };
    let mut all = Map::new();
    for key in ROOT.keys.iter().filter(|key| !WRITING.contains(&key.name)) {
        all.extend(walk.key(root, key).map(|value| (key.name.to_owned(), value)));
    }
    let (mut listeners, mut seen) = (Map::new(), HashMap::<String, usize>::new());
    let default = [Reader::new(None, None, &LISTENER, root.at)];
    let written: Vec<Reader<'_>> = root.nodes("listeners").iter().filter_map(|node| plain(node, &LISTENER)).collect();
    for listener in if written.is_empty() { &default[..] } else { &written[..] } {
        let address = listener.text("address").into_owned();
        // Port 0 may be there several times: which of them comes behind the address.
        let number = seen.entry(address.clone()).and_modify(|number| *number += 1).or_insert(1);
        let key = if *number == 1 { address } else { format!("{address} #{number}") };
        listeners.insert(key, walk.table(listener));
    }
    all.insert("listeners".to_owned(), listeners.into());
    let mut upstreams = all.remove("upstreams").and_then(as_object).unwrap_or_default();
    let (mut routes, mut order) = (Map::new(), Vec::new());
    let names = build::names(context, root);
    for node in root.nodes("routes") {
        let Some(table) = node.table() else { continue };
        let mut route = walk.table(&Reader::new(Some(table), context.shared(&ROUTE, Some(table)), &ROUTE, node.at));
        // Names are what routes are called by in records, whatever variables they were written with.
        let name = names.at(node.at).to_owned();
        let content = |key: &str| table.get(key).and_then(Node::text);
        walk.resolve(content("upstream"), &mut route["upstream"], &mut upstreams);
        if let Some(asked) = route.get_mut("forward_auth") {
            walk.resolve(None, &mut asked["upstream"], &mut upstreams);
        }
        if let Some(route) = route.as_object_mut() {
            route.retain(|key, value| !matches!(key.as_str(), "name" | "policies") && !value.is_null());
        }
        order.push(Value::from(name.as_str()));
        routes.insert(name, route);
    }
    for (section, def) in [("aggregates", &AGGREGATE), ("batches", &BATCH)] {
        let mut tables = Map::new();
        for node in root.nodes(section) {
            let Some(reader) = plain(node, def) else { continue };
            let name = names.at(node.at).to_owned();
            let mut table = walk.table(&reader);
            for part in table.get_mut("parts").and_then(Value::as_array_mut).into_iter().flatten() {
                walk.resolve(None, &mut part["upstream"], &mut upstreams);
            }
            if let Some(table) = table.as_object_mut() {
                table.remove("name");
            }
            tables.insert(name, table);
        }
        all.insert(section.to_owned(), tables.into());
    }
    all.insert("upstreams".to_owned(), upstreams.into());
    all.insert("routes".to_owned(), routes.into());
    all.insert("route_order".to_owned(), order.into());
    all.into()
}

fn plain<'a>(node: &'a Node, def: &'static TableDef) -> Option<Reader<'a>> {
    Some(Reader::new(Some(node.table()?), None, def, node.at))
}

fn as_object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(object) = value { Some(object) } else { None }
}

struct Walk<'c, 'a> {
    context: &'c Context<'a>,
}

impl Walk<'_, '_> {
    fn table(&self, reader: &Reader<'_>) -> Value {
        if is_off(reader) {
            return "off".into();
        }
        let keys = reader.def().keys.iter();
        keys.filter_map(|key| Some((key.name.to_owned(), self.key(reader, key)?))).collect::<Map<_, _>>().into()
    }

    /// What holds for a key; `None` where nothing does.
    fn key(&self, reader: &Reader<'_>, key: &'static Key) -> Option<Value> {
        let written = reader.get(key.name);
        match key.kind {
            Kind::Table(_) | Kind::OrFalse(_) => {
                written.map(|_| ()).or(key.default.map(|_| ()))?;
                Some(self.table(&reader.table(key.name)))
            }
            Kind::Short(_, def) => match written {
                Some(node) if node.table().is_some() => Some(self.table(&reader.table(key.name))),
                Some(short) => Some(self.long_form(short, def)),
                None => self.value(key.kind, &key.default.and_then(document::literal)?, key.name),
            },
            Kind::Shared(..) => None,
            _ => {
                let value = self.value(key.kind, reader.effective(key.name)?.as_ref(), key.name)?;
                // Where nothing holds by default, an empty list or table is nothing too.
                let is_nothing = match &value {
                    Value::Array(list) => list.is_empty(),
                    Value::Object(table) => table.is_empty(),
                    _ => false,
                };
                (key.default.is_some() || !is_nothing).then_some(value)
            }
        }
    }

    /// A short form as the table that it stands for: its first key, or all defaults where it is `true`.
    fn long_form(&self, short: &Node, def: &'static TableDef) -> Value {
        match short.value {
            Written::Bool(false) => return "off".into(),
            Written::Bool(true) => return self.table(&Reader::new(None, None, def, short.at)),
            _ => {}
        }
        let entry = |key: &Key| Entry { key: key.name.to_owned(), key_at: short.at, node: short.clone() };
        let table = Table { entries: def.keys.first().map(entry).into_iter().collect() };
        self.table(&Reader::new(Some(&table), None, def, short.at))
    }

    fn value(&self, kind: Kind, node: &Node, name: &str) -> Option<Value> {
        match kind {
            Kind::Table(def) | Kind::Short(_, def) | Kind::OrFalse(def) if node.table().is_some() => {
                Some(self.table(&Reader::new(node.table(), None, def, node.at)))
            }
            Kind::Short(_, def) => Some(self.long_form(node, def)),
            Kind::List(element, _) => Some(self.list(*element, node.list()?, name)),
            Kind::Tables(def) => Some(self.list(Kind::Table(def), node.list()?, name)),
            Kind::Map(names, kind) => {
                let mut all = Map::new();
                for entry in &node.table()?.entries {
                    let value = match (*kind, entry.node.table()) {
                        (Kind::Table(def), Some(table)) => Some(self.table(&Reader::new(
                            Some(table),
                            self.context.shared(def, Some(table)),
                            def,
                            entry.node.at,
                        ))),
                        (kind, _) => self.value(kind, &entry.node, &entry.key),
                    };
                    all.extend(value.map(|value| (folded(names, &entry.key), value)));
                }
                Some(all.into())
            }
            Kind::Tagged(tag, variants) => {
                let chosen = node.table()?.get(tag)?.text()?;
                let (_, def) = variants.iter().find(|(word, _)| *word == chosen)?;
                Some(self.table(&plain(node, def)?))
            }
            _ => scalar(kind, node),
        }
    }

    fn list(&self, element: Kind, nodes: &[Node], name: &str) -> Value {
        let mut values: Vec<Value> = nodes.iter().filter_map(|node| self.value(element, node, name)).collect();
        if let Kind::Short(_, def) = element
            && let Some(first) = def.keys.first()
        {
            // Each has its address: no other has the same.
            let named = |mut value: Value| {
                let object = value.as_object_mut()?;
                Some((object.remove(first.name)?.as_str()?.to_owned(), value))
            };
            return values.into_iter().filter_map(named).collect::<Map<_, _>>().into();
        }
        if !ORDERED.contains(&name) {
            values.sort_by_cached_key(|value| value.to_string());
            values.dedup();
        }
        values.into()
    }

    /// Gives an upstream that is written as a URL its name, and a place among the others.
    /// `content` is what it comes to where variables are in it.
    fn resolve(&self, content: Option<&str>, upstream: &mut Value, upstreams: &mut Map<String, Value>) {
        let Some(url) = content.or(upstream.as_str()).filter(|it| upstream_url::is_url(it)) else { return };
        let Ok(url) = upstream_url::parse(url) else { return };
        *upstream = url.authority.as_str().into();
        upstreams.entry(url.authority.as_str()).or_insert_with(|| {
            let shared = self.context.shared(&UPSTREAM, None);
            let mut all = self.table(&Reader::new(None, shared, &UPSTREAM, super::source::Span::default()));
            all["endpoints"] = json!({ &url.authority: { "weight": 1, "backup": false } });
            if url.tls {
                let inherited = all.get("tls").filter(|tls| !tls.is_null()).cloned();
                all["tls"] = inherited.unwrap_or_else(|| json!({ "insecure": false }));
            } else if let Some(all) = all.as_object_mut() {
                all.remove("tls");
            }
            all
        });
    }
}

/// Whether one of the table's values turns all of it off. One attempt does not: the time that each attempt has holds
/// for it too, and what may be sent twice is for hedges and for what stands in as well.
fn is_off(reader: &Reader<'_>) -> bool {
    let is_in_force = std::ptr::eq(reader.def(), &RETRY);
    !is_in_force
        && reader.def().off.iter().any(|(name, off)| {
            let kind = reader.def().key(name).map(|key| key.kind);
            let value = reader.effective(name).zip(document::literal(off));
            kind.zip(value).is_some_and(|(kind, (value, off))| same(kind, &value, &off))
        })
}

/// Names of headers and of hosts, which have no case.
static CASELESS: [&TextKind; 8] = [
    &text::HEADER,
    &text::HEADER_PATTERN,
    &text::EDITABLE_HEADER,
    &text::HOST,
    &text::HOST_NAME,
    &text::SERVER_NAME,
    &text::SENT_HOST,
    &text::ASKED_HOST,
];
/// What may be a duration.
static TIMES: [&TextKind; 2] = [&text::HEDGE_AFTER, &text::SLOW];

fn is_one_of(these: &[&TextKind], kind: &TextKind) -> bool {
    these.iter().any(|one| std::ptr::eq(*one, kind))
}

/// A name in its one form.
fn folded(kind: &TextKind, name: &str) -> String {
    if is_one_of(&CASELESS, kind) { name.to_ascii_lowercase() } else { name.to_owned() }
}

fn scalar(kind: Kind, node: &Node) -> Option<Value> {
    let shown = || match &node.value {
        Written::Text(text) => Some(Value::from(text.in_a_file())),
        Written::Integer(number) => Some((*number).into()),
        Written::Number(number) => Some((*number).into()),
        Written::Bool(flag) => Some((*flag).into()),
        Written::Date | Written::Broken | Written::List(_) | Written::Table(_) => None,
    };
    let duration = || quantity::duration(node.text()?).ok().map(|it| quantity::show_duration(it).into());
    match kind {
        Kind::Duration(..) | Kind::DurationOrZero(..) => duration(),
        Kind::Size(..) | Kind::SizeOrZero(..) => {
            quantity::size(node.text()?).ok().map(|it| quantity::show_size(it).into())
        }
        Kind::Rate => quantity::rate(node.text()?).ok().map(|(tokens, period)| rate(tokens, period.as_secs()).into()),
        Kind::Number(..) => super::check::reader::number(node).map(Value::from),
        Kind::Text(of) if is_one_of(&TIMES, of) => duration().or_else(shown),
        Kind::Text(of) if std::ptr::eq(of, &text::CIDR) => {
            text::cidr(node.text()?).ok().map(|net| net.trunc().to_string().into()).or_else(shown)
        }
        Kind::Text(of) => Some(folded(of, &node.in_a_file()).into()),
        // Keys may be among it: what differs is told, not what it is.
        Kind::Anything => Some(format!("(written here: {:016x})", digest(node)).into()),
        _ => shown(),
    }
}

/// The same rate in its smallest numbers: 600 a minute are 10 a second.
fn rate(tokens: u64, seconds: u64) -> String {
    match seconds {
        60 | 3600 if tokens.is_multiple_of(seconds) => format!("{}/s", tokens / seconds),
        3600 if tokens.is_multiple_of(60) => format!("{}/m", tokens / 60),
        1 => format!("{tokens}/s"),
        60 => format!("{tokens}/m"),
        _ => format!("{tokens}/h"),
    }
}

fn digest(node: &Node) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    fn add(node: &Node, hasher: &mut DefaultHasher) {
        match &node.value {
            Written::Text(text) => text.content.hash(hasher),
            Written::Integer(number) => number.hash(hasher),
            Written::Number(number) => number.to_bits().hash(hasher),
            Written::Bool(flag) => flag.hash(hasher),
            Written::Date | Written::Broken => {}
            Written::List(list) => list.iter().for_each(|node| add(node, hasher)),
            Written::Table(table) => {
                let mut entries: Vec<&Entry> = table.entries.iter().collect();
                entries.sort_unstable_by_key(|entry| &entry.key);
                for entry in entries {
                    entry.key.hash(hasher);
                    add(&entry.node, hasher);
                }
            }
        }
    }
    let mut hasher = DefaultHasher::new();
    add(node, &mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Purpose, load_effective_text};

    use super::*;

    fn effective(text: &str) -> Value {
        let loaded = load_effective_text(text, Path::new("gateway.toml"), Purpose::Check);
        loaded.unwrap_or_else(|problems| panic!("{problems}")).1
    }

    const BASE: &str = "[upstreams.a]\nendpoints = ['10.0.0.1:80', '10.0.0.2:80']\n\
                        [rate_limits.each]\nkey = 'client_ip'\nrate = '600/m'\nburst = 5\n\
                        [[routes]]\nname = 'r'\npath = '/x'\nmethods = ['GET', 'POST']\nupstream = 'a'\n\
                        rate_limits = ['each']\ntimeout = '60s'\n";

    #[test]
    fn what_means_the_same_comes_to_the_same() {
        let other = "[[routes]]\npath = '/x'\nname = 'r'\nmethods = ['POST', 'GET']\nupstream = 'a'\ntimeout = '1m'\n\
                     hosts = []\nrate_limits = ['each']\nhedge = { after = '0ms', max = 3 }\nretry = { attempts = 2 }\n\
                     [rate_limits.each]\nburst = 5\nkey = 'client_ip'\nrate = '10/s'\n\
                     [upstreams.a]\nbalance = 'least_request'\nhealth = { interval = '1s' }\n\
                     endpoints = [{ address = '10.0.0.2:80' }, '10.0.0.1:80']\n[server]\nmax_uri_bytes = '8192B'\n";
        assert_eq!(effective(BASE), effective(other));
        let shared = "[defaults.route]\ntimeout = '60000ms'\n";
        assert_eq!(effective(BASE), effective(&format!("{shared}{}", BASE.replace("timeout = '60s'\n", ""))));
    }

    #[test]
    fn routes_without_names_on_one_path_are_two() {
        let of = |methods: &str, upstream: &str| {
            format!("[[routes]]\npath = '/a'\nmethods = ['{methods}']\nupstream = 'http://{upstream}'\n")
        };
        let all = effective(&(of("GET", "10.0.0.1") + &of("POST", "10.0.0.2")));
        assert_eq!(all["route_order"], json!(["/a", "POST /a"]));
        let other = effective(&(of("GET", "10.0.0.3") + &of("POST", "10.0.0.2")));
        assert_ne!(all["routes"]["/a"], other["routes"]["/a"]);
        assert_eq!(all["routes"]["POST /a"], other["routes"]["POST /a"]);
    }

    #[test]
    fn listeners_of_one_address_are_several() {
        let listener = |proxy: bool| format!("[[listeners]]\naddress = '127.0.0.1:0'\nproxy_protocol = {proxy}\n");
        let route = "[server]\ntrusted_proxies = ['10.0.0.0/8']\n[[routes]]\npath = '/'\nanswer = {}\n";
        let of = |all: [bool; 3]| effective(&(all.map(listener).concat() + route))["listeners"].clone();
        let all = of([true, false, false]);
        let keys: Vec<&String> = all.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["127.0.0.1:0", "127.0.0.1:0 #2", "127.0.0.1:0 #3"]);
        assert_eq!(all["127.0.0.1:0"]["proxy_protocol"], true);
        assert_ne!(all, of([false; 3]));
    }

    #[test]
    fn what_means_something_else_comes_to_something_else() {
        for (from, to) in [
            ("'60s'", "'61s'"),
            ("'600/m'", "'601/m'"),
            ("'10.0.0.2:80'", "{ address = '10.0.0.2:80', weight = 2 }"),
            ("['GET', 'POST']", "['GET']"),
            ("burst = 5", "burst = 6"),
        ] {
            assert!(BASE.contains(from));
            assert_ne!(effective(BASE), effective(&BASE.replace(from, to)), "{to}");
        }
    }

    fn with(more: &str) -> Value {
        effective(&format!("{BASE}{more}\n"))
    }

    #[test]
    fn a_switch_says_whether_it_is_on() {
        let switches = ROUTE.keys.iter().filter(|key| matches!(key.kind, Kind::Short(Kind::Bool, _)));
        let mut seen = 0;
        for Key { name, .. } in switches {
            let of = |value: &str| with(&format!("{name} = {value}"));
            assert_eq!(with(""), of("false"), "{name}");
            assert_eq!(of("false")["routes"]["r"][name], "off");
            assert_eq!(of("true"), of("{}"), "{name}");
            assert_ne!(of("true"), of("false"), "{name}");
            seen += 1;
        }
        assert!(seen >= 2, "cache and compress");
    }

    #[test]
    fn what_holds_for_one_attempt_is_told() {
        for (one, other) in [
            ("per_try_timeout = '1s'", "per_try_timeout = '9s'"),
            ("methods = ['GET']", "methods = ['GET', 'POST']"),
            ("buffer = '1KiB'", "buffer = '0'"),
        ] {
            let of = |key: &str| with(&format!("retry = {{ attempts = 1, {key} }}"));
            assert_ne!(of(one), of(other), "{other}");
        }
    }

    #[test]
    fn an_upstream_by_url_has_the_shared_keys() {
        let text =
            "[defaults.upstream]\npool = { max_connections = 7 }\n[[routes]]\npath = '/'\nupstream = 'http://h'\n";
        let all = effective(text);
        assert_eq!(all["routes"]["/"]["upstream"], "h:80");
        assert_eq!(all["upstreams"]["h:80"]["pool"]["max_connections"], 7);
        assert_eq!(all["upstreams"]["h:80"]["endpoints"], json!({ "h:80": { "weight": 1, "backup": false } }));
        assert_eq!(all["routes"]["/"]["hedge"], "off");
    }
}
