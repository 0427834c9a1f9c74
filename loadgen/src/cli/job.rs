//! What the arguments ask for, checked before anything is sent; and the run.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::CommandError;
use super::arguments::Arguments;
use crate::clock::{Clock, duration_ns, unix_seconds};
use crate::engine::{Load, Model, Pacing, Schedule, Settings, opening, run_all};
use crate::files;
use crate::journey::Book;
use crate::plan::{Arrivals, Plan, PlanSummary, parse_trace};
use crate::progress::Shown;
use crate::recorder::{REST, Recorder, Window};
use crate::request::{Expectation, Mix, Protocol, Template, TokenKey, TokenSettings};
use crate::result::Offered;
use crate::sample::Totals;
use crate::target::Target;
use crate::tls::{Tls, Trust};

/// Sending starts this long after the connections are asked for, so that they are open by then.
const LEAD: Duration = Duration::from_millis(100);
/// A driver thread never sends more, on any machine; what asks for more is a slip of the pen.
const MOST_RATE: f64 = 2e6;
/// A body that is piped in is no longer than this: it is held in memory, for each request.
const MOST_PIPED: u64 = 64 << 20;
/// As many arrivals can be counted before the start within some seconds.
const MOST_ARRIVALS: f64 = 1e9;

/// A run that can be started.
#[derive(Debug)]
pub(super) struct Job {
    mix: Mix,
    model: Model,
    summary: Option<PlanSummary>,
    pacing: Pacing,
}

/// What a run showed.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) recorder: Recorder,
    pub(super) totals: Totals,
    pub(super) offered: Option<Offered>,
    pub(super) interrupted: bool,
    /// Of a run of journeys, what each showed.
    pub(super) book: Option<Book>,
}

impl Job {
    pub(super) fn of(arguments: &Arguments) -> Result<Self, CommandError> {
        let template = template(arguments)?;
        let key = arguments.token_key.as_ref().map(|path| token_key(arguments, path)).transpose()?;
        let target_is_local = template.target.address.ip().is_loopback();
        let tls = tls(arguments, &template.target)?;
        let mut mix = Mix::with_tokens(&[template], arguments.seed, key.as_ref())?.speaking(protocol(arguments)?)?;
        if let Some(tls) = tls {
            mix = mix.secured(tls);
        }
        if let Some(version) = arguments.proxy_protocol {
            mix = mix.announcing(version);
        }
        let model = model(arguments)?;
        let summary = match &model {
            Model::Open(plan) => Some(plan.summary()),
            Model::Closed { .. } => None,
        };
        // Also checks the windows: a wrong one is refused before anything is sent.
        let phases = recorder(arguments, 0)?;
        check_thresholds(arguments, &phases)?;
        let length_ns = match &model {
            Model::Open(plan) => plan.end_ns(),
            Model::Closed { duration, .. } => duration.map_or(u64::MAX, duration_ns),
        };
        check_phases(arguments, length_ns)?;
        open_files(arguments, &model)?;
        Ok(Self { mix, model, summary, pacing: arguments.pacing.pacing(target_is_local) })
    }

    pub(super) fn run(&self, arguments: &Arguments, stop: &Arc<AtomicBool>) -> Result<Measured, CommandError> {
        let settings = Settings {
            mix: self.mix.clone(),
            model: self.model.clone(),
            connections: arguments.connections as usize,
            max_in_flight: arguments.max_in_flight as usize,
            timeout: arguments.timeout,
            stop: Arc::clone(stop),
        };
        let clock = Clock::start();
        let start_ns = clock.now_ns() + duration_ns(LEAD + opening(settings.connections));
        let mut recorder = recorder(arguments, start_ns)?;
        let (length_ns, requests) = match &self.model {
            Model::Open(plan) => (Some(plan.end_ns()), None),
            Model::Closed { requests, duration } => (duration.map(duration_ns), *requests),
        };
        let mut shown = Shown::new(&mut recorder, length_ns, requests, arguments.quiet || arguments.json);
        let schedule = Schedule { start_ns, pacing: self.pacing };
        let totals = run_all(vec![Load { settings, observer: &mut shown }], clock, schedule)?;
        drop(shown);
        let totals = totals.into_iter().next().unwrap_or_default();
        let interrupted = stop.load(Ordering::Relaxed);
        let offered = self.summary.map(|summary| {
            let measured_ns = length_ns.unwrap_or(0).saturating_sub(duration_ns(arguments.warm_up));
            self.offered(summary, &recorder, measured_ns, interrupted)
        });
        Ok(Measured { recorder, totals, offered, interrupted, book: None })
    }

