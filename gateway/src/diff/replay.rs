//! Logged requests, decided anew under two configurations. Lines are read one by one, and what is kept of them is
//! bounded, however many there are.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, Read as _};
use std::net::IpAddr;
use std::rc::Rc;

use http::Method;
use serde::{Deserialize, Serialize};

use super::Side;
use super::treatment::{self, Treatment};
use crate::explain::judge::{Decision, Judge, Past, Verdict};
use crate::query::{decoded, pairs};

/// The longest line that is read, bytes: a record of the longest target is shorter.
const MOST_LINE: u64 = 1 << 20;
/// Groups of requests that are told apart; what comes beyond is counted.
const MOST_GROUPS: usize = 1000;
/// Requests that are shown of each group.
const MOST_EXAMPLES: usize = 3;
/// Lines that are shown of those that could not be read.
const MOST_BAD: usize = 5;

/// What became of a log.
#[derive(Debug, Default, Serialize)]
pub struct Replay {
    /// Requests that could be decided.
    pub requests: u64,
    /// Those that are treated as before.
    pub same: u64,
    /// Those that are not.
    pub differing: u64,
    /// How, the most requests first.
    pub groups: Vec<Group>,
    /// Requests that differ in yet another way than the groups tell.
    pub beyond_groups: u64,
    /// Requests whose route, or treatment, hangs on what is not in the log: headers, parameters of the query that
    /// records do not tell, body, whether they came over TLS.
    pub undecided: u64,
    /// Requests that took another route than the old configuration gives them: the log is of another one.
    pub of_another_configuration: u64,
    /// Records of what was no request.
    pub no_requests: u64,
    /// Lines that are no records.
    pub bad_lines: u64,
    /// The first of them.
    pub bad: Vec<BadLine>,
}

/// Requests that are treated otherwise in the same way.
#[derive(Debug, Serialize)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// What the old configuration does: `route orders`, `404`.
    pub old: String,
    /// What the new one does.
    pub new: String,
    /// How they are treated otherwise.
    pub differs: Vec<String>,
    /// Where they need an identity only now: those that had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_identity: Option<u64>,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// A logged request.
#[derive(Debug, Serialize)]
pub struct Example {
    /// Its line in the log, counted from 1.
    pub line: u64,
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The path, with what the record tells of the query.
    pub path: String,
    /// What the upstream is sent now, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// What it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was_sent: Option<String>,
}

/// A line that is no record.
#[derive(Debug, Serialize)]
pub struct BadLine {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// What of an access record is looked at.
#[derive(Deserialize)]
struct Record {
    request_id: String,
    status: u16,
    #[serde(default)]
    method: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    path: String,
    route: Option<String>,
    subject: Option<String>,
    client: Option<String>,
}

/// Where a request goes, by what is known of it.
type Way = (Verdict, Verdict, bool);

struct Replayer<'a> {
    sides: [&'a Side; 2],
    judges: [Judge<'a>; 2],
    treatments: HashMap<(usize, usize), Rc<Treatment>>,
    groups: HashMap<Way, usize>,
    told: Replay,
}

/// Decides every request of a log under both configurations.
///
/// # Errors
/// The log cannot be read.
pub fn replay(old: &Side, new: &Side, mut log: impl BufRead) -> io::Result<Replay> {
    let mut replayer = Replayer {
        sides: [old, new],
        judges: [Judge::new(&old.config), Judge::new(&new.config)],
        treatments: HashMap::new(),
        groups: HashMap::new(),
        told: Replay::default(),
    };
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        if log.by_ref().take(MOST_LINE + 1).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        let is_whole = line.len() as u64 <= MOST_LINE;
        if !is_whole {
            skip_line(&mut log, &line)?;
            replayer.bad(number, "the line is longer than 1 MiB");
        } else if !line.iter().all(u8::is_ascii_whitespace) {
            match serde_json::from_slice::<Record>(&line) {
                Ok(record) => replayer.decide(number, &record),
                Err(error) => replayer.bad(number, &told(&error)),
            }
        }
    }
    let mut told = replayer.told;
    told.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(told)
}

/// What is wrong with a line; which one it is, is said elsewhere.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
    format!("{what} (column {})", error.column())
}

