//! What a request costs when there is more of something: curves, and what is promised of them. Data alone.

use reports::result::Unit;

use super::experiment::Draw::{Less, Of, Ratio, Times};
use super::experiment::{Arm, Claim, Figure, Plot, Series};
use super::here::limits;

/// The curves.
pub static CLAIMS: [&Claim; 6] = [&G1, &G2, &G3, &G4, &G5, &G6];

const CPU: &str = "cpu_us_per_request";
const RSS: &str = "rss_bytes";
const PER_CORE: &str = "bytes_per_core";
const PLAIN: &str = "growth/plain.gateway.toml";
const ROUTES: &str = "growth/routes.gateway.toml";
const UPSTREAMS: &str = "growth/upstreams.gateway.toml";

/// Our gateway as a bare proxy.
const fn ours(name: &'static str) -> Arm {
    Arm::turn(name, PLAIN, &[], &[])
}

/// nginx as a bare proxy.
const fn nginx(name: &'static str) -> Arm {
    Arm::peer_as(name, "nginx")
}

/// Routes.
static G1: Claim = Claim {
    id: "G1",
    section: "",
    claim: "Among 10,000 routes a request costs at most half again as much as beside one, among 1,000 a quarter more",
    system: "routing, metrics of routes",
    experiment: "1 to 10,000 routes by host, each request for any of them",
    rounds: (3, 8),
    arms: &[
        Arm::turn("1", ROUTES, &[], &[("host", "s{int(1, 1)}.test")]).at(1.0),
        Arm::turn("100", ROUTES, &[], &[("host", "s{int(1, 100)}.test")]).at(100.0).copies(100),
        Arm::turn("1000", ROUTES, &[], &[("host", "s{int(1, 1000)}.test")]).at(1_000.0).copies(1_000),
        Arm::turn("10000", ROUTES, &[], &[("host", "s{int(1, 10000)}.test")]).at(10_000.0).copies(10_000),
    ],
    figures: &[
        Figure::timed("CPU a request, 1,000 routes over one", Unit::Times, Ratio(&Of("1000", CPU), &Of("1", CPU)))
            .most(1.25)
            .core(),
        Figure::timed("10,000 routes over one", Unit::Times, Ratio(&Of("10000", CPU), &Of("1", CPU))).most(1.5).core(),
        Figure::timed("100 routes over one", Unit::Times, Ratio(&Of("100", CPU), &Of("1", CPU))).most(1.1),
        Figure::timed(
            "memory for a route that is used",
            Unit::Bytes,
            Times(1.0 / 9_999.0, &Less(&Of("10000", RSS), &Of("1", RSS))),
        )
        .most(65_536.0),
    ],
    plots: &[Plot {
        caption: "CPU time a request, against how many routes there are.",
        x: ("routes", true),
        y: ("CPU a request", false),
        unit: Unit::Us,
        series: &[Series { name: "gateway", arms: &["1", "100", "1000", "10000"], figure: CPU, scale: 1.0 }],
    }],
    missing: &["finding the route alone, and by paths: `sim article --only A4`"],
};

/// Busy connections.
static G2: Claim = Claim {
    id: "G2",
    section: "",
    claim: "From one busy connection to 4,000, a request costs no more than nginx's",
    system: "workers, connections, pools",
    experiment: "1 to 4,000 connections, each sending its next request as soon as it has its answer, through ours and nginx",
    rounds: (3, 8),
    arms: &[
        ours("1").at(1.0).over(1),
        ours("16").at(16.0).over(16),
        ours("64").at(64.0),
        ours("256").at(256.0).over(256).slow(),
        ours("1000").at(1_000.0).over(1_000),
        ours("4000").at(4_000.0).over(4_000),
        nginx("nginx-1").at(1.0).over(1),
        nginx("nginx-16").at(16.0).over(16),
        nginx("nginx-64").at(64.0),
        nginx("nginx-256").at(256.0).over(256).slow(),
        nginx("nginx-1000").at(1_000.0).over(1_000),
        nginx("nginx-4000").at(4_000.0).over(4_000),
    ],
    figures: &[
        Figure::timed("of nginx's CPU, 64 connections", Unit::Times, Ratio(&Of("64", CPU), &Of("nginx-64", CPU)))
            .most(1.0)
            .core(),
        Figure::timed(
            "of nginx's CPU, 4,000 connections",
            Unit::Times,
            Ratio(&Of("4000", CPU), &Of("nginx-4000", CPU)),
        )
        .most(1.0)
        .core(),
        Figure::timed("of nginx's CPU, one connection", Unit::Times, Ratio(&Of("1", CPU), &Of("nginx-1", CPU)))
            .most(1.0),
        Figure::timed("of nginx's CPU, 16 connections", Unit::Times, Ratio(&Of("16", CPU), &Of("nginx-16", CPU)))
            .most(1.0),
        Figure::timed(
            "of nginx's CPU, 1,000 connections",
            Unit::Times,
            Ratio(&Of("1000", CPU), &Of("nginx-1000", CPU)),
        )
        .most(1.0),
        Figure::timed("4,000 connections over 64, ours", Unit::Times, Ratio(&Of("4000", CPU), &Of("64", CPU))),
        Figure::timed("p99 at 4,000 connections", Unit::Us, Of("4000", "p99_us")),
    ],
    plots: &[Plot {
        caption: "CPU time a request, against how many connections are busy.",
        x: ("busy connections", true),
        y: ("CPU a request", false),
        unit: Unit::Us,
        series: &[
            Series { name: "gateway", arms: &["1", "16", "64", "256", "1000", "4000"], figure: CPU, scale: 1.0 },
            Series {
                name: "nginx",
                arms: &["nginx-1", "nginx-16", "nginx-64", "nginx-256", "nginx-1000", "nginx-4000"],
                figure: CPU,
                scale: 1.0,
            },
        ],
    }],
    missing: &[],
};

