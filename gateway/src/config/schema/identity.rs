//! `[identity]` and its providers.

use super::{DAY, HOUR, Key, Kind, MANY, MINUTE, SECOND, TableDef, key};
use crate::config::validate::{identity, known_secrets, passwords, plugins, screening, token_places};
use crate::config::value::text;

/// `[identity]`
pub(crate) static IDENTITY: TableDef = TableDef::plain("[identity]", "The headers that only the gateway sets, and who proves identities.", &[
    key("strip_headers", Kind::List(const { &Kind::Text(&text::HEADER_PATTERN) }, 0), "Removed from every client request, on every route, authenticated or not. The headers named below are always among them.").default("[\"x-auth-*\"]"),
    key("subject_header", Kind::Text(&text::EDITABLE_HEADER), "Carries the proven subject to the upstream.").default("\"x-auth-subject\""),
    key("scopes_header", Kind::Text(&text::EDITABLE_HEADER), "Carries the granted scopes to the upstream.").default("\"x-auth-scopes\""),
    key("provider_header", Kind::Text(&text::EDITABLE_HEADER), "Carries the name of the provider that proved the subject: two providers may know two people by one name.").default("\"x-auth-provider\""),
    key("claims", Kind::Map(&text::EDITABLE_HEADER, const { &Kind::Text(&text::NOT_EMPTY) }), "Headers that carry claims: `{ \"x-auth-tenant\" = \"tenant\" }`; `/a/b` is a claim within another.").default("{}"),
    key("passport", Kind::Table(&PASSPORT), "A short-lived token signed by the gateway, so that a service can check identity by itself."),
    key("providers", Kind::Map(&text::NAME, const { &Kind::Tagged("kind", PROVIDERS) }), "Who proves identities, by name.").default("{}"),
])
.rules(&[identity::distinct_headers, identity::claims_within_claims]);

static PASSPORT: TableDef = TableDef::plain(
    "passport",
    "A token of the gateway's own.",
    &[
        key("header", Kind::Text(&text::EDITABLE_HEADER), "The header that carries it.").default("\"x-auth-passport\""),
        key(
            "key",
            Kind::File,
            "The signing keys, PEM (PKCS #8, Ed25519 or P-256): the first signs, all are published.",
        )
        .required(),
        key("lifetime", Kind::Duration(SECOND, MINUTE), "How long it holds; at most a minute.").default("\"30s\""),
        key("issuer", Kind::Text(&text::NOT_EMPTY), "Its `iss`.").default("\"gateway\""),
    ],
)
.rules(&[identity::passport]);

const PROVIDERS: &[(&str, &TableDef)] = &[
    ("jwt", &JWT),
    ("introspection", &INTROSPECTION),
    ("api_key", &API_KEY),
    ("basic", &BASIC),
    ("mtls", &MTLS),
    ("custom", &CUSTOM),
];

/// What `token_from` is.
const TOKEN_FROM: &str = "Where tokens may be: `header` is a bearer token in `Authorization`; the first place that has \
                          one is used, and two with different tokens are refused.";

const ALGORITHMS: &[&str] = &[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "HS256",
    "HS384", "HS512",
];

const BOUND_TOKENS: Key = key(
    "bound_tokens",
    Kind::Choice(&["check", "ignore"]),
    "Tokens with a `cnf`: the client's certificate must be the one they are bound to, and those that are bound \
     otherwise are refused; or whoever has one may present it.",
)
.default("\"check\"");

