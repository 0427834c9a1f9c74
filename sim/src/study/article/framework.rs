//! What a framework gives: documentation, embedding; and tokens beside sessions.

use reports::result::Unit;

use crate::study::experiment::Draw::{Less, Of, Ratio};
use crate::study::experiment::{Arm, Claim, Edit, Figure, Plot, Series};
use crate::study::here::{documents, embedding};

/// Documentation and injection.
pub(super) static A27: Claim = Claim {
    id: "A27",
    section: "1",
    claim: "Documentation is generated, and dependencies are injected simply",
    system: "OpenAPI, framework",
    experiment: "the document of a route that nobody described and of a service that describes itself, made in this process; \
                 the lines that mount the gateway in an axum program, with a handler of the program as a route, in the \
                 example that a test runs",
    rounds: (1, 1),
    arms: &[Arm::here("document", documents::measured), Arm::here("embedding", embedding::lines)],
    figures: &[
        Figure::exact(
            "paths of routes and service that are in the document, with their answers",
            Unit::Share,
            Of("document", "described"),
        )
        .least(1.0)
        .core(),
        Figure::exact("its references that lead somewhere", Unit::Share, Of("document", "resolved")).least(1.0).core(),
        Figure::exact("references", Unit::Number, Of("document", "references")).least(1.0),
        Figure::exact("lines that mount the gateway", Unit::Number, Of("embedding", "mounting")).most(15.0).core(),
        Figure::exact("lines of the whole program", Unit::Number, Of("embedding", "whole")).most(60.0),
    ],
    plots: &[],
    missing: &[
        "that the document is valid by the schema of OpenAPI, and that requests come to the mounted handler: tests of the \
         gateway hold both",
    ],
};

const TURN: &str = "article/turn.gateway.toml";
const CPU: &str = "cpu_us_per_request";
const ROUTE: &str = "upstream = \"mock\"\n";
const ISSUED: &str = "[upstreams.mock]\n";
const SIGNED: &str = "[identity.providers.people]\nkind = \"jwt\"\nissuer = \"https://idp.example\"\naudiences = [\"api\"]\n\
     jwks = { inline = '{jwks}' }\n\n[upstreams.mock]\n";
const UNKNOWN: &str = "[identity.providers.people]\nkind = \"jwt\"\nissuer = \"https://idp.example\"\naudiences = [\"api\"]\n\
     jwks = { inline = '{jwks}' }\ncache = { max_bytes = \"0\" }\n\n[upstreams.mock]\n";
const ASKED: &str = "[identity.providers.people]\nkind = \"introspection\"\nurl = \"http://{upstream}/introspect\"\n\
     client_id = \"gateway\"\nclient_secret_env = \"SIM_SECRET\"\n\
     cache = { capacity = 0, positive = \"0s\", negative = \"0s\" }\n\n[upstreams.mock]\n";
const WITH_AUTH: Edit = Edit(ROUTE, "upstream = \"mock\"\nauth = { providers = [\"people\"] }\n");
const FEW: &[(&str, &str)] = &[("authorization", "Bearer {token(subject=user-{int(1, 200)})}")];
const MANY: &[(&str, &str)] = &[("authorization", "Bearer {token(subject=user-{int(1, 20000)})}")];
const OPAQUE: &[(&str, &str)] = &[("authorization", "Bearer opaque-{int(1, 1000000)}")];
const SESSIONS: &str = "article/sessions.toml";
const P50: &str = "load.main.phases.before.latency_us.p50";
const GATEWAY_CPU: &str = "gateway.0.cpu_us_per_request";
/// Requests at the mock for one of a client, counted by the mock.
const CALLS: &str = "calls_per_request";

/// Tokens against sessions.
pub(super) static A28: Claim = Claim {
    id: "A28",
    section: "1",
    claim: "Token-based authentication costs less than session-based",
    system: "verifier, stores",
    experiment: "the same route with a token that is known, one that is verified anew each time, one that its issuer is asked \
                 about, and a look-up in a Redis for each request",
    rounds: (2, 8),
    arms: &[
        Arm::turn("known", TURN, &[Edit(ISSUED, SIGNED), WITH_AUTH], FEW),
        Arm::turn("verified", TURN, &[Edit(ISSUED, UNKNOWN), WITH_AUTH], MANY),
        Arm::turn("introspected", TURN, &[Edit(ISSUED, ASKED), WITH_AUTH], OPAQUE),
        Arm::scenario("token", SESSIONS, &[]),
        Arm::scenario("redis", SESSIONS, &[Edit("path = \"/token/{zipf(1000)}\"", "path = \"/redis/{zipf(1000)}\"")]),
    ],
    figures: &[
        Figure::timed(
            "CPU a request, verified anew over asked about",
            Unit::Share,
            Ratio(&Of("verified", CPU), &Of("introspected", CPU)),
        )
        .most(1.0)
        .core(),
        Figure::timed(
            "CPU a request, known over asked about",
            Unit::Share,
            Ratio(&Of("known", CPU), &Of("introspected", CPU)),
        )
        .most(0.9)
        .core(),
        Figure::timed(
            "CPU a request, token over a look-up in a Redis",
            Unit::Share,
            Ratio(&Of("token", GATEWAY_CPU), &Of("redis", GATEWAY_CPU)),
        )
        .most(0.95),
        Figure::timed("p50 that the look-up adds", Unit::Us, Less(&Of("redis", P50), &Of("token", P50))).least(0.0),
        // The mock is service and authority in one: the first call of a request is the service's.
        Figure::timed(
            "calls of the authority for a request, its issuer asked",
            Unit::Number,
            Less(&Of("introspected", CALLS), &Of("known", CALLS)),
        )
        .least(0.95)
        .most(1.05),
        Figure::timed("calls behind the gateway for a request, verified anew", Unit::Number, Of("verified", CALLS))
            .least(0.95)
            .most(1.05),
        Figure::exact(
            "calls of the Redis for a request with a session",
            Unit::Number,
            Ratio(
                &Of("redis", "prometheus.0.gateway_store_duration_seconds_count"),
                &Of("redis", "load.main.requests"),
            ),
        )
        .least(0.95),
    ],
    plots: &[Plot {
        caption: "CPU time of a request by how it is proven who asks.",
        x: ("", false),
        y: ("CPU a request", false),
        unit: Unit::Us,
        series: &[Series {
            name: "CPU a request",
            arms: &["known", "verified", "introspected"],
            figure: CPU,
            scale: 1.0,
        }],
    }],
    missing: &[
        "a session's own look-up: the gateway has none; a token with a look-up in the list of what was taken back stands for \
         it, and costs the verification of a token besides, which a session does not",
        "latency of asking the issuer: turns are closed loads, whose latencies are those of a full core",
    ],
};
