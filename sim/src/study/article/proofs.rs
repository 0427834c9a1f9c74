//! Attacks on tokens, and identity over many services.

use reports::result::Unit;

use crate::study::experiment::Draw::{Least, Less, Of, Times};
use crate::study::experiment::{Arm, Claim, Figure};
use crate::study::here::tokens;

const REPLAYED: &str = "load.main.phases.before.status.200";

/// Attacks on tokens.
pub(super) static A14: Claim = Claim {
    id: "A14",
    section: "3",
    claim: "Malformed and tampered tokens are found: replay, signature stripping, algorithm substitution",
    system: "verifier",
    experiment: "a corpus of valid tokens of four algorithms and of attacks on each; a flood of forged tokens; tokens that \
                 hold once, sent four times to two gateways",
    rounds: (1, 3),
    arms: &[
        Arm::here("corpus", tokens::corpus),
        Arm::scenario("flood", "identity-flood.toml", &[]),
        Arm::scenario("replay", "identity-replay.toml", &[]),
    ],
    figures: &[
        Figure::exact("attacks of the corpus that are found", Unit::Share, Of("corpus", "detected")).least(1.0).core(),
        Figure::exact("valid tokens of the corpus that are refused", Unit::Number, Of("corpus", "false_refusals"))
            .most(0.0)
            .core(),
        Figure::exact("attacks that were tried", Unit::Number, Of("corpus", "attacks")),
        Figure::exact(
            "forged tokens of the flood that got in",
            Unit::Number,
            Of("flood", "load.forged.phases.before.status.200"),
        )
        .most(0.0)
        .core(),
        Figure::exact(
            "known tokens beside the flood answered as expected",
            Unit::Share,
            Of("flood", "load.known.phases.before.success_ratio"),
        )
        .least(1.0),
        Figure::exact("tokens that hold once and got in, of 500", Unit::Number, Of("replay", REPLAYED))
            .least(475.0)
            .most(500.0)
            .core(),
        Figure::exact("replays that were refused", Unit::Number, Of("replay", "load.main.phases.before.status.401"))
            .least(1_000.0),
    ],
    plots: &[],
    missing: &[],
};

const HOPS: &str = "identity-hops.toml";

/// Identity over hops.
pub(super) static A15: Claim = Claim {
    id: "A15",
    section: "3",
    claim: "Context propagation keeps identity consistent over services at minimal cost",
    system: "identity headers, passport",
    experiment: "chains of one to eight services, each hop let in by a passport for the service before it, beside clients who \
                 forge headers, tokens and passports",
    rounds: (1, 3),
    arms: &[Arm::scenario("hops", HOPS, &[])],
    figures: &[
        Figure::exact(
            "hops with the right identity: attempts a request, of 4",
            Unit::Share,
            Times(0.25, &Of("hops", "retries.amplification")),
        )
        .least(1.0)
        .most(1.0)
        .core(),
        Figure::exact(
            "chains answered as expected, the worst of eight lengths",
            Unit::Share,
            Least(&[
                Of("hops", "load.chain-1.phases.before.success_ratio"),
                Of("hops", "load.chain-2.phases.before.success_ratio"),
                Of("hops", "load.chain-3.phases.before.success_ratio"),
                Of("hops", "load.chain-4.phases.before.success_ratio"),
                Of("hops", "load.chain-5.phases.before.success_ratio"),
                Of("hops", "load.chain-6.phases.before.success_ratio"),
                Of("hops", "load.chain-7.phases.before.success_ratio"),
                Of("hops", "load.chain-8.phases.before.success_ratio"),
            ]),
        )
        .least(1.0)
        .core(),
        Figure::exact(
            "intruders in the middle who were refused",
            Unit::Share,
            Of("hops", "load.intruder.phases.before.success_ratio"),
        )
        .least(1.0)
        .core(),
        Figure::timed(
            "latency of a hop, from chains of eight and of one",
            Unit::Us,
            Times(
                1.0 / 7.0,
                &Less(
                    &Of("hops", "load.chain-8.phases.before.latency_us.p50"),
                    &Of("hops", "load.chain-1.phases.before.latency_us.p50"),
                ),
            ),
        )
        .most(2_000.0),
    ],
    plots: &[],
    missing: &["bytes that a passport takes on each hop"],
};
