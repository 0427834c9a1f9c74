//! The published documents say what the tables of keys say.

use std::collections::BTreeSet;
use std::path::Path;

use super::{DEFAULTS, forwarding, json_schema, markdown, starter};
use crate::config::check::same::same;
use crate::config::parse::document;
use crate::config::parse::environment::ProcessEnvironment;
use crate::config::problem::Report;
use crate::config::schema::{Key, Kind, ROOT, TableDef};
use crate::config::source::{Source, Sources};
use crate::config::tree::{Node, Table, Value};
use crate::config::{Purpose, load_text};

struct Walk {
    sources: Sources,
    compared: usize,
}

impl Walk {
    fn table(&mut self, table: &Table, def: &'static TableDef) {
        for entry in &table.entries {
            let key = def.key(&entry.key).unwrap_or_else(|| panic!("{} has no key {}", def.title, entry.key));
            if self.line(&entry.node).trim_end().ends_with("example") {
                self.inside(&entry.node, key.kind);
            } else {
                self.default(&entry.node, key, def);
            }
        }
    }

    fn line(&self, node: &Node) -> String {
        self.sources.locate(node.at).1.text
    }

    fn default(&mut self, node: &Node, key: &'static Key, def: &TableDef) {
        // Tables are compared key by key.
        let is_table = matches!(key.kind, Kind::Table(_) | Kind::Tables(_))
            || matches!(key.kind, Kind::Map(_, Kind::Table(_) | Kind::Tagged(..)));
        if !is_table {
            let default = key.default.and_then(document::literal);
            let default = default.unwrap_or_else(|| panic!("{} {} has no default", def.title, key.name));
            assert!(same(key.kind, node, &default), "{} {} is not the default", def.title, key.name);
            self.compared += 1;
        }
        self.inside(node, key.kind);
    }

    fn inside(&mut self, node: &Node, kind: Kind) {
        match (kind, &node.value) {
            (Kind::Table(def) | Kind::Short(_, def) | Kind::OrFalse(def), Value::Table(table)) => {
                self.table(table, def);
            }
            (Kind::Tables(def), Value::List(list)) => {
                for element in list {
                    self.inside(element, Kind::Table(def));
                }
            }
            (Kind::Map(_, element @ (Kind::Table(_) | Kind::Tagged(..))), Value::Table(table)) => {
                for entry in &table.entries {
                    self.inside(&entry.node, *element);
                }
            }
            (Kind::Tagged(tag, variants), Value::Table(table)) => {
                let word = table.get(tag).and_then(Node::text);
                let (_, def) = variants.iter().find(|(name, _)| Some(*name) == word).expect("a known variant");
                self.table(table, def);
            }
            _ => {}
        }
    }
}

#[test]
fn each_default_is_what_the_parser_uses() {
    let mut sources = Sources::default();
    let file = sources.add(Source::new(Path::new("defaults.toml"), DEFAULTS.to_owned()));
    let mut report = Report::default();
    let table = document::parse(DEFAULTS, file, &ProcessEnvironment, &mut report).table;
    assert!(!report.has_errors());
    let mut walk = Walk { sources, compared: 0 };
    walk.table(&table, &ROOT);
    assert!(walk.compared > 100, "only {} defaults were compared", walk.compared);
}

fn each_key(def: &'static TableDef, visit: &mut dyn FnMut(&'static TableDef, &'static Key)) {
    fn kind(of: Kind, visit: &mut dyn FnMut(&'static TableDef, &'static Key)) {
        match of {
            Kind::Table(def) | Kind::Tables(def) | Kind::Short(_, def) | Kind::OrFalse(def) => each_key(def, visit),
            Kind::List(element, _) | Kind::Map(_, element) => kind(*element, visit),
            Kind::Tagged(_, variants) => variants.iter().for_each(|(_, def)| each_key(def, visit)),
            _ => {}
        }
    }
    for key in def.keys {
        visit(def, key);
        kind(key.kind, visit);
    }
}

#[test]
fn every_default_is_toml_that_its_own_key_takes() {
    each_key(&ROOT, &mut |def, key| {
        let Some(toml) = key.default else { return };
        let node = document::literal(toml).unwrap_or_else(|| panic!("{} {}: {toml}", def.title, key.name));
        assert!(same(key.kind, &node, &node), "{} {}: {toml}", def.title, key.name);
    });
}

#[test]
fn every_key_is_in_the_defaults() {
    // Beyond the contract's file: what only its notes name.
    let notes = ["include", "defaults", "route", "upstream"];
    each_key(&ROOT, &mut |def, key| {
        let written = DEFAULTS.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == key.name);
        assert!(written || notes.contains(&key.name), "{} {} is not in defaults.toml", def.title, key.name);
    });
}

