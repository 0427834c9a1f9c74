//! Breakers, ejection and retries.

use reports::result::Unit;

use crate::study::experiment::Draw::{Less, Most, Of, Ratio, Rest, Sum};
use crate::study::experiment::{Arm, Claim, Edit, Figure, Plot, Series};
use crate::study::here::logs;

const TURN: &str = "article/turn.gateway.toml";
const CPU: &str = "cpu_us_per_request";
const ENDPOINT: &str = "endpoints = [\"{upstream}\"]\n";

/// What breakers cost.
pub(super) static A9: Claim = Claim {
    id: "A9",
    section: "2",
    claim: "Breakers add minimal overhead",
    system: "breaker",
    experiment: "the same gateway with breakers at work, and with breakers that count nothing and never trip, in paired rounds",
    rounds: (6, 20),
    arms: &[
        Arm::turn(
            "on",
            TURN,
            &[Edit(
                ENDPOINT,
                "endpoints = [\"{upstream}\"]\nbreaker = { slow_call = \"1s\", slow_ratio = 0.5, consecutive_failures = 10 }\n",
            )],
            &[],
        ),
        Arm::turn(
            "off",
            TURN,
            &[Edit(ENDPOINT, "endpoints = [\"{upstream}\"]\nbreaker = { failures = [], consecutive_failures = 0 }\n")],
            &[],
        ),
    ],
    figures: &[
        Figure::timed("CPU a request, on over off", Unit::Times, Ratio(&Of("on", CPU), &Of("off", CPU)))
            .most(1.03)
            .core(),
        Figure::timed("added by breakers", Unit::Us, Less(&Of("on", CPU), &Of("off", CPU))),
        Figure::timed("CPU a request, off", Unit::Us, Of("off", CPU)),
    ],
    plots: &[],
    missing: &[
        "instructions a request: `cargo xtask bench-counts` counts them (pipeline_log_off beside unguarded_pipeline_log_off)",
    ],
};

const BREAKER: &str = "article/breaker.toml";
const WITHOUT: Edit = Edit(
    "breaker = { window = \"1s\", min_requests = 20, failure_ratio = 0.5, consecutive_failures = 5, slow_call = \"100ms\", \
     slow_ratio = 0.5, open_for = \"500ms\", max_open_for = \"500ms\", probes = 2, probe_timeout = \"300ms\" }",
    "breaker = { failures = [], consecutive_failures = 0 }",
);
const STATUS: &str = "act = { status = 503 }";
const HANG: Edit = Edit(STATUS, "act = { hang = true }");
const SLOW: Edit = Edit(STATUS, "act = { delay = \"200ms\" }");
const FLAP: Edit = Edit(STATUS, "act = { status = 503, flap = { period = \"700ms\", duty = 0.5 } }");
/// The fault begins at another phase of the breaker's window.
const LATER: Edit = Edit("at = \"1s\"", "at = \"1330ms\"");
const LATEST: Edit = Edit("at = \"1s\"", "at = \"1660ms\"");
const LEAKED: &str = "breakers.orders/1.leaked_attempts";
const TRIPS: &str = "breakers.orders/1.trips";
const TRIP_ERROR: &str = "breakers.orders/1.trip_error";
const TRIP_MS: &str = "breakers.orders/1.trip_ms";
const FAILED: &str = "load.main.phases.fault_1.success_ratio";
const SLOWEST: &str = "load.main.phases.fault_1.latency_us.p90";

const fn failed(arm: &'static str) -> crate::study::experiment::Draw {
    Of(arm, FAILED)
}