/// Reads to the end of a line of which this is the beginning.
fn skip_line(log: &mut impl BufRead, beginning: &[u8]) -> io::Result<()> {
    let mut ended = beginning.ends_with(b"\n");
    while !ended {
        let available = log.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let end = memchr::memchr(b'\n', available);
        ended = end.is_some();
        let length = end.map_or(available.len(), |end| end + 1);
        log.consume(length);
    }
    Ok(())
}

/// The parameters of which a record says what was sent: those that the old configuration names, and whatever it has, as
/// it has all of one name.
fn known<'s>(old: &'s Side, query: Option<&str>) -> Cow<'s, [Box<str>]> {
    let named = &*old.config.telemetry.recorded.query;
    let Some(query) = query else { return Cow::Borrowed(named) };
    let told = pairs(Some(query)).filter_map(|(name, _)| Some(decoded(name)?.into()));
    Cow::Owned(named.iter().cloned().chain(told).collect())
}

impl Replayer<'_> {
    fn bad(&mut self, line: u64, problem: &str) {
        self.told.bad_lines += 1;
        if self.told.bad.len() < MOST_BAD {
            self.told.bad.push(BadLine { line, problem: problem.to_owned() });
        }
    }

    fn decide(&mut self, line: u64, record: &Record) {
        // What is not known of a record is no reason to refuse it; what each has is.
        if record.request_id.is_empty() || !(100..1000).contains(&record.status) {
            return self.bad(line, "its id or status is none");
        }
        let (Ok(method), false) = (Method::from_bytes(record.method.as_bytes()), record.path.is_empty()) else {
            self.told.no_requests += 1;
            return;
        };
        let client = record.client.as_ref().and_then(|client| client.parse::<IpAddr>().ok());
        let (path, query) = record.path.split_once('?').map_or((&*record.path, None), |(path, it)| (path, Some(it)));
        let known = known(self.sides[0], query);
        let past = Past { method: &method, host: &record.host, path, query, known: &known, client };
        let decisions = [0, 1].map(|side: usize| self.judges[side].look_back(&past));
        let Some((old, new)) = self.verdicts(record, &decisions) else {
            self.told.undecided += 1;
            return;
        };
        if !self.compare((line, record), (old, new), &decisions) {
            self.told.undecided += 1;
            return;
        }
        self.told.requests += 1;
        let took = old.route().map(|index| &*self.sides[0].config.routes[index].name);
        if record.route.is_some() && record.route.as_deref() != took {
            self.told.of_another_configuration += 1;
        }
    }

    /// Where a request went, and where it goes; `None` where that hangs on what is not in the log.
    fn verdicts(&self, record: &Record, decisions: &[Decision; 2]) -> Option<(Verdict, Verdict)> {
        let index_of =
            |side: usize, name: &str| self.sides[side].config.routes.iter().position(|route| &*route.name == name);
        // Routes that it may have taken: what was found without looking at content, and what could be instead.
        let possible = |side: usize| {
            let decision = &decisions[side];
            let routes = decision.instead.iter().copied().chain(decision.verdict.route());
            routes.map(|index| &*self.sides[side].config.routes[index].name).collect::<BTreeSet<&str>>()
        };
        let logged = record.route.as_deref().filter(|name| possible(0).contains(name));
        let found = decisions[0].verdict;
        let old = match logged {
            _ if decisions[0].instead.is_empty() => found,
            Some(name) if found.route() == index_of(0, name) => found,
            Some(name) => Verdict::Route(index_of(0, name)?),
            None if record.route.is_none() && found.route().is_none() => found,
            None => return None,
        };
        if decisions[1].instead.is_empty() {
            return Some((old, decisions[1].verdict));
        }
        // Where all that it may take matches alike on both sides, it takes the same.
        let names = possible(0);
        if names != possible(1) || !treatment::match_alike(self.sides[0], self.sides[1], &names) {
            return None;
        }
        let new = match old {
            Verdict::Route(index) => Verdict::Route(index_of(1, &self.sides[0].config.routes[index].name)?),
            _ => decisions[1].verdict,
        };
        Some((old, new))
    }

    /// Counts a request, and shows it where it is treated otherwise; false where that hangs on what is not in the log.
    fn compare(
        &mut self,
        (line, record): (u64, &Record),
        (old, new): (Verdict, Verdict),
        decisions: &[Decision; 2],
    ) -> bool {
        let treatment = match (old, new) {
            (Verdict::Route(before), Verdict::Route(after)) => Some(self.treatment(before, after)),
            _ => None,
        };
        let is_plain = decisions.iter().all(|decision| decision.instead.is_empty());
        let may = is_plain && treatment.as_ref().is_some_and(|it| it.may_be_sent_otherwise);
        let sent_otherwise = may && decisions[0].sent != decisions[1].sent;
        let same = match &treatment {
            Some(treatment) => treatment.differs.is_empty() && !sent_otherwise,
            // Both routes may keep their client out.
            None => old == new || matches!((old, new), (Verdict::Denied(_), Verdict::Denied(_))),
        };
        if same {
            let may_differ = treatment.is_some_and(|treatment| !treatment.may_differ.is_empty());
            self.told.same += u64::from(!may_differ);
            return !may_differ;
        }
        self.told.differing += 1;
        let way = (old, new, sent_otherwise);
        let Some(at) = self.groups.get(&way).copied().or_else(|| self.new_group(way, treatment.as_deref())) else {
            self.told.beyond_groups += 1;
            return true;
        };
        let group = &mut self.told.groups[at];
        group.count += 1;
        if let Some(without) = group.without_identity.as_mut().filter(|_| record.subject.is_none()) {
            *without += 1;
        }
        if group.examples.len() < MOST_EXAMPLES {
            let [was_sent, sent] = decisions.each_ref().map(|it| it.sent.clone().filter(|_| sent_otherwise));
            group.examples.push(Example {
                line,
                method: record.method.clone(),
                host: record.host.clone(),
                path: record.path.clone(),
                sent,
                was_sent,
            });
        }
        true
    }

    fn treatment(&mut self, before: usize, after: usize) -> Rc<Treatment> {
        let [old, new] = self.sides;
        let told = self.treatments.entry((before, after)).or_insert_with(|| {
            let (one, other) = (&old.config.routes[before].name, &new.config.routes[after].name);
            Rc::new(treatment::between((old, one), (new, other)))
        });
        Rc::clone(told)
    }

    /// Begins a group, unless there are too many.
    fn new_group(&mut self, way: Way, treatment: Option<&Treatment>) -> Option<usize> {
        if self.told.groups.len() >= MOST_GROUPS {
            return None;
        }
        let (old, new, sent_otherwise) = way;
        let [before, after] = [(0, old), (1, new)].map(|(side, verdict)| self.name(side, verdict));
        let mut differs = match treatment {
            Some(treatment) => [&treatment.differs[..], &treatment.may_differ].concat(),
            None if new.route().is_none() => vec![format!("now {after}")],
            None => vec![format!("was {before}, now {after}")],
        };
        if sent_otherwise {
            differs.push("the upstream is sent another path".to_owned());
        }
        let without_identity = treatment.filter(|treatment| treatment.needs_identity).map(|_| 0);
        self.told.groups.push(Group {
            count: 0,
            old: before,
            new: after,
            differs,
            without_identity,
            examples: Vec::new(),
        });
        self.groups.insert(way, self.told.groups.len() - 1);
        Some(self.told.groups.len() - 1)
    }

    fn name(&self, side: usize, verdict: Verdict) -> String {
        let route = |index: usize| &*self.sides[side].config.routes[index].name;
        match verdict {
            Verdict::BadPath => "400 (the path is refused)".to_owned(),
            Verdict::NotFound => "404".to_owned(),
            Verdict::MethodNotAllowed => "405".to_owned(),
            Verdict::Denied(index) => format!("403 (route {} does not let the address in)", route(index)),
            Verdict::Route(index) => format!("route {}", route(index)),
        }
    }
}
