//! `[[load]]`: what is sent, when, and for how long.

use std::path::Path;
use std::time::Duration;

use loadgen::plan::{Arrivals, Plan};
use loadgen::request::{KeyError, Mix, Protocol, TemplateError};

use super::super::model::{JourneyPart, LoadModel, LoadPart, RequestPart, WayPart};
use super::super::problem::Report;
use super::super::reader::{Reader, is_name};
use super::super::source::Span;
use super::super::tree::Node;
use super::{answer, way};

const KEYS: &[&str] = &[
    "name",
    "model",
    "arrivals",
    "rate",
    "from",
    "duration",
    "request",
    "requests",
    "connections",
    "max_in_flight",
    "timeout",
    "overload",
    "journey",
    "users",
    "spawn",
    "listener",
    "http2",
    "streams",
    "tls",
    "proxy_protocol",
];
/// Keys of the other models.
const NOT_OF_JOURNEYS: &[&str] = &[
    "arrivals",
    "rate",
    "from",
    "request",
    "requests",
    "connections",
    "max_in_flight",
    "timeout",
    "overload",
    "listener",
    "http2",
    "streams",
    "tls",
    "proxy_protocol",
];
const ABOUT_CONNECTIONS: &[&str] = &["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
/// More users than this in one process measure only the process.
const MOST_USERS: u64 = 10_000;
const REQUEST_KEYS: &[&str] = &["method", "path", "headers", "body", "body_bytes", "weight", "expect"];
/// What one driver thread can send on a core of its own; more is no plan but a wish.
pub(super) const MOST_RATE: f64 = 100_000.0;
/// The longest run.
const MOST_DURATION: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Closed,
    Journey,
}

/// Every load, one at least, each with a name of its own.
///
/// `keys` are the names that `{token(key=NAME, ...)}` may have.
pub(super) fn loads(reader: &Reader<'_>, file: &Path, keys: &[String], report: &mut Report) -> Vec<LoadPart> {
    if !reader.has("load") {
        reader.missing("load", "write [[load]]: what is sent, and when", report);
    }
    let mut loads: Vec<LoadPart> = Vec::new();
    for node in reader.tables("load", report) {
        let Some(reader) = Reader::of(node, KEYS, report) else { continue };
        let load = load(&reader, file, keys, report);
        if loads.iter().any(|other| other.name == load.name) {
            report.error(reader.place("name"), format!("there are two loads called `{}`", load.name));
        }
        loads.push(load);
    }
    loads
}

fn load(reader: &Reader<'_>, file: &Path, keys: &[String], report: &mut Report) -> LoadPart {
    let name = reader.text("name", report).unwrap_or("main").to_owned();
    if !is_name(&name) {
        report.error(reader.place("name"), "a name is made of letters, digits, `_` and `-`");
    }
    let duration = reader.duration("duration", report);
    if !reader.has("duration") {
        reader.missing("duration", "say how long it lasts, as in \"40s\"", report);
    } else if duration.is_some_and(|duration| duration.is_zero() || duration > MOST_DURATION) {
        report.error(reader.place("duration"), "from a moment to a day");
    }
    let duration = duration.unwrap_or_default();
    let model = model(reader, report);
    let is_journey = model == LoadModel::Journey;
    let journey = if is_journey { journey(reader, file, report) } else { None };
    for key in ["journey", "users", "spawn"].into_iter().filter(|key| !is_journey && reader.has(key)) {
        report.error(reader.place(key), format!("`{key}` is for the model \"journey\""));
    }
    let way = if is_journey { WayPart::default() } else { way::way(reader, file, report) };
    let requests = if is_journey { Vec::new() } else { requests(reader, keys, report) };
    if way.protocol != Protocol::Http1 {
        no_connection_headers(reader, &requests, report);
    }
    LoadPart {
        name,
        model,
        from: from(reader, model, report),
        duration,
        requests,
        connections: count(reader, "connections", 64, report),
        max_in_flight: count(reader, "max_in_flight", 1024, report),
        timeout: timeout(reader, report),
        overload: reader.flag("overload", report),
        journey,
        way,
    }
}

