//! Attacks on tokens, and identity over many services.

use reports::result::Unit;

use crate::study::experiment::Draw::{Least, Less, Of, Times};
use crate::study::experiment::{Arm, Claim, Draw, Edit, Figure};
use crate::study::here::{logs, tokens};

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

const IDENTITY: &str = "article/identity.toml";
/// Each service hands in, under `/told`, what the header said to it.
const TOLD: &[Edit] = &[
    Edit(
        "\"]\ncall_headers = { authorization = \"Bearer {x-auth-passport}\" }",
        "\", \"/told\"]\ncall_headers = { authorization = \"Bearer {x-auth-passport}\", x-told = \"{x-auth-subject}\" }",
    ),
    Edit("[mocks.s8]\n", "[mocks.s8]\ncalls = [\"/told\"]\ncall_headers = { x-told = \"{x-auth-subject}\" }\n"),
];

const fn worst_of(arm: &'static str) -> [Draw; 4] {
    [
        Of(arm, "load.chain-1.phases.before.success_ratio"),
        Of(arm, "load.chain-2.phases.before.success_ratio"),
        Of(arm, "load.chain-4.phases.before.success_ratio"),
        Of(arm, "load.chain-8.phases.before.success_ratio"),
    ]
}

/// Identity over hops.
pub(super) static A15: Claim = Claim {
    id: "A15",
    section: "3",
    claim: "Context propagation keeps identity consistent over services at minimal cost",
    system: "identity headers, passport",
    experiment: "chains of 1, 2, 4 and 8 services, twelve users at once, beside clients who forge headers, tokens and \
                 passports: each hop is let in by the passport of the one before, and hands in what the header told it; \
                 access records have both, and are held against who the route's users are",
    rounds: (1, 3),
    arms: &[Arm::scenario("hops", IDENTITY, &[]), Arm::scenario("told", IDENTITY, TOLD).also(logs::subjects)],
    figures: &[
        Figure::exact("hops that were told the right identity by the header", Unit::Share, Of("told", "also.told"))
            .least(1.0)
            .core(),
        Figure::exact(
            "hops that were let in under the right identity, by a passport but for the first",
            Unit::Share,
            Of("told", "also.let_in"),
        )
        .least(1.0)
        .core(),
        Figure::exact("chains that were looked at", Unit::Number, Of("told", "also.chains")).least(100.0),
        Figure::exact(
            "chains answered as expected, the worst of four lengths",
            Unit::Share,
            Least(&[Least(&worst_of("hops")), Least(&worst_of("told"))]),
        )
        .least(1.0)
        .core(),
        Figure::exact(
            "intruders in the middle who were refused",
            Unit::Share,
            Least(&[
                Of("hops", "load.intruder.phases.before.success_ratio"),
                Of("told", "load.intruder.phases.before.success_ratio"),
            ]),
        )
        .least(1.0)
        .core(),
        // 1 + 2 + 4 + 8 for five of clients.
        Figure::exact(
            "requests at the services, over those of chains whose every hop is let in and of no intruder",
            Unit::Share,
            Times(1.0 / 3.0, &Of("hops", "retries.amplification")),
        )
        .least(1.0)
        .most(1.0),
        Figure::bounded(
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
    missing: &[
        "bytes and CPU time of a hop's identity alone: a hop's latency is that of the whole hop; `cargo xtask bench-counts` \
         counts the instructions",
        "the passport of a chain's last service, which calls nobody",
    ],
};
