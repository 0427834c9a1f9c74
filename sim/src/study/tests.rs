//! The tables of claims are whole, and everything in them can be run.

use std::collections::BTreeSet;
use std::path::Path;

use gateway::algorithms::criticality::Criticality;

use super::Study;
use reports::result::{Claim as Recorded, ClaimVerdict, ResultFile, Unit};
use serde_json::{Value, json};

use super::experiment::{Claim, Draw, Figure, Kind, Work};
use super::figure::{Sample, Samples, drawn};
use super::verdict;
use super::written;
use crate::peers::keepalive;

fn all() -> impl Iterator<Item = &'static Claim> {
    [Study::Article, Study::Growth].into_iter().flat_map(|study| study.claims().iter().copied())
}

fn scenarios() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

#[test]
fn every_claim_is_there_once_and_in_order() {
    for (study, letter, count) in [(Study::Article, 'A', 28), (Study::Growth, 'G', 6)] {
        let ids: Vec<&str> = study.claims().iter().map(|claim| claim.id).collect();
        let wanted: Vec<String> = (1..=count).map(|number| format!("{letter}{number}")).collect();
        assert_eq!(ids, wanted);
    }
}

#[test]
fn every_claim_has_something_that_it_stands_or_falls_with() {
    for claim in all() {
        let core: Vec<_> = claim.figures.iter().filter(|figure| figure.is_core).collect();
        assert!(!core.is_empty(), "{}", claim.id);
        assert!(core.iter().all(|figure| figure.min.is_some() || figure.max.is_some()), "{}", claim.id);
        assert!(claim.figures[0].is_core, "{}: the first figure is the one that tables show", claim.id);
        assert!(!claim.arms.is_empty() && claim.rounds.0 > 0 && claim.rounds.1 >= claim.rounds.0, "{}", claim.id);
    }
}

#[test]
fn figures_and_plots_are_drawn_from_arms_that_are_run() {
    for claim in all() {
        let known: BTreeSet<&str> = claim.arms.iter().map(|arm| arm.name).collect();
        assert_eq!(known.len(), claim.arms.len(), "{}: a name twice", claim.id);
        for figure in claim.figures {
            for (arm, _) in figure.draw.parts() {
                let found = claim.arms.iter().find(|one| one.name == arm);
                let found = found.unwrap_or_else(|| panic!("{}: {} is drawn from {arm}", claim.id, figure.name));
                assert!(!(figure.is_core && found.is_slow), "{}: {} would be open with --quick", claim.id, figure.name);
            }
        }
        for arm in claim.plots.iter().flat_map(|plot| plot.series).flat_map(|series| series.arms) {
            assert!(known.contains(arm), "{}: a plot shows {arm}", claim.id);
        }
        for arm in claim.arms {
            let is_plotted = claim.plots.iter().flat_map(|plot| plot.series).any(|one| one.arms.contains(&arm.name));
            let is_used = is_plotted || !claim.names_of(arm.name).is_empty();
            assert!(is_used, "{}: nothing is drawn from {}", claim.id, arm.name);
        }
    }
}

#[test]
fn a_time_never_counts_as_exact_and_no_extreme_hides_the_other() {
    for claim in all() {
        for figure in claim.figures {
            let told = format!("{}: {}", claim.id, figure.name);
            let is_time = matches!(figure.unit, Unit::Ns | Unit::Us | Unit::Ms);
            assert!(!is_time || figure.kind != Kind::Exact, "{told}: what was late would count");
            match figure.draw {
                Draw::Most(_) => assert!(figure.min.is_none(), "{told}: the largest says nothing of the smallest"),
                Draw::Least(_) => assert!(figure.max.is_none(), "{told}: the smallest says nothing of the largest"),
                _ => {}
            }
        }
    }
}

/// Rounds from which on an interval holds the truth 95 % of the time.
const SURE_ROUNDS: u32 = 6;

