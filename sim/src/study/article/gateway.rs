//! The gateway as a whole: beside others, under many connections, beyond its capacity.

use reports::result::Unit;

use crate::study::experiment::Draw::{Least, Less, Most, Of, Ratio, Times};
use crate::study::experiment::{Arm, Claim, Draw, Edit, Figure, Plot, Series};
use crate::study::here::logs;

const BARE: &str = "article/turn.gateway.toml";
const CPU: &str = "cpu_us_per_request";
/// What a team writes by itself instead.
const WRITTEN: [Arm; 5] = [
    Arm::turn("gateway", BARE, &[], &[]),
    Arm::peer("fastapi-httpx"),
    Arm::peer("fastapi-aiohttp"),
    Arm::peer("flask"),
    Arm::peer("node"),
];
/// Every gateway that `sim peers` knows; those that are not on the machine are named.
const PEERS: [Arm; 10] = [
    WRITTEN[0],
    WRITTEN[1],
    WRITTEN[2],
    WRITTEN[3],
    WRITTEN[4],
    Arm::peer("nginx"),
    Arm::peer("haproxy"),
    Arm::peer("envoy"),
    Arm::peer("caddy"),
    Arm::peer("pingora"),
];
const WRITTEN_NAMES: &[&str] = &["gateway", "fastapi-httpx", "fastapi-aiohttp", "flask", "node"];
const NAMES: &[&str] =
    &["gateway", "fastapi-httpx", "fastapi-aiohttp", "flask", "node", "nginx", "haproxy", "envoy", "caddy", "pingora"];
const RSS: &str = "rss_bytes";
const PER_CORE: &str = "requests_per_core";

const fn of_gateway(figure: &'static str) -> Draw {
    Of("gateway", figure)
}

/// Something of ours over the same of another one; nothing is asked of it.
const fn over(name: &'static str, ours: &'static Draw, other: &'static Draw) -> Figure {
    Figure::timed(name, Unit::Times, Ratio(ours, other))
}

/// Asynchronous against synchronous.
pub(super) static A1: Claim = Claim {
    id: "A1",
    section: "1, 2",
    claim: "An asynchronous gateway has far higher throughput than a synchronous one",
    system: "thread-per-core gateway",
    experiment: "the same GET through ours, FastAPI (httpx and aiohttp), Flask under gunicorn and plain Node, one core each",
    rounds: (2, 7),
    arms: &WRITTEN,
    figures: &[
        Figure::timed(
            "requests a core-second, ours over Flask's under gunicorn",
            Unit::Times,
            Ratio(&Of("flask", CPU), &of_gateway(CPU)),
        )
        .least(2.0)
        .core(),
        Figure::timed(
            "asynchronous Python over synchronous Python: FastAPI with aiohttp over Flask",
            Unit::Times,
            Ratio(&Of("flask", CPU), &Of("fastapi-aiohttp", CPU)),
        )
        .least(1.0)
        .core(),
        Figure::timed(
            "ours over FastAPI's with httpx",
            Unit::Times,
            Ratio(&Of("fastapi-httpx", CPU), &of_gateway(CPU)),
        )
        .least(2.0),
        Figure::timed(
            "ours over FastAPI's with aiohttp",
            Unit::Times,
            Ratio(&Of("fastapi-aiohttp", CPU), &of_gateway(CPU)),
        )
        .least(2.0),
        Figure::timed("ours over plain Node's", Unit::Times, Ratio(&Of("node", CPU), &of_gateway(CPU))),
        Figure::timed("CPU a request, ours", Unit::Us, of_gateway(CPU)),
        Figure::timed("CPU a request, Flask under gunicorn", Unit::Us, Of("flask", CPU)),
    ],
    plots: &[Plot {
        caption: "CPU time that a request costs each gateway; less is better.",
        x: ("", false),
        y: ("CPU a request", true),
        unit: Unit::Us,
        series: &[Series { name: "CPU a request", arms: WRITTEN_NAMES, figure: CPU, scale: 1.0 }],
    }],
    missing: &["other proxies: A26 has them"],
};

const CONNECTIONS: &str = "article/connections.toml";
const P99: &str = "load.main.phases.before.latency_us.p99";
const P50: &str = "load.main.phases.before.latency_us.p50";
const PEAK: &str = "gateway.0.rss_bytes.peak";
const TIMEOUTS: &str = "load.main.phases.before.failures.timeout";

/// Many connections.
pub(super) static A2: Claim = Claim {
    id: "A2",
    section: "1, 5",
    claim: "Response times are consistent at many concurrent connections, where synchronous frameworks time out",
    system: "gateway",
    experiment: "1,000 requests/s over 64 to 10,000 open connections",
    rounds: (2, 6),
    arms: &[
        Arm::scenario("64", CONNECTIONS, &[]).at(64.0),
        Arm::scenario("1000", CONNECTIONS, &[Edit("connections = 64", "connections = 1000")]).at(1_000.0).slow(),
        Arm::scenario("4000", CONNECTIONS, &[Edit("connections = 64", "connections = 4000")]).at(4_000.0).slow(),
        Arm::scenario("10000", CONNECTIONS, &[Edit("connections = 64", "connections = 10000")]).at(10_000.0),
    ],
    figures: &[
        Figure::exact("requests that timed out at 10,000 connections", Unit::Number, Of("10000", TIMEOUTS))
            .most(0.0)
            .core(),
        Figure::exact(
            "answered as expected at 10,000 connections",
            Unit::Share,
            Of("10000", "load.main.phases.before.success_ratio"),
        )
        .least(1.0)
        .core(),
        Figure::timed("p50 at 10,000 over that at 64", Unit::Times, Ratio(&Of("10000", P50), &Of("64", P50))).most(2.0),
        Figure::timed("p99 at 10,000 over that at 64", Unit::Times, Ratio(&Of("10000", P99), &Of("64", P99))).most(5.0),
        Figure::timed("p99 at 10,000", Unit::Us, Of("10000", P99)),
        Figure::timed(
            "memory for a connection",
            Unit::Bytes,
            Times(1.0 / 9_936.0, &Less(&Of("10000", PEAK), &Of("64", PEAK))),
        )
        .most(20_480.0),
    ],
    plots: &[Plot {
        caption: "Latency at the same rate over ever more connections.",
        x: ("open connections", true),
        y: ("latency", true),
        unit: Unit::Us,
        series: &[
            Series { name: "p50", arms: &["64", "1000", "4000", "10000"], figure: P50, scale: 1.0 },
            Series { name: "p99", arms: &["64", "1000", "4000", "10000"], figure: P99, scale: 1.0 },
        ],
    }],
    missing: &["synchronous frameworks at 10,000 connections: gunicorn's workers serve one connection each"],
};

