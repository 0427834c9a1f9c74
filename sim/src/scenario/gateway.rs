//! The gateways' configuration, with placeholders that a run fills in.
//!
//! `mock://orders/0` becomes that endpoint's address, `mock://redis` the Redis of the run, `mock://jwks` its keys, or
//! the server that has them. Listeners and the admin API get free ports and the access log a file of the run, whatever
//! is written for them. Names of files beside the template become absolute. Values are replaced where they stand, so
//! lines keep their numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use gateway::config::settings::identity::{FetchedKeys, KeySource, Keys, ProviderKind};
use gateway::config::{Config, Purpose, load_text};

use super::model::KEY_SERVER;
use super::outbound::{self, Outbound};
use super::problem::Report;
use super::source::{Sources, Span};
use super::tree::{Node, Table, Value, parse};

/// What starts every placeholder.
const SCHEME: &str = "mock://";

/// A configuration with its blanks.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    blanks: Vec<(Range<usize>, Blank)>,
    /// Texts that stay as they are written, with their places.
    written: Vec<(Span, String)>,
    /// Tables that the text lacks and a run needs.
    lacks: Vec<&'static str>,
    /// `issuer` and the first of `audiences` of the provider that has the run's keys.
    pub(super) provider: Option<(Option<String>, Option<String>)>,
    /// A provider fetches its keys from the run's key server.
    pub(super) asks_key_server: bool,
}

/// What takes the place of a written value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Blank {
    /// An endpoint's address: `orders/0`.
    Endpoint(String),
    Redis,
    /// The public keys of the run, as text.
    KeySet,
    /// Where the public keys of the run are fetched.
    KeyServer,
    Listener(usize),
    Admin,
    AccessLog,
    /// A file beside the template.
    File(String),
}

/// What the blanks are filled with.
#[derive(Debug, Clone, Default)]
pub struct Filling {
    /// Each endpoint by name: `orders/0`.
    pub endpoints: BTreeMap<String, SocketAddr>,
    /// The Redis.
    pub redis: Option<SocketAddr>,
    /// The public keys of the run, as a JWK set.
    pub key_set: String,
    /// Listeners in the order of the file; a free port where there is none.
    pub listeners: Vec<SocketAddr>,
    /// The admin address; a free port when `None`.
    pub admin: Option<SocketAddr>,
    /// The access log's file.
    pub access_log: String,
}