#[test]
fn all_rounds_are_enough_for_what_a_claim_stands_or_falls_with() {
    for claim in all() {
        let estimates = claim.figures.iter().any(|one| one.is_core && one.is_asked() && one.kind == Kind::Estimate);
        assert!(!estimates || claim.rounds.1 >= SURE_ROUNDS, "{}: {:?} rounds", claim.id, claim.rounds);
    }
}

#[test]
fn one_round_is_enough_where_nothing_is_estimated() {
    for claim in all() {
        for arm in claim.arms.iter().filter(|arm| arm.is_once) {
            let is_drawn = |figure: &&Figure| figure.draw.parts().iter().any(|(of, _)| *of == arm.name);
            let estimated = claim.figures.iter().filter(is_drawn).find(|figure| figure.kind == Kind::Estimate);
            assert!(estimated.is_none(), "{} {}: {estimated:?}", claim.id, arm.name);
            assert!(matches!(arm.work, Work::Scenario { .. }), "{} {}: turns are one experiment", claim.id, arm.name);
        }
    }
}

/// One sample for each arm of a claim, in which every figure is what `of` says.
fn samples_of(claim: &Claim, of: impl Fn(&str, &str) -> f64) -> Samples {
    let sample = |arm: &'static str| {
        let mut figures = json!({});
        for name in claim.names_of(arm) {
            let at = name.split('.').fold(&mut figures, |at, key| {
                if !at.is_object() {
                    *at = json!({});
                }
                at.as_object_mut().unwrap().entry(key).or_insert(Value::Null)
            });
            *at = of(arm, name).into();
        }
        Some(Sample { figures, is_valid: true, is_lost: false })
    };
    claim.arms.iter().map(|arm| (arm.name.to_owned(), vec![sample(arm.name)])).collect()
}

fn verdict_on(id: &str, of: impl Fn(&str, &str) -> f64) -> ClaimVerdict {
    let claim = all().find(|claim| claim.id == id).unwrap();
    let samples = samples_of(claim, of);
    let figures = claim.figures.iter().filter(|figure| figure.kind != Kind::Estimate);
    let figures = figures.map(|figure| drawn(figure, &samples, 1)).collect();
    let mut recorded = reports::result::Claim { figures, ..Default::default() };
    verdict::judge(&mut recorded);
    recorded.verdict
}

#[test]
fn a_limit_that_is_not_given_does_not_hold() {
    // During an outage one arm gives a tenth of its rate.
    let of_rate = |pause: f64, healed: f64| {
        move |arm: &str, name: &str| match name {
            "limiters.everyone.phases.fault_1.of_rate" if arm == "pause" => pause,
            "limiters.everyone.phases.healed.of_rate" => healed,
            // Two of four give half of the limit beside it.
            _ if arm == "cut-two" => 1.5,
            name if name.ends_with(".of_rate") => 1.0,
            _ => 0.0,
        }
    };
    assert_eq!(verdict_on("A18", of_rate(1.0, 1.0)), ClaimVerdict::Holds);
    assert_eq!(verdict_on("A18", of_rate(0.1, 1.0)), ClaimVerdict::HoldsInPart);
    assert_eq!(verdict_on("A18", of_rate(1.0, 0.2)), ClaimVerdict::HoldsInPart);
    // And gateways that admit a tenth of what they should.
    let admitted = |error: f64| move |_: &str, name: &str| if name.ends_with("sustained_error") { error } else { 1.0 };
    let told = |error| {
        verdict_on("A17", move |arm, name| match name.contains("_sum") {
            true => 0.001,
            false => admitted(error)(arm, name),
        })
    };
    assert_eq!(told(0.0), ClaimVerdict::Holds);
    assert_eq!(told(-0.9), ClaimVerdict::HoldsInPart);
}

