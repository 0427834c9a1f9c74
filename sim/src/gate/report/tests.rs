//! Reports of recordings made by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use loadgen::environment::Environment;
use reports::result::{Kind, SCHEMA};
use serde_json::Value;

use super::*;
use crate::children::Programs;
use crate::gate::Inconclusive;
use crate::gate::judge::{Looks, judge};
use crate::gate::metric::{Figures, Round};

/// Twelve rounds in which head's CPU time is worse by a share, with a little noise that falls out.
fn rounds(worse: f64) -> Vec<Round> {
    let side = |cpu: f64| {
        let values = Metric::ALL.map(|metric| (metric, if metric == Metric::Cpu { cpu } else { 1_000.0 }));
        let cpu_turns = vec![cpu, cpu * 1.01, cpu, cpu * 1.02];
        let lag_us = (12.0, 150.0);
        Figures { values: BTreeMap::from(values), cpu_turns, core_share: 1.0, lag_us, ..Figures::default() }
    };
    let round = |number: u32| {
        let noise = f64::from(number % 3) * 0.001;
        let head = side(10.0 * (1.0 + worse + noise));
        Round { number, order: vec![number.is_multiple_of(2)], base: side(10.0), head, driver_share: 0.5 }
    };
    (1..=12).map(round).collect()
}