/// A key set to check a configuration with; a run has its own (RFC 7517, appendix A.1, without its private parts).
pub(crate) const SOME_KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","alg":"ES256","kid":"1"}]}"#;
/// A port that the system chooses.
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl Template {
    /// Finds the blanks in the file with this number; a placeholder for what is not there is a problem.
    pub(super) fn read(sources: &Sources, file: usize, folder: &Path, known: &Known<'_>, report: &mut Report) -> Self {
        let root = parse(sources, file, report);
        let mut finder = Finder { folder, known, report, blanks: Vec::new(), written: Vec::new(), provider: None };
        finder.table(&root, "");
        let Finder { mut blanks, mut written, report, provider, .. } = finder;
        let asks_key_server = blanks.iter().any(|(_, blank)| *blank == Blank::KeyServer);
        let mut lacks = Vec::new();
        let mut own = |at: Option<&Node>, table: &'static str, blank: Blank, report: &mut Report| match at {
            Some(node) if node.text().is_some() => blanks.push((node.at.range(), blank)),
            Some(node) => report.error(node.at, "the run fills this in; write a string here, or leave the table out"),
            None => lacks.push(table),
        };
        match root.get("listeners").map(|node| (node, node.list().unwrap_or_default())) {
            Some((_, list)) if !list.is_empty() => {
                for (index, listener) in list.iter().enumerate() {
                    let address = listener.table().and_then(|table| table.get("address"));
                    own(Some(address.unwrap_or(listener)), "", Blank::Listener(index), report);
                }
            }
            _ => own(None, "listeners", Blank::Listener(0), report),
        }
        own(place(&root, &["admin", "address"]), "admin", Blank::Admin, report);
        own(place(&root, &["telemetry", "access_log", "output"]), "access_log", Blank::AccessLog, report);
        if let Some(include) = root.get("include") {
            report.error(include.at, "a scenario's configuration is one file; put what is included here");
        }
        // What the run fills in anyway is no file beside the template.
        blanks.sort_by_key(|(range, blank)| (range.start, matches!(blank, Blank::File(_))));
        blanks.dedup_by_key(|(range, _)| range.start);
        written.retain(|(at, _)| blanks.iter().all(|(range, _)| *range != at.range()));
        Self { text: sources.text(file).to_owned(), blanks, written, lacks, provider, asks_key_server }
    }

    /// The configuration, filled in.
    #[must_use]
    pub fn fill(&self, filling: &Filling) -> String {
        let mut text = String::with_capacity(self.text.len() + 256);
        let mut from = 0;
        for (range, blank) in &self.blanks {
            text.push_str(&self.text[from..range.start]);
            text.push_str(&quoted(&filling.value(blank)));
            from = range.end;
        }
        text.push_str(&self.text[from..]);
        for table in &self.lacks {
            text += &match *table {
                "listeners" => format!("\n[[listeners]]\naddress = {}\n", quoted(&filling.value(&Blank::Listener(0)))),
                "admin" => format!("\n[admin]\naddress = {}\n", quoted(&filling.value(&Blank::Admin))),
                _ => format!("\n[telemetry.access_log]\noutput = {}\n", quoted(&filling.value(&Blank::AccessLog))),
            };
        }
        text
    }

    /// Whether it names this endpoint: `orders/0`.
    pub(super) fn names(&self, endpoint: &str) -> bool {
        self.blanks.iter().any(|(_, blank)| matches!(blank, Blank::Endpoint(name) if name == endpoint))
    }

    /// Where the gateways would connect to, but for what the run fills in.
    ///
    /// # Errors
    /// What the gateway says is wrong: of such a configuration nothing is known.
    pub(super) fn outbound(
        &self,
        file: &Path,
        endpoints: impl Iterator<Item = String>,
    ) -> Result<Vec<Outbound>, String> {
        let endpoints = endpoints.zip(1..).map(|(name, number)| (name, outbound::own(number)));
        let filling = Filling {
            endpoints: endpoints.collect(),
            redis: Some(outbound::own(0)),
            key_set: SOME_KEYS.to_owned(),
            access_log: "off".to_owned(),
            ..Filling::default()
        };
        let loaded = load_text(&self.fill(&filling), file, Purpose::Run).map_err(|problems| problems.to_string())?;
        Ok(outbound::all(&loaded.config))
    }

    /// Where this address is written, or else its host.
    pub(super) fn place_of(&self, address: &str, host: &str) -> Option<Span> {
        let place = |is_it: &dyn Fn(&str) -> bool| self.written.iter().find(|(_, text)| is_it(text)).map(|(at, _)| *at);
        // `127.0.0.1:80` is within `127.0.0.1:8080`, and is another address.
        place(&|text| text == address)
            .or_else(|| place(&|text| is_within(address, text)))
            .or_else(|| place(&|text| text.contains(host)))
    }

    /// What the gateway makes of it, with each endpoint at a port of its own.
    ///
    /// # Errors
    /// What the gateway says is wrong.
    pub fn check(&self, file: &Path, endpoints: impl Iterator<Item = String>) -> Result<Checked, String> {
        let numbered = endpoints.zip(1..).map(|(name, port)| (name, SocketAddr::from(([127, 0, 0, 1], port))));
        let filling = Filling {
            endpoints: numbered.collect(),
            redis: Some(FREE),
            key_set: SOME_KEYS.to_owned(),
            access_log: "off".to_owned(),
            ..Filling::default()
        };
        let loaded = load_text(&self.fill(&filling), file, Purpose::Run).map_err(|problems| problems.to_string())?;
        Ok(Checked { config: loaded.config, names: names(&filling.endpoints) })
    }
}

/// A configuration as the gateway understands it, and what its addresses are called.
#[derive(Debug)]
pub struct Checked {
    /// The settings.
    pub config: Config,
    /// Each endpoint's name by its address.
    pub names: BTreeMap<String, String>,
}

impl Checked {
    /// The shortest time between two fetches for unknown keys, among the providers that ask the run's key server.
    #[must_use]
    pub fn key_cooldown(&self) -> Option<Duration> {
        let server = format!("{KEY_SERVER}/0");
        let address = self.names.iter().find(|(_, name)| **name == server).map(|(address, _)| address)?;
        let url = format!("http://{address}/");
        let fetched = self.config.providers.iter().filter_map(|provider| match &provider.kind {
            ProviderKind::Jwt(jwt) => match jwt.keys.as_ref()? {
                Keys::Fetched(source) => Some(source),
                Keys::Fixed(_) => None,
            },
            _ => None,
        });
        let ours = |source: &&FetchedKeys| matches!(&source.from, KeySource::Url(asked) if asked.starts_with(&url));
        fetched.filter(ours).map(|source| source.cooldown).min()
    }
}

/// Names by address as it is written in configurations.
#[must_use]
pub fn names(endpoints: &BTreeMap<String, SocketAddr>) -> BTreeMap<String, String> {
    endpoints.iter().map(|(name, address)| (address.to_string(), name.clone())).collect()
}

/// What placeholders may name.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) endpoints: Vec<&'a str>,
    pub(super) redis: bool,
    pub(super) key_server: bool,
}

impl Filling {
    fn value(&self, blank: &Blank) -> String {
        match blank {
            Blank::Endpoint(name) => self.endpoints.get(name).unwrap_or(&FREE).to_string(),
            Blank::Redis => format!("redis://{}", self.redis.unwrap_or(FREE)),
            Blank::KeySet => self.key_set.clone(),
            Blank::KeyServer => {
                let address = self.endpoints.get(&format!("{KEY_SERVER}/0")).unwrap_or(&FREE);
                format!("http://{address}/keys")
            }
            Blank::Listener(index) => self.listeners.get(*index).unwrap_or(&FREE).to_string(),
            Blank::Admin => self.admin.unwrap_or(FREE).to_string(),
            Blank::AccessLog => self.access_log.clone(),
            Blank::File(path) => path.clone(),
        }
    }
}