#[test]
fn an_empty_file_and_its_defaults_mean_the_same() {
    let load = |text| load_text(text, Path::new("gateway.toml"), Purpose::Check).expect("loads").config;
    let upto = DEFAULTS.find("[identity.providers.main]").expect("the providers");
    // What comes before the providers holds no examples of tables.
    let written = load(&DEFAULTS[..upto]);
    let empty = load("");
    assert_eq!(written.server, empty.server);
    let addresses = |config: &crate::config::Config| {
        config.listeners.iter().map(|one| (one.address, one.tls.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&written), addresses(&empty));
    assert_eq!(written.admin, empty.admin);
    assert_eq!(written.telemetry, empty.telemetry);
    assert_eq!(written.identity, empty.identity);
}

fn committed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_committed_schema_is_current() {
    let remedy = "run: cargo run -p gateway -- schema > gateway/config.schema.json";
    assert!(committed("config.schema.json") == json_schema(), "{remedy}");
}

#[test]
fn the_committed_documentation_is_current() {
    let remedy = "run: cargo run -p gateway -- schema --markdown > docs/configuration.md";
    assert!(committed("../docs/configuration.md") == markdown(), "{remedy}");
}

#[test]
fn every_section_has_a_title_of_its_own_is_in_the_contents_and_every_link_leads_to_one() {
    let text = markdown();
    let sections = text.lines().filter_map(|line| line.strip_prefix("## `")).count();
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let unlike: BTreeSet<&str> = headings.iter().copied().collect();
    assert_eq!(headings.len(), unlike.len(), "{headings:?}");
    for heading in ["`cache` of `forward_auth` of `[[routes]]`", "`hsts` of `[server]`", "`[routes.cache]`"] {
        assert!(unlike.contains(heading), "{heading} of {headings:?}");
    }
    let keep = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let anchor = |heading: &&str| heading.replace(' ', "-").chars().filter(|letter| keep(*letter)).collect::<String>();
    let anchors: BTreeSet<String> = headings.iter().map(|heading| anchor(heading).to_lowercase()).collect();
    assert_eq!(anchors.len(), headings.len(), "no two have one link");
    let (contents, _) = text.split_once("## How values read").expect("the head");
    assert_eq!(contents.lines().filter(|line| line.trim_start().starts_with("- [`")).count(), sections);
    for link in text.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap_or_default()) {
        assert!(anchors.contains(link), "#{link} leads nowhere");
    }
}

#[test]
fn a_starter_loads_without_a_warning() {
    let text = starter("http://127.0.0.1:3000").expect("a URL");
    let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Run).expect("loads");
    assert!(loaded.warnings.is_empty());
    assert_eq!(&*loaded.config.routes[0].upstream, "127.0.0.1:3000");
    assert!(starter("127.0.0.1:3000").is_err());
    let text = starter("https://a").expect("a URL");
    assert!(text.contains("upstream = \"https://a:443\"") && !text.contains("\nhost = "), "{text}");
}

#[test]
fn a_public_service_is_asked_by_its_own_name() {
    for text in [starter("https://api.example.com"), forwarding("https://api.example.com", None, None)] {
        assert!(text.expect("a URL").contains("\nhost = \"api.example.com\"\n"));
    }
}

#[test]
fn a_gateway_without_a_file_listens_where_it_is_told() {
    let address = |text: &str| Some(text.parse().expect("an address"));
    let text = forwarding("http://a", address("[::1]:1"), address("127.0.0.1:2")).expect("a URL");
    let loaded = load_text(&text, Path::new("--to"), Purpose::Check).expect("a configuration");
    assert_eq!(loaded.config.listeners[0].address.to_string(), "[::1]:1");
    assert_eq!(loaded.config.admin.expect("an admin").address.to_string(), "127.0.0.1:2");
    let text = forwarding("http://a", None, None).expect("a URL");
    let loaded = load_text(&text, Path::new("--to"), Purpose::Check).expect("a configuration");
    assert_eq!(loaded.config.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert!(forwarding("a", None, None).is_err());
}

#[test]
fn every_balancing_policy_that_is_offered_is_taken() {
    let offered = |line: &&str| line.starts_with("balance = ");
    let comment = DEFAULTS.lines().find(offered).and_then(|line| line.split_once('#')).expect("the policies").1;
    for choice in comment.split('|') {
        let policy = choice.split_whitespace().next().expect("a policy");
        let key = match policy {
            "consistent_hash" => ", key = \"path\"",
            "custom" => ", name = \"own\"",
            _ => "",
        };
        let text = format!("[upstreams.a]\nendpoints = [\"a:1\"]\nbalance = {{ policy = \"{policy}\"{key} }}");
        assert!(load_text(&text, Path::new("gateway.toml"), Purpose::Check).is_ok(), "{policy}");
    }
}