    /// What the plan offered in the measured part. Of a run that was ended early, what it offered until then.
    fn offered(&self, summary: PlanSummary, recorder: &Recorder, measured_ns: u64, interrupted: bool) -> Offered {
        let from_ns = match &self.model {
            Model::Open(plan) => plan.end_ns().saturating_sub(measured_ns),
            Model::Closed { .. } => 0,
        };
        let planned = match &self.model {
            Model::Open(plan) if from_ns > 0 => plan.clone().filter(|at_ns| *at_ns >= from_ns).count() as u64,
            _ => summary.arrivals,
        };
        let rate = planned as f64 * 1e9 / measured_ns.max(1) as f64;
        let arrivals = if interrupted { recorder.pacer_lag().len() } else { planned };
        Offered { arrivals, rate, length_ns: (!interrupted).then_some(measured_ns), hash: summary.hash }
    }
}

/// Sees to it that all connections may be open at once. In the open model their bound is one that few runs come to, so
/// that as many as there may be will do.
fn open_files(arguments: &Arguments, model: &Model) -> Result<(), CommandError> {
    let (wanted, bound) = (u64::from(arguments.connections), u64::from(arguments.max_in_flight));
    if let Model::Open(_) = model {
        // What is refused here is refused below, or is not needed.
        let _ = files::allow(wanted.max(bound));
    }
    files::allow(wanted).map_err(|most| CommandError::Files { wanted, most })
}

/// Whether every threshold is about a phase that there is.
pub(super) fn check_thresholds(arguments: &Arguments, phases: &Recorder) -> Result<(), CommandError> {
    let mut names: Vec<&str> = phases.phases().iter().map(|phase| phase.name.as_str()).collect();
    names.push(REST);
    Ok(arguments.fail_if.iter().try_for_each(|threshold| threshold.check(&names))?)
}

/// Whether every phase begins within a run of this length: another never has a figure.
pub(super) fn check_phases(arguments: &Arguments, length_ns: u64) -> Result<(), CommandError> {
    match arguments.phases.iter().find(|phase| phase.from_ns >= length_ns) {
        Some(Window { name, .. }) => {
            let seconds = length_ns as f64 / 1e9;
            Err(CommandError::Usage(format!("--phase {name}: it begins after the run's end, which is at {seconds} s")))
        }
        None => Ok(()),
    }
}

/// The recorder of a run that starts at `start_ns`.
pub(super) fn recorder(arguments: &Arguments, start_ns: u64) -> Result<Recorder, CommandError> {
    let from_ns = start_ns + duration_ns(arguments.warm_up);
    if arguments.phases.is_empty() {
        return Ok(Recorder::new("steady", from_ns));
    }
    let shifted = |window: &Window| Window {
        name: window.name.clone(),
        from_ns: window.from_ns.saturating_add(start_ns),
        until_ns: window.until_ns.saturating_add(start_ns),
    };
    let windows: Vec<Window> = arguments.phases.iter().map(shifted).collect();
    Ok(Recorder::with_windows(&windows, from_ns)?)
}

fn template(arguments: &Arguments) -> Result<Template, CommandError> {
    let body = match arguments.body.as_deref().map(|body| (body, body.strip_prefix('@'))) {
        None => Vec::new(),
        Some((_, Some("-"))) => piped()?,
        Some((_, Some(path))) => read(&PathBuf::from(path))?,
        Some((text, None)) => text.as_bytes().to_vec(),
    };
    let method = arguments.method.as_deref().unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    Ok(Template {
        name: super::LOAD.to_owned(),
        target: Target::parse(arguments.url(), true)?,
        method: method.to_owned(),
        headers: arguments.headers.clone(),
        body,
        weight: 1,
        expect: Expectation {
            statuses: arguments.expect_statuses.clone(),
            body_bytes: arguments.expect_length,
            headers: arguments.expect_headers.clone(),
        },
    })
}

