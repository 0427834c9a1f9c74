//! What the demo prints: aligned and plain in a pipe, with a little colour on a terminal.

use loadgen::recorder::Phase;
use loadgen::result::{LoadResult, Quantiles};
use reports::table::{Table, bar, sparkline};
use reports::text::{mebibytes, micros};

use super::findings::Findings;
use super::traffic::EXPECTED_ERRORS;
use super::watch::STEP_MS;
use super::{INJECTED_STATUS, Options, World};
use crate::folder::Folder;
use crate::paint::Paint;

/// Width of a whole bar.
const BAR: usize = 30;

/// What stands there before the traffic.
pub(super) fn opening(options: &Options, world: &World, paint: Paint) -> String {
    let seconds = options.duration.as_secs_f64();
    let mut text = format!(
        "\n{}  {:.0} requests/s for {seconds} s, seed {}\n\n",
        paint.bold("Portcullis demo"),
        options.rate,
        options.seed,
    );
    for (service, addresses) in world.endpoints.services() {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        text += &format!("  {service:<9}{}\n", paint.dim(&addresses.join("  ")));
    }
    text += &format!("  {:<9}{}\n", "gateway", paint.dim(&format!("http://{}", world.gateway.ready.listeners[0])));
    text += &format!(
        "\n  Half way, {} starts to answer {INJECTED_STATUS}.\n\n",
        paint.bold(&world.endpoints.name_of(world.endpoints.failing().port())),
    );
    text
}

/// What stands there after it.
pub(super) fn findings(options: &Options, world: &World, folder: &Folder, findings: &Findings, paint: Paint) -> String {
    let sections = [
        traffic(findings, paint),
        over_time(world, findings, paint),
        statuses(findings, paint),
        balance(world, findings, paint),
        gateway(findings, paint),
        places(options, world, folder, findings.holds(), paint),
        verdict(findings, paint),
    ];
    sections.join("\n") + "\n"
}

fn heading(paint: Paint, text: &str) -> String {
    format!("{}\n", paint.bold(text))
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn traffic(findings: &Findings, paint: Paint) -> String {
    let recorder = &findings.watch.recorder;
    let rate = LoadResult::of(recorder, &findings.totals, Some(findings.offered)).achieved_rps;
    let mut table = Table::new(["", "p50", "p90", "p99", "p99.9", "max"]);
    for (phase, name) in recorder.phases().iter().zip(["before the fault", "with the fault"]) {
        let mut row = |what: &str, quantiles: Quantiles, is_empty: bool| {
            let Quantiles { p50, p90, p99, p999, max } = quantiles;
            let cells = [p50, p90, p99, p999, max].map(|value| if is_empty { "–".to_owned() } else { micros(value) });
            table.row(std::iter::once(format!("{name}, {what}")).chain(cells));
        };
        row("latency", Quantiles::of(&phase.latency), phase.latency.is_empty());
        row("added", Quantiles::of(&phase.added), phase.added.is_empty());
    }
    let mut text = heading(paint, "Traffic");
    let requests = paint.cyan(&format!("{} requests", grouped(findings.totals.finished)));
    text += &format!("  {requests}, {} a second\n\n", paint.cyan(&format!("{rate:.0}")));
    text += &indented(&table.lines());
    text += &format!(
        "  {}\n  {}\n",
        paint.dim("latency  of all requests, from the planned send time"),
        paint.dim(
            "added    by the gateway and the network, where a mock answered: up to the head, less the mock's time"
        ),
    );
    for reason in findings.validity().reasons {
        text += &format!("  {}\n", paint.red(&format!("! not a measurement: {reason}")));
    }
    text
}

fn over_time(world: &World, findings: &Findings, paint: Paint) -> String {
    let failing = world.endpoints.name_of(world.endpoints.failing().port());
    let timeline = findings.watch.timeline(&failing);
    let line = |name: &str, values: Vec<f64>, unit: fn(f64) -> String| {
        let most = values.iter().copied().fold(0.0, f64::max);
        format!("  {name:<8} {}  {}\n", paint.cyan(&sparkline(&values)), paint.dim(&format!("up to {}", unit(most))))
    };
    let mut text = heading(paint, &format!("Over time, {STEP_MS} ms a step"));
    text += &line("p50", timeline.iter().map(|moment| moment.p50).collect(), micros);
    text += &line("p99", timeline.iter().map(|moment| moment.p99).collect(), micros);
    text += &line("not ok", timeline.iter().map(|moment| moment.errors as f64).collect(), |most| format!("{most:.0}"));
    let marks: String = timeline.iter().map(|moment| if moment.fault_active.is_empty() { ' ' } else { '▔' }).collect();
    text += &format!("  {:<8} {}\n", "fault", paint.red(marks.trim_end()));
    text
}

fn statuses(findings: &Findings, paint: Paint) -> String {
    let phases = findings.watch.recorder.phases();
    let mut all: Vec<u16> = phases.iter().flat_map(|phase| phase.status.keys().copied()).collect();
    all.sort_unstable();
    all.dedup();
    let mut table = Table::new(["status", "before", "with the fault", ""]).left(3);
    let injected = findings.watch.injected;
    for status in all {
        let all_of_it = phases.iter().filter_map(|phase| phase.status.get(&status)).sum::<u64>();
        let count = |phase: &Phase| grouped(phase.status.get(&status).copied().unwrap_or(0));
        let note = match status {
            0 => "no answer".to_owned(),
            200 => String::new(),
            INJECTED_STATUS if injected == all_of_it => "injected".to_owned(),
            INJECTED_STATUS => whose(all_of_it, injected, findings.refusals.total()),
            status if EXPECTED_ERRORS.contains(&status) => "asked for on purpose".to_owned(),
            _ => "not expected".to_owned(),
        };
        let cells = std::iter::once(status.to_string()).chain(phases.iter().map(count));
        table.row(cells.chain([note]));
    }
    let mut text = heading(paint, "Statuses") + &indented(&table.lines());
    if let Some(told) = findings.refusals.told(INJECTED_STATUS) {
        text += &format!("  {}\n", paint.dim(&told));
    }
    text
}

/// Whose the answers of the injected status are: the mock's, the gateway's own, where it has too much to do or nobody
/// to ask, or nobody knows.
fn whose(all: u64, injected: u64, own: u64) -> String {
    let own = own.min(all.saturating_sub(injected));
    let parts =
        [(injected, "injected"), (own, "by the gateway itself"), (all.saturating_sub(injected + own), "not expected")];
    let told = parts.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, whose)| format!("{} {whose}", grouped(count))).collect::<Vec<_>>().join(", ")
}