/// Idle connections.
static G3: Claim = Claim {
    id: "G3",
    section: "",
    claim: "10,000 idle connections take no CPU from 64 busy ones, and little memory",
    system: "connections, timers",
    experiment: "64 busy connections beside 0 to 10,000 that have carried one request and wait",
    rounds: (3, 8),
    arms: &[
        ours("0").at(0.0),
        ours("1000").at(1_000.0).beside(1_000).slow(),
        ours("10000").at(10_000.0).beside(10_000),
        nginx("nginx-0").at(0.0),
        nginx("nginx-1000").at(1_000.0).beside(1_000).slow(),
        nginx("nginx-10000").at(10_000.0).beside(10_000),
    ],
    figures: &[
        Figure::timed(
            "CPU a request beside 10,000 over beside none",
            Unit::Times,
            Ratio(&Of("10000", CPU), &Of("0", CPU)),
        )
        .most(1.1)
        .core(),
        Figure::timed(
            "memory for an idle connection",
            Unit::Bytes,
            Times(1e-4, &Less(&Of("10000", RSS), &Of("0", RSS))),
        )
        .most(8_192.0)
        .core(),
        Figure::timed(
            "the same of nginx",
            Unit::Bytes,
            Times(1e-4, &Less(&Of("nginx-10000", RSS), &Of("nginx-0", RSS))),
        ),
        Figure::timed(
            "CPU a request beside 10,000 over beside none, nginx",
            Unit::Times,
            Ratio(&Of("nginx-10000", CPU), &Of("nginx-0", CPU)),
        ),
    ],
    plots: &[Plot {
        caption: "CPU time of a request on a busy connection, against how many others are idle.",
        x: ("idle connections", false),
        y: ("CPU a request", false),
        unit: Unit::Us,
        series: &[
            Series { name: "gateway", arms: &["0", "1000", "10000"], figure: CPU, scale: 1.0 },
            Series { name: "nginx", arms: &["nginx-0", "nginx-1000", "nginx-10000"], figure: CPU, scale: 1.0 },
        ],
    }],
    missing: &[],
};

/// Upstreams.
static G4: Claim = Claim {
    id: "G4",
    section: "",
    claim: "Among 1,000 upstreams a request costs at most 75 % more than before one, among 100 a quarter more",
    system: "upstreams, pools, breakers",
    experiment: "1 to 1,000 upstreams, each with a route, a pool and a breaker of its own, each request to any of them",
    rounds: (3, 8),
    arms: &[
        Arm::turn("1", UPSTREAMS, &[], &[("host", "s{int(1, 1)}.test")]).at(1.0),
        Arm::turn("10", UPSTREAMS, &[], &[("host", "s{int(1, 10)}.test")]).at(10.0).copies(10).slow(),
        Arm::turn("100", UPSTREAMS, &[], &[("host", "s{int(1, 100)}.test")]).at(100.0).copies(100),
        Arm::turn("1000", UPSTREAMS, &[], &[("host", "s{int(1, 1000)}.test")]).at(1_000.0).copies(1_000),
    ],
    figures: &[
        Figure::timed("CPU a request, 100 upstreams over one", Unit::Times, Ratio(&Of("100", CPU), &Of("1", CPU)))
            .most(1.25)
            .core(),
        Figure::timed("1,000 upstreams over one", Unit::Times, Ratio(&Of("1000", CPU), &Of("1", CPU)))
            .most(1.75)
            .core(),
        Figure::timed(
            "memory for an upstream that is used",
            Unit::Bytes,
            Times(1.0 / 999.0, &Less(&Of("1000", RSS), &Of("1", RSS))),
        )
        .most(131_072.0),
        Figure::timed(
            "upstream connections that were open already, 1,000 upstreams",
            Unit::Share,
            Of("1000", "reuse_ratio"),
        ),
    ],
    plots: &[Plot {
        caption: "CPU time a request, against how many upstreams there are.",
        x: ("upstreams", true),
        y: ("CPU a request", false),
        unit: Unit::Us,
        series: &[Series { name: "gateway", arms: &["1", "10", "100", "1000"], figure: CPU, scale: 1.0 }],
    }],
    missing: &[],
};

