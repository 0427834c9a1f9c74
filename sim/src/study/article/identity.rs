//! Who asks: at the edge or everywhere, and under load.

use reports::result::Unit;

use crate::study::experiment::Draw::{Least, Less, Most, Of, Ratio};
use crate::study::experiment::{Arm, Claim, Edit, Figure, Plot, Series};
use crate::study::here::tokens;

const HOPS: &str = "article/hops.toml";
const ONCE: Edit = Edit("auth = { providers = [\"people\"] } # each hop\n", "");
const SIGNED: Edit = Edit("#signed# ", "");
const CHECKED: Edit = Edit("#checked# ", "");
const BY_PASSPORT: Edit =
    Edit("auth = { providers = [\"people\"] } # each hop\n", "auth = { providers = [\"hops\"] } # each hop\n");
const PASSPORT_GOES_ON: Edit =
    Edit("authorization = \"{authorization}\"", "authorization = \"Bearer {x-auth-passport}\"");
const OF_1: Edit = Edit("\"/enter/8\", headers", "\"/enter/1\", headers");
const OF_2: Edit = Edit("\"/enter/8\", headers", "\"/enter/2\", headers");
const OF_4: Edit = Edit("\"/enter/8\", headers", "\"/enter/4\", headers");
const CPU: &str = "gateway.0.cpu_us_per_request";
const VERIFIED: &str = "prometheus.0.gateway_token_cache_total{result=\"miss\"}";
const REQUESTS: &str = "load.main.requests";
const ANSWERED: &str = "load.main.phases.before.success_ratio";
/// Requests at the services for one of a client: all hops of the chain were let in.
const TOUCHED: &str = "retries.amplification";

/// Identity at the edge.
pub(super) static A12: Claim = Claim {
    id: "A12",
    section: "1, 3",
    claim: "Central authentication lowers its overhead against one check a service",
    system: "identity at the edge, signed passport",
    experiment: "a request that touches 1 to 8 services, one after the other: its token is verified at every hop; or once at \
                 the edge, which signs a passport for the service behind it; or each hop checks the passport that was signed \
                 for the service before it; ES256, passports EdDSA, no cache that helps",
    rounds: (2, 6),
    arms: &[
        Arm::scenario("everywhere-1", HOPS, &[OF_1]).at(1.0).slow(),
        Arm::scenario("everywhere-2", HOPS, &[OF_2]).at(2.0).slow(),
        Arm::scenario("everywhere-4", HOPS, &[OF_4]).at(4.0).slow(),
        Arm::scenario("everywhere-8", HOPS, &[]).at(8.0),
        Arm::scenario("once-1", HOPS, &[SIGNED, ONCE, OF_1]).at(1.0).slow(),
        Arm::scenario("once-2", HOPS, &[SIGNED, ONCE, OF_2]).at(2.0).slow(),
        Arm::scenario("once-4", HOPS, &[SIGNED, ONCE, OF_4]).at(4.0).slow(),
        Arm::scenario("once-8", HOPS, &[SIGNED, ONCE]).at(8.0),
        Arm::scenario("passport-8", HOPS, &[SIGNED, CHECKED, BY_PASSPORT, PASSPORT_GOES_ON]).at(8.0),
    ],
    figures: &[
        Figure::timed(
            "CPU a request over 8 services, once and a passport signed, over everywhere",
            Unit::Share,
            Ratio(&Of("once-8", CPU), &Of("everywhere-8", CPU)),
        )
        .most(0.95)
        .core(),
        Figure::timed(
            "the same where each hop checks a passport, over everywhere",
            Unit::Share,
            Ratio(&Of("passport-8", CPU), &Of("everywhere-8", CPU)),
        )
        .most(1.0),
        Figure::exact(
            "verifications a request over 8 services, everywhere",
            Unit::Number,
            Ratio(&Of("everywhere-8", VERIFIED), &Of("everywhere-8", REQUESTS)),
        )
        .least(7.9)
        .most(8.1),
        // None at all is no less work of the same kind.
        Figure::exact(
            "verifications a request over 8 services, once at the edge",
            Unit::Number,
            Ratio(&Of("once-8", VERIFIED), &Of("once-8", REQUESTS)),
        )
        .least(0.95)
        .most(1.05)
        .core(),
        Figure::exact(
            "the same where each hop checks a passport",
            Unit::Number,
            Ratio(&Of("passport-8", VERIFIED), &Of("passport-8", REQUESTS)),
        )
        .least(7.9)
        .most(8.1),
        Figure::exact(
            "services that a request touched, the fewest of the three ways",
            Unit::Number,
            Least(&[Of("everywhere-8", TOUCHED), Of("once-8", TOUCHED), Of("passport-8", TOUCHED)]),
        )
        .least(7.9),
        Figure::timed("CPU saved over 8 services", Unit::Us, Less(&Of("everywhere-8", CPU), &Of("once-8", CPU))),
        Figure::timed("CPU saved over 2 services", Unit::Us, Less(&Of("everywhere-2", CPU), &Of("once-2", CPU))),
        Figure::exact(
            "answered as expected, the worst of the three ways",
            Unit::Share,
            Least(&[Of("everywhere-8", ANSWERED), Of("once-8", ANSWERED), Of("passport-8", ANSWERED)]),
        )
        .least(1.0),
    ],
    plots: &[Plot {
        caption: "CPU time of the gateway for a client's request, against how many services it touches.",
        x: ("services", false),
        y: ("CPU a request", false),
        unit: Unit::Us,
        series: &[
            Series {
                name: "verified everywhere",
                arms: &["everywhere-1", "everywhere-2", "everywhere-4", "everywhere-8"],
                figure: CPU,
                scale: 1.0,
            },
            Series {
                name: "once at the edge",
                arms: &["once-1", "once-2", "once-4", "once-8"],
                figure: CPU,
                scale: 1.0,
            },
            Series { name: "a passport checked at each hop", arms: &["passport-8"], figure: CPU, scale: 1.0 },
        ],
    }],
    missing: &[
        "what a service itself does with its passport: where the token is verified once, inner routes are open to whoever \
         reaches them, and a check by the services is their CPU time; that hops with passports are closed is in A15",
    ],
};