#[test]
fn a_gateway_that_refuses_every_token_does_not_stop_replays() {
    let told = |admitted: f64| {
        verdict_on("A14", move |arm, name| match (arm, name) {
            ("replay", name) if name.ends_with(".status.200") => admitted,
            ("replay", name) if name.ends_with(".status.401") => 2_000.0 - admitted,
            (_, "detected") => 1.0,
            (_, name) if name.ends_with(".success_ratio") => 1.0,
            _ => 0.0,
        })
    };
    assert_eq!(told(490.0), ClaimVerdict::Holds);
    assert_eq!(told(0.0), ClaimVerdict::HoldsInPart, "whoever refuses everything has found nothing");
}

#[test]
fn a_hop_that_is_told_another_identity_is_no_right_one() {
    let told = |told: f64, let_in: f64| {
        verdict_on("A15", move |_, name| match name {
            "also.told" => told,
            "also.let_in" => let_in,
            "also.chains" => 192.0,
            "retries.amplification" => 3.0,
            name if name.ends_with(".success_ratio") => 1.0,
            _ => 1_000.0,
        })
    };
    assert_eq!(told(1.0, 1.0), ClaimVerdict::Holds);
    // Every hop was reached and every answer was good, and one was told of somebody else.
    assert_eq!(told(0.99, 1.0), ClaimVerdict::HoldsInPart);
    assert_eq!(told(1.0, 0.99), ClaimVerdict::HoldsInPart);
}

#[test]
fn a_gateway_that_verifies_nothing_does_not_verify_once() {
    let told = |at_the_edge: f64| {
        verdict_on("A12", move |arm, name| match (arm, name) {
            ("once-8", name) if name.contains("token_cache") => at_the_edge,
            (_, name) if name.contains("token_cache") => 8.0,
            (_, "retries.amplification") => 8.0,
            _ => 1.0,
        })
    };
    assert_eq!(told(1.0), ClaimVerdict::Holds);
    assert_eq!(told(0.0), ClaimVerdict::DoesNotHold);
}

#[test]
fn an_outage_that_lasts_as_long_as_the_fault_is_no_faster_recovery() {
    let told = |outage_ms: f64| {
        verdict_on("A11", move |arm, name| match (arm, name) {
            ("on", "also.outage_ms") => outage_ms,
            ("off", "also.outage_ms") => 2_000.0,
            ("off", name) if name.contains("fault_1") => 0.5,
            (_, name) if name.ends_with("_ms") => 0.0,
            _ => 1.0,
        })
    };
    assert_eq!(told(0.0), ClaimVerdict::Holds);
    assert_eq!(told(1_900.0), ClaimVerdict::HoldsInPart);
}

#[test]
fn every_scenario_is_right_with_its_edits() {
    for claim in all() {
        for arm in claim.arms {
            let Work::Scenario { file, edits, .. } = arm.work else { continue };
            let folder = tempfile::tempdir().unwrap();
            let scenario = written::scenario(&scenarios(), file, edits, folder.path());
            let scenario = scenario.unwrap_or_else(|why| panic!("{} {}:\n{why}", claim.id, arm.name));
            for figure in claim.names_of(arm.name).iter().filter(|name| !name.starts_with("also.")) {
                let known = crate::scenario::has_figure(&scenario, figure);
                assert!(known, "{} {}: no result will hold {figure}", claim.id, arm.name);
            }
        }
    }
}

/// From so many busy connections on, a worker's loop may be later than a gateway that protects itself allows.
const MANY: usize = 1_000;

#[test]
fn many_busy_connections_are_proxied_and_not_refused() {
    let mut found = 0;
    for claim in all() {
        for arm in claim.arms.iter().filter(|arm| arm.load.connections >= MANY) {
            let Work::Turn { config, edits, copies, .. } = arm.work else { continue };
            let kept = keepalive(arm.load.connections).to_string();
            let blanks = [("upstream", "127.0.0.1:9"), ("keepalive", kept.as_str())];
            let text = written::configuration(&scenarios(), (config, edits, copies), &blanks);
            let loaded = gateway::config::load_text(&text.unwrap(), Path::new("turn"), gateway::config::Purpose::Check);
            let config = loaded.unwrap_or_else(|problems| panic!("{} {}: {problems}", claim.id, arm.name)).config;
            assert!(config.server.max_connections > arm.load.connections, "{} {}", claim.id, arm.name);
            let kept = config.upstreams.iter().map(|upstream| upstream.pool.max_idle_per_worker).min();
            assert!(kept >= Some(arm.load.connections), "{} {}: {kept:?} are kept open", claim.id, arm.name);
            assert!(config.routes.iter().all(|route| route.criticality == Criticality::Critical), "{}", claim.id);
            found += 1;
        }
    }
    assert!(found > 0);
}