/// Whether an address is in a text, and ends there.
fn is_within(address: &str, text: &str) -> bool {
    let mut ends = text.match_indices(address).map(|(at, found)| text[at + found.len()..].chars().next());
    ends.any(|next| next.is_none_or(|next| !next.is_ascii_digit()))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn place<'a>(root: &'a Table, path: &[&str]) -> Option<&'a Node> {
    let (last, tables) = path.split_last()?;
    let mut table = root;
    for key in tables {
        let node = table.get(key)?;
        let Some(inner) = node.table() else { return Some(node) };
        table = inner;
    }
    match (table.get(last), tables) {
        (Some(node), _) => Some(node),
        // `[admin]` without an address: nothing can be put in its place, and nothing be added to it.
        (None, ["admin"]) => root.get("admin"),
        (None, _) => root.get(path[0]).filter(|node| matches!(node.value, Value::Table(_))).and_then(|node| {
            // `[telemetry.access_log]` is there and says no output.
            node.table()?.get(path[1])
        }),
    }
}

struct Finder<'a> {
    folder: &'a Path,
    known: &'a Known<'a>,
    report: &'a mut Report,
    blanks: Vec<(Range<usize>, Blank)>,
    written: Vec<(Span, String)>,
    provider: Option<(Option<String>, Option<String>)>,
}

impl Finder<'_> {
    /// `under` is the key whose table it is.
    fn table(&mut self, table: &Table, under: &str) {
        for entry in &table.0 {
            // `jwks = { inline = "mock://jwks" }`, or `url`, of a provider, beside its issuer and audiences.
            let has_keys = |keys: &Table| ["inline", "url"].iter().any(|key| is_jwks(keys.get(key)));
            if entry.key == "jwks" && entry.node.table().is_some_and(has_keys) {
                let audience = table.get("audiences").and_then(|node| node.list()?.first()?.text());
                let issuer = table.get("issuer").and_then(Node::text);
                self.provider = Some((issuer.map(str::to_owned), audience.map(str::to_owned)));
            }
            if is_jwks(Some(&entry.node)) {
                self.jwks((under, &entry.key), entry.node.at);
            } else {
                self.node(&entry.node, &entry.key);
            }
        }
    }

    fn node(&mut self, node: &Node, key: &str) {
        match &node.value {
            Value::Text(text) => self.text(text, node.at),
            Value::List(list) => list.iter().for_each(|node| self.node(node, key)),
            Value::Table(table) => self.table(table, key),
            _ => {}
        }
    }

    /// The run's keys, as text or by their server.
    fn jwks(&mut self, place: (&str, &str), at: Span) {
        let blank = match place {
            ("jwks", "inline") => Blank::KeySet,
            ("jwks", "url") if self.known.key_server => Blank::KeyServer,
            ("jwks", "url") => {
                let help = "write [mocks.jwks] in the scenario: a mock that serves the run's keys";
                return self.report.error_with(at, "the scenario has no key server", help);
            }
            _ => {
                let help = "write jwks = { inline = \"mock://jwks\" } in a provider, or jwks = { url = \"mock://jwks\" }, \
                            which is the key server";
                return self.report.error_with(at, "the run's keys are nothing that can stand here", help);
            }
        };
        self.blanks.push((at.range(), blank));
    }

    fn text(&mut self, text: &str, at: Span) {
        let blank = match text.strip_prefix(SCHEME) {
            Some("redis") if self.known.redis => Blank::Redis,
            Some("redis") => {
                let help = "write [redis] with instances = 1 in the scenario";
                self.report.error_with(at, "the scenario has no Redis", help);
                return;
            }
            Some("jwks") => return self.jwks(("", ""), at),
            Some(name) if name.split('/').next() == Some(KEY_SERVER) && self.known.key_server => {
                let help = "it is asked by jwks = { url = \"mock://jwks\" } of a provider, and by nobody else";
                return self.report.error_with(at, "`jwks` is the key server", help);
            }
            Some(name) if self.known.endpoints.contains(&name) => Blank::Endpoint(name.to_owned()),
            Some(name) => {
                let message = format!("no mock has the endpoint `{name}`");
                self.report.unknown(at, message, name, &self.known.endpoints);
                return;
            }
            None => match beside(self.folder, text) {
                Some(path) => Blank::File(path),
                None => return self.written.push((at, text.to_owned())),
            },
        };
        self.blanks.push((at.range(), blank));
    }
}

fn is_jwks(node: Option<&Node>) -> bool {
    node.and_then(Node::text).and_then(|text| text.strip_prefix(SCHEME)) == Some(KEY_SERVER)
}

/// The absolute path of a file beside the template; a name without an extension is taken for a word.
fn beside(folder: &Path, text: &str) -> Option<String> {
    let written = Path::new(text);
    if written.is_absolute() || written.extension().is_none() {
        return None;
    }
    let path = std::path::absolute(folder.join(written)).ok()?;
    path.is_file().then(|| path.to_str().map(str::to_owned)).flatten()
}
