//! What is written on the wire, what is drawn, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::draws::Draws;
use super::pattern::Pattern;
use super::*;

fn template(path: &str) -> Template {
    Template::get("t", Target::parse(&format!("http://127.0.0.1:9{path}"), false).unwrap())
}

/// The request with this number, as text.
fn rendered(mix: &Mix, number: u64) -> String {
    let (mut body, mut out) = (Vec::new(), Vec::new());
    let template = mix.draw(number);
    mix.render(template, number, &mut body, &mut out);
    let bytes = mix.prepared[template].fixed().map_or(out, <[u8]>::to_vec);
    String::from_utf8(bytes).unwrap()
}

fn text(pattern: &str, seed: u64, number: u64) -> String {
    let mut out = Vec::new();
    Pattern::parse(pattern).unwrap().render(&mut Draws::new(seed, number), number, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_is_written_as_http_wants_it() {
    let mut post = template("/a?b=c");
    post.method = "POST".to_owned();
    post.headers = vec![("x-a".to_owned(), "1".to_owned()), ("x-empty".to_owned(), String::new())];
    post.body = b"hello".to_vec();
    let expected = "POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:9\r\nx-a: 1\r\nx-empty: \r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(String::from_utf8(post.encode().unwrap()).unwrap(), expected);
    assert_eq!(template("/").encode().unwrap(), b"GET / HTTP/1.1\r\nhost: 127.0.0.1:9\r\n\r\n");
}

#[test]
fn a_rendered_request_has_the_length_of_its_body() {
    let mut post = template("/orders/{seq}");
    post.method = "POST".to_owned();
    post.headers = vec![("x-id".to_owned(), "{seq}-{choice(a)}".to_owned())];
    post.body = br#"{"order":{"number":{seq}}}"#.to_vec();
    let mix = Mix::new(&[post], 1).unwrap();
    for (number, length) in [(7, 22), (1_234, 25)] {
        let expected = format!(
            "POST /orders/{number} HTTP/1.1\r\nhost: 127.0.0.1:9\r\nx-id: {number}-a\r\ncontent-length: {length}\r\n\r\n\
             {{\"order\":{{\"number\":{number}}}}}"
        );
        assert_eq!(rendered(&mix, number), expected);
    }
}

#[test]
fn nothing_can_break_out_of_its_line() {
    let with_header = |value: &str| {
        let mut one = template("/");
        one.headers = vec![("x".to_owned(), value.to_owned())];
        one
    };
    let mut method = template("/");
    method.method = "GET /".to_owned();
    let mut empty = template("/");
    empty.method = String::new();
    let hidden = template("/{choice(a b, c)}");
    for bad in [with_header("1\r\ny: 2"), with_header("{choice(a, b\r\nc)}"), method, empty, hidden] {
        assert!(matches!(bad.encode(), Err(TemplateError::Characters { .. })), "{bad:?}");
    }
}

#[test]
fn weights_are_kept_and_the_seed_decides() {
    let templates: Vec<Template> = [1, 0, 3]
        .into_iter()
        .map(|weight| {
            let mut one = template("/");
            one.weight = weight;
            one
        })
        .collect();
    let draw = |seed| {
        let mix = Mix::new(&templates, seed).unwrap();
        (0..40_000).map(|number| mix.draw(number)).collect::<Vec<_>>()
    };
    let picks = draw(5);
    let count = |index| picks.iter().filter(|pick| **pick == index).count();
    assert_eq!(count(1), 0);
    assert!((9_500..10_500).contains(&count(0)), "{}", count(0));
    assert_eq!(picks, draw(5));
    assert_ne!(picks, draw(6));
}

#[test]
fn a_target_gets_only_its_own_requests() {
    let other = Template::get("o", Target::parse("http://127.0.0.1:10/", false).unwrap());
    let mix = Mix::new(&[template("/"), other, template("/b")], 1).unwrap();
    assert_eq!(mix.targets.len(), 2);
    for number in 0..100 {
        assert_ne!(mix.draw_for(0, number), 1);
        assert_eq!(mix.draw_for(1, number), 1);
    }
}

#[test]
fn placeholders_become_what_they_say() {
    assert_eq!(text("/a/{seq}?x={int(5, 5)}", 1, 42), "/a/42?x=5");
    assert_eq!(text("{choice(x{seq})}", 1, 3), "x3");
    assert_eq!(text(r#"{"a":{"b":1}}"#, 1, 1), r#"{"a":{"b":1}}"#, "JSON is itself");
    assert_eq!(text("{{seq} {{ }}", 1, 1), "{seq} {{ }}");
    assert_eq!(text("{uuid}", 1, 1).len(), 36);
    let several: BTreeSet<String> = (0..1_000).map(|number| text("{choice(a, b-{int(-1, 1)})}", 1, number)).collect();
    assert_eq!(several.into_iter().collect::<Vec<_>>(), ["a", "b--1", "b-0", "b-1"]);
}

#[test]
fn the_same_seed_makes_the_same_requests() {
    let path = "/{zipf(1000)}/{uuid}/{int(1, 1000000)}";
    let requests = |seed| {
        let mix = Mix::new(&[template(path)], seed).unwrap();
        (0..100).map(|number| rendered(&mix, number)).collect::<Vec<_>>()
    };
    assert_eq!(requests(1), requests(1));
    assert!(requests(1).iter().zip(&requests(2)).all(|(one, two)| one != two));
}

#[test]
fn what_cannot_be_read_names_its_place_and_a_remedy() {
    for (pattern, at, words) in [
        ("/a/{zip(3)}", 4, "`zip` is no placeholder: known are {zipf(1000)}"),
        ("{zipf}", 1, "write {zipf(1000)}"),
        ("{zipf(0)}", 1, "write {zipf(1000)}"),
        ("{zipf(10, 0)}", 1, "above zero"),
        ("{zipf(a=3)}", 1, "write {zipf(1000)}"),
        ("x{int(3)}", 2, "write {int(1, 6)}"),
        ("x{int(6, 1)}", 2, "write {int(1, 6)}"),
        ("{choice()}", 1, "write {choice(a, b)}"),
        ("{seq(1)}", 1, "takes no arguments"),
        ("ab{seq", 7, "is not closed"),
        ("{int(1, 6}", 5, "write `)`"),
        ("{choice(a, {nope})}", 12, "`nope` is no placeholder"),
        ("{token}", 1, "needs claims"),
        ("{token(subject)}", 8, "a claim has a name"),
        ("{token(key=next)}", 1, "needs claims"),
        ("{token(key={int(1, 2)}, subject=a)}", 8, "names the key"),
        ("{token(key=a, key=b, subject=a)}", 15, "names the key"),
        ("{token(subject={uuid})}", 8, "bounded number of values"),
        ("{token(subject=a, subject=b)}", 19, "there already"),
        ("{choice({choice({choice({choice({seq})})})})}", 33, "at most 4 deep"),
    ] {
        let error = Pattern::parse(pattern).unwrap_err();
        assert_eq!(error.at, at, "{pattern}: {error}");
        assert!(error.problem.contains(words), "{pattern}: {error}");
    }
    let error = template("/{zip(3)}").encode().unwrap_err().to_string();
    assert!(error.starts_with("request `t`: path: at character 2 of `/{zip(3)}`"), "{error}");
}

fn settings() -> TokenSettings {
    TokenSettings {
        issuer: Some("https://issuer.test".to_owned()),
        audience: None,
        key_id: Some("k1".to_owned()),
        issued_at: 1_000,
        lifetime: Duration::from_secs(600),
    }
}

/// Keys made for this test and for nothing else.
const EC_KEY: &[u8] = include_bytes!("tests/ec.pem");
const EC_PUBLIC: &[u8] = include_bytes!("tests/ec.pub.pem");
const RSA_KEY: &[u8] = include_bytes!("tests/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("tests/rsa.pub.pem");

fn claims_of(token: &str, algorithm: jsonwebtoken::Algorithm) -> BTreeMap<String, serde_json::Value> {
    let key = match algorithm {
        jsonwebtoken::Algorithm::ES256 => jsonwebtoken::DecodingKey::from_ec_pem(EC_PUBLIC),
        _ => jsonwebtoken::DecodingKey::from_rsa_pem(RSA_PUBLIC),
    };
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode(token, &key.unwrap(), &validation).unwrap();
    assert_eq!(decoded.header.kid.as_deref(), Some("k1"));
    decoded.claims
}

#[test]
fn tokens_are_signed_before_and_shared_by_claims() {
    for (pem, algorithm) in [(EC_KEY, jsonwebtoken::Algorithm::ES256), (RSA_KEY, jsonwebtoken::Algorithm::RS256)] {
        let key = TokenKey::from_pem(pem, settings()).unwrap();
        let mut one = template("/");
        let value = "Bearer {token(subject=user-{zipf(5)}, audience={choice(a, b)}, scope=read write)}";
        one.headers = vec![("authorization".to_owned(), value.to_owned())];
        let mix = Mix::with_tokens(&[one.clone(), one], 1, Some(&key)).unwrap();
        let mut tokens = BTreeSet::new();
        let mut subjects = BTreeSet::new();
        for number in 0..500 {
            let request = rendered(&mix, number);
            let token = request.split("Bearer ").nth(1).unwrap().trim_end();
            if tokens.insert(token.to_owned()) {
                let claims = claims_of(token, algorithm);
                assert_eq!((&claims["exp"], &claims["iss"]), (&1_600.into(), &"https://issuer.test".into()));
                assert_eq!(claims["scope"], "read write");
                subjects.insert((claims["sub"].to_string(), claims["aud"].to_string()));
            }
        }
        // Five subjects for two audiences, and each combination has one token however many templates ask for it.
        assert_eq!((tokens.len(), subjects.len()), (10, 10), "{algorithm:?}");
    }
}

#[test]
fn tokens_without_a_key_or_without_bound_are_refused() {
    let with = |value: &str| {
        let mut one = template("/");
        one.headers = vec![("authorization".to_owned(), value.to_owned())];
        one
    };
    let error = Mix::new(&[with("{token(subject=a)}")], 1).unwrap_err();
    assert!(error.to_string().contains("give --token-key"), "{error}");
    let key = TokenKey::from_pem(EC_KEY, settings()).unwrap();
    let many = with("{token(subject={zipf(1000)}, scope={int(1, 1000)})}");
    let error = Mix::with_tokens(&[many], 1, Some(&key)).unwrap_err();
    assert!(error.to_string().contains("1000000 combinations"), "{error}");
    let error = TokenKey::from_pem(EC_PUBLIC, settings()).unwrap_err();
    assert!(error.to_string().contains("openssl genpkey"), "{error}");
}

#[test]
fn a_placeholder_names_the_key_that_signs() {
    let with = |value: &str| Template { headers: vec![("a".to_owned(), value.to_owned())], ..template("/") };
    let own = with("{token(subject=a)}");
    let both = with("{choice({token(subject=a)}, {token(key=next, subject=a)})}");
    let key = || TokenKey::from_pem(EC_KEY, settings()).unwrap();
    let next = TokenKey::from_pem(RSA_KEY, settings()).unwrap();
    let mix =
        Mix::with_tokens(&[with("{token(key=next, subject=a)}"), own.clone()], 1, Some(&key().beside("next", next)));
    let mix = mix.unwrap();
    let tokens = (0..50).map(|number| rendered(&mix, number).split("a: ").nth(1).unwrap().trim_end().to_owned());
    let mut algorithms: Vec<_> =
        tokens.map(|token| format!("{:?}", jsonwebtoken::decode_header(&token).unwrap().alg)).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    assert_eq!(algorithms, ["ES256", "RS256"]);

    let keys = |template: &Template| template.token_keys().unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(keys(&both), [None, Some("next".to_owned())]);
    assert_eq!((keys(&own), keys(&template("/"))), (vec![None], vec![]));
    let error = Mix::with_tokens(std::slice::from_ref(&both), 1, Some(&key())).unwrap_err();
    assert!(error.to_string().contains("the key `next`, and no key here has a name"), "{error}");
    let error = Mix::with_tokens(&[both], 1, Some(&key().beside("old", key()))).unwrap_err();
    assert!(error.to_string().ends_with("there are old"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_otherwise_than_by_a_word(text in ".{0,60}") {
        if let Err(error) = Pattern::parse(&text) {
            proptest::prop_assert!(error.at >= 1 && error.at <= text.chars().count() + 1, "{error}");
        }
    }

    #[test]
    fn text_without_placeholders_is_itself(body in "[^{]{0,80}") {
        proptest::prop_assert_eq!(text(&body, 1, 1), body);
    }

    /// What is drawn as a number is one of the texts that rendering makes, and each number has a text of its own.
    #[test]
    fn variants_are_the_texts_that_rendering_makes(seed: u64) {
        let pattern = Pattern::parse("u-{int(1, 3)}-{choice(a, b{zipf(2)}, c)}").unwrap();
        proptest::prop_assert_eq!(pattern.variants(), Some(12));
        let write = |variant| { let mut out = String::new(); pattern.write_variant(variant, &mut out); out };
        let all: BTreeSet<String> = (0..12).map(write).collect();
        proptest::prop_assert_eq!(all.len(), 12);
        let mut out = Vec::new();
        pattern.render(&mut Draws::new(seed, 0), 0, &mut out);
        let drawn = write(pattern.draw_variant(&mut Draws::new(seed, 0)));
        proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), drawn);
    }
}
