//! The passport: what a service can verify by itself (security.md, I).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use mocks::raw::{Raw, Script};
use serde_json::{Value, json};
use wiremock::matchers::body_string_contains;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Client, Gateway, Issuer, echo, now, nowhere, one_route};

/// A new key that signs passports.
pub(crate) fn pem() -> String {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
}

/// What a service does with a passport, with a library that is not ours; `examples/passport` says it for people.
fn verify(keys: &Value, passport: &str, service: &str) -> Result<Value, String> {
    let keys: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let header = decode_header(passport).map_err(|error| error.to_string())?;
    assert_eq!(header.typ.as_deref(), Some("passport+jwt"));
    let key = keys.find(header.kid.as_deref().unwrap()).ok_or("no such key")?;
    let mut validation = Validation::new(header.alg);
    validation.leeway = 5;
    validation.set_audience(&[service]);
    validation.set_issuer(&["gateway"]);
    let key = DecodingKey::from_jwk(key).unwrap();
    decode(passport, &key, &validation).map(|data| data.claims).map_err(|error| error.to_string())
}

async fn keys(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/jwks.json").await.json()
}

fn request(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a.test\r\nx-auth-passport: forged\r\nauthorization: Bearer {token}\r\n\r\n")
}

async fn passport(client: &mut Client, token: &str) -> String {
    let echo = client.ask(request(token)).await.echo();
    let all = echo.all("x-auth-passport");
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].to_owned()
}

#[tokio::test]
async fn a_service_verifies_by_itself_who_asks_and_that_it_is_meant() {
    let (upstream, issuer, folder) = (echo().await, Issuer::new("k1"), tempfile::tempdir().unwrap());
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem()).unwrap();
    let identity =
        format!("[identity]\npassport = {{ key = '{}' }}\nclaims = {{ x-tenant = 'tenant' }}\n", file.display());
    let auth = "auth = { providers = ['main'], optional = true }";
    let text = format!("{}\n{identity}{}", one_route("", auth, upstream.addr()), issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    let token = issuer.token(&json!({ "tenant": "acme" }));
    let mut client = gateway.client().await;
    let first = passport(&mut client, &token).await;
    let claims = verify(&keys(&gateway).await, &first, "up").unwrap();
    let shown = json!([claims["sub"], claims["scope"], claims["tenant"], claims["idp"]]);
    assert_eq!(shown, json!(["ada", "orders:read", "acme", "main"]));
    let exp = claims["exp"].as_i64().unwrap();
    assert!(exp > now() && exp <= now() + 30, "it is short-lived: {exp}");
    assert!(verify(&keys(&gateway).await, &first, "other").is_err(), "it is for this upstream alone");
    assert_eq!(passport(&mut client, &token).await, first, "it is signed once for many requests");
    let anonymous = client.ask("GET / HTTP/1.1\r\nhost: a\r\nx-auth-passport: forged\r\n\r\n").await.echo();
    assert_eq!(anonymous.all("x-auth-passport"), [""; 0], "nobody has no passport");

    // Another key signs from now on; passports on their way are verified still.
    std::fs::write(&file, pem()).unwrap();
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    let second = passport(&mut client, &token).await;
    assert_ne!(second, first);
    let published = keys(&gateway).await;
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
    assert!(verify(&published, &first, "up").is_ok() && verify(&published, &second, "up").is_ok());
    assert!(published["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()), "public halves alone");
}

/// A passport for one service is no use at another, also where both are asked for one request.
#[tokio::test]
async fn each_part_of_an_aggregate_has_a_passport_of_its_own() {
    let (a, b, issuer, folder) = (echo().await, echo().await, Issuer::new("k1"), tempfile::tempdir().unwrap());
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem()).unwrap();
    let text = format!(
        "[upstreams.a]\nendpoints = ['{}']\n[upstreams.b]\nendpoints = ['{}']\n[[aggregates]]\nname = 'board'\n\
         path = '/'\nauth = {{ providers = ['main'] }}\nparts = [\n  {{ name = 'a', upstream = 'a', path = '/' }},\n  \
         {{ name = 'b', upstream = 'b', path = '/' }},\n]\n[identity]\npassport = {{ key = '{}' }}\n{}",
        a.addr(),
        b.addr(),
        file.display(),
        issuer.provider("")
    );
    let gateway = Gateway::start(&text).await;
    let answer = gateway.ask(request(&issuer.token(&json!({})))).await.json();
    let keys = keys(&gateway).await;
    for service in ["a", "b"] {
        let headers = answer[service]["headers"].to_string();
        let shown = headers.split('"').find(|text| text.starts_with("eyJ")).unwrap_or_else(|| panic!("{headers}"));
        assert!(verify(&keys, shown, service).is_ok(), "{service}: {headers}");
    }
}

/// Who stands in for another service is meant, and the other is not, whether it failed or was not asked at all.
#[tokio::test]
async fn who_stands_in_for_another_upstream_has_a_passport_of_its_own() {
    let (down, cache, issuer, folder) = (nowhere(), echo().await, Issuer::new("k1"), tempfile::tempdir().unwrap());
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem()).unwrap();
    let text = format!(
        "[upstreams.up]\nendpoints = ['{down}']\nbreaker = {{ consecutive_failures = 1, open_for = '60s' }}\n\
         [upstreams.cache]\nendpoints = ['{}']\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n\
         fallback = {{ upstream = 'cache' }}\nauth = {{ providers = ['main'] }}\n[identity]\n\
         passport = {{ key = '{}' }}\n{}",
        cache.addr(),
        file.display(),
        issuer.provider("")
    );
    let gateway = Gateway::start(&text).await;
    let (keys, token) = (keys(&gateway).await, issuer.token(&json!({})));
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let shown = passport(&mut client, &token).await;
        assert_eq!(verify(&keys, &shown, "cache").unwrap()["aud"], "cache");
    }
    let codes: Vec<Value> = gateway.records(2).await.into_iter().map(|mut record| record["code"].take()).collect();
    assert_eq!(codes, ["upstream_connect", "breaker_open"]);
}