/// Breakers isolate.
pub(super) static A10: Claim = Claim {
    id: "A10",
    section: "2",
    claim: "Breakers isolate a failing service soon after it degrades, so errors spread less",
    system: "breaker",
    experiment: "one of three endpoints answers 503 (at three phases of the window), hangs, is slow, or flaps for three \
                 seconds; with a breaker and without, no second attempts",
    rounds: (1, 6),
    arms: &[
        Arm::scenario("error", BREAKER, &[]),
        Arm::scenario("error-later", BREAKER, &[LATER]).slow(),
        Arm::scenario("error-latest", BREAKER, &[LATEST]).slow(),
        Arm::scenario("hang", BREAKER, &[HANG]),
        Arm::scenario("slow", BREAKER, &[SLOW]),
        Arm::scenario("flap", BREAKER, &[FLAP]),
        Arm::scenario("error-without", BREAKER, &[WITHOUT]),
        Arm::scenario("hang-without", BREAKER, &[WITHOUT, HANG]),
        Arm::scenario("slow-without", BREAKER, &[WITHOUT, SLOW]).slow(),
        Arm::scenario("flap-without", BREAKER, &[WITHOUT, FLAP]).slow(),
    ],
    figures: &[
        Figure::exact(
            "attempts that no permit allowed, all kinds together",
            Unit::Number,
            Sum(&[Of("error", LEAKED), Of("hang", LEAKED), Of("slow", LEAKED), Of("flap", LEAKED)]),
        )
        .most(0.0)
        .core(),
        // A breaker that never opens leaks nothing; of the others the time to the trip is asked.
        Figure::exact("flapping: trips", Unit::Number, Of("flap", TRIPS)).least(1.0).core(),
        Figure::exact("errors: attempts to the trip, less the oracle's", Unit::Number, Of("error", TRIP_ERROR))
            .most(8.0)
            .core(),
        Figure::bounded("errors: from the first failure to the trip", Unit::Ms, Of("error", TRIP_MS))
            .most(250.0)
            .core(),
        Figure::exact(
            "errors at three phases of the window: attempts that no permit allowed",
            Unit::Number,
            Sum(&[Of("error", LEAKED), Of("error-later", LEAKED), Of("error-latest", LEAKED)]),
        )
        .most(0.0),
        Figure::exact(
            "the same, attempts to the trip, less the oracle's: the worst",
            Unit::Number,
            Most(&[Of("error", TRIP_ERROR), Of("error-later", TRIP_ERROR), Of("error-latest", TRIP_ERROR)]),
        )
        .most(8.0),
        Figure::bounded(
            "the same, from the first failure to the trip: the worst",
            Unit::Ms,
            Most(&[Of("error", TRIP_MS), Of("error-later", TRIP_MS), Of("error-latest", TRIP_MS)]),
        )
        .most(250.0),
        Figure::exact(
            "errors during the fault, with a breaker over without",
            Unit::Share,
            Ratio(&Rest(&failed("error")), &Rest(&failed("error-without"))),
        )
        .most(0.25)
        .core(),
        Figure::exact(
            "errors while it hangs, with a breaker over without",
            Unit::Share,
            Ratio(&Rest(&failed("hang")), &Rest(&failed("hang-without"))),
        )
        .most(0.5),
        Figure::exact(
            "errors while it flaps, with a breaker over without",
            Unit::Share,
            Ratio(&Rest(&failed("flap")), &Rest(&failed("flap-without"))),
        )
        .most(0.5),
        Figure::timed(
            "p90 while it is slow, with a breaker over without",
            Unit::Times,
            Ratio(&Of("slow", SLOWEST), &Of("slow-without", SLOWEST)),
        )
        .most(0.5),
        Figure::exact(
            "hang and slow: attempts to the trip, less the oracle's: the worse",
            Unit::Number,
            Most(&[Of("hang", TRIP_ERROR), Of("slow", TRIP_ERROR)]),
        )
        .most(8.0),
        // Five attempts of 250 ms each are under way before the first is known to fail.
        Figure::bounded("hang: from the first failure to the trip", Unit::Ms, Of("hang", TRIP_MS)).most(500.0),
        // Half of a second's answers have to be slow.
        Figure::bounded("slow: from the first slow answer to the trip", Unit::Ms, Of("slow", TRIP_MS)).most(1_000.0),
        Figure::exact("flapping: answered as expected", Unit::Share, failed("flap")),
        Figure::bounded(
            "errors: from the heal to the breaker's closing, less what the policy asks for",
            Unit::Ms,
            Less(&Of("error", "breakers.orders/1.recovery_ms"), &Of("error", "breakers.orders/1.recovery_oracle_ms")),
        ),
    ],
    plots: &[Plot {
        caption: "Share of requests answered as expected while one of three endpoints degrades.",
        x: ("", false),
        y: ("answered as expected", false),
        unit: Unit::Share,
        series: &[
            Series { name: "with a breaker", arms: &["error", "hang", "slow", "flap"], figure: FAILED, scale: 1.0 },
            Series {
                name: "without",
                arms: &["error-without", "hang-without", "slow-without", "flap-without"],
                figure: FAILED,
                scale: 1.0,
            },
        ],
    }],
    missing: &[
        "phases of the window but for errors: hangs, slow answers and flapping begin at one; the suite's flap-phases has more",
        "the oracle's attempts to the trip of a fault that flaps, which may be over before there are enough",
    ],
};

