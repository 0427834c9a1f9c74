//! Ids, traces and records.

use reports::result::Unit;

use crate::study::experiment::Draw::{Of, Ratio, Times};
use crate::study::experiment::{Arm, Claim, Edit, Figure};
use crate::study::here::{ids, logs};

const TURN: &str = "article/turn.gateway.toml";
const CPU: &str = "cpu_us_per_request";

/// Correlation ids.
pub(super) static A21: Claim = Claim {
    id: "A21",
    section: "4",
    claim: "Correlation ids survive every service boundary, and UUIDv4 costs little",
    system: "ids, W3C trace context",
    experiment: "chains of eight services that are trusted with ids, through the gateway, read from its access records; minting an id in this process",
    rounds: (2, 6),
    arms: &[
        Arm::scenario("chain", "article/trace.toml", &[]).also(logs::chains).once(),
        Arm::here("ids", ids::measured),
        Arm::turn("turn", TURN, &[], &[]),
    ],
    figures: &[
        Figure::exact("chains of eight with every record under one trace", Unit::Share, Of("chain", "also.whole"))
            .least(1.0)
            .core(),
        Figure::exact("chains of eight with one request id throughout", Unit::Share, Of("chain", "also.one_id"))
            .least(1.0)
            .core(),
        Figure::timed("an id", Unit::Ns, Of("ids", "ns")).most(1_000.0).core(),
        Figure::exact("bytes that id and trace take in a request", Unit::Bytes, Of("ids", "bytes")).most(200.0),
        Figure::exact("different ids of as many chains", Unit::Share, Of("chain", "also.different")).least(1.0),
        Figure::exact("chains", Unit::Number, Of("chain", "also.chains")).least(100.0),
        Figure::timed(
            "an id's share of a request's CPU time",
            Unit::Share,
            Ratio(&Times(1e-3, &Of("ids", "ns")), &Of("turn", CPU)),
        )
        .most(0.02),
    ],
    plots: &[],
    missing: &[
        "fan-out and faults: A22 has both",
        "request ids over services that are not trusted (`trusted_proxies`): each of them gets an id of its own, and the trace \
         alone joins their records",
    ],
};

const GRAPH: &str = "article/graph.toml";

/// Where the fault is.
pub(super) static A22: Claim = Claim {
    id: "A22",
    section: "4",
    claim: "With structured logs, the source of an error is found precisely",
    system: "access log",
    experiment: "twenty services call each other through the gateway; one fails, by an answer or by a reset, and is looked \
                 for in access records alone",
    rounds: (1, 3),
    arms: &[
        Arm::scenario("status", GRAPH, &[]).also(logs::located),
        Arm::scenario("reset", GRAPH, &[Edit("act = { status = 503 }", "act = { reset = \"before_headers\" }")])
            .also(logs::located),
        Arm::scenario("half", GRAPH, &[Edit("act = { status = 503 }", "act = { status = 500 }\nshare = 0.5")])
            .also(logs::located)
            .slow(),
    ],
    figures: &[
        Figure::exact(
            "failed requests whose cause is found: an answer of 503",
            Unit::Share,
            Of("status", "also.located"),
        )
        .least(1.0)
        .core(),
        Figure::exact("failed requests whose cause is found: a reset", Unit::Share, Of("reset", "also.located"))
            .least(1.0)
            .core(),
        Figure::exact(
            "failed requests whose cause is found: half of its answers are 500",
            Unit::Share,
            Of("half", "also.located"),
        )
        .least(1.0),
        Figure::exact("failed requests whose records join", Unit::Share, Of("status", "also.joined")).least(1.0).core(),
        Figure::exact("requests that failed", Unit::Number, Of("status", "also.failed")).least(1.0),
    ],
    plots: &[],
    missing: &["the same from spans alone: the gateway's test `traces_graph` does it"],
};
