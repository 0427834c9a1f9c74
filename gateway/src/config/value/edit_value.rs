//! What an edit writes into a header or a query: text, and values of the request in braces (`{client_ip}`,
//! `{header:x-trace}`). A brace itself is written twice.
//!
//! The one place that reads them. Other gateways write such values in ways of their own, which are text here: they are
//! known, so that who brings them is told.

use http::{HeaderName, HeaderValue};

use super::text::header_name;
use crate::config::settings::header_edits::{EditValue, KnownValue, ValuePiece};

/// The longest value in which others' variables are looked for, bytes.
const MOST_LOOKED_AT: usize = 4096;

/// A piece of a value, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written<'t> {
    /// Text.
    Literal(&'t str),
    /// A name that means the same on every route.
    Known(KnownValue),
    /// `header:NAME`
    Header(HeaderName),
    /// Any other name: a parameter of the path, if it has one of that name.
    Other(&'t str),
}

/// Reads a value.
///
/// # Errors
/// What is wrong with its braces, in words that follow a colon.
pub(crate) fn parse(text: &str) -> Result<Vec<Written<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (literal, brace) = rest.split_at(at);
        if !literal.is_empty() {
            pieces.push(Written::Literal(literal));
        }
        if brace.starts_with("{{") || brace.starts_with("}}") {
            pieces.push(Written::Literal(&brace[..1]));
            rest = &brace[2..];
            continue;
        }
        let inner = brace.strip_prefix('{').ok_or("`}` without `{`; a brace itself is written twice")?;
        let (name, after) = inner.split_once('}').ok_or("`{` without `}`; a brace itself is written twice")?;
        pieces.push(named(name)?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Written::Literal(rest));
    }
    Ok(pieces)
}

fn named(name: &str) -> Result<Written<'_>, String> {
    if let Some(header) = name.strip_prefix("header:") {
        return header_name(header).map(Written::Header).map_err(|_| "`header:` is followed by a header's name".into());
    }
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match KnownValue::parse(name) {
        Some(known) => Ok(Written::Known(known)),
        None if fits => Ok(Written::Other(name)),
        None => Err("what stands in braces is the name of a value; a brace itself is written twice".to_owned()),
    }
}

/// The value, by the parameters of the path; `None` where it is none, which the check reports.
pub(crate) fn read(text: &str, parameters: &[&str]) -> Option<EditValue> {
    let pieces = pieces(text, parameters)?;
    match pieces.as_slice() {
        [] => Some(EditValue::Fixed(HeaderValue::from_static(""))),
        [ValuePiece::Literal(text)] => HeaderValue::from_str(text).ok().map(EditValue::Fixed),
        _ => Some(EditValue::Made(pieces.into())),
    }
}