/// Bodies.
static G5: Claim = Claim {
    id: "G5",
    section: "",
    claim: "Large answers cost no more CPU a byte than nginx's, up to 100 MB, and no memory",
    system: "relay of bodies",
    experiment: "answers of 512 bytes to 100 MB through ours and nginx; four connections from 16 MB on",
    rounds: (3, 8),
    arms: &[
        ours("512").at(512.0),
        ours("16K").at(16_384.0).of_bytes(16_384),
        ours("128K").at(131_072.0).of_bytes(131_072).slow(),
        ours("1M").at(1_048_576.0).of_bytes(1_048_576),
        ours("16M").at(16_777_216.0).of_bytes(16_777_216).over(4).slow(),
        ours("100M").at(104_857_600.0).of_bytes(104_857_600).over(4),
        nginx("nginx-512").at(512.0),
        nginx("nginx-16K").at(16_384.0).of_bytes(16_384),
        nginx("nginx-128K").at(131_072.0).of_bytes(131_072).slow(),
        nginx("nginx-1M").at(1_048_576.0).of_bytes(1_048_576),
        nginx("nginx-16M").at(16_777_216.0).of_bytes(16_777_216).over(4).slow(),
        nginx("nginx-100M").at(104_857_600.0).of_bytes(104_857_600).over(4),
    ],
    figures: &[
        Figure::timed("of nginx's CPU, 16 KB", Unit::Times, Ratio(&Of("16K", CPU), &Of("nginx-16K", CPU)))
            .most(1.0)
            .core(),
        Figure::timed("of nginx's CPU, 1 MB", Unit::Times, Ratio(&Of("1M", CPU), &Of("nginx-1M", CPU)))
            .most(1.0)
            .core(),
        Figure::timed("of nginx's CPU, 100 MB", Unit::Times, Ratio(&Of("100M", CPU), &Of("nginx-100M", CPU))).most(1.0),
        Figure::timed("bytes a core-second with 1 MB, ours", Unit::BytesPerSecond, Of("1M", PER_CORE)),
        Figure::timed("memory with answers of 100 MB", Unit::Bytes, Of("100M", RSS)).most(67_108_864.0),
    ],
    plots: &[Plot {
        caption: "Bytes that a core passes on in a second, against the size of an answer.",
        x: ("bytes of an answer", true),
        y: ("bytes a core-second", true),
        unit: Unit::BytesPerSecond,
        series: &[
            Series {
                name: "gateway",
                arms: &["512", "16K", "128K", "1M", "16M", "100M"],
                figure: PER_CORE,
                scale: 1.0,
            },
            Series {
                name: "nginx",
                arms: &["nginx-512", "nginx-16K", "nginx-128K", "nginx-1M", "nginx-16M", "nginx-100M"],
                figure: PER_CORE,
                scale: 1.0,
            },
        ],
    }],
    missing: &[],
};

/// Keys of a limit.
static G6: Claim = Claim {
    id: "G6",
    section: "",
    claim: "A check of a limit stays cheap up to ten million keys",
    system: "limiter",
    experiment: "buckets of 1 to 10,000,000 keys, in this process",
    rounds: (3, 6),
    arms: &[
        Arm::here("1", limits::of_1).at(1.0),
        Arm::here("10000", limits::of_10_000).at(10_000.0),
        Arm::here("1000000", limits::of_1_000_000).at(1_000_000.0),
        Arm::here("10000000", limits::of_10_000_000).at(10_000_000.0),
    ],
    figures: &[
        Figure::timed("a check among ten million keys", Unit::Ns, Of("10000000", "ns")).most(2_000.0).core(),
        Figure::timed("bytes a key among ten million", Unit::Bytes, Of("10000000", "bytes_a_key")).most(200.0).core(),
        Figure::timed("a check of one key", Unit::Ns, Of("1", "ns")),
    ],
    plots: &[Plot {
        caption: "What a check costs, against how many keys there are.",
        x: ("keys", true),
        y: ("a check", true),
        unit: Unit::Ns,
        series: &[Series { name: "a check", arms: &["1", "10000", "1000000", "10000000"], figure: "ns", scale: 1.0 }],
    }],
    missing: &["cores: two are the most that a driver beside them leaves on most machines: `sim peers --workers 2`"],
};