pub(crate) static JWT: TableDef = TableDef::plain(
    "[identity.providers.NAME] kind = \"jwt\"",
    "Signed tokens, verified here.",
    &[
        key("kind", Kind::Choice(&["jwt"]), "`jwt`").required(),
        key("issuer", Kind::Text(&text::NOT_EMPTY), "The `iss` that a token must have.").required(),
        key(
            "audiences",
            Kind::List(const { &Kind::Text(&text::NOT_EMPTY) }, 1),
            "One of them must be in the token's `aud`, letter by letter.",
        )
        .required(),
        key(
            "audience_claim",
            Kind::Text(&text::NOT_EMPTY),
            "The claim that must name one of `audiences` where the issuer's access tokens have no `aud`: `client_id` of AWS \
             Cognito. A name, or `/a/b` for one within another. A token's `aud`, where it has one all the same, must name one too.",
        )
        .default("\"aud\""),
        key(
            "algorithms",
            Kind::List(const { &Kind::Choice(ALGORITHMS) }, 1),
            "The signature algorithms that are accepted.",
        )
        .default("[\"RS256\", \"ES256\", \"EdDSA\"]"),
        key("jwks", Kind::Table(&JWKS), "Where the keys come from."),
        key(
            "replay_store",
            Kind::Text(&text::NAME),
            "Where used tokens of `single_use` routes are kept: `local` or a store's name.",
        )
        .default("\"local\""),
        key("leeway", Kind::Duration(0, MINUTE), "How far clocks may differ; at most a minute.").default("\"30s\""),
        key("max_token_bytes", Kind::Size(256, 1 << 20), "A longer token is refused before it is read.")
            .default("\"8KiB\""),
        key(
            "required_claims",
            Kind::List(const { &Kind::Text(&text::NOT_EMPTY) }, 0),
            "Claims that a token must have; `exp` is among them always.",
        )
        .default("[\"exp\", \"sub\"]"),
        key("cache", Kind::Table(&JWT_CACHE), "Verified tokens; an entry never outlives the token's `exp` or its key.")
            .default("{}"),
        key("typ", Kind::List(const { &Kind::Text(&text::NOT_EMPTY) }, 0), "Accepted `typ` headers; empty is any.")
            .default("[]"),
        key(
            "secret_env",
            Kind::Text(&text::ENVIRONMENT),
            "The environment variable with the secret of HS algorithms; at least the hash's length.",
        )
        .secret(),
        key("forward_token", Kind::Bool, "Pass the client's token on: its `Authorization` header, or wherever it was.")
            .default("false"),
        key("token_from", Kind::List(const { &Kind::Text(&text::TOKEN_PLACE) }, 1), TOKEN_FROM).default("[\"header\"]"),
        key("revocation", Kind::Table(&REVOCATION), "Tokens that were taken back: each request asks a store."),
        BOUND_TOKENS,
    ],
)
.rules(&[
    identity::audiences,
    identity::jwt_keys,
    identity::key_set,
    identity::secret_length,
    known_secrets::of_provider,
    identity::replay_store,
    token_places::distinct,
    token_places::ambient,
    screening::credentials,
]);

static JWKS: TableDef = TableDef::plain(
    "jwks",
    "A key set: one of `url`, `file`, `inline` and `discovery`.",
    &[
        key("url", Kind::Text(&text::URL), "Fetched from here: https, or this machine."),
        key("file", Kind::File, "Read from this file."),
        key("inline", Kind::Anything, "Written here: a JWKS as text or as a table."),
        key("discovery", Kind::Text(&text::URL), "Found through this issuer's OpenID configuration."),
        key("refresh", Kind::Duration(SECOND, DAY), "How often a fetched set is fetched again.").default("\"10m\""),
        key("cooldown", Kind::Duration(SECOND, HOUR), "The shortest time between two fetches for unknown keys.")
            .default("\"5s\""),
    ],
)
.rules(&[identity::one_key_source, identity::safe_source]);

static REVOCATION: TableDef = TableDef::plain(
    "revocation",
    "Tokens that were taken back before their `exp`.",
    &[
        key("store", Kind::Text(&text::NAME), "The store that has them.").required(),
        key(
            "on_store_failure",
            Kind::Choice(&["open", "closed"]),
            "What becomes of tokens while the store is down: they hold, or 503.",
        )
        .default("\"closed\""),
    ],
)
.rules(&[identity::revocation_store]);

static JWT_CACHE: TableDef = TableDef::plain(
    "cache",
    "Verified tokens.",
    &[key("max_bytes", Kind::SizeOrZero(1024, 1 << 40), "Its size; \"0\" is no cache.").default("\"64MiB\"")],
);

