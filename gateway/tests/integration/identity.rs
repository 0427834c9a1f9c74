//! Identity at the edge, over real sockets (security.md, H and I).

use serde_json::{Value, json};

use crate::support::{Answer, Client, Echo, Gateway, ISSUER, Issuer, echo, eventually, now, one_route};

/// A gateway with one protected route, and what it needs to be asked.
struct Protected {
    gateway: Gateway,
    issuer: Issuer,
    upstream: mocks::Mock,
}

/// A route with this `auth`, behind a provider `main` with these further keys.
async fn protected(auth: &str, provider: &str) -> Protected {
    let (upstream, issuer) = (echo().await, Issuer::new("k1"));
    let route = one_route("", &format!("auth = {auth}"), upstream.addr());
    let gateway = Gateway::start(&format!("{route}\n{}", issuer.provider(provider))).await;
    Protected { gateway, issuer, upstream }
}

async fn plain() -> Protected {
    protected("{ providers = ['main'] }", "").await
}

fn request(fields: &str) -> String {
    format!("GET /orders?access_token=x HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

impl Protected {
    async fn ask(&self, fields: &str) -> Answer {
        self.gateway.ask(request(fields)).await
    }

    async fn with(&self, claims: Value) -> Answer {
        self.ask(&bearer(&self.issuer.token(&claims))).await
    }

    async fn count(&self, result: &str) -> Option<f64> {
        self.gateway.metric(&format!("gateway_auth_total{{provider=\"main\",result=\"{result}\"}}")).await
    }

    async fn cached(&self, result: &str) -> Option<f64> {
        self.gateway.metric(&format!("gateway_token_cache_total{{result=\"{result}\"}}")).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, challenge: &str) {
    assert_eq!((answer.status, answer.header("www-authenticate")), (status, Some(challenge)), "{answer:?}");
    let body = answer.json();
    let code = ["unauthorized", "bad_request", "forbidden"].contains(&body["code"].as_str().unwrap());
    assert!(code && answer.header("cache-control") == Some("no-store"));
    let text = String::from_utf8_lossy(&answer.body);
    for word in ["expired", "signature", "audience", "issuer", "kid", "scope", "claim"] {
        assert!(!text.contains(word), "a client is not told why: {text}");
    }
}

const INVALID: &str = "Bearer error=\"invalid_token\"";

#[tokio::test]
async fn a_token_that_holds_passes_and_the_upstream_is_told_who_it_is() {
    let it = protected("{ providers = ['main'], scopes = ['orders:read'] }", "").await;
    let echo: Echo = it.with(json!({ "scope": "orders:read b" })).await.echo();
    assert_eq!((echo.header("x-auth-subject"), echo.header("x-auth-scopes")), (Some("ada"), Some("orders:read b")));
    assert_eq!(echo.all("authorization"), [""; 0], "the token was for the gateway");
    assert_eq!(it.gateway.record().await["subject"], "ada");
    assert_eq!(it.count("granted").await, Some(1.0));
}

#[tokio::test]
async fn without_a_credential_a_client_is_told_what_to_bring() {
    let it = plain().await;
    refused(&it.ask("").await, 401, "Bearer realm=\"gateway\"");
    refused(&it.ask("authorization: Basic YTpi\r\n").await, 401, "Bearer realm=\"gateway\"");
    assert_eq!(it.upstream.counters().accepts, 0, "nothing reached the upstream");
    let records = it.gateway.records(2).await;
    assert_eq!((&records[0]["auth"], &records[0]["code"]), (&json!("missing"), &json!("unauthorized")));
    assert_eq!(it.count("missing").await, Some(2.0));
}

#[tokio::test]
async fn h1_to_h7_what_does_not_hold_is_401_and_the_record_says_why() {
    let it = plain().await;
    let other = Issuer::new("k1");
    let token = it.issuer.token(&json!({}));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let claims = json!({ "iss": ISSUER, "aud": "api", "sub": "ada", "exp": now() + 60 }).to_string();
    let cases = [
        (format!("{signed}."), "no_signature"),
        (it.issuer.sign(r#"{"alg":"none"}"#, &claims), "algorithm"),
        (it.issuer.sign(r#"{"alg":"HS256","kid":"k1"}"#, &claims), "algorithm"),
        (it.issuer.sign(r#"{"alg":"RS256","kid":"k1"}"#, &claims), "algorithm_of_key"),
        (it.issuer.sign(r#"{"alg":"ES256","kid":"../k1"}"#, &claims), "unknown_key"),
        (it.issuer.sign(r#"{"alg":"ES256","kid":"k1","crit":["x"]}"#, &claims), "critical"),
        (it.issuer.sign(r#"{"alg":"ES256","alg":"ES256"}"#, &claims), "header"),
        (other.token(&json!({})), "signature"),
        (it.issuer.token(&json!({ "exp": now() - 31 })), "expired"),
        (it.issuer.token(&json!({ "exp": null })), "claims"),
        (it.issuer.token(&json!({ "sub": null })), "claims"),
        (it.issuer.token(&json!({ "nbf": now() + 600 })), "not_yet"),
        (it.issuer.token(&json!({ "iss": "https://evil.test" })), "issuer"),
        (it.issuer.token(&json!({ "aud": "other" })), "audience"),
        (format!("{token}="), "base64"),
        ("opaque".into(), "not_compact"),
        ("a".repeat(9000), "too_large"),
    ];
    for (token, _) in &cases {
        refused(&it.ask(&bearer(token)).await, 401, INVALID);
    }
    let records = it.gateway.records(cases.len()).await;
    let told: Vec<&str> = records.iter().map(|record| record["auth"].as_str().unwrap()).collect();
    assert_eq!(told, cases.iter().map(|(_, why)| *why).collect::<Vec<_>>());
    assert_eq!(it.upstream.counters().accepts, 0);
    let log = it.gateway.log_text(cases.len()).await;
    assert!(!log.contains(signed) && !log.contains("access_token"), "no token is in the log");
    assert_eq!(it.with(json!({})).await.status, 200, "and one that holds still passes");
}

#[tokio::test]
async fn h8_one_authorization_and_never_a_query() {
    let it = plain().await;
    let token = it.issuer.token(&json!({}));
    let twice = format!("{}{}", bearer(&token), bearer(&token));
    refused(&it.ask(&twice).await, 400, "Bearer error=\"invalid_request\"");
    refused(&it.ask("authorization: Bearer\r\n").await, 400, "Bearer error=\"invalid_request\"");
    let query = format!("GET /orders?access_token={token} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    refused(&it.gateway.ask(query).await, 401, "Bearer realm=\"gateway\"");
}

#[tokio::test]
async fn h11_who_is_known_but_may_not_is_403() {
    let auth = "{ providers = ['main'], scopes = ['orders:read', 'orders:write'], claims = { tenant = 'acme', roles = 'admin' } }";
    let it = protected(auth, "").await;
    let enough = json!({ "scope": "orders:write orders:read", "tenant": "acme", "roles": ["x", "admin"] });
    assert_eq!(it.with(enough.clone()).await.status, 200);
    for (name, value) in [
        ("scope", json!("orders:read")),
        ("scope", json!(null)),
        ("tenant", json!("acm")),
        ("roles", json!(["x"])),
        ("roles", json!(null)),
    ] {
        let mut claims = enough.clone();
        claims[name] = value;
        refused(&it.with(claims).await, 403, "Bearer error=\"insufficient_scope\"");
    }
    let records = it.gateway.records(6).await;
    let told: Vec<_> = records
        .iter()
        .skip(1)
        .map(|record| (record["auth"].as_str().unwrap(), record["subject"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [("scope", "ada"), ("scope", "ada"), ("claim_rule", "ada"), ("claim_rule", "ada"), ("claim_rule", "ada")]
    );
}

#[tokio::test]
async fn a_token_type_is_accepted_where_it_is_configured() {
    let it = protected("{ providers = ['main'] }", "typ = ['at+jwt']").await;
    let claims = json!({ "iss": ISSUER, "aud": "api", "sub": "ada", "exp": now() + 60 }).to_string();
    for (typ, status) in [("at+jwt", 200), ("application/at+jwt", 200), ("JWT", 401)] {
        let header = json!({ "alg": "ES256", "kid": "k1", "typ": typ }).to_string();
        assert_eq!(it.ask(&bearer(&it.issuer.sign(&header, &claims))).await.status, status, "{typ}");
    }
    assert_eq!(it.with(json!({})).await.status, 401, "an ID token has no such type");
}

#[tokio::test]
async fn optional_identity_lets_nobody_pass_but_no_bad_credential() {
    let it = protected("{ providers = ['main'], optional = true }", "").await;
    let echo = it.ask("x-auth-subject: root\r\n").await.echo();
    assert_eq!(echo.all("x-auth-subject"), [""; 0], "nobody is nobody");
    assert_eq!(it.with(json!({})).await.echo().header("x-auth-subject"), Some("ada"));
    refused(&it.with(json!({ "aud": "x" })).await, 401, INVALID);
}

#[tokio::test]
async fn b2_to_b5_no_spelling_of_an_identity_header_gets_past() {
    let it = protected("{ providers = ['main'] }", "[identity]\nclaims = { x-tenant = 'tenant' }").await;
    let token = bearer(&it.issuer.token(&json!({ "tenant": "acme" })));
    let spoofed = "x-auth-subject: root\r\nX-Auth-Subject: root2\r\nx-auth-scopes: all\r\nx-tenant: evil\r\nX-TENANT: evil2\r\n\
                   x-auth-anything: x\r\nconnection: x-auth-subject, x-tenant\r\n";
    let echo = it.ask(&format!("{spoofed}{token}")).await.echo();
    assert_eq!(echo.all("x-auth-subject"), ["ada"]);
    assert_eq!(echo.all("x-auth-scopes"), ["orders:read"]);
    assert_eq!(echo.all("x-tenant"), ["acme"]);
    assert_eq!(echo.all("x-auth-anything"), [""; 0]);
    let hidden = it.ask(&format!("connection: authorization\r\n{token}")).await;
    refused(&hidden, 401, "Bearer realm=\"gateway\"");
    assert_eq!(it.ask(&format!("x_tenant: evil\r\n{token}")).await.status, 400, "the twin with an underscore");
}

#[tokio::test]
async fn b9_claims_stay_inside_their_headers() {
    let it = protected("{ providers = ['main'] }", "[identity]\nclaims = { x-name = 'name', x-roles = 'roles' }").await;
    let claims =
        json!({ "sub": "a\r\nx-auth-admin: 1", "name": "Zoë \u{0}", "roles": ["a,b", "c\r\n\r\nGET /evil HTTP/1.1"] });
    let echo = it.with(claims).await.echo();
    assert_eq!(echo.header("x-auth-subject"), Some("a%0D%0Ax-auth-admin:%201"));
    assert_eq!(echo.header("x-name"), Some("Zo%C3%AB%20%00"));
    assert_eq!(echo.header("x-roles"), Some("a%2Cb,c%0D%0A%0D%0AGET%20/evil%20HTTP/1.1"));
    assert_eq!(echo.all("x-auth-admin"), [""; 0]);
    assert_eq!(it.upstream.counters().requests, 1);
}

#[tokio::test]
async fn the_token_goes_on_where_that_is_configured() {
    let it = protected("{ providers = ['main'] }", "forward_token = true").await;
    let token = it.issuer.token(&json!({}));
    let echo = it.ask(&bearer(&token)).await.echo();
    assert_eq!(echo.header("authorization"), Some(&*format!("Bearer {token}")));
}

#[tokio::test]
async fn a11_nobody_is_asked_for_a_body_that_will_not_be_used() {
    let it = plain().await;
    let mut client = it.gateway.client().await;
    let head = "POST /o HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n";
    let answer = client.ask(format!("{head}\r\n")).await;
    assert_eq!(answer.status, 401, "no 100 before");
    let mut client = it.gateway.client().await;
    let answer = client.ask(format!("{head}{}\r\n", bearer(&it.issuer.token(&json!({}))))).await;
    assert_eq!(answer.status, 100);
    assert_eq!(client.ask("hello").await.status, 200);
}

#[tokio::test]
async fn a_token_is_verified_once_and_holds_no_longer_than_it_says() {
    let it = plain().await;
    let ask = async |client: &mut Client, token: &str| client.ask(request(&bearer(token))).await.status;
    let (mut one, mut two) = (it.gateway.client().await, it.gateway.client().await);
    let token = it.issuer.token(&json!({}));
    for _ in 0..3 {
        assert_eq!(ask(&mut one, &token).await, 200);
    }
    assert_eq!(ask(&mut two, &token).await, 200);
    assert_eq!(it.cached("miss").await, Some(1.0));
    assert_eq!((it.cached("connection").await, it.cached("hit").await), (Some(2.0), Some(1.0)));
    // One character more or less is another token.
    assert_eq!(ask(&mut one, &token[..token.len() - 1]).await, 401);
    assert_eq!(ask(&mut one, &format!("{token}A")).await, 401);
    // Within its last second, leeway included; on the connection that knows it, and in the cache.
    let brief = it.issuer.token(&json!({ "exp": now() - 29 }));
    let mut last = 0;
    let began = now();
    while now() < began + 3 {
        last = ask(&mut one, &brief).await;
        if last == 401 {
            break;
        }
    }
    assert_eq!(last, 401, "the cache does not outlive the token");
}

#[tokio::test]
async fn of_many_requests_with_one_new_token_one_verifies_it() {
    let it = plain().await;
    for round in 1..=3 {
        let request = request(&bearer(&it.issuer.token(&json!({ "jti": round }))));
        let answers = futures_util::future::join_all((0..32).map(|_| it.gateway.ask(&request))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(it.cached("miss").await, Some(f64::from(round)), "one of 32 in round {round}");
    }
}

#[tokio::test]
async fn a_bad_token_is_not_verified_again_at_once() {
    let it = plain().await;
    let bad = bearer(&it.issuer.token(&json!({ "aud": "x" })));
    for _ in 0..3 {
        refused(&it.ask(&bad).await, 401, INVALID);
    }
    assert_eq!((it.cached("miss").await, it.cached("negative").await), (Some(1.0), Some(2.0)));
    assert_eq!(it.count("audience").await, Some(3.0), "each is counted by its reason");
}

#[tokio::test]
async fn an_api_key_is_known_by_its_hash() {
    let upstream = echo().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    let provider = format!("[identity.providers.keys]\nkind = 'api_key'\nfile = '{file}'\n");
    let auth = "auth = { providers = ['keys'], scopes = ['orders:read'] }";
    let gateway = Gateway::start(&format!("{}\n{provider}", one_route("", auth, upstream.addr()))).await;
    let ask = async |key: &str| gateway.ask(request(key)).await;
    let echo = ask("x-api-key: demo-key\r\n").await.echo();
    assert_eq!((echo.header("x-auth-subject"), echo.all("x-api-key")), (Some("reporting-job"), vec![]));
    refused(&ask("x-api-key: demo-keys\r\n").await, 401, "ApiKey");
    refused(&ask("").await, 401, "ApiKey");
    refused(&ask("x-api-key: demo-key\r\nx-api-key: demo-key\r\n").await, 400, "ApiKey");
}

#[tokio::test]
async fn the_first_provider_whose_credential_is_there_decides() {
    let (upstream, issuer, partner) = (echo().await, Issuer::new("k1"), Issuer::new("p1"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract/api-keys.toml");
    let partners =
        partner.provider("").replace("providers.main", "providers.partner").replace(ISSUER, "https://partner.test");
    let providers =
        format!("{}{partners}[identity.providers.keys]\nkind = 'api_key'\nfile = '{file}'\n", issuer.provider(""));
    let auth = "auth = { providers = ['main', 'partner', 'keys'] }";
    let gateway = Gateway::start(&format!("{}\n{providers}", one_route("", auth, upstream.addr()))).await;
    let subject = async |fields: &str| {
        let answer = gateway.ask(request(fields)).await;
        if answer.status == 200 { answer.echo().header("x-auth-subject").map(str::to_owned) } else { None }
    };
    let ours = bearer(&issuer.token(&json!({})));
    let theirs = bearer(&partner.token(&json!({ "iss": "https://partner.test", "sub": "bob" })));
    let key = "x-api-key: demo-key\r\n";
    assert_eq!(subject(&ours).await.as_deref(), Some("ada"));
    assert_eq!(subject(&theirs).await.as_deref(), Some("bob"), "a token says who is to be asked, no more");
    assert_eq!(subject(key).await.as_deref(), Some("reporting-job"));
    assert_eq!(subject(&format!("{key}{ours}")).await.as_deref(), Some("ada"), "the first decides");
    let bad = gateway.ask(request("x-api-key: demo-keys\r\n")).await;
    refused(&bad, 401, "ApiKey");
    let forged = bearer(&partner.token(&json!({ "sub": "mallory" })));
    assert_eq!(subject(&format!("{key}{forged}")).await, None, "a bad credential is not made good by another");
}

#[tokio::test]
async fn keys_in_a_file_are_read_anew_when_it_changes_and_taken_back_tokens_end() {
    let (upstream, first, second) = (echo().await, Issuer::new("k1"), Issuer::new("k2"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, first.jwks()).unwrap();
    let provider = format!(
        "[identity.providers.main]\nkind = 'jwt'\nissuer = '{ISSUER}'\naudiences = ['api']\njwks = {{ file = '{}' }}\n",
        file.display()
    );
    let route = one_route("", "auth = { providers = ['main'] }", upstream.addr());
    let gateway = Gateway::start(&format!("{route}\n{provider}")).await;
    let mut client = gateway.client().await;
    let (old, new) = (bearer(&first.token(&json!({}))), bearer(&second.token(&json!({}))));
    assert_eq!(client.ask(request(&old)).await.status, 200);
    assert_eq!(client.ask(request(&new)).await.status, 401);
    // The watcher starts beside the gateway; a change that it makes nothing of is made again.
    let mut n = 0;
    eventually("the keys are read anew", || {
        if n % 500 == 0 {
            std::fs::write(&file, format!("{}{}", second.jwks(), " ".repeat(n / 500))).unwrap();
        }
        n += 1;
        gateway.inner().snapshot().version > 1
    })
    .await;
    assert_eq!(client.ask(request(&new)).await.status, 200);
    assert_eq!(client.ask(request(&old)).await.status, 401, "on the connection that knew it");
}

#[tokio::test]
async fn a_reload_of_something_else_forgets_no_token() {
    let it = plain().await;
    let token = bearer(&it.issuer.token(&json!({})));
    assert_eq!(it.ask(&token).await.status, 200);
    let route = one_route("", "auth = { providers = ['main'] }\ntimeout = '9s'", it.upstream.addr());
    it.gateway.rewrite(&format!("{route}\n{}", it.issuer.provider("")));
    assert_eq!(it.gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(it.ask(&token).await.status, 200);
    assert_eq!((it.cached("miss").await, it.cached("hit").await), (Some(1.0), Some(1.0)));
}

#[tokio::test]
async fn a_flood_of_bad_tokens_is_refused_and_others_are_served() {
    let it = plain().await;
    let good = bearer(&it.issuer.token(&json!({})));
    let forger = Issuer::new("k1");
    let flood = async {
        let attackers = (0..20).map(|number| {
            let forged: Vec<_> =
                (0..10).map(|n| bearer(&forger.token(&json!({ "sub": format!("{number}-{n}") })))).collect();
            let gateway = &it.gateway;
            async move {
                let mut client = gateway.client().await;
                for token in forged {
                    refused(&client.ask(request(&token)).await, 401, INVALID);
                }
            }
        });
        futures_util::future::join_all(attackers).await;
    };
    let user = async {
        let mut client = it.gateway.client().await;
        for _ in 0..50 {
            assert_eq!(client.ask(request(&good)).await.status, 200);
        }
    };
    tokio::join!(flood, user);
    assert_eq!(it.count("signature").await, Some(200.0));
    assert_eq!(it.count("granted").await, Some(50.0));
}

#[tokio::test]
async fn admin_explains_what_a_token_grants() {
    let it = protected("{ providers = ['main'], scopes = ['orders:write'] }", "").await;
    let explain = async |claims: Value| {
        let header = format!("authorization: Bearer {}", it.issuer.token(&claims)).replace(' ', "%20");
        it.gateway.admin("GET", &format!("/explain?url=/x&headers={header}")).await.json()["policies"]["auth"].clone()
    };
    let granted = explain(json!({ "scope": "orders:write" })).await;
    assert_eq!(
        (&granted["result"], &granted["subject"], &granted["decided_by"]),
        (&json!("granted"), &json!("ada"), &json!("main"))
    );
    assert_eq!(
        granted["fields"],
        json!(["x-auth-subject: ada", "x-auth-provider: main", "x-auth-scopes: orders:write"])
    );
    assert_eq!(granted["lacks"], Value::Null);
    let lacks = explain(json!({})).await;
    assert_eq!((&lacks["result"], &lacks["status"]), (&json!("scope"), &json!(403)));
    assert_eq!(lacks["lacks"], "the scope orders:write");
    let expired = explain(json!({ "exp": 5 })).await;
    assert_eq!((&expired["result"], &expired["status"]), (&json!("expired"), &json!(401)));
    assert!(expired["lacks"].as_str().unwrap().starts_with("the claim exp, which has to be later than now, "));
}

/// The commonest mistakes of a move: an issuer without its last slash, another audience, none.
#[tokio::test]
async fn admin_explains_what_a_token_says_that_is_not_for_this_gateway() {
    let it = protected("{ providers = ['main'] }", "required_claims = ['exp', 'tier']").await;
    for (claims, result, lacks) in [
        (
            json!({ "iss": "https://idp.test/" }),
            "issuer",
            "the claim iss, which has to be \"https://idp.test\" and is \"https://idp.test/\"",
        ),
        (json!({ "aud": ["z"] }), "audience", "the claim aud, which has to be \"api\" and is [\"z\"]"),
        (
            json!({ "aud": null }),
            "audience",
            "the claim aud, which has to be \"api\" and is not there; `audience_claim` of the provider may name another",
        ),
        (json!({}), "claims", "the claim tier, which has to be there (`required_claims` of the provider)"),
    ] {
        let header = format!("authorization: Bearer {}", it.issuer.token(&claims)).replace(' ', "%20");
        let told = it.gateway.admin("GET", &format!("/explain?url=/x&headers={header}")).await.json();
        let auth = &told["policies"]["auth"];
        assert_eq!((&auth["result"], &auth["lacks"]), (&json!(result), &json!(lacks)));
    }
}

/// `gateway explain`, with this configuration and this token: its exit code, and what it prints.
fn explained(configuration: &str, path: &str, token: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.toml"), configuration).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.current_dir(folder.path()).args(["explain", "GET", path, "-H", &format!("authorization: Bearer {token}")]);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn explain_says_by_its_code_who_is_let_in_and_which_rule_it_was() {
    let issuer = Issuer::new("k1");
    let main = issuer.provider("");
    let other = main.replace("providers.main", "providers.other").replace("https://idp.test", "https://other.test");
    let route = |path: &str, rules: &str| {
        format!("[[routes]]\npath = '{path}'\nanswer = {{}}\nauth = {{ providers = ['main', 'other']{rules} }}\n")
    };
    let routes = [
        route("/open", ""),
        route("/acme", ", claims = { tenant = 'acme', level = 3 }"),
        route("/write", ", scopes = ['orders:read', 'orders:write']"),
    ];
    let configuration = format!("{}\n{main}\n{other}\n", routes.concat());
    let asked = |path: &str, claims: Value| explained(&configuration, path, &issuer.token(&claims));

    let (code, told) = asked("/open", json!({}));
    assert!(code == Some(0) && told.contains("granted by main"), "{told}");
    assert_eq!(told.matches("not sent: authorization").count(), 1, "once, whoever looks at it: {told}");
    let (code, told) = asked("/open", json!({ "exp": 5 }));
    assert!(code == Some(1) && told.contains("expired by main (401)"), "{told}");
    let (code, told) = asked("/write", json!({}));
    assert!(code == Some(1) && told.contains("lacks: the scope orders:write\n"), "{told}");
    let (code, told) = asked("/acme", json!({ "tenant": "acme", "level": 2 }));
    assert!(code == Some(1) && told.contains("lacks: the claim level, which has to be 3 and is 2\n"), "{told}");
    let (code, told) = asked("/acme", json!({ "tenant": null }));
    let lacks = "lacks: the claim tenant, which has to be \"acme\" and is not there\n";
    assert!(code == Some(1) && told.contains(lacks), "{told}");

    let (_, told) = asked("/open", json!({ "sub": "ada\u{1b}[2J\nidentity   granted: root by main" }));
    assert!(told.contains("subject: ada\\u{1b}[2J\\u{a}identity   granted: root by main\n"), "{told}");
    assert!(
        !told.contains('\u{1b}') && !told.lines().any(|line| line.starts_with("identity   granted: root")),
        "{told}"
    );
}
