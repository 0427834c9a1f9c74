//! What a verified token says (RFC 7519), held against what its provider accepts, at a time that is given. Pure.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::is_scope;
use crate::config::settings::identity::{Introspection, Jwt};
use crate::jws::{decode_base64url, parse_json};
use crate::telemetry::metrics::AuthResult;

/// The end of the year 9999: a later time is a mistake, or an attack on whoever adds to it.
const LAST_SECOND: i64 = 253_402_300_799;
/// The longest subject, bytes: it becomes a header, a label of limits and a part of records.
pub(super) const MAX_SUBJECT_BYTES: usize = 1024;

/// Claims that hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claims {
    /// All of them.
    pub(super) all: Map<String, Value>,
    /// `sub`
    pub(super) subject: Option<Box<str>>,
    /// `scope` or `scp`
    pub(super) scopes: Box<[Box<str>]>,
    /// The second from which on they are believed no more without being looked at again, leeway included; Unix time.
    pub(super) until: i64,
    /// The second from which on the credential itself holds no more, which may be later; `i64::MAX` where it has none.
    pub(super) ends: i64,
    /// The SHA-256 of the certificate whose owner alone may present the credential.
    pub(super) bound: Option<[u8; 32]>,
}

impl Claims {
    /// Of what the program's own code says, which is held against the same bounds.
    ///
    /// # Errors
    /// The subject, or a scope, cannot be told to an upstream.
    pub(super) fn of_program(
        subject: Option<Box<str>>,
        scopes: Vec<Box<str>>,
        all: Map<String, Value>,
        (until, ends): (i64, i64),
    ) -> Result<Self, AuthResult> {
        let bad = |text: &str| text.is_empty() || text.len() > MAX_SUBJECT_BYTES;
        if subject.as_deref().is_some_and(bad) || scopes.iter().any(|scope| bad(scope) || !is_scope(scope)) {
            return Err(AuthResult::Claims);
        }
        Ok(Self { all, subject, scopes: scopes.into(), until, ends, bound: None })
    }
}

/// Reads a payload and judges it at `now`, seconds since the Unix epoch.
///
/// # Errors
/// Why the token does not hold.
pub(super) fn judge(payload: &[u8], rules: &Jwt, now: i64) -> Result<Claims, AuthResult> {
    let Ok(Value::Object(all)) = parse_json(payload) else { return Err(AuthResult::Claims) };
    if all.get("iss").and_then(Value::as_str) != Some(&rules.issuer) {
        return Err(AuthResult::Issuer);
    }
    if !is_for_us(&all, rules) {
        return Err(AuthResult::Audience);
    }
    let until = check_times(&all, rules.leeway, now)?;
    if rules.required_claims.iter().any(|name| all.get(&**name).is_none_or(Value::is_null)) {
        return Err(AuthResult::Claims);
    }
    let subject = subject(&all)?;
    let scopes = scopes(&all).ok_or(AuthResult::Claims)?;
    let bound = bound(&all, rules.ignores_binding)?;
    Ok(Claims { subject, scopes, until, ends: until, bound, all })
}

/// Reads what an issuer says of an active token, at `now`: it is believed for a while, and not beyond `exp`.
///
/// # Errors
/// The token does not hold at this time, or is bound to what nobody can show here.
pub(super) fn of_introspection(all: Map<String, Value>, rules: &Introspection, now: i64) -> Result<Claims, AuthResult> {
    let ends = time(&all, "exp")?.unwrap_or(i64::MAX);
    if now >= ends {
        return Err(AuthResult::Expired);
    }
    if time(&all, "nbf")?.is_some_and(|begin| now < begin) {
        return Err(AuthResult::NotYet);
    }
    let subject = subject(&all)?;
    let scopes = scopes(&all).ok_or(AuthResult::Claims)?;
    let bound = bound(&all, rules.ignores_binding)?;
    let positive = i64::try_from(rules.positive.as_secs()).unwrap_or(0);
    Ok(Claims { subject, scopes, until: ends.min(now.saturating_add(positive)), ends, bound, all })
}