/// Hands a report of these rounds to `then`.
fn with_report<T>(rounds: Vec<Round>, then: impl FnOnce(&Report<'_>) -> T) -> T {
    with_counts(rounds, &[], then)
}

/// The same of a head that broke after them.
fn with_broken<T>(rounds: Vec<Round>, why: &str, then: impl FnOnce(&Report<'_>) -> T) -> T {
    with_report(rounds, |report| {
        let judged = report.recording.judged.clone();
        let recording = Recording {
            rounds: report.recording.rounds.clone(),
            judged,
            looks: report.recording.looks.clone(),
            environment: report.recording.environment.clone(),
            broken: Some(why.to_owned()),
            ..*report.recording
        };
        then(&Report { recording: &recording, ..*report })
    })
}

/// The same with counts.
fn with_counts<T>(rounds: Vec<Round>, counts: &[Counted], then: impl FnOnce(&Report<'_>) -> T) -> T {
    with_all(rounds, counts, None, then)
}

/// The same, or with why they could not be counted.
fn with_all<T>(
    rounds: Vec<Round>,
    counts: &[Counted],
    uncounted: Option<&str>,
    then: impl FnOnce(&Report<'_>) -> T,
) -> T {
    let settings = Settings::load(None).unwrap();
    let looks = Looks::new(&settings, 32);
    let options = Options {
        base: "main".to_owned(),
        head: "HEAD".to_owned(),
        rounds: None,
        seconds: Duration::from_secs(1),
        max_time: Duration::from_secs(180),
        counts: false,
        inconclusive: Inconclusive::Open,
        settings: None,
        scenario: None,
        profile: "dist".to_owned(),
        programs: Programs::default(),
        seed: 7,
        json: false,
        out: None,
        command: "sim gate --base main --head HEAD".to_owned(),
    };
    let environment = Environment { cores: 2, ..Environment::default() };
    let judged = judge(&rounds, &settings, &looks);
    let took = Duration::from_secs(60);
    let recording =
        Recording { rounds, judged, looks, direct_rps: 200_000.0, environment, took, interrupted: false, broken: None };
    let binary = |hash: &str, commit: Option<&str>| Binary {
        path: PathBuf::from("/x/gateway"),
        commit: commit.map(str::to_owned),
        hash: hash.to_owned(),
    };
    let (base, head) = (binary("00ff", None), binary("11ff", Some("0123456789abcdef")));
    let started_at = "2026-01-31T09:30:00Z";
    then(&Report {
        options: &options,
        settings: &settings,
        recording: &recording,
        counts,
        gone: &[],
        uncounted,
        base: &base,
        head: &head,
        task: None,
        started_at,
    })
}

#[test]
fn the_result_is_one_that_others_can_read() {
    let json = with_report(rounds(0.0), |report| report.result_file().to_json());
    let written: Value = serde_json::from_str(&json).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let read: ResultFile = serde_json::from_str(&json).unwrap();
    assert_eq!((read.kind, read.verdict), (Kind::Gate, Verdict::Pass));
    assert_eq!(written["pairs"].as_array().unwrap().len(), 12);
    assert_eq!(read.validity.pacer_lag_us.p99, 150.0, "as the driver showed it");
    assert_eq!((&written["pairs"][0]["first"], &written["pairs"][1]["first"]), (&"base".into(), &"head".into()));
    assert_eq!(written["pairs"][0]["base"]["cpu_us_per_request"], 10.0);
    let cpu = &written["metrics"]["cpu_us_per_request"];
    let coverage = Looks::new(&Settings::load(None).unwrap(), 32).coverage();
    assert!((cpu["coverage"].as_f64().unwrap() - coverage).abs() < 1e-4, "{cpu}: as the table's head says, {coverage}");
    for key in
        ["estimate_pct", "ci_low_pct", "ci_high_pct", "coverage", "mde_pct", "tolerance_pct", "rounds", "base", "head"]
    {
        assert!(cpu[key].is_number(), "{key}: {cpu}");
    }
    assert_eq!((&cpu["verdict"], &cpu["rounds"]), (&"pass".into(), &12.into()));
    assert!(written["environment"]["noise_aa"].as_f64().unwrap() < 0.02);
}

#[test]
fn a_slower_head_is_named_in_every_form() {
    with_report(rounds(0.05), |report| {
        assert_eq!(report.verdict(), Verdict::Fail);
        assert!(report.text().contains("+5.1 % [+5.0, +5.1]"), "{}", report.text());
        assert!(report.text().contains("FAIL after 12 rounds, 60 s"));
        assert!(report.markdown().starts_with("### ❌ Performance gate: head is slower"));
        assert!(report.markdown().contains("| CPU a request | 10.00 us | 10.51 us |"), "{}", report.markdown());
        let junit = report.junit();
        assert!(junit.contains("failures=\"1\" errors=\"0\""), "{junit}");
        assert!(junit.contains("name=\"cpu_us_per_request\"><failure message=\"CPU a request: worse by +5.1 %"));
        assert_eq!(junit.matches("<testcase").count(), 7);
    });
}

#[test]
fn what_is_not_valid_is_nothing_else() {
    let mut broken = rounds(0.05);
    broken[3].head.not_ok = 2;
    with_report(broken, |report| {
        assert_eq!(report.verdict(), Verdict::Invalid);
        assert!(report.text().contains("not valid: head: 2 answers were not as expected"));
        assert!(!report.result_file().validity.valid);
        assert!(report.junit().contains("name=\"validity\"><error message=\"head: 2 answers"));
        assert!(report.junit().contains("failures=\"0\" errors=\"1\" skipped=\"5\""), "{}", report.junit());
        for text in [report.text(), report.markdown()] {
            assert!(text.contains("not judged") && !text.contains("FAIL") && !text.contains("pass"), "{text}");
        }
        assert!(report.result_file().metrics.values().all(|metric| metric.verdict == Verdict::Invalid));
    });
}

#[test]
fn a_head_that_answers_wrongly_where_base_does_not_fails_and_no_figure_is_judged() {
    let mut wrong = rounds(0.05);
    for round in &mut wrong {
        (round.head.not_ok, round.head.answers) = (4_000, 8_000.0);
    }
    with_report(wrong.clone(), |report| {
        assert_eq!(report.verdict(), Verdict::Fail);
        let said = "head: 48000 answers were not as expected, in 12 of 12 rounds, and none of base's";
        assert!(report.text().contains(&format!("at fault: {said}")), "{}", report.text());
        let markdown = report.markdown();
        assert!(
            markdown.starts_with("### ❌ Performance gate: head is broken") && markdown.contains(said),
            "{markdown}"
        );
        let junit = report.junit();
        assert!(junit.contains("failures=\"1\" errors=\"0\" skipped=\"5\""), "{junit}");
        assert!(junit.contains("name=\"answers\"><failure message=\"head: 48000 answers"), "{junit}");
        let result = report.result_file();
        assert!(!result.validity.valid && result.verdict == Verdict::Fail);
        assert!(result.metrics.values().all(|metric| metric.verdict == Verdict::Invalid), "another work was measured");
        let page = reports::page::render(&result, None);
        assert!(page.contains("Head is broken") && page.contains("head: 48000 answers"), "{page}");
    });
    // The machine's doing would be base's as well.
    wrong[4].base.not_ok = 1;
    with_report(wrong, |report| assert_eq!(report.verdict(), Verdict::Invalid));
}

#[test]
fn a_head_that_ended_fails_with_what_it_said_last() {
    let why = "head ended by signal 9 (last words: out of \"memory\"); see /x/head.log";
    for made in [Vec::new(), rounds(0.0)] {
        with_broken(made, why, |report| {
            assert_eq!(report.verdict(), Verdict::Fail);
            for text in [report.text(), report.markdown()] {
                assert!(text.contains(why) && !text.contains("pass"), "{text}");
            }
            assert!(report.junit().contains("out of &quot;memory&quot;"), "{}", report.junit());
            let json = report.result_file().to_json();
            let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
            assert!(validator.is_valid(&serde_json::from_str(&json).unwrap()), "{json}");
        });
    }
}

#[test]
fn a_log_that_head_wrote_is_text_in_every_form() {
    let why = "head ended with code 1 (last words: \u{1b}[31mboom\u{0} <img src=x> @all | `x`); see /x/head.log";
    with_broken(Vec::new(), why, |report| {
        let junit = report.junit();
        // What XML can say at all, and the failure is what a CI server is to show.
        assert!(!junit.contains(|letter: char| letter.is_control() && letter != '\n'), "{junit:?}");
        assert!(junit.contains("boom\u{fffd} &lt;img src=x&gt; @all"), "{junit}");
        let markdown = report.markdown();
        assert!(markdown.contains("boom") && !markdown.contains("<img") && !markdown.contains("@all"), "{markdown}");
        assert!(!markdown.contains(|letter: char| letter.is_control() && letter != '\n'), "{markdown:?}");
        let text = report.text();
        assert!(text.contains("[31mboom") && !text.contains('\u{1b}') && !text.contains('\u{0}'), "{text:?}");
    });
}

#[test]
fn a_loss_is_no_more_than_all_and_too_few_rounds_find_nothing() {
    let mut slow = rounds(5.0);
    slow.truncate(4);
    slow.iter_mut().for_each(|round| {
        round.head.values.insert(Metric::Rate, 10.0);
    });
    with_report(slow, |report| {
        assert_eq!(report.verdict(), Verdict::Fail, "six times the CPU time needs no statistics");
        let text = report.text();
        assert!(text.contains("+99.0 % [+99.0, +99.0]"), "of a thousand a second ten are left: {text}");
        assert!(!text.contains("inf") && !report.markdown().contains("inf"), "{text}");
    });
}

#[test]
fn counts_that_failed_leave_the_rounds_and_a_reason() {
    let said = "cargo xtask bench-counts failed:\nCompiling\n\nvalgrind is not there";
    with_all(rounds(0.0), &[], Some(said), |report| {
        assert_eq!(report.verdict(), Verdict::Invalid);
        let reason = "could not be counted: cargo xtask bench-counts failed:; Compiling; valgrind is not there";
        assert!(report.text().contains(reason), "{}", report.text());
        assert_eq!(report.result_file().pairs.len(), 12);
    });
}

#[test]
fn a_count_beyond_its_tolerance_fails_the_run() {
    let count = |name: &str, head, verdict| {
        let name = name.to_owned();
        Counted { name, base: 1_000, head, budget: 1_090, tolerance_pct: 0.0, verdict }
    };
    let same = count("instructions.matching", 1_000, Verdict::Pass);
    let more = count("allocations.pipeline", 1_001, Verdict::Fail);
    with_counts(rounds(0.0), &[same.clone(), more], |report| {
        assert_eq!(report.verdict(), Verdict::Fail);
        let said = "allocations.pipeline: 1000 -> 1001 (+0.10 %; tolerates 0 %, budget 1090)";
        assert!(report.text().contains(said), "{}", report.text());
        assert!(report.markdown().contains(&said.replace('>', "&gt;")), "{}", report.markdown());
        assert!(report.text().contains("2 exact counts: 1 fail, 1 changed"));
        assert!(report.junit().contains("tests=\"9\" failures=\"1\""), "{}", report.junit());
        let result: Value = serde_json::from_str(&report.result_file().to_json()).unwrap();
        assert_eq!(result["metrics"]["allocations.pipeline"]["verdict"], "fail");
    });
    with_counts(rounds(0.0), &[same], |report| {
        assert_eq!(report.verdict(), Verdict::Pass);
        let gone = ["matching".to_owned()];
        let text = Report { gone: &gone, ..*report }.text();
        assert!(text.contains("note: base counts what head does no longer, so it is not compared: matching"), "{text}");
    });
}

#[test]
fn a_count_fails_whatever_the_machine_did() {
    let name = "allocations.pipeline".to_owned();
    let more = Counted { name, base: 1_000, head: 1_300, budget: 2_000, tolerance_pct: 0.0, verdict: Verdict::Fail };
    with_counts(rounds(0.0), std::slice::from_ref(&more), |report| {
        let environment = Environment { steal_ratio: 0.05, ..report.recording.environment.clone() };
        let (rounds, judged) = (report.recording.rounds.clone(), report.recording.judged.clone());
        let looks = report.recording.looks.clone();
        let recording = Recording { rounds, judged, looks, environment, broken: None, ..*report.recording };
        let report = Report { recording: &recording, ..*report };
        assert_eq!(report.verdict(), Verdict::Fail);
        assert!(
            report.text().contains("allocations.pipeline: 1000 -> 1300") && report.text().contains("FAIL after 12")
        );
        // Of base, or of their budgets, which head may have lowered below what both count.
        let headline = "### ❌ Performance gate: head's exact counts are above what they may be";
        assert!(report.markdown().starts_with(headline), "{}", report.markdown());
        let junit = report.junit();
        assert!(junit.contains("failures=\"1\" errors=\"1\" skipped=\"5\""), "{junit}");
        assert!(junit.contains("name=\"allocations.pipeline\"><failure"), "{junit}");
        let result = report.result_file();
        let verdict = |name: &str| result.metrics[name].verdict;
        assert_eq!((verdict("allocations.pipeline"), verdict("rss_bytes")), (Verdict::Fail, Verdict::Invalid));
        let page = reports::page::render(&result, None);
        assert!(page.contains("exact counts are above what they may be") && !page.contains("Head is broken"), "{page}");
    });
    let mut wrong = rounds(0.0);
    wrong.iter_mut().for_each(|round| (round.head.not_ok, round.head.answers) = (4_000, 8_000.0));
    with_counts(wrong, &[more], |report| {
        let page = reports::page::render(&report.result_file(), None);
        assert!(page.contains("Head is broken") && !report.text().contains("allocations"), "{}", report.text());
    });
}

#[test]
fn a_metric_that_no_round_showed_is_told_of_in_every_form() {
    let mut late = rounds(0.0);
    for side in late.iter_mut().flat_map(|round| [&mut round.base, &mut round.head]) {
        side.values.insert(Metric::Rate, 0.0);
        (side.answers, side.wall_s) = (100_000.0, 1.0);
    }
    with_report(late, |report| {
        assert_eq!(report.verdict(), Verdict::Pass, "the rate does not hold it up");
        let said = "requests/s at the objective: no answer was within the objective on either side";
        for text in [report.text(), report.markdown()] {
            assert!(text.contains(said) && text.contains("not seen"), "{text}");
            assert!(
                text.contains("driver straight to the mock: 2.00 times"),
                "by all answers, not those in time: {text}"
            );
        }
        let rate = &report.result_file().metrics["requests_per_second_at_objective"];
        assert_eq!((rate.verdict, rate.rounds, rate.ci_low_pct), (Verdict::Inconclusive, 0, -100.0));
        assert!(rate.ci_high_pct.is_finite(), "JSON has no number for what has no bound");
        let junit = report.junit();
        assert!(junit.contains("name=\"requests_per_second_at_objective\"><skipped message=\"requests/s"), "{junit}");
    });
}

#[test]
fn a_rate_that_was_lost_is_worded_alike_in_every_form() {
    // From 1000/s to 250/s in every round: three quarters are lost, and the log-ratio is that of four times.
    let mut slow = rounds(0.0);
    for round in &mut slow {
        round.head.values.insert(Metric::Rate, 250.0);
    }
    with_report(slow, |report| {
        let rate = &report.result_file().metrics["requests_per_second_at_objective"];
        assert!((rate.estimate_pct - 75.0).abs() < 0.1 && rate.ci_high_pct < 100.0, "{rate:?}");
        let page = reports::page::render(&report.result_file(), None);
        assert!(report.markdown().contains("+75.0 % [") && page.contains("+75"), "{}", report.markdown());
        assert!(!page.contains("+300"), "no more than all can be lost");
        // What is tolerated is in the same measure: 5 % more of a cost, and of a rate 1 / 1.05.
        assert!((rate.tolerance_pct - 4.762).abs() < 1e-3, "{rate:?}");
        for text in [report.text(), report.markdown()] {
            let line = text.lines().find(|line| line.contains("requests/s at the objective")).unwrap();
            assert!(line.contains(" 4.8 %") && !line.contains(" 5.0 %"), "{line}");
        }
    });
}

#[test]
fn what_holds_a_run_up_fails_where_an_undecided_run_is_a_failed_one() {
    let mut noisy = rounds(0.0);
    for round in &mut noisy {
        let swing = if round.number.is_multiple_of(2) { 1.2 } else { 0.85 };
        round.head.values.insert(Metric::Rss, 1_000.0 * swing);
        round.head.values.insert(Metric::P99, 1_000.0 * swing);
    }
    let with = |inconclusive| {
        with_report(noisy.clone(), |report| {
            assert_eq!(report.verdict(), Verdict::Inconclusive);
            let options = Options { inconclusive, ..report.options.clone() };
            Report { options: &options, ..*report }.junit()
        })
    };
    let failed = with(Inconclusive::Fail);
    assert!(failed.contains("failures=\"1\" errors=\"0\" skipped=\"1\""), "{failed}");
    assert!(failed.contains("name=\"rss_bytes\"><failure message=\"undecided: RSS: 12 rounds find"), "{failed}");
    assert!(failed.contains("name=\"latency_p99_us\"><skipped"), "it may stay open: {failed}");
    for inconclusive in [Inconclusive::Open, Inconclusive::Pass] {
        assert!(with(inconclusive).contains("failures=\"0\" errors=\"0\" skipped=\"2\""));
    }
}

#[test]
fn a_little_more_memory_is_said_to_be_pages_perhaps() {
    let with = |base: f64, head: f64| {
        let mut more = rounds(0.0);
        for round in &mut more {
            round.base.values.insert(Metric::Rss, base + f64::from(round.number));
            round.head.values.insert(Metric::Rss, head + f64::from(round.number));
        }
        with_report(more, |report| (report.verdict(), report.text().contains("huge pages of 2 MiB")))
    };
    assert_eq!(with(17e6, 21e6), (Verdict::Fail, true));
    assert_eq!(with(170e6, 210e6), (Verdict::Fail, false), "so much is no page");
    assert_eq!(with(17e6, 17e6), (Verdict::Pass, false));
}

#[test]
fn what_is_undecided_says_what_more_rounds_would_buy() {
    let mut noisy = rounds(0.0);
    for round in &mut noisy {
        let swing = if round.number.is_multiple_of(2) { 1.2 } else { 0.85 };
        round.head.values.insert(Metric::P99, 1_000.0 * swing);
    }
    with_report(noisy, |report| {
        assert_eq!(report.verdict(), Verdict::Pass, "p99 does not hold it up");
        let text = report.text();
        assert!(text.contains("p99: 12 rounds find a change of") && text.contains("would decide"), "{text}");
        assert!(report.junit().contains("name=\"latency_p99_us\"><skipped"));
    });
}
