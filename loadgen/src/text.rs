//! A result as a few lines of text, for people. The same on a terminal and in a pipe: no colours, no cursor.

use crate::result::{Document, Expectation, JourneyResult, LoadResult, PhaseResult, Quantiles};

/// A larger share of requests that failed is worth a line.
const MOST_FAILED: f64 = 0.01;

/// The summary of a result, with a line end at its end.
#[must_use]
pub fn summary(document: &Document) -> String {
    let mut text = String::new();
    for (name, load) in &document.load {
        text += &load_lines(name, load);
    }
    let validity = &document.validity;
    text += &format!(
        "driver     worked {:.0} % of a core and spun {:.0} %, pacer lag p50 {} p99 {}, {} dropped\n",
        validity.client_cpu_ratio * 100.0,
        validity.client_spin_ratio * 100.0,
        micros(validity.pacer_lag_us.p50),
        micros(validity.pacer_lag_us.p99),
        validity.dropped,
    );
    for expectation in &document.expectations {
        let Expectation { figure, bound, value, holds } = expectation;
        let word = if *holds { "holds      " } else { "MISSED     " };
        let value = value.map_or_else(|| "nothing".to_owned(), |value| figure_value(figure, value));
        text += &format!("{word}{bound} ({figure} = {value})\n");
    }
    text += if validity.valid { "valid      yes\n" } else { "valid      no\n" };
    for reason in &validity.reasons {
        text += &format!("           - {reason}\n");
    }
    let failed = document.load.values().map(failed_share).fold(0.0, f64::max);
    if failed > MOST_FAILED {
        let percent = failed * 100.0;
        text += &format!("failed     {percent:.1} % of the requests: latencies and rates are those of failures, too\n");
    }
    if document.load.values().any(is_all_malformed) {
        text += "hint       no answer was one of HTTP: a port that speaks TLS wants https://\n";
    }
    let missed = document.expectations.iter().filter(|expectation| !expectation.holds).count();
    let asked = match (document.verdict.as_str(), missed) {
        ("pass", _) if document.expectations.is_empty() => {
            " (nothing was asked of it: --fail-if says what fails a run)".to_owned()
        }
        // What could not be measured has neither held nor failed: exit code 4, and not 1.
        ("invalid", 1) => " (the threshold that was missed may be the driver's doing)".to_owned(),
        ("invalid", 2..) => format!(" (the {missed} thresholds that were missed may be the driver's doing)"),
        _ => String::new(),
    };
    text += &format!("verdict    {}{asked}\n", document.verdict);
    text
}

/// Share of a load's requests that ended otherwise than expected.
fn failed_share(load: &LoadResult) -> f64 {
    let ok: u64 = load.phases.values().map(|phase| phase.outcome.ok).sum();
    load.requests.saturating_sub(ok) as f64 / load.requests.max(1) as f64
}

/// Whether every request had an answer that nobody could read.
fn is_all_malformed(load: &LoadResult) -> bool {
    let malformed: u64 = load.phases.values().filter_map(|phase| phase.failures.get("malformed")).sum();
    malformed > 0 && malformed == load.requests
}

fn load_lines(name: &str, load: &LoadResult) -> String {
    let mut text = format!(
        "{name:<10} {} requests, {:.0}/s (offered {:.0}/s), driver {:.1} us CPU a request\n",
        load.requests, load.achieved_rps, load.offered_rps, load.client_cpu_us_per_request,
    );
    for (phase_name, phase) in &load.phases {
        text += &phase_lines(phase_name, phase);
    }
    for (journey_name, journey) in &load.journeys {
        text += &journey_lines(journey_name, journey);
    }
    text
}

fn journey_lines(name: &str, journey: &JourneyResult) -> String {
    let JourneyResult { completed, abandoned, duration_us, .. } = journey;
    let takes =
        |whole: Quantiles| format!("; a whole one takes {} (p50), {} (p99)", micros(whole.p50), micros(whole.p99));
    let takes = duration_us.map_or_else(String::new, takes);
    let mut text = format!("journey {name}: {completed} completed, {abandoned} abandoned{takes}\n");
    text += &format!("  {:<24} {:>8} {:>8} {:>9} {:>9} {:>9}\n", "step", "requests", "not ok", "p50", "p99", "max");
    for (name, step) in &journey.steps {
        let outcome = &step.outcome;
        let not_ok = outcome.rejected + outcome.failed + outcome.client_error;
        let latency = step.latency_us.map(|all| [all.p50, all.p99, all.max].map(micros));
        let [p50, p99, max] = latency.unwrap_or_else(none);
        text += &format!("  {name:<24} {:>8} {not_ok:>8} {p50:>9} {p99:>9} {max:>9}\n", outcome.ok + not_ok);
    }
    for (name, whole) in &journey.pages {
        let [p50, p99, max] = [whole.p50, whole.p99, whole.max].map(micros);
        text += &format!("  {:<42} {p50:>9} {p99:>9} {max:>9}\n", format!("{name}, with all of its parts"));
    }
    text
}