/// `cnf`: who may present a token, which then is nobody's who only has it (RFC 7800). What can be held against a
/// connection is its client's certificate (RFC 8705, section 3.1); a token that is bound otherwise, to a key of DPoP,
/// is no bearer token (RFC 9449, section 7.2).
fn bound(all: &Map<String, Value>, ignored: bool) -> Result<Option<[u8; 32]>, AuthResult> {
    let Some(cnf) = all.get("cnf").filter(|_| !ignored) else { return Ok(None) };
    let only = cnf.as_object().filter(|members| members.len() == 1);
    let thumbprint = only.and_then(|members| decode_base64url(members.get("x5t#S256")?.as_str()?.as_bytes()));
    let digest = thumbprint.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    digest.map(Some).ok_or(AuthResult::NotHolder)
}

/// `sub`, where it is there.
fn subject(all: &Map<String, Value>) -> Result<Option<Box<str>>, AuthResult> {
    match all.get("sub") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_SUBJECT_BYTES => {
            Ok(Some(text.as_str().into()))
        }
        Some(_) => Err(AuthResult::Claims),
    }
}

/// The claim that says for whom a token is names us. Where that is not `aud`, a token that has one all the same is not
/// for others either (RFC 7519, section 4.1.3: it must be rejected).
fn is_for_us(all: &Map<String, Value>, rules: &Jwt) -> bool {
    let says_so = claim(all, &rules.audience_claim).is_some_and(|named| names_us(named, &rules.audiences));
    says_so && (&*rules.audience_claim == "aud" || all.get("aud").is_none_or(|named| names_us(named, &rules.audiences)))
}

/// One of ours, or an array that holds one.
pub(super) fn names_us(named: &Value, audiences: &[Box<str>]) -> bool {
    let is_ours = |value: &Value| value.as_str().is_some_and(|text| audiences.iter().any(|ours| **ours == *text));
    match named {
        Value::Array(list) => list.iter().all(Value::is_string) && list.iter().any(is_ours),
        _ => is_ours(named),
    }
}

/// `exp`, which must be there, `nbf` and `iat`. Gives the end, leeway included.
fn check_times(all: &Map<String, Value>, leeway: Duration, now: i64) -> Result<i64, AuthResult> {
    let leeway = i64::try_from(leeway.as_secs()).unwrap_or(0);
    let until = time(all, "exp")?.ok_or(AuthResult::Claims)?.saturating_add(leeway);
    if now >= until {
        return Err(AuthResult::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(all, name)?.is_some_and(|time| now < time.saturating_sub(leeway)) {
            return Err(AuthResult::NotYet);
        }
    }
    Ok(until)
}

/// A time in whole seconds, not before 1970 and not beyond the year 9999.
fn time(all: &Map<String, Value>, name: &str) -> Result<Option<i64>, AuthResult> {
    match all.get(name) {
        None => Ok(None),
        Some(value) => {
            let time = value.as_i64().filter(|time| (0..=LAST_SECOND).contains(time));
            time.map(Some).ok_or(AuthResult::Claims)
        }
    }
}

/// `scope`, else `scp`: text with spaces between (RFC 8693, section 4.2), or an array of texts, of which one with
/// spaces in it is no scope.
fn scopes(all: &Map<String, Value>) -> Option<Box<[Box<str>]>> {
    match all.get("scope").or_else(|| all.get("scp")) {
        None | Some(Value::Null) => Some(Box::default()),
        Some(Value::String(text)) => Some(text.split_ascii_whitespace().map(Box::from).collect()),
        Some(Value::Array(list)) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            Some(texts?.into_iter().filter(|text| is_scope(text)).map(Box::from).collect())
        }
        Some(_) => None,
    }
}