/// Beyond capacity.
pub(super) static A3: Claim = Claim {
    id: "A3",
    section: "2",
    claim: "Latency stays consistent at high CPU use",
    system: "gateway",
    experiment: "offered load from little to 150 % of what holds a p99 of ten milliseconds, every token verified anew",
    rounds: (2, 6),
    arms: &[Arm::scenario("search", "article/capacity.toml", &[]).also(logs::curve)],
    figures: &[
        Figure::timed("p50 at 80 % of capacity over that at 30 %", Unit::Times, Of("search", "also.p50_high_over_low"))
            .most(3.0)
            .core(),
        Figure::timed("p99 at 80 % of capacity over that at 30 %", Unit::Times, Of("search", "also.p99_high_over_low"))
            .most(5.0),
        Figure::timed(
            "goodput at 150 % over that at capacity",
            Unit::Share,
            Of("search", "capacity.main.goodput_retention"),
        )
        .least(0.8)
        .core(),
        Figure::timed("capacity on these cores", Unit::PerSecond, Of("search", "capacity.main.knee_rps.estimate")),
    ],
    // The page draws latency against load for every search.
    plots: &[],
    missing: &["use of the CPU itself: offered load stands for it, as a share of what holds the objective"],
};

/// Resources.
pub(super) static A26: Claim = Claim {
    id: "A26",
    section: "1, 2",
    claim: "It needs fewer resources than alternatives: memory and instances",
    system: "gateway",
    experiment: "the same GET through ours and through every peer that is found: memory idle and loaded, requests/s for a core",
    rounds: (2, 7),
    arms: &PEERS,
    figures: &[
        Figure::timed(
            "memory under load, ours over the leanest of Python's and Node's",
            Unit::Times,
            Ratio(
                &of_gateway(RSS),
                &Least(&[Of("fastapi-httpx", RSS), Of("fastapi-aiohttp", RSS), Of("flask", RSS), Of("node", RSS)]),
            ),
        )
        .most(0.8)
        .core(),
        Figure::timed(
            "instances that the best of those needs for the work of one of ours",
            Unit::Times,
            Ratio(
                &of_gateway(PER_CORE),
                &Most(&[
                    Of("fastapi-httpx", PER_CORE),
                    Of("fastapi-aiohttp", PER_CORE),
                    Of("flask", PER_CORE),
                    Of("node", PER_CORE),
                ]),
            ),
        )
        .least(1.5)
        .core(),
        over("memory, ours over nginx's", &of_gateway(RSS), &Of("nginx", RSS)),
        over("memory, ours over HAProxy's", &of_gateway(RSS), &Of("haproxy", RSS)),
        over("memory, ours over Envoy's", &of_gateway(RSS), &Of("envoy", RSS)),
        over("memory, ours over Caddy's", &of_gateway(RSS), &Of("caddy", RSS)),
        over("memory, ours over a proxy's on Pingora", &of_gateway(RSS), &Of("pingora", RSS)),
        over("requests for a core, ours over nginx's", &of_gateway(PER_CORE), &Of("nginx", PER_CORE)),
        over("requests for a core, ours over HAProxy's", &of_gateway(PER_CORE), &Of("haproxy", PER_CORE)),
        over("requests for a core, ours over Envoy's", &of_gateway(PER_CORE), &Of("envoy", PER_CORE)),
        over("requests for a core, ours over Caddy's", &of_gateway(PER_CORE), &Of("caddy", PER_CORE)),
        over("requests for a core, ours over a proxy's on Pingora", &of_gateway(PER_CORE), &Of("pingora", PER_CORE)),
        Figure::timed("memory idle, ours", Unit::Bytes, of_gateway("idle_rss_bytes")),
        Figure::timed("memory under load, ours", Unit::Bytes, of_gateway(RSS)),
        Figure::timed("requests for a core, ours", Unit::PerSecond, of_gateway(PER_CORE)),
    ],
    plots: &[
        Plot {
            caption: "Memory under load, all processes of each gateway together; less is better.",
            x: ("", false),
            y: ("resident memory", false),
            unit: Unit::Bytes,
            series: &[Series { name: "memory", arms: NAMES, figure: RSS, scale: 1.0 }],
        },
        Plot {
            caption: "Requests that a core serves in a second; more is better.",
            x: ("", false),
            y: ("requests for a core", true),
            unit: Unit::PerSecond,
            series: &[Series { name: "requests for a core", arms: NAMES, figure: PER_CORE, scale: 1.0 }],
        },
    ],
    missing: &[
        "a verdict on other proxies: what is held against ours is what a team writes by itself; proxies that are here stand \
         beside, and nothing is asked of them",
    ],
};