#[test]
fn every_configuration_of_a_turn_is_right_with_its_edits() {
    for claim in all() {
        for arm in claim.arms {
            let Work::Turn { config, edits, copies, headers } = arm.work else { continue };
            let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"IA5eEdhBekQjfzFCItfplQVFbQnIryPt84iSIH4IeDE","kid":"1"}]}"#;
            let jwks = if headers.iter().any(|(_, value)| value.contains("{token(")) { keys } else { "" };
            let blanks = [("upstream", "127.0.0.1:9"), ("jwks", jwks), ("dir", "/tmp"), ("keepalive", "256")];
            let text = written::configuration(&scenarios(), (config, edits, copies), &blanks);
            let text = text.unwrap_or_else(|why| panic!("{} {}: {why}", claim.id, arm.name));
            let loaded = gateway::config::load_text(&text, Path::new("turn"), gateway::config::Purpose::Check);
            assert!(loaded.is_ok(), "{} {}: {:?}\n{text}", claim.id, arm.name, loaded.err());
        }
    }
}

#[test]
fn a_claim_that_is_measured_again_keeps_nothing_of_the_run_before() {
    let claim = |id: &str| reports::result::Claim { id: id.to_owned(), ..Default::default() };
    let mut result = ResultFile::default();
    for id in ["A2", "A3"] {
        super::replace(&mut result, claim(id), Some(reports::result::Capacity::default()));
    }
    // It could not be run this time.
    super::replace(&mut result, claim("A3"), None);
    assert_eq!(result.capacity.keys().collect::<Vec<_>>(), ["A2"]);
    assert_eq!(result.claims.iter().filter(|claim| claim.id == "A3").count(), 1);
}

#[test]
fn a_study_that_was_interrupted_says_what_is_missing() {
    let claims = Study::Article.claims();
    assert_eq!(super::whole(&[]).1, reports::result::Verdict::Pass);
    let (validity, verdict) = super::whole(&claims[3..5]);
    assert_eq!((validity.valid, verdict), (false, reports::result::Verdict::Invalid));
    assert_eq!(validity.reasons, ["interrupted: A4, A5 were not measured"]);
    assert_eq!(super::whole(&claims[15..16]).0.reasons, ["interrupted: A16 was not measured"]);
}

#[test]
fn a_claim_that_is_measured_alone_makes_no_interrupted_study_whole() {
    let claims = Study::Article.claims();
    let measured = |id: &str| Recorded { id: id.to_owned(), ..Recorded::default() };
    let interrupted = ResultFile { validity: super::whole(&claims[9..12]).0, ..ResultFile::default() };
    let left = super::left_of(&interrupted, Study::Article);
    assert_eq!(left.iter().map(|claim| claim.id).collect::<Vec<_>>(), ["A10", "A11", "A12"], "and not A1");
    // `--only A11`, and then the others.
    let missing = super::missing(&[measured("A1"), measured("A11")], &left);
    assert_eq!(super::whole(&missing).0.reasons, ["interrupted: A10, A12 were not measured"]);
    assert_eq!(super::missing(&[], &[left[0], left[1], left[0]]).len(), 2, "each is told once");
    let all = ["A10", "A11", "A12"].map(measured);
    assert_eq!(super::whole(&super::missing(&all, &left)).1, reports::result::Verdict::Pass);
    assert!(super::left_of(&ResultFile::default(), Study::Article).is_empty());
}