/// Its pieces, no two literals side by side; `None` where one is no value, which the check reports.
pub(crate) fn pieces(text: &str, parameters: &[&str]) -> Option<Vec<ValuePiece>> {
    let mut pieces: Vec<ValuePiece> = Vec::new();
    let mut literal = String::new();
    for piece in parse(text).ok()? {
        let made = match piece {
            Written::Literal(text) => {
                literal.push_str(text);
                continue;
            }
            Written::Known(known) => ValuePiece::Known(known),
            Written::Header(name) => ValuePiece::Header(name),
            Written::Other(name) => ValuePiece::Param(parameters.iter().position(|own| *own == name)?),
        };
        if !literal.is_empty() {
            pieces.push(ValuePiece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.push(made);
    }
    if !literal.is_empty() {
        pieces.push(ValuePiece::Literal(literal.into()));
    }
    Some(pieces)
}

/// What another gateway would take for a value of the request, and how that is written here, where there is such a
/// value.
pub(crate) fn foreign(text: &str) -> Option<(&str, Option<String>)> {
    // Each sign is looked for its end: in long values that would take long, and they are none that people write.
    if text.len() > MOST_LOOKED_AT {
        return None;
    }
    let found = text.match_indices(['$', '%']).find_map(|(at, _)| sign(&text[at..]))?;
    Some((found, meant(found)))
}

/// `$name` of nginx, `$(name)` of Kong; `%[fetch]` of HAProxy, `%NAME%` and `%NAME(of)%` of Envoy.
fn sign(text: &str) -> Option<&str> {
    let rest = &text[1..];
    let end = if text.starts_with('%') {
        match rest.strip_prefix('[') {
            Some(fetch) => fetch.find(']').filter(|length| *length > 0)? + 2,
            None => operator(rest)?,
        }
    } else if let Some(name) = rest.strip_prefix('(') {
        name.find(')').filter(|length| *length > 0)? + 2
    } else {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let length = rest.bytes().take_while(|byte| is_name(*byte)).count();
        let begins = rest.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        (begins && length > 2).then_some(length)?
    };
    text.get(..=end)
}

/// How long an operator of Envoy's is, its last sign counted.
fn operator(rest: &str) -> Option<usize> {
    let length = rest.bytes().take_while(|byte| byte.is_ascii_uppercase() || *byte == b'_').count();
    let begins = rest.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    let after = rest.get(length..).filter(|_| begins && length > 2)?;
    let of = if after.starts_with('(') { after.find(')')? + 1 } else { 0 };
    after.get(of..)?.starts_with('%').then_some(length + of + 1)
}

/// What stands for it here.
fn meant(sign: &str) -> Option<String> {
    let known = match sign {
        "$remote_addr" | "%[src]" | "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" => KnownValue::ClientIp,
        "$scheme" | "%REQ(:SCHEME)%" => KnownValue::Scheme,
        "$host" | "$http_host" | "%[req.hdr(host)]" | "%[hdr(host)]" | "%REQ(:AUTHORITY)%" => KnownValue::Host,
        "$server_port" | "%[dst_port]" => KnownValue::Port,
        "$request_method" | "%[method]" | "%REQ(:METHOD)%" => KnownValue::Method,
        "$request_uri" | "%[url]" | "%[pathq]" | "%REQ(:PATH)%" => KnownValue::Uri,
        "$uri" | "$document_uri" | "%[path]" => KnownValue::Path,
        "$request_id" | "%[unique-id]" | "%REQ(X-REQUEST-ID)%" => KnownValue::RequestId,
        _ => return header(sign).map(|name| format!("{{header:{name}}}")),
    };
    Some(format!("{{{}}}", known.as_str()))
}

/// The header of the request that it is.
fn header(sign: &str) -> Option<String> {
    let between = |before: &str, after: &str| sign.strip_prefix(before)?.strip_suffix(after);
    let name = match sign.strip_prefix("$http_") {
        Some(name) => name.replace('_', "-"),
        None => between("%REQ(", ")%")
            .or_else(|| between("%[req.hdr(", ")]"))
            .or_else(|| between("%[hdr(", ")]"))
            .or_else(|| between("$(headers.", ")"))?
            .to_ascii_lowercase(),
    };
    header_name(&name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> ValuePiece {
        ValuePiece::Literal(text.into())
    }

    #[test]
    fn values_are_read() {
        let fixed = |text: &str| Some(EditValue::Fixed(HeaderValue::from_str(text).unwrap()));
        assert_eq!(read("1.1 gw", &[]), fixed("1.1 gw"));
        assert_eq!(read("", &[]), fixed(""));
        assert_eq!(read("{{\"a\":{{}}}}", &[]), fixed("{\"a\":{}}"));
        let made = |pieces: Vec<ValuePiece>| Some(EditValue::Made(pieces.into()));
        let client = ValuePiece::Known(KnownValue::ClientIp);
        assert_eq!(read("{client_ip}", &[]), made(vec![client.clone()]));
        assert_eq!(read("for={client_ip};", &[]), made(vec![literal("for="), client, literal(";")]));
        assert_eq!(read("{{{b}{a}}}", &["a", "b"]), {
            made(vec![literal("{"), ValuePiece::Param(1), ValuePiece::Param(0), literal("}")])
        });
        let header = ValuePiece::Header(HeaderName::from_static("x-a"));
        assert_eq!(read("{header:X-A}", &[]), made(vec![header]));
        assert_eq!(read("{a}", &["b"]), None);
    }

    #[test]
    fn braces_that_name_nothing() {
        for text in
            ["{", "}", "{}", "a}b", "{a", "{a b}", "{\"a\":1}", "{{a}", "{a}}", "{header:}", "{header:a b}", "{a.b}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        for known in KnownValue::ALL {
            assert_eq!(parse(&format!("{{{}}}", known.as_str())), Ok(vec![Written::Known(known)]));
        }
    }

    #[test]
    fn what_other_gateways_write_is_known() {
        for (text, sign, meant) in [
            ("$remote_addr", "$remote_addr", Some("{client_ip}")),
            ("for=$remote_addr;x", "$remote_addr", Some("{client_ip}")),
            ("$http_x_trace", "$http_x_trace", Some("{header:x-trace}")),
            ("$upstream_addr", "$upstream_addr", None),
            ("$(headers.X-A)", "$(headers.X-A)", Some("{header:x-a}")),
            ("%[src]", "%[src]", Some("{client_ip}")),
            ("%[req.hdr(X-A)]", "%[req.hdr(X-A)]", Some("{header:x-a}")),
            ("%[ssl_fc]", "%[ssl_fc]", None),
            ("a %REQ(:PATH)% b", "%REQ(:PATH)%", Some("{uri}")),
            ("%START_TIME%", "%START_TIME%", None),
            (
                "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                Some("{client_ip}"),
            ),
        ] {
            assert_eq!(foreign(text), Some((sign, meant.map(str::to_owned))), "{text}");
        }
        for text in
            ["US$5", "$", "%", "100%", "a%20b", "%AB%", "$US", "50% OFF%", "%[", "%[]", "$()", "$1abc", "%é%", "$é"]
        {
            assert_eq!(foreign(text), None, "{text}");
        }
    }
}