/// The protocol; HTTP/2 has no place for headers about an HTTP/1.1 connection, and none is left out in silence.
fn protocol(arguments: &Arguments) -> Result<Protocol, CommandError> {
    if !arguments.http2 {
        return Ok(Protocol::Http1);
    }
    let about_connection = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    let found = arguments.headers.iter().find(|(name, _)| about_connection.contains(&name.to_lowercase().as_str()));
    match found {
        Some((name, _)) => Err(CommandError::Usage(format!("HTTP/2 has no header `{name}`: leave it or --http2 out"))),
        None => Ok(Protocol::Http2 { streams: arguments.streams as usize }),
    }
}

/// How connections are secured; what says so and is not obeyed is an error.
fn tls(arguments: &Arguments, target: &Target) -> Result<Option<Tls>, CommandError> {
    if !target.is_secure {
        let said = arguments.ca.is_some() || arguments.insecure || arguments.full_handshakes;
        let message = "--ca, --insecure and --full-handshakes are about TLS: give an https:// URL";
        return if said { Err(CommandError::Usage(message.to_owned())) } else { Ok(None) };
    }
    let pem = arguments.ca.as_ref().map(read).transpose()?;
    let trust = match &pem {
        Some(pem) => Trust::Own(pem),
        None if arguments.insecure => Trust::Anybody,
        None => Trust::System,
    };
    Ok(Some(Tls::new(&target.authority, trust, !arguments.full_handshakes)?))
}

pub(super) fn token_settings(arguments: &Arguments) -> TokenSettings {
    TokenSettings {
        issuer: arguments.token_issuer.clone(),
        audience: arguments.token_audience.clone(),
        key_id: arguments.token_key_id.clone(),
        issued_at: unix_seconds(),
        lifetime: arguments.token_lifetime,
    }
}

fn token_key(arguments: &Arguments, path: &PathBuf) -> Result<TokenKey, CommandError> {
    Ok(TokenKey::from_pem(&read(path)?, token_settings(arguments))?)
}

pub(super) fn read(path: &PathBuf) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|source| CommandError::File { path: path.clone(), source })
}

/// All of standard input, which ends where whoever writes it ends.
fn piped() -> Result<Vec<u8>, CommandError> {
    let mut body = Vec::new();
    let most = std::io::stdin().lock().take(MOST_PIPED + 1).read_to_end(&mut body);
    most.map_err(|source| CommandError::File { path: "standard input".into(), source })?;
    if body.len() as u64 > MOST_PIPED {
        return Err(CommandError::Usage(format!("the body on standard input is longer than {MOST_PIPED} bytes")));
    }
    Ok(body)
}

fn model(arguments: &Arguments) -> Result<Model, CommandError> {
    if let Some(path) = &arguments.replay {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let times = parse_trace(&text).map_err(|source| CommandError::Trace { path: path.clone(), source })?;
        return Ok(Model::Open(Plan::replay(times)));
    }
    // Ten seconds unless told otherwise; a number of requests takes the time it takes.
    let default = arguments.requests.is_none().then_some(Duration::from_secs(10));
    let duration = arguments.duration.or(default).map(|duration| duration + arguments.warm_up);
    let (arrivals, rate) = match (arguments.arrivals, arguments.rate) {
        (None, None) => return Ok(Model::Closed { requests: arguments.requests, duration }),
        (Some(shape), Some(_)) if shape.holds_rates() => {
            return Err(CommandError::Usage(format!("{shape} names its rates itself: leave --rate out")));
        }
        (Some(shape), rate) if shape.holds_rates() => (shape, rate.unwrap_or(0.0)),
        (Some(shape), None) => {
            return Err(CommandError::Usage(format!("{shape} arrivals need a rate: give --rate, as in --rate 500/s")));
        }
        (arrivals, Some(rate)) => (arrivals.unwrap_or(Arrivals::Constant), rate),
    };
    let length_ns = duration.map_or(0, duration_ns);
    let plan = Plan::new(arrivals, rate, length_ns, arguments.seed);
    let peak = plan.peak_rate();
    if peak > MOST_RATE {
        let text =
            format!("{peak:.0} requests/s cannot be sent: one driver sends at most some hundred thousand a second");
        return Err(CommandError::Usage(text));
    }
    if peak * length_ns as f64 / 1e9 > MOST_ARRIVALS {
        return Err(CommandError::Usage("more than a billion requests: run it in parts".to_owned()));
    }
    Ok(Model::Open(plan))
}