const TOKENS: &str = "article/tokens.toml";
const KNOWN: &str = "int(1, 100)";
const NEW: &[Edit] = &[
    Edit(KNOWN, "int(1, 20000)"),
    Edit(
        "jwks = { inline = \"mock://jwks\" }\n",
        "jwks = { inline = \"mock://jwks\" }\ncache = { max_bytes = \"0\" }\n",
    ),
];
const HALF: &[Edit] = &[
    Edit(KNOWN, "int(1, 250)"),
    Edit(
        "jwks = { inline = \"mock://jwks\" }\n",
        "jwks = { inline = \"mock://jwks\" }\ncache = { max_bytes = \"64KiB\" }\n",
    ),
];
const TOKEN_P99: &str = "load.tokens.phases.before.latency_us.p99";
const OPEN_P99: &str = "load.open.phases.before.latency_us.p99";

/// Validation under load.
pub(super) static A13: Claim = Claim {
    id: "A13",
    section: "3",
    claim: "Asynchronous token validation stays fast under a heavy authentication load",
    system: "verifier, cache",
    experiment: "verifications a second by algorithm; 2,000 requests/s with tokens that are all, partly or hardly known, \
                 ES256, about a third of what a core verifies, beside a route without tokens; the key server down in three \
                 ways",
    rounds: (2, 6),
    arms: &[
        Arm::here("speed", tokens::speed),
        Arm::scenario("known", TOKENS, &[]),
        Arm::scenario("half", TOKENS, HALF).slow(),
        Arm::scenario("new", TOKENS, NEW),
        Arm::scenario("keys-down", "identity-keys-down.toml", &[]).once(),
        Arm::scenario("keys-slow", "identity-keys-slow.toml", &[]).slow(),
    ],
    figures: &[
        Figure::timed("ES256 verifications a second on a core", Unit::PerSecond, Of("speed", "ES256.per_second"))
            .least(5_000.0)
            .core(),
        Figure::timed(
            "p99 of the route without tokens, beside new tokens over beside known ones",
            Unit::Times,
            Ratio(&Of("new", OPEN_P99), &Of("known", OPEN_P99)),
        )
        .most(2.0)
        .core(),
        Figure::timed(
            "p99 with new tokens over with known ones",
            Unit::Times,
            Ratio(&Of("new", TOKEN_P99), &Of("known", TOKEN_P99)),
        )
        .most(2.0),
        Figure::exact(
            "new tokens that were verified, of those that came",
            Unit::Share,
            Ratio(&Of("new", VERIFIED), &Of("new", "load.tokens.requests")),
        )
        .least(0.95)
        .most(1.05),
        Figure::exact(
            "answered as expected beside new tokens, the worse of both routes",
            Unit::Share,
            Least(&[
                Of("new", "load.tokens.phases.before.success_ratio"),
                Of("new", "load.open.phases.before.success_ratio"),
            ]),
        )
        .least(1.0),
        Figure::bounded(
            "key server down: longest wait of the route without tokens",
            Unit::Us,
            Most(&[
                Of("keys-down", "load.open.phases.fault_1.latency_us.max"),
                Of("keys-down", "load.open.phases.fault_2.latency_us.max"),
                Of("keys-down", "load.open.phases.fault_3.latency_us.max"),
            ]),
        )
        .most(250_000.0),
        Figure::exact(
            "key server hangs: new tokens answered as expected",
            Unit::Share,
            Of("keys-down", "load.new.phases.fault_2.success_ratio"),
        )
        .least(1.0)
        .core(),
        Figure::exact(
            "key server slow: tokens of a new key answered as expected",
            Unit::Share,
            Of("keys-slow", "load.next.phases.fault_1.success_ratio"),
        )
        .least(1.0),
        Figure::bounded(
            "key server slow: longest wait of the route without tokens",
            Unit::Us,
            Of("keys-slow", "load.open.phases.fault_1.latency_us.max"),
        )
        .most(250_000.0),
        Figure::timed("RS256 verifications a second", Unit::PerSecond, Of("speed", "RS256.per_second")),
        Figure::timed("EdDSA verifications a second", Unit::PerSecond, Of("speed", "EdDSA.per_second")),
        Figure::timed("HS256 verifications a second", Unit::PerSecond, Of("speed", "HS256.per_second")),
    ],
    plots: &[Plot {
        caption: "99th percentile of latency by how many of the tokens are known.",
        x: ("", false),
        y: ("p99", false),
        unit: Unit::Us,
        series: &[
            Series { name: "with a token", arms: &["known", "half", "new"], figure: TOKEN_P99, scale: 1.0 },
            Series { name: "route without tokens", arms: &["known", "half", "new"], figure: OPEN_P99, scale: 1.0 },
        ],
    }],
    missing: &[
        "rates near what a core verifies: beside them the route without tokens waits for a full core, whatever is done on it",
    ],
};