/// The readers of the loads again, for what can be said only later.
pub(super) fn readers<'a>(reader: &Reader<'a>, report: &mut Report) -> Vec<Reader<'a>> {
    reader.tables("load", report).iter().filter_map(|node| Reader::of(node, KEYS, report)).collect()
}

/// Where the paths of each load's requests are written.
pub(super) fn path_places(reader: &Reader<'_>, report: &mut Report) -> Vec<Vec<Span>> {
    let readers = readers(reader, report);
    let place = |node: &Node| node.table().and_then(|table| table.get("path")).map_or(node.at, |path| path.at);
    let places = |load: &Reader<'_>| {
        let several = load.node("requests").and_then(|node| node.list()).unwrap_or_default();
        load.node("request").into_iter().chain(several).map(place).collect()
    };
    readers.iter().map(places).collect()
}

/// HTTP/2 has no place for headers about an HTTP/1.1 connection, and none is left out in silence.
fn no_connection_headers(reader: &Reader<'_>, requests: &[RequestPart], report: &mut Report) {
    let names = requests.iter().flat_map(|request| &request.headers).map(|(name, _)| name.to_lowercase());
    for name in names.filter(|name| ABOUT_CONNECTIONS.contains(&name.as_str())) {
        report.error(reader.place("http2"), format!("HTTP/2 has no header `{name}`"));
    }
}

/// The longest time for one request; without any, each has failed before it is sent.
fn timeout(reader: &Reader<'_>, report: &mut Report) -> Duration {
    let timeout = reader.duration("timeout", report).unwrap_or(Duration::from_secs(10));
    if timeout.is_zero() {
        report.error(reader.place("timeout"), "a request takes some time, as in \"10s\"");
    }
    timeout
}

/// When an open load begins.
fn from(reader: &Reader<'_>, model: LoadModel, report: &mut Report) -> Duration {
    let from = reader.duration("from", report).unwrap_or_default();
    if model == LoadModel::Closed && reader.has("from") {
        report.error(reader.place("from"), "a closed load begins with the run: answers say when it sends");
    } else if from > MOST_DURATION {
        report.error(reader.place("from"), "at most a day");
    }
    from.min(MOST_DURATION)
}

/// The file of journeys, beside the scenario, and who goes them.
fn journey(reader: &Reader<'_>, file: &Path, report: &mut Report) -> Option<JourneyPart> {
    for key in NOT_OF_JOURNEYS.iter().filter(|key| reader.has(key)) {
        report.error(reader.place(key), format!("a load of journeys has no `{key}`: the file of journeys says it"));
    }
    let users = reader.integer("users", 1..=MOST_USERS, report).unwrap_or(20);
    let spawn_per_s = reader.rate("spawn", report);
    if !reader.has("journey") {
        reader.missing("journey", "name a file of journeys, beside the scenario", report);
    }
    let name = reader.text("journey", report)?;
    let path = file.parent().unwrap_or(Path::new("")).join(name);
    match loadgen::journey::file::load(&path) {
        Ok((journeys, text)) => {
            let users = u32::try_from(users).unwrap_or(u32::MAX);
            Some(JourneyPart { journeys, text, users, spawn_per_s })
        }
        Err(error) => {
            error.to_string().lines().for_each(|line| report.error(reader.place("journey"), line));
            None
        }
    }
}

fn model(reader: &Reader<'_>, report: &mut Report) -> LoadModel {
    let kinds = [("open", Kind::Open), ("closed", Kind::Closed), ("journey", Kind::Journey)];
    let kind = reader.word("model", &kinds, report);
    if !reader.has("model") {
        reader.missing(
            "model",
            "choose: open sends when the plan says, closed when an answer came, journey lets users go step by step",
            report,
        );
    }
    match kind {
        Some(Kind::Journey) => return LoadModel::Journey,
        Some(Kind::Closed) => {
            for key in ["rate", "arrivals"].into_iter().filter(|key| reader.has(key)) {
                report.error(reader.place(key), format!("a closed load has no `{key}`: answers say when it sends"));
            }
            return LoadModel::Closed;
        }
        _ => {}
    }
    let arrivals = reader
        .parsed("arrivals", report, |text| text.parse::<Arrivals>().map_err(|error| error.to_string()))
        .unwrap_or(Arrivals::Poisson);
    let rate = reader.rate("rate", report);
    if arrivals.holds_rates() && reader.has("rate") {
        report.error(reader.place("rate"), "these arrivals name their rates themselves");
    }
    if kind == Some(Kind::Open) && !reader.has("rate") && !arrivals.holds_rates() {
        reader.missing("rate", "an open load says how many requests it sends, as in \"2000/s\"", report);
    }
    let plan = Plan::new(arrivals, rate.unwrap_or(1.0), 1, 0);
    if plan.peak_rate() > MOST_RATE {
        let at = if reader.has("rate") { reader.place("rate") } else { reader.place("arrivals") };
        report.error(at, format!("one machine cannot send this much; {MOST_RATE:.0}/s is the most that is tried"));
    }
    LoadModel::Open { arrivals, rate: rate.unwrap_or(1.0) }
}