/// How long the gateway believes what it was told is no matter of the service's.
#[tokio::test]
async fn a_passport_holds_its_time_also_where_the_gateway_soon_asks_again() {
    let (upstream, server, folder) = (echo().await, MockServer::start().await, tempfile::tempdir().unwrap());
    for (token, more) in [("endless", json!({})), ("ends", json!({ "exp": now() + 20 }))] {
        let mut active = json!({ "active": true, "sub": "ada" });
        active.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let about = body_string_contains(format!("token={token}&"));
        Mock::given(about).respond_with(ResponseTemplate::new(200).set_body_json(active)).mount(&server).await;
    }
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem()).unwrap();
    let text = format!(
        "{}\n[identity]\npassport = {{ key = '{}', lifetime = '30s' }}\n[identity.providers.opaque]\n\
         kind = 'introspection'\nurl = '{}'\nclient_id = 'g'\nclient_secret_env = 'PATH'\n\
         cache = {{ positive = '0s' }}\n",
        one_route("", "auth = { providers = ['opaque'] }", upstream.addr()),
        file.display(),
        server.uri()
    );
    let gateway = Gateway::start(&text).await;
    let (keys, mut client) = (keys(&gateway).await, gateway.client().await);
    for (token, seconds) in [("endless", 30), ("ends", 20)] {
        let claims = verify(&keys, &passport(&mut client, token).await, "up").unwrap();
        let [from, until] = ["iat", "exp"].map(|name| claims[name].as_i64().unwrap());
        assert!((seconds - 5..=seconds).contains(&(until - from)), "{token}: {from} to {until}");
    }
}

/// It holds for a while, and is nobody's but the service's: also one that copies what it is sent shows it to no client.
#[tokio::test]
async fn i_a_passport_that_a_service_sends_back_ends_at_the_gateway() {
    let answer = "HTTP/1.1 200 OK\r\nX-Proof: eyJmb28\r\nx-proof: eyJiYXI\r\nx-other: 1\r\n\
                  transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-proof: eyJmb28\r\nx-sum: 2\r\n\r\n";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let (issuer, folder) = (Issuer::new("k1"), tempfile::tempdir().unwrap());
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem()).unwrap();
    let text = format!(
        "{}\n[identity]\npassport = {{ key = '{}', header = 'x-proof' }}\n{}",
        one_route("", "auth = { providers = ['main'] }", upstream.addr()),
        file.display(),
        issuer.provider("")
    );
    let gateway = Gateway::start(&text).await;
    let token = issuer.token(&json!({}));
    let head = format!("GET / HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\nauthorization: Bearer {token}\r\n\r\n");
    let answer = gateway.ask(head).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    assert_eq!((answer.header("x-proof"), answer.header("x-other")), (None, Some("1")));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "2".to_owned())]);
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    assert!(sent.contains("x-proof: eyJ"), "the service was shown one: {sent}");
}

#[tokio::test]
async fn without_passports_no_keys_are_published() {
    let gateway = Gateway::to(nowhere()).await;
    assert_eq!(keys(&gateway).await, json!({ "keys": [] }));
}