fn balance(world: &World, findings: &Findings, paint: Paint) -> String {
    let counts = findings.by_endpoint();
    let mut text = heading(paint, "Balance");
    for (service, addresses) in world.endpoints.services() {
        let count = |port: u16| counts.get(&port).copied().unwrap_or(0);
        let total: u64 = addresses.iter().map(|address| count(address.port())).sum();
        for (index, address) in addresses.iter().enumerate() {
            let share = count(address.port()) as f64 / total.max(1) as f64;
            let failing = *address == world.endpoints.failing();
            let painted = if failing { paint.red(&bar(share, BAR)) } else { paint.cyan(&bar(share, BAR)) };
            let note = if failing { failing_note(findings) } else { String::new() };
            let name = format!("{service}/{index}");
            text += &format!("  {name:<10} {address:<16} {:>5.1} %  {painted}{note}\n", share * 100.0);
        }
    }
    text
}

fn failing_note(findings: &Findings) -> String {
    let breaker = match &findings.breaker {
        Some((_, 0)) | None => String::new(),
        Some((state, trips)) => {
            format!(
                "; its breaker is {state}, tripped {}",
                if *trips == 1 { "once".to_owned() } else { format!("{trips} times") }
            )
        }
    };
    format!("  fails from half way{breaker}")
}

fn gateway(findings: &Findings, paint: Paint) -> String {
    let (_, after) = findings.usage;
    format!(
        "{}  {:.1} us CPU a request, {} resident\n  {} upstream connections, {:.2} % of requests on an open one\n",
        heading(paint, "The gateway itself"),
        findings.gateway_cpu_us(),
        mebibytes(after.rss_bytes),
        findings.connections_at_mocks,
        findings.reuse_ratio() * 100.0,
    )
}

fn places(options: &Options, world: &World, folder: &Folder, held: bool, paint: Paint) -> String {
    let stays = paint.dim("`--stay` keeps everything running, with metrics and an admin page.");
    if held && folder.is_temporary() && !options.stay {
        let keeps = paint.dim("`--out DIR` keeps configuration, access log, logs and this result as a page.");
        return heading(paint, "Look around") + &format!("  {keeps}\n  {stays}\n");
    }
    let folder = folder.path().display();
    let admin = world.gateway.ready.control.map(|address| format!("http://{address}")).unwrap_or_default();
    let proxy = format!("http://{}", world.gateway.ready.listeners[0]);
    let mut text = heading(paint, "Look around");
    for (name, place) in [
        ("config", format!("{folder}/gateway.toml")),
        ("access log", format!("{folder}/access.log")),
        ("page", format!("{folder}/{}", reports::files::PAGE)),
        ("result", format!("{folder}/result.json")),
    ] {
        text += &format!("  {name:<11} {place}\n");
    }
    if !options.stay {
        // What has ended is not offered.
        return text + &format!("  {stays}\n");
    }
    text += &format!("  {:<11} {admin}/\n  {:<11} {admin}/metrics\n", "admin page", "metrics");
    text += &format!("\n{}\n", paint.bold("Try"));
    text += &format!("  curl -i {proxy}/api/orders/17\n");
    text += &format!("  curl -i -X DELETE {proxy}/api/billing/invoices\n");
    text += &format!("  curl -s {admin}/metrics | grep gateway_requests_total\n");
    text
}

fn verdict(findings: &Findings, paint: Paint) -> String {
    let injected = findings.watch.injected;
    let seen = match findings.injected_at_mock {
        Some(at_mock) => format!("{} injected at the mock, {} seen by clients", grouped(at_mock), grouped(injected)),
        None => "ended before the fault was injected".to_owned(),
    };
    if !findings.validity().valid {
        let holds =
            if findings.holds() { "nothing failed but what was injected" } else { "more failed than was injected" };
        return format!(
            "{}  {holds}, but the figures are no measurement (above)\n        {seen}\n",
            paint.red("? invalid")
        );
    }
    if findings.holds() {
        return format!("{}  nothing failed but what was injected\n        {seen}\n", paint.green("✔ pass"));
    }
    let mut text = format!("{}  {seen}\n", paint.red("✘ fail"));
    for (what, count) in &findings.watch.unexplained {
        text += &format!("  {} x {what}\n", grouped(*count));
    }
    let missing = findings.offered.arrivals.saturating_sub(findings.totals.finished);
    if missing > 0 {
        text += &format!("  {} of the planned requests were not sent\n", grouped(missing));
    }
    text
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_maker() {
        assert_eq!(whose(1_186, 1_000, 186), "1,000 injected, 186 by the gateway itself");
        assert_eq!(whose(186, 0, 180), "180 by the gateway itself, 6 not expected");
        assert_eq!(whose(9, 9, 4), "9 injected", "no more than there are");
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