fn requests(reader: &Reader<'_>, keys: &[String], report: &mut Report) -> Vec<RequestPart> {
    let nodes: Vec<&Node> = match (reader.node("request"), reader.node("requests")) {
        (Some(one), None) => vec![one],
        (None, Some(_)) => reader.tables("requests", report).iter().collect(),
        (Some(_), Some(_)) => {
            report.error(reader.place("requests"), "`request` and `requests` exclude each other");
            Vec::new()
        }
        (None, None) => {
            reader.missing("request", "say what is sent: request = { method = \"GET\", path = \"/\" }", report);
            return Vec::new();
        }
    };
    let requests: Vec<RequestPart> = nodes.into_iter().filter_map(|node| request(node, keys, report)).collect();
    if !requests.is_empty() && requests.iter().all(|request| request.weight == 0) {
        report.error(reader.place("requests"), "every request has the weight 0, so nothing is sent");
    }
    requests
}

fn request(node: &Node, keys: &[String], report: &mut Report) -> Option<RequestPart> {
    let reader = Reader::of(node, REQUEST_KEYS, report)?;
    let path = reader.text("path", report).unwrap_or("/");
    if !reader.has("path") {
        reader.missing("path", "say what is asked for, as in \"/api/orders/7\"", report);
    }
    if !path.starts_with('/') {
        report.error(reader.place("path"), "a path starts with `/`");
    }
    let headers = reader.pairs("headers", report);
    let body = reader.text("body", report).unwrap_or_default().to_owned();
    let bytes = reader.integer("body_bytes", 1..=(64 << 20), report);
    if bytes.is_some() && reader.has("body") {
        report.error(reader.place("body_bytes"), "`body` and `body_bytes` exclude each other");
    }
    let expected = answer::expected(&reader, report);
    let weight = reader.integer("weight", 0..=1_000_000, report).unwrap_or(1);
    let request = RequestPart {
        method: reader.text("method", report).unwrap_or("GET").to_ascii_uppercase(),
        path: path.to_owned(),
        headers,
        body: bytes.map_or(body, |bytes| "x".repeat(usize::try_from(bytes).unwrap_or(0))),
        weight: u32::try_from(weight).unwrap_or(1),
        expect: expected.statuses,
        expect_headers: expected.headers,
    };
    // What the load generator cannot send is told by it.
    let template = request.template(std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
    match Mix::new(&[loadgen::request::Template { weight: 1, ..template }], 0) {
        // The run makes the key.
        Ok(_) | Err(TemplateError::Token { error: KeyError::Missing, .. }) => {}
        Err(error) => report.error(node.at, error.to_string()),
    }
    check_keys(&request, node, keys, report);
    Some(request)
}

/// Who signs has to be a key of the run.
fn check_keys(request: &RequestPart, node: &Node, keys: &[String], report: &mut Report) {
    let template = request.template(std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
    let named = template.token_keys().unwrap_or_default();
    for name in named.into_iter().flatten().filter(|name| !keys.contains(name)) {
        let known: Vec<&str> = keys.iter().map(String::as_str).collect();
        let message = format!("no key is called `{name}`");
        match keys {
            [] => report.error_with(node.at, message, format!("write [tokens] with keys = [{{ name = \"{name}\" }}]")),
            _ => report.unknown(node.at, message, &name, &known),
        }
    }
}

fn count(reader: &Reader<'_>, key: &str, default: usize, report: &mut Report) -> usize {
    let count = reader.integer(key, 1..=100_000, report);
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
}
