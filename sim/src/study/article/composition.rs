//! Composed endpoints, pools and batches.

use reports::result::Unit;

use crate::study::experiment::Draw::{Least, Less, Of, Ratio, Rest};
use crate::study::experiment::{Arm, Claim, Edit, Figure, Plot, Series};

const PARTS: &str = "article/aggregate.toml";
const P50: &str = "load.main.phases.before.latency_us.p50";
const P99: &str = "load.main.phases.before.latency_us.p99";
const SUCCESS: &str = "load.main.phases.before.success_ratio";
/// What of an aggregate's time was not that of its slowest part, by the service's own count.
const BEYOND: &str = "routes.parallel-8.over_slowest_us.p50";
/// Requests at the service for one of a client.
const ASKED: &str = "retries.amplification";

const fn parts(name: &'static str, edits: &'static [Edit], x: f64) -> Arm {
    Arm::scenario(name, PARTS, edits).at(x)
}

/// Parallel parts.
pub(super) static A23: Claim = Claim {
    id: "A23",
    section: "5",
    claim: "Parallel downstream calls beat sequential ones for composed endpoints",
    system: "aggregation",
    experiment: "aggregates of 2 to 16 parts of four milliseconds each, asked for at once, or each after the one before",
    rounds: (2, 6),
    arms: &[
        parts("parallel-2", &[Edit("/parallel-8/{zipf", "/parallel-2/{zipf")], 2.0),
        parts("parallel-4", &[Edit("/parallel-8/{zipf", "/parallel-4/{zipf")], 4.0).slow(),
        parts("parallel-8", &[], 8.0),
        parts("parallel-16", &[Edit("/parallel-8/{zipf", "/parallel-16/{zipf")], 16.0).slow(),
        parts("sequential-2", &[Edit("/parallel-8/{zipf", "/sequential-2/{zipf")], 2.0),
        parts("sequential-4", &[Edit("/parallel-8/{zipf", "/sequential-4/{zipf")], 4.0).slow(),
        parts("sequential-8", &[Edit("/parallel-8/{zipf", "/sequential-8/{zipf")], 8.0),
        parts(
            "sequential-16",
            &[Edit("/parallel-8/{zipf", "/sequential-16/{zipf"), Edit("\"40/s\"", "\"20/s\"")],
            16.0,
        )
        .slow(),
    ],
    figures: &[
        Figure::timed(
            "p50 of eight parts, one after the other over at once",
            Unit::Times,
            Ratio(&Of("sequential-8", P50), &Of("parallel-8", P50)),
        )
        .least(3.0)
        .core(),
        Figure::timed(
            "p50 of two parts, one after the other over at once",
            Unit::Times,
            Ratio(&Of("sequential-2", P50), &Of("parallel-2", P50)),
        )
        .least(1.2)
        .core(),
        Figure::timed("p50 of eight parts at once, beyond the slowest of them", Unit::Us, Of("parallel-8", BEYOND))
            .most(2_000.0),
        Figure::timed(
            "p50 of sixteen parts at once over two",
            Unit::Times,
            Ratio(&Of("parallel-16", P50), &Of("parallel-2", P50)),
        )
        .most(2.5),
        Figure::exact(
            "parts that were asked for, eight at once and eight one after the other: the fewer",
            Unit::Number,
            Least(&[Of("parallel-8", ASKED), Of("sequential-8", ASKED)]),
        )
        .least(7.9),
        Figure::exact(
            "answered as expected, eight parts, the worse of both",
            Unit::Share,
            Least(&[Of("parallel-8", SUCCESS), Of("sequential-8", SUCCESS)]),
        )
        .least(1.0),
        Figure::exact("answered as expected, sixteen parts at once", Unit::Share, Of("parallel-16", SUCCESS))
            .least(1.0),
        Figure::timed("p50 of eight parts at once", Unit::Us, Of("parallel-8", P50)),
        Figure::timed("p50 of eight parts one after the other", Unit::Us, Of("sequential-8", P50)),
    ],
    plots: &[Plot {
        caption: "Median latency of a composed endpoint against its parts of four milliseconds.",
        x: ("parts", false),
        y: ("p50", false),
        unit: Unit::Us,
        series: &[
            Series {
                name: "at once",
                arms: &["parallel-2", "parallel-4", "parallel-8", "parallel-16"],
                figure: P50,
                scale: 1.0,
            },
            Series {
                name: "one after the other",
                arms: &["sequential-2", "sequential-4", "sequential-8", "sequential-16"],
                figure: P50,
                scale: 1.0,
            },
        ],
    }],
    missing: &["throughput: composition-aggregate holds the CPU of an aggregate against that of plain requests"],
};

const POOLS: &str = "article/pools.toml";
const IDLE: &str = "max_idle_per_worker = 128";
const OFF: Edit = Edit(IDLE, "max_idle_per_worker = 0");
const TLS_MOCK: Edit =
    Edit("service_time = \"2ms\"\n", "service_time = \"2ms\"\ntls = { cert = \"edge.pem\", key = \"edge.key.pem\" }\n");
