//! Rate limits, here and shared.

use reports::result::Unit;

use crate::study::experiment::Draw::{Less, Of, Ratio, Sum, Times};
use crate::study::experiment::{Arm, Claim, Edit, Figure, Plot, Series};
use crate::study::here::limits;

/// Bursts.
pub(super) static A16: Claim = Claim {
    id: "A16",
    section: "1, 4",
    claim: "Token buckets shape bursts accurately without hurting legitimate users",
    system: "limiter",
    experiment: "two limits exceeded at once, floods around the edges of seconds, and one greedy client among a hundred fair \
                 ones; every decision is taken again by an exact limiter",
    rounds: (1, 3),
    arms: &[
        Arm::scenario("burst", "rate-limit.toml", &[]),
        Arm::scenario("boundary", "limits-boundary.toml", &[]).slow(),
        Arm::scenario("greedy", "limits-greedy.toml", &[]),
    ],
    figures: &[
        Figure::exact(
            "false admits and refusals by exact replay",
            Unit::Number,
            Sum(&[
                Of("burst", "limiters.client.false_admits"),
                Of("burst", "limiters.client.false_refusals"),
                Of("burst", "limiters.everyone.false_admits"),
                Of("burst", "limiters.everyone.false_refusals"),
                Of("greedy", "limiters.client.false_admits"),
                Of("greedy", "limiters.client.false_refusals"),
            ]),
        )
        .most(0.0)
        .core(),
        Figure::exact(
            "fair clients who were refused",
            Unit::Number,
            Of("greedy", "load.fair.phases.before.status.429"),
        )
        .most(0.0)
        .core(),
        Figure::exact(
            "floods at the edges: requests above burst and rate",
            Unit::Number,
            Of("boundary", "limiters.everyone.bound_violation"),
        )
        .most(2.0),
        Figure::timed("p99 of fair clients", Unit::Us, Of("greedy", "load.fair.phases.before.latency_us.p99"))
            .most(10_000.0),
        Figure::exact(
            "decisions that were taken again",
            Unit::Number,
            Sum(&[Of("burst", "limiters.client.offered"), Of("greedy", "limiters.client.offered")]),
        ),
    ],
    plots: &[],
    missing: &[],
};

const ERROR: &str = "limiters.everyone.sustained_error";
const STORE_SUM: &str = "prometheus.0.gateway_store_duration_seconds_sum";
const STORE_COUNT: &str = "prometheus.0.gateway_store_duration_seconds_count";

/// Shared limits.
pub(super) static A17: Claim = Claim {
    id: "A17",
    section: "4",
    claim: "Limits in a Redis: many checks a second, low latency, coordinated over instances",
    system: "distributed limiter",
    experiment: "1 to 8 gateways, one real Redis, one bucket for all, three times what it gives",
    rounds: (1, 3),
    arms: &[
        Arm::scenario("1", "limits-of-1.toml", &[]).at(1.0),
        Arm::scenario("2", "limits-of-2.toml", &[]).at(2.0).slow(),
        Arm::scenario("4", "limits-of-4.toml", &[]).at(4.0),
        Arm::scenario("8", "limits-of-8.toml", &[]).at(8.0).slow(),
    ],
    figures: &[
        Figure::exact("admitted over the limit, one gateway", Unit::Share, Of("1", ERROR))
            .least(-0.05)
            .most(0.01)
            .core(),
        Figure::exact("admitted over the limit, 4 gateways", Unit::Share, Of("4", ERROR))
            .least(-0.05)
            .most(0.01)
            .core(),
        Figure::exact("admitted over the limit, 2 gateways", Unit::Share, Of("2", ERROR)).least(-0.05).most(0.01),
        Figure::exact("admitted over the limit, 8 gateways", Unit::Share, Of("8", ERROR)).least(-0.05).most(0.01),
        Figure::bounded(
            "a check's wait for the Redis, mean, one gateway",
            Unit::Ms,
            Ratio(&Times(1e3, &Of("1", STORE_SUM)), &Of("1", STORE_COUNT)),
        )
        .most(2.0)
        .core(),
        Figure::bounded(
            "a check's wait for the Redis, mean, one of four gateways",
            Unit::Ms,
            Ratio(&Times(1e3, &Of("4", STORE_SUM)), &Of("4", STORE_COUNT)),
        )
        .most(4.0),
        Figure::exact("checks of the Redis", Unit::Number, Of("1", STORE_COUNT)),
    ],
    plots: &[Plot {
        caption: "What was admitted over the limit, against how many gateways share it.",
        x: ("gateways", false),
        y: ("admitted over the limit", false),
        unit: Unit::Share,
        series: &[Series { name: "over the limit", arms: &["1", "2", "4", "8"], figure: ERROR, scale: 1.0 }],
    }],
    missing: &[
        "the most checks a second: `cargo bench -p benches --bench stores` holds them beside redis-benchmark",
        "p50 and p99 that a check adds: two of three requests are refused, which costs less than to serve them, so latencies \
         with and without the limit are of different work; the mean wait for the Redis stands for it",
    ],
};

const OF_RATE: &str = "limiters.everyone.phases.fault_1.of_rate";
const HEALED: &str = "limiters.everyone.phases.healed.of_rate";
const FAULT_P99: &str = "load.main.phases.fault_1.latency_us.p99";
const BEFORE_P99: &str = "load.main.phases.before.latency_us.p99";