/// A claim by its name; a name that begins with a slash is a JSON pointer (RFC 6901) where no claim is called so.
pub fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value).filter(|value| !value.is_null());
    }
    let mut steps = name.strip_prefix('/')?.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&steps.next()?)?;
    let value = steps.try_fold(first, |value, step| match value {
        Value::Object(members) => members.get(&step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })?;
    Some(value).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_000_000;

    fn rules() -> Jwt {
        Jwt {
            issuer: "https://idp".into(),
            audiences: vec!["api".into(), "web".into()],
            audience_claim: "aud".into(),
            algorithms: Vec::new(),
            keys: None,
            secret: None,
            leeway: Duration::from_secs(30),
            max_token_bytes: 8192,
            required_claims: vec!["exp".into(), "sub".into()],
            cache_bytes: None,
            typ: Vec::new(),
            forward_token: false,
            token_from: Box::default(),
            replay_store: None,
            revocation: None,
            ignores_binding: false,
        }
    }

    fn good() -> Value {
        json!({ "iss": "https://idp", "aud": "api", "sub": "ada", "exp": NOW + 60 })
    }

    /// What comes of good claims with these in their place; null takes one away.
    fn with(members: &Value) -> Result<Claims, AuthResult> {
        let mut claims = good();
        for (name, value) in members.as_object().unwrap() {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        judge(claims.to_string().as_bytes(), &rules(), NOW)
    }

    #[test]
    fn what_is_right_holds_until_its_end_and_the_leeway() {
        let claims = with(&json!({ "scope": "a b  c" })).unwrap();
        assert_eq!((claims.subject.as_deref(), claims.until), (Some("ada"), NOW + 90));
        assert_eq!(claims.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["a", "b", "c"]);
        let listed = with(&json!({ "scope": ["a", "b admin", "", "c\td", "e"] })).unwrap();
        assert_eq!(listed.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["a", "e"]);
        for accepted in [
            json!({ "aud": ["x", "web"] }),
            json!({ "exp": NOW - 29 }),
            json!({ "nbf": NOW + 30, "iat": NOW + 30 }),
            json!({ "iat": 0 }),
            json!({ "scp": ["a"] }),
            json!({ "exp": LAST_SECOND }),
            json!({ "custom": { "deep": [1, { "er": null }] } }),
        ] {
            assert!(with(&accepted).is_ok(), "{accepted}");
        }
    }

    #[test]
    fn h6_times_are_whole_seconds_and_hold_now() {
        for exp in [json!(NOW - 30), json!(NOW - 31), json!(0)] {
            assert_eq!(with(&json!({ "exp": exp })), Err(AuthResult::Expired), "{exp}");
        }
        for odd in [
            json!(1.5e9),
            json!(1e300),
            json!(-1),
            json!("2000000000"),
            json!(LAST_SECOND + 1),
            json!(u64::MAX),
            json!([]),
            json!(true),
        ] {
            for name in ["exp", "nbf", "iat"] {
                assert_eq!(with(&json!({ name: odd })), Err(AuthResult::Claims), "{name} {odd}");
            }
        }
        assert_eq!(with(&json!({ "exp": null })), Err(AuthResult::Claims), "exp is required");
        for early in [json!({ "nbf": NOW + 31 }), json!({ "iat": NOW + 31 }), json!({ "iat": LAST_SECOND })] {
            assert_eq!(with(&early), Err(AuthResult::NotYet), "{early}");
        }
        let mut without = rules();
        without.required_claims.clear();
        let claims = json!({ "iss": "https://idp", "aud": "api" }).to_string();
        assert_eq!(judge(claims.as_bytes(), &without, NOW), Err(AuthResult::Claims), "whatever is configured");
    }

    #[test]
    fn h7_issuer_and_audience_are_exact() {
        for iss in [
            json!("https://idp/"),
            json!("HTTPS://idp"),
            json!("https://id"),
            json!(["https://idp"]),
            json!(null),
            json!(1),
        ] {
            assert_eq!(with(&json!({ "iss": iss })), Err(AuthResult::Issuer), "{iss}");
        }
        for aud in [
            json!("API"),
            json!("api "),
            json!([]),
            json!(["x"]),
            json!(["api", 1]),
            json!({ "api": 1 }),
            json!(null),
            json!([["api"]]),
        ] {
            assert_eq!(with(&json!({ "aud": aud })), Err(AuthResult::Audience), "{aud}");
        }
    }

    #[test]
    fn h7_an_audience_in_another_claim_is_as_exact() {
        let mut rules = rules();
        let held = |rules: &Jwt, claims: Value| {
            let mut all = json!({ "iss": "https://idp", "sub": "ada", "exp": NOW + 60 });
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            judge(all.to_string().as_bytes(), rules, NOW).map(drop)
        };
        rules.audience_claim = "client_id".into();
        for good in [
            json!({ "client_id": "api" }),
            json!({ "client_id": "web", "aud": "api" }),
            json!({ "client_id": "web", "aud": ["x", "web"] }),
        ] {
            assert_eq!(held(&rules, good.clone()), Ok(()), "{good}");
        }
        for bad in [
            json!({ "aud": "api" }),
            json!({}),
            json!({ "client_id": "API" }),
            json!({ "client_id": 1 }),
            json!({ "client_id": null, "aud": "api" }),
            json!({ "client_id": "api", "aud": "another" }),
            json!({ "client_id": "api", "aud": null }),
        ] {
            assert_eq!(held(&rules, bad.clone()), Err(AuthResult::Audience), "{bad}");
        }
        rules.audience_claim = "/app/id".into();
        assert_eq!(held(&rules, json!({ "app": { "id": "api" } })), Ok(()));
        assert_eq!(held(&rules, json!({ "app": "api" })), Err(AuthResult::Audience));
    }

    #[test]
    fn subjects_and_scopes_are_texts() {
        for odd in [
            json!({ "sub": 1 }),
            json!({ "sub": "" }),
            json!({ "sub": "x".repeat(1025) }),
            json!({ "sub": null }),
            json!({ "scope": 1 }),
            json!({ "scope": ["a", 1] }),
            json!({ "scp": {} }),
        ] {
            assert_eq!(with(&odd), Err(AuthResult::Claims), "{odd}");
        }
        for payload in [&b"[]"[..], b"", b"x", br#"{"sub":"a","sub":"b"}"#, b"\xff"] {
            assert_eq!(judge(payload, &rules(), NOW), Err(AuthResult::Claims));
        }
    }

    #[test]
    fn a_token_that_is_bound_says_to_whose_certificate_or_is_refused() {
        let thumbprint = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0";
        let digest = decode_base64url(thumbprint.as_bytes()).unwrap();
        let claims = with(&json!({ "cnf": { "x5t#S256": thumbprint } })).unwrap();
        assert_eq!(claims.bound.as_ref().map(<[u8; 32]>::as_slice), Some(digest.as_slice()));
        assert_eq!(with(&json!({})).unwrap().bound, None);
        for other in [
            json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
            json!({ "x5t#S256": thumbprint, "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
            json!({ "x5t#S256": &thumbprint[..40] }),
            json!({ "x5t#S256": format!("{thumbprint}=") }),
            json!({ "x5t#S256": 1 }),
            json!({}),
            json!([]),
            json!("x"),
        ] {
            assert_eq!(with(&json!({ "cnf": other })), Err(AuthResult::NotHolder), "{other}");
            let mut rules = rules();
            rules.ignores_binding = true;
            let mut claims = good();
            claims["cnf"] = other;
            assert_eq!(judge(claims.to_string().as_bytes(), &rules, NOW).map(|claims| claims.bound), Ok(None));
        }
    }

    #[test]
    fn a_claim_is_found_by_its_name_or_by_a_pointer() {
        let claims = json!({ "a": 1, "/b": 2, "realm": { "roles": ["x", "y"], "a/b": 3 }, "none": null });
        let claims = claims.as_object().unwrap();
        for (name, value) in [
            ("a", Some(json!(1))),
            ("/b", Some(json!(2))),
            ("/realm/roles/1", Some(json!("y"))),
            ("/realm/a~1b", Some(json!(3))),
            ("realm.roles", None),
            ("/realm/none", None),
            ("/", None),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(claim(claims, name), value.as_ref(), "{name}");
        }
    }
}