const TLS_GATEWAY: Edit =
    Edit("endpoints = [\"mock://orders/0\"]\n", "endpoints = [\"mock://orders/0\"]\ntls = { ca = \"edge.ca.pem\" }\n");
const REUSE: &str = "gateway.0.reuse_ratio";
const HANDSHAKES: &str = "prometheus.0.gateway_upstream_tls_handshakes_total";

/// Persistent connections.
pub(super) static A24: Claim = Claim {
    id: "A24",
    section: "5",
    claim: "Persistent connections lower latency, most of it the TLS handshake; there is a best pool size; reuse is high",
    system: "pools",
    experiment: "300 requests/s with no idle connection kept, with one, with 8 and with 128 (what is in use stays, whatever \
                 the size), in the clear and over TLS",
    rounds: (2, 6),
    arms: &[
        Arm::scenario("clear-0", POOLS, &[OFF]),
        Arm::scenario("clear-1", POOLS, &[Edit(IDLE, "max_idle_per_worker = 1")]).slow(),
        Arm::scenario("clear-8", POOLS, &[Edit(IDLE, "max_idle_per_worker = 8")]).slow(),
        Arm::scenario("clear-128", POOLS, &[]),
        Arm::scenario("tls-0", POOLS, &[OFF, TLS_MOCK, TLS_GATEWAY]),
        Arm::scenario("tls-1", POOLS, &[Edit(IDLE, "max_idle_per_worker = 1"), TLS_MOCK, TLS_GATEWAY]).slow(),
        Arm::scenario("tls-8", POOLS, &[Edit(IDLE, "max_idle_per_worker = 8"), TLS_MOCK, TLS_GATEWAY]).slow(),
        Arm::scenario("tls-128", POOLS, &[TLS_MOCK, TLS_GATEWAY]),
    ],
    figures: &[
        Figure::timed("p50 that a pool saves over TLS", Unit::Us, Less(&Of("tls-0", P50), &Of("tls-128", P50)))
            .least(0.0)
            .core(),
        Figure::timed(
            "of that, what the handshake is: less what a pool saves in the clear",
            Unit::Share,
            Ratio(
                &Less(&Less(&Of("tls-0", P50), &Of("tls-128", P50)), &Less(&Of("clear-0", P50), &Of("clear-128", P50))),
                &Less(&Of("tls-0", P50), &Of("tls-128", P50)),
            ),
        )
        .least(0.5)
        .core(),
        Figure::exact("requests on a connection that was open", Unit::Share, Of("tls-128", REUSE)).least(0.95).core(),
        Figure::exact("handshakes without a pool", Unit::Number, Of("tls-0", HANDSHAKES)),
        Figure::exact("handshakes with one", Unit::Number, Of("tls-128", HANDSHAKES)),
        Figure::timed(
            "CPU a request over TLS, without a pool over with one",
            Unit::Times,
            Ratio(&Of("tls-0", "gateway.0.cpu_us_per_request"), &Of("tls-128", "gateway.0.cpu_us_per_request")),
        ),
        Figure::exact("reuse with one idle connection kept", Unit::Share, Of("tls-1", REUSE)),
        Figure::exact("reuse with eight", Unit::Share, Of("tls-8", REUSE)),
    ],
    plots: &[Plot {
        caption: "Median latency by how many idle connections are kept; the service takes two milliseconds.",
        x: ("", false),
        y: ("p50", false),
        unit: Unit::Us,
        series: &[
            Series {
                name: "in the clear",
                arms: &["clear-0", "clear-1", "clear-8", "clear-128"],
                figure: P50,
                scale: 1.0,
            },
            Series { name: "over TLS", arms: &["tls-0", "tls-1", "tls-8", "tls-128"], figure: P50, scale: 1.0 },
        ],
    }],
    missing: &[],
};

const BATCH: &str = "article/batch.toml";
const WINDOW: &str = "window = \"5ms\"";
const SIZE: &str = "max_size = 100";
const NOT_GATHERED: Edit = Edit("/batched/{zipf(100)}", "/plain/{zipf(100)}");
/// The service does one thing at a time, and its clients ask as fast as they are answered.
const ONE_AT_A_TIME: Edit = Edit("service_time = \"2ms\"\n", "service_time = \"2ms\"\nservers = 1\n");
const AS_FAST_AS_ANSWERED: Edit =
    Edit("model = \"open\"\narrivals = \"poisson\"\nrate = \"800/s\"\n", "model = \"closed\"\n");
const WELL: &str = "load.main.phases.before.outcome.ok";
/// Calls of the service for a request, counted by the service.
const QUERIES: &str = ASKED;
const CALLS: &str = "prometheus.0.gateway_batch_size_count";
const REQUESTS: &str = "prometheus.0.gateway_batch_size_sum";
/// Those for what another one of their call asks for.
const MERGED: &str = "prometheus.0.gateway_batch_merged_total";