/// Partitions.
pub(super) static A18: Claim = Claim {
    id: "A18",
    section: "4",
    claim: "Limits are consistent in normal operation, and good during a partition",
    system: "distributed limiter",
    experiment: "four gateways; their Redis hangs, is killed, is cut off from two of them, and heals; clocks up to half a \
                 second apart",
    rounds: (1, 3),
    arms: &[
        Arm::scenario("pause", "limits-pause.toml", &[]),
        Arm::scenario("kill", "limits-kill.toml", &[]),
        Arm::scenario("cut-two", "limits-cut-two.toml", &[]).slow(),
        Arm::scenario("skew", "limits-skew.toml", &[]),
    ],
    figures: &[
        Figure::exact("clocks apart: admitted over the limit", Unit::Share, Of("skew", ERROR))
            .least(-0.05)
            .most(0.01)
            .core(),
        Figure::exact("during a hang, of what the rate gives", Unit::Share, Of("pause", OF_RATE))
            .least(0.9)
            .most(1.1)
            .core(),
        Figure::exact("while it is gone, of what the rate gives", Unit::Share, Of("kill", OF_RATE))
            .least(0.9)
            .most(1.1)
            .core(),
        Figure::exact("after a hang, of what the rate gives", Unit::Share, Of("pause", HEALED))
            .least(0.9)
            .most(1.1)
            .core(),
        Figure::exact("after it was gone, of what the rate gives", Unit::Share, Of("kill", HEALED))
            .least(0.9)
            .most(1.1)
            .core(),
        Figure::exact("two of four cut off: of what the rate gives", Unit::Share, Of("cut-two", OF_RATE))
            .least(1.3)
            .most(1.6),
        Figure::timed(
            "p99 during a hang less before",
            Unit::Us,
            Less(&Of("pause", FAULT_P99), &Of("pause", BEFORE_P99)),
        )
        .most(5_000.0),
        Figure::exact(
            "requests that failed during a hang",
            Unit::Number,
            Of("pause", "load.main.phases.fault_1.outcome.failed"),
        )
        .most(0.0),
    ],
    plots: &[],
    missing: &[],
};

/// Many keys.
pub(super) static A19: Claim = Claim {
    id: "A19",
    section: "4",
    claim: "It scales linearly up to a point, with reasonable memory for many clients",
    system: "limiter",
    experiment: "buckets of 1 to 10,000,000 keys, in this process",
    rounds: (3, 6),
    arms: &[
        Arm::here("1", limits::of_1).at(1.0),
        Arm::here("10000", limits::of_10_000).at(10_000.0),
        Arm::here("1000000", limits::of_1_000_000).at(1_000_000.0),
        Arm::here("10000000", limits::of_10_000_000).at(10_000_000.0).slow(),
    ],
    figures: &[
        Figure::timed("bytes a key among a million", Unit::Bytes, Of("1000000", "bytes_a_key")).most(200.0).core(),
        Figure::timed("a check among a million keys", Unit::Ns, Of("1000000", "ns")).most(2_000.0).core(),
        Figure::timed(
            "a check among a million keys over among ten thousand",
            Unit::Times,
            Ratio(&Of("1000000", "ns"), &Of("10000", "ns")),
        )
        .most(10.0),
        Figure::timed("bytes a key among ten million", Unit::Bytes, Of("10000000", "bytes_a_key")).most(200.0),
        Figure::timed("checks a second among a million keys", Unit::PerSecond, Of("1000000", "per_second")),
    ],
    plots: &[Plot {
        caption: "What a check costs, against how many keys there are.",
        x: ("keys", true),
        y: ("a check", true),
        unit: Unit::Ns,
        series: &[Series { name: "a check", arms: &["1", "10000", "1000000", "10000000"], figure: "ns", scale: 1.0 }],
    }],
    missing: &["a million keys in a Redis: scenario limits-many-keys"],
};

const TIERS: &str = "article/tiers.toml";
const FLOOD: &[Edit] = &[Edit("rate = \"20/s\"", "rate = \"600/s\"")];

/// Tiers.
pub(super) static A20: Claim = Claim {
    id: "A20",
    section: "4",
    claim: "Refill rates and bucket sizes differ for public and authenticated endpoints, with room for seconds of peak",
    system: "limit tiers",
    experiment: "a normal day whose peak lasts two seconds, and one on which strangers flood",
    rounds: (1, 4),
    arms: &[Arm::scenario("normal", TIERS, &[]), Arm::scenario("abnormal", TIERS, FLOOD)],
    figures: &[
        Figure::exact(
            "normal day: requests that were refused",
            Unit::Number,
            Sum(&[
                Of("normal", "load.users.phases.before.status.429"),
                Of("normal", "load.public.phases.before.status.429"),
            ]),
        )
        .most(0.0)
        .core(),
        Figure::exact(
            "abnormal day: users who were refused",
            Unit::Number,
            Of("abnormal", "load.users.phases.before.status.429"),
        )
        .most(0.0)
        .core(),
        Figure::exact(
            "abnormal day: the flood that services did not see",
            Unit::Share,
            Ratio(&Of("abnormal", "load.public.phases.before.status.429"), &Of("abnormal", "load.public.requests")),
        )
        .least(0.8)
        .core(),
        Figure::timed(
            "p99 of users, abnormal over normal",
            Unit::Times,
            Ratio(
                &Of("abnormal", "load.users.phases.before.latency_us.p99"),
                &Of("normal", "load.users.phases.before.latency_us.p99"),
            ),
        ),
    ],
    plots: &[],
    missing: &[],
};
