//! What an upstream is told of an identity, as header fields that nothing in a claim can break out of.
//!
//! A value is percent-encoded (RFC 3986) but for visible ASCII without `%` and `,`; the elements of an array are joined
//! with commas, scopes with spaces. So a value is one line, has no spaces that a parser would trim, and is decoded by
//! splitting first and decoding each piece then. What is no text is written as JSON, and encoded likewise.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::claims::{Claims, claim};
use crate::config::settings::IdentityHeaders;
use crate::http1::write_field;

const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',').add(0x7f);

fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ENCODED).into()
}

fn piece(value: &Value) -> String {
    match value {
        Value::String(text) => encode(text).into_owned(),
        other => encode(&other.to_string()).into_owned(),
    }
}

/// The fields for claims that this provider has verified; what is not there has none. A subject is one only together
/// with who says so: another provider's may have the same name (OpenID Connect Core, section 5.7).
pub(super) fn write(headers: &IdentityHeaders, provider: &str, claims: &Claims) -> Box<[u8]> {
    let mut fields = Vec::with_capacity(128);
    if let Some(subject) = &claims.subject {
        write_field(&mut fields, &headers.subject_header, encode(subject).as_bytes());
    }
    write_field(&mut fields, &headers.provider_header, encode(provider).as_bytes());
    if !claims.scopes.is_empty() {
        let scopes: Vec<_> = claims.scopes.iter().map(|scope| encode(scope)).collect();
        write_field(&mut fields, &headers.scopes_header, scopes.join(" ").as_bytes());
    }
    for (header, name) in &headers.claims {
        let text = match claim(&claims.all, name) {
            None => continue,
            Some(Value::Array(list)) => list.iter().map(piece).collect::<Vec<_>>().join(","),
            Some(value) => piece(value),
        };
        write_field(&mut fields, header, text.as_bytes());
    }
    fields.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn headers() -> IdentityHeaders {
        let claims = vec![(HeaderName::from_static("x-auth-roles"), "roles".into())];
        IdentityHeaders { claims, ..IdentityHeaders::usual() }
    }

    fn told(subject: &str, scopes: &[&str], claims: &Value) -> String {
        let claims = Claims {
            all: claims.as_object().unwrap().clone(),
            subject: Some(subject.into()),
            scopes: scopes.iter().map(|scope| Box::from(*scope)).collect(),
            until: 0,
            ends: 0,
            bound: None,
        };
        String::from_utf8(write(&headers(), "idp", &claims).into()).unwrap()
    }

    #[test]
    fn values_are_told_so_that_they_can_be_read() {
        assert_eq!(
            told("auth0|42", &["a:b", "c"], &json!({ "roles": ["x", "y z", "ü,%"] })),
            "x-auth-subject: auth0|42\r\nx-auth-provider: idp\r\nx-auth-scopes: a:b c\r\n\
             x-auth-roles: x,y%20z,%C3%BC%2C%25\r\n"
        );
        let who = "x-auth-subject: a\r\nx-auth-provider: idp\r\n";
        assert_eq!(told("a", &[], &json!({})), who);
        assert_eq!(
            told("a", &[], &json!({ "roles": { "k": [1, "v"] } })),
            format!("{who}x-auth-roles: {{\"k\":[1%2C\"v\"]}}\r\n")
        );
        assert_eq!(told("a", &[], &json!({ "roles": true })), format!("{who}x-auth-roles: true\r\n"));
    }

    proptest! {
        #[test]
        fn b9_nothing_in_a_claim_ends_its_line(
            subject in ".{0,40}",
            scopes in proptest::collection::vec("[^ ]{1,10}", 0..4),
            roles in proptest::collection::vec(any::<String>(), 0..4),
        ) {
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            let text = told(&subject, &scopes, &json!({ "roles": roles }));
            let lines: Vec<&str> = text.split("\r\n").collect();
            prop_assert_eq!(lines.len(), 3 + usize::from(!scopes.is_empty()) + 1, "{:?}", text);
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')));
            let value = lines[0].strip_prefix("x-auth-subject: ").unwrap();
            prop_assert_eq!(percent_encoding::percent_decode_str(value).decode_utf8().unwrap(), subject);
            let value = lines[lines.len() - 2].strip_prefix("x-auth-roles: ").unwrap();
            let decode = |piece| percent_encoding::percent_decode_str(piece).decode_utf8().unwrap().into_owned();
            let decoded: Vec<String> = value.split(',').map(decode).collect();
            if !roles.is_empty() {
                prop_assert_eq!(decoded, roles);
            }
        }
    }
}