fn phase_lines(name: &str, phase: &PhaseResult) -> String {
    let mut text = format!("{name:<10} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "p50", "p90", "p99", "p99.9", "max");
    let outcome = &phase.outcome;
    text += &quantile_line("latency", phase.latency_us.as_ref());
    text += &quantile_line("service", phase.service_us.as_ref());
    if let Some(first_byte) = &phase.first_byte_us {
        text += &quantile_line("1st byte", Some(first_byte));
    }
    if let Some(added) = &phase.added_us {
        text += &quantile_line("added", Some(added));
    }
    let statuses: Vec<String> = phase
        .status
        .iter()
        .map(|(status, count)| if status == "0" { format!("no answer: {count}") } else { format!("{status}: {count}") })
        .collect();
    text += &format!("  status   {}\n", statuses.join(", "));
    text += &format!(
        "  outcome  ok {}, rejected {}, failed {}, client error {}, dropped {}\n",
        outcome.ok, outcome.rejected, outcome.failed, outcome.client_error, outcome.dropped,
    );
    for (cause, count) in &phase.failures {
        text += &format!("  failure  {cause}: {count}\n");
    }
    text
}

/// What has no value is no zero.
fn none<const N: usize>() -> [String; N] {
    std::array::from_fn(|_| "-".to_owned())
}

fn quantile_line(name: &str, quantiles: Option<&Quantiles>) -> String {
    let told = quantiles.map(|Quantiles { p50, p90, p99, p999, max }| [*p50, *p90, *p99, *p999, *max].map(micros));
    let [p50, p90, p99, p999, max] = told.unwrap_or_else(none);
    format!("  {name:<8} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {max:>9}\n")
}

/// A figure in the unit that its name says.
fn figure_value(figure: &str, value: f64) -> String {
    if figure.contains("latency_us") {
        micros(value)
    } else if figure.ends_with("_ratio") {
        format!("{:.3} %", value * 100.0)
    } else {
        format!("{value:.0}")
    }
}

/// Microseconds in a unit that keeps three digits.
#[must_use]
pub fn micros(us: f64) -> String {
    match us {
        us if us < 100.0 => format!("{us:.1} us"),
        us if us < 10_000.0 => format!("{us:.0} us"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::sample::{Observer, Outcome, Sample, Totals};

    #[test]
    fn a_share_of_failures_is_that_of_all_that_ended() {
        let totals = Totals { finished: 4, ..Totals::default() };
        let mut recorder = Recorder::new("steady", 0);
        for status in [200, 503, 503, 503] {
            let outcome = if status == 200 { Outcome::Ok } else { Outcome::Failed };
            recorder.sample(&sample(status, outcome));
        }
        let share = failed_share(&LoadResult::of(&recorder, &totals, None));
        assert!((share - 0.75).abs() < 1e-9, "{share}");
        let nothing = LoadResult::of(&Recorder::new("steady", 0), &Totals::default(), None);
        assert!(failed_share(&nothing).abs() < 1e-9);
    }

    #[test]
    fn a_phase_without_requests_has_no_times() {
        let lines = phase_lines("late", &PhaseResult::of(Recorder::new("late", 0).phases().first().unwrap()));
        assert!(lines.contains("latency          -         -") && !lines.contains("0.0 us"), "{lines}");
    }

    fn sample(status: u16, outcome: Outcome) -> Sample {
        Sample {
            template: 0,
            intended_ns: 0,
            sent_ns: 0,
            head_ns: 1,
            end_ns: 1,
            status,
            body_bytes: 0,
            outcome,
            failure: None,
            residence_ns: None,
            endpoint: None,
            refusal: None,
        }
    }

    #[test]
    fn times_keep_three_digits() {
        let cases = [(8.25, "8.2 us"), (812.0, "812 us"), (12_345.0, "12.3 ms"), (2_500_000.0, "2.50 s")];
        for (us, text) in cases {
            assert_eq!(micros(us), text);
        }
    }
}