const CHAIN: &str = "article/chain.toml";
const BARE: &[Edit] = &[
    Edit(
        "breaker = { open_for = \"500ms\", max_open_for = \"1s\" }",
        "breaker = { failures = [], consecutive_failures = 0 }",
    ),
    Edit("retry = { attempts = 2 }", "retry = { attempts = 1 }"),
];
const OUT: &str = "load.main.phases.fault_1.success_ratio";
const OUTAGE: &str = "also.outage_ms";

/// Availability in a chain.
pub(super) static A11: Claim = Claim {
    id: "A11",
    section: "2",
    claim: "Availability improves and the mean time to recovery falls",
    system: "breaker, ejection, retries with a budget",
    experiment: "a chain of three services through the gateway; half of the last one fails for two seconds; with everything \
                 on, and with nothing",
    rounds: (1, 6),
    arms: &[Arm::scenario("on", CHAIN, &[]).also(logs::outage), Arm::scenario("off", CHAIN, BARE).also(logs::outage)],
    figures: &[
        Figure::exact("available during the outage, with all on", Unit::Share, Of("on", OUT)).least(0.99).core(),
        Figure::exact("available during the outage, with nothing", Unit::Share, Of("off", OUT)),
        Figure::exact(
            "failures during the outage, with all on over with nothing",
            Unit::Share,
            Ratio(&Rest(&Of("on", OUT)), &Rest(&Of("off", OUT))),
        )
        .most(0.1)
        .core(),
        // How long a failure lasts for who asks: without a breaker and retries, as long as it lasts.
        Figure::bounded(
            "time to recovery, from the first answer that failed to the last, with all on over with nothing",
            Unit::Share,
            Ratio(&Of("on", OUTAGE), &Of("off", OUTAGE)),
        )
        .most(0.25)
        .core(),
        Figure::bounded("time to recovery with nothing", Unit::Ms, Of("off", OUTAGE)),
        Figure::bounded(
            "from the heal to the breaker's closing, beyond what the policy asks for",
            Unit::Ms,
            Less(&Of("on", "breakers.stock/1.recovery_ms"), &Of("on", "breakers.stock/1.recovery_oracle_ms")),
        )
        .most(250.0),
        Figure::exact(
            "answered as expected after the heal",
            Unit::Share,
            Of("on", "load.main.phases.healed.success_ratio"),
        )
        .least(1.0),
        // A chain of three is three attempts for a request.
        Figure::exact(
            "retry amplification, beyond the chain's three",
            Unit::Times,
            Most(&[Ratio(&Of("on", "retries.amplification"), &Of("off", "retries.amplification"))]),
        )
        .most(1.25),
    ],
    plots: &[Plot {
        caption: "Share of requests answered as expected during the outage.",
        x: ("", false),
        y: ("answered as expected", false),
        unit: Unit::Share,
        series: &[Series { name: "available", arms: &["on", "off"], figure: OUT, scale: 1.0 }],
    }],
    missing: &["a mean over many outages: each run has one"],
};