/// Batching.
pub(super) static A25: Claim = Claim {
    id: "A25",
    section: "5",
    claim: "Batching gives more throughput for a modest latency: a window and a maximum size",
    system: "batching",
    experiment: "64 clients of a service that answers one call after the other, each in two milliseconds, gathered for 5 ms and \
                 not; and 800 requests/s for a hundred keys, gathered for 0 to 50 ms, 1 to 500 at most, and not gathered; \
                 each call is one query",
    rounds: (2, 6),
    arms: &[
        Arm::scenario("full-plain", BATCH, &[ONE_AT_A_TIME, AS_FAST_AS_ANSWERED, NOT_GATHERED]),
        Arm::scenario("full-5ms", BATCH, &[ONE_AT_A_TIME, AS_FAST_AS_ANSWERED]),
        Arm::scenario("plain", BATCH, &[NOT_GATHERED]),
        Arm::scenario("0s", BATCH, &[Edit(WINDOW, "window = \"0s\"")]).at(0.0).slow(),
        Arm::scenario("1ms", BATCH, &[Edit(WINDOW, "window = \"1ms\"")]).at(1.0).slow(),
        Arm::scenario("5ms", BATCH, &[]).at(5.0),
        Arm::scenario("20ms", BATCH, &[Edit(WINDOW, "window = \"20ms\"")]).at(20.0).slow(),
        Arm::scenario("50ms", BATCH, &[Edit(WINDOW, "window = \"50ms\"")]).at(50.0).slow(),
        Arm::scenario("20ms-of-1", BATCH, &[Edit(WINDOW, "window = \"20ms\""), Edit(SIZE, "max_size = 1")]).slow(),
        Arm::scenario("20ms-of-4", BATCH, &[Edit(WINDOW, "window = \"20ms\""), Edit(SIZE, "max_size = 4")]).slow(),
        Arm::scenario("20ms-of-500", BATCH, &[Edit(WINDOW, "window = \"20ms\""), Edit(SIZE, "max_size = 500")]).slow(),
    ],
    figures: &[
        Figure::timed(
            "requests answered as expected at the service's limit, 5 ms over not gathered",
            Unit::Times,
            Ratio(&Of("full-5ms", WELL), &Of("full-plain", WELL)),
        )
        .least(2.0)
        .core(),
        Figure::exact(
            "queries of the service saved by a window of 5 ms",
            Unit::Share,
            Rest(&Ratio(&Of("5ms", QUERIES), &Of("plain", QUERIES))),
        )
        .least(0.5)
        .core(),
        Figure::timed("p50 that a window of 5 ms adds", Unit::Us, Less(&Of("5ms", P50), &Of("plain", P50)))
            .most(6_000.0)
            .core(),
        Figure::timed("p99 that a window of 5 ms adds", Unit::Us, Less(&Of("5ms", P99), &Of("plain", P99)))
            .most(10_000.0),
        Figure::exact(
            "answered as expected, the worst of 5 ms, at the limit and below it",
            Unit::Share,
            Least(&[Of("5ms", SUCCESS), Of("full-5ms", SUCCESS)]),
        )
        .least(1.0),
        Figure::exact(
            "queries saved by a window of 20 ms",
            Unit::Share,
            Rest(&Ratio(&Of("20ms", QUERIES), &Of("plain", QUERIES))),
        )
        .least(0.5),
        Figure::timed("p50 that a window of 20 ms adds", Unit::Us, Less(&Of("20ms", P50), &Of("plain", P50)))
            .most(21_000.0),
        Figure::exact("queries a request, with a window of 0", Unit::Number, Of("0s", QUERIES)).least(0.99).most(1.01),
        Figure::exact("queries a request, 20 ms and 1 at most", Unit::Number, Of("20ms-of-1", QUERIES))
            .least(0.99)
            .most(1.01),
        Figure::exact(
            "different items a call, 20 ms and 4 at most",
            Unit::Number,
            Ratio(&Less(&Of("20ms-of-4", REQUESTS), &Of("20ms-of-4", MERGED)), &Of("20ms-of-4", CALLS)),
        )
        .most(4.0),
        Figure::exact(
            "requests a call, 20 ms and 100 at most",
            Unit::Number,
            Ratio(&Of("20ms", REQUESTS), &Of("20ms", CALLS)),
        ),
        Figure::exact(
            "different items a call, 20 ms and 500 at most",
            Unit::Number,
            Ratio(&Less(&Of("20ms-of-500", REQUESTS), &Of("20ms-of-500", MERGED)), &Of("20ms-of-500", CALLS)),
        )
        .most(500.0),
        Figure::timed(
            "CPU a request, 5 ms over not gathered",
            Unit::Times,
            Ratio(&Of("5ms", "gateway.0.cpu_us_per_request"), &Of("plain", "gateway.0.cpu_us_per_request")),
        ),
    ],
    plots: &[Plot {
        caption: "Latency against the window in which requests are gathered.",
        x: ("window, ms", false),
        y: ("latency", false),
        unit: Unit::Us,
        series: &[
            Series { name: "p50", arms: &["0s", "1ms", "5ms", "20ms", "50ms"], figure: P50, scale: 1.0 },
            Series { name: "p99", arms: &["0s", "1ms", "5ms", "20ms", "50ms"], figure: P99, scale: 1.0 },
        ],
    }],
    missing: &[
        "a service that takes longer the more it is asked for at once: here a call takes two milliseconds, whatever is in it",
    ],
};