pub(crate) static INTROSPECTION: TableDef = TableDef::plain(
    "[identity.providers.NAME] kind = \"introspection\"",
    "Opaque tokens, asked about at their issuer (RFC 7662).",
    &[
        key("kind", Kind::Choice(&["introspection"]), "`introspection`").required(),
        key("url", Kind::Text(&text::URL), "The introspection endpoint.").required(),
        key("client_id", Kind::Text(&text::NOT_EMPTY), "The gateway's name there.").required(),
        key(
            "client_secret_env",
            Kind::Text(&text::ENVIRONMENT),
            "The environment variable with the gateway's secret there.",
        )
        .required()
        .secret(),
        key(
            "audiences",
            Kind::List(const { &Kind::Text(&text::NOT_EMPTY) }, 0),
            "One of them must be in what the issuer says of a token's `aud`; empty is any, or none.",
        )
        .default("[]"),
        BOUND_TOKENS,
        key("token_from", Kind::List(const { &Kind::Text(&text::TOKEN_PLACE) }, 1), TOKEN_FROM).default("[\"header\"]"),
        key("timeout", Kind::Duration(1, HOUR), "The longest wait for an answer.").default("\"1s\""),
        key("cache", Kind::Table(&INTROSPECTION_CACHE), "Answers that are kept.").default("{}"),
    ],
)
.rules(&[identity::introspection, token_places::distinct, token_places::ambient, screening::credentials]);

static INTROSPECTION_CACHE: TableDef = TableDef::plain(
    "cache",
    "Answers that are kept.",
    &[
        key("capacity", Kind::Integer(0, MANY), "How many.").default("100000"),
        key("positive", Kind::Duration(0, DAY), "How long a yes (\"active\") is believed.").default("\"30s\""),
        key("negative", Kind::Duration(0, DAY), "How long a no is believed.").default("\"5s\""),
    ],
)
.rules(&[identity::capacity]);

pub(crate) static API_KEY: TableDef = TableDef::plain(
    "[identity.providers.NAME] kind = \"api_key\"",
    "Keys, of which only hashes are kept.",
    &[
        key("kind", Kind::Choice(&["api_key"]), "`api_key`").required(),
        key("header", Kind::Text(&text::EDITABLE_HEADER), "The header that carries the key.").default("\"x-api-key\""),
        key("file", Kind::File, "The SHA-256 of each key, its subject and its scopes; reloaded on change.").required(),
    ],
)
.rules(&[identity::api_keys, screening::credentials]);

pub(crate) static BASIC: TableDef = TableDef::plain(
    "[identity.providers.NAME] kind = \"basic\"",
    "Names and passwords (RFC 7617), of which only hashes are kept.",
    &[
        key("kind", Kind::Choice(&["basic"]), "`basic`").required(),
        key(
            "users_file",
            Kind::File,
            "A line for each user, as `htpasswd -B` writes it: bcrypt, or Argon2id; reloaded on change.",
        )
        .required(),
        key("realm", Kind::Text(&text::REALM), "What people are told that the password is for.").default("\"gateway\""),
        key("forward_credentials", Kind::Bool, "Pass the client's `Authorization` header on.").default("false"),
    ],
)
.rules(&[passwords::users, screening::credentials]);

pub(crate) static MTLS: TableDef = TableDef::plain(
    "[identity.providers.NAME] kind = \"mtls\"",
    "The client's certificate, as its handshake has verified it: SAN URI, then DNS, then CN.",
    &[
        key("kind", Kind::Choice(&["mtls"]), "`mtls`").required(),
        key(
            "ca",
            Kind::File,
            "Who has signed its clients' certificates, PEM; else whoever a listener's `client_ca` has.",
        ),
    ],
)
.rules(&[identity::mtls]);

pub(crate) static CUSTOM: TableDef = TableDef::plain(
    "[identity.providers.NAME] kind = \"custom\"",
    "A provider registered in code.",
    &[
        key("kind", Kind::Choice(&["custom"]), "`custom`").required(),
        key("name", Kind::Text(&text::NAME), "The name under which it is registered.").required(),
        key(
            "header",
            Kind::Text(&text::EDITABLE_HEADER),
            "The header that carries its credentials; bearer tokens when absent.",
        ),
        key("timeout", Kind::Duration(1, HOUR), "The longest wait for its word.").default("\"1s\""),
        key("cache", Kind::Table(&INTROSPECTION_CACHE), "Its words that are kept.").default("{}"),
    ],
)
.rules(&[plugins::identity, screening::credentials]);
