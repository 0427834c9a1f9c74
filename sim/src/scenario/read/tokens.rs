//! `[tokens]`: what signs, for whom, and which keys are in the key set at which time.

use std::time::Duration;

use super::super::model::{GatewayPart, KeyPart, TokenAlgorithm, TokenPart};
use super::super::problem::Report;
use super::super::reader::{Reader, is_name};
use super::super::tree::Node;

const KEYS: &[&str] = &["algorithm", "issuer", "audience", "lifetime", "keys"];
const KEY_KEYS: &[&str] = &["name", "algorithm", "from", "until"];
const ALGORITHMS: &[(&str, TokenAlgorithm)] = &[("ES256", TokenAlgorithm::Es256), ("RS256", TokenAlgorithm::Rs256)];
/// How long tokens hold: longer than most runs.
const LAST: Duration = Duration::from_secs(3_600);
/// More keys than this in one run are a slip of the finger.
const MOST_KEYS: usize = 16;

/// The names of keys, whatever else is wrong with them.
pub(super) fn key_names(reader: &Reader<'_>) -> Vec<String> {
    let part = reader.node("tokens").and_then(Node::table).and_then(|tokens| tokens.get("keys"));
    let keys = part.and_then(Node::list).unwrap_or_default();
    keys.iter().filter_map(|key| Some(key.table()?.get("name")?.text()?.to_owned())).collect()
}

/// The part; what it leaves open is that of the gateway's provider which has the run's keys.
pub(super) fn tokens(
    reader: &Reader<'_>,
    gateway: Option<&GatewayPart>,
    length: Duration,
    report: &mut Report,
) -> TokenPart {
    let provider = gateway.and_then(|gateway| gateway.template.provider.clone());
    let (issuer, audience) = provider.unwrap_or_default();
    let algorithm = TokenAlgorithm::Es256;
    let mut part = TokenPart { algorithm, issuer, audience, lifetime: LAST, keys: Vec::new() };
    let Some(reader) = reader.node("tokens").and_then(|node| Reader::of(node, KEYS, report)) else { return part };
    part.algorithm = reader.word("algorithm", ALGORITHMS, report).unwrap_or(part.algorithm);
    part.issuer = reader.text("issuer", report).map(str::to_owned).or(part.issuer);
    part.audience = reader.text("audience", report).map(str::to_owned).or(part.audience);
    part.lifetime = reader.duration("lifetime", report).unwrap_or(part.lifetime);
    let is_served = gateway.is_none_or(|gateway| gateway.template.asks_key_server);
    let nodes = reader.tables("keys", report);
    for node in nodes {
        let Some(read) = key(node, part.algorithm, (length, is_served), report) else { continue };
        if part.keys.iter().any(|other| other.name == read.name) {
            report.error(node.at, format!("there are two keys called `{}`", read.name));
        }
        part.keys.push(read);
    }
    if nodes.len() > MOST_KEYS {
        report.error(reader.place("keys"), format!("a run has at most {MOST_KEYS} keys"));
    }
    part
}

/// One key.
fn key(
    node: &Node,
    algorithm: TokenAlgorithm,
    (length, is_served): (Duration, bool),
    report: &mut Report,
) -> Option<KeyPart> {
    let reader = Reader::of(node, KEY_KEYS, report)?;
    if !reader.has("name") {
        reader.missing("name", "tokens say by it who signs: {token(key=NAME, subject=a)}", report);
    }
    let name = reader.text("name", report)?.to_owned();
    if !is_name(&name) {
        report.error(reader.place("name"), "a name is made of letters, digits, `_` and `-`");
    }
    let algorithm = reader.word("algorithm", ALGORITHMS, report).unwrap_or(algorithm);
    let [from, until] = ["from", "until"].map(|key| {
        let at = reader.duration(key, report);
        if at.is_some() && !is_served {
            let help = "write [mocks.jwks] here, and jwks = { url = \"mock://jwks\" } in the gateway's provider";
            report.error_with(reader.place(key), "keys come and go at a key server, and none is asked", help);
        } else if !length.is_zero() && at.is_some_and(|at| at >= length) {
            report.error(reader.place(key), format!("the loads end at {length:?}, so this never happens"));
        }
        at
    });
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        report.error(reader.place("until"), "a key goes after it has come");
    }
    Some(KeyPart { name, algorithm, from, until })
}
