//! What services are asked for, and what requests are recognised by, as people are shown it: a value may be a key
//! (`/check?token=…`), which variables fill in.

/// Stands where a value is not shown.
pub const NOT_SHOWN: &str = "(not shown)";

/// Parts of names of headers, parameters and members whose values are not shown.
const SECRET: [&str; 11] =
    ["auth", "cookie", "token", "secret", "pass", "key", "sig", "cred", "session", "jwt", "private"];

/// Whether what has this name may be secret: a header, a parameter, a member or a place in a body.
pub fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|secret| name.contains(secret))
}

/// A collector's address without its path, in which some take a secret.
pub fn origin(endpoint: &str) -> &str {
    let host = endpoint.find("://").map_or(0, |at| at + 3);
    endpoint[host..].find('/').map_or(endpoint, |end| &endpoint[..host + end])
}

/// A path without the values of its query; what stands for a value of a request (`{id}`) is told.
pub fn shown(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((_, value)) if value.is_empty() || is_placeholder(value) => pair.to_owned(),
        Some((name, _)) => format!("{name}={NOT_SHOWN}"),
        None if pair.is_empty() || is_placeholder(pair) => pair.to_owned(),
        None => NOT_SHOWN.to_owned(),
    };
    format!("{path}?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

/// A path as a file has it, in which variables stand by their names: it hides nothing that the file does not show, but
/// for the values of a query whose names say that they may be secret.
pub fn as_written(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if may_be_secret(name) && !value.is_empty() && !is_placeholder(value) => {
            format!("{name}={NOT_SHOWN}")
        }
        Some(_) => pair.to_owned(),
        // What has no name may be anything.
        None if pair.is_empty() || is_placeholder(pair) => pair.to_owned(),
        None => NOT_SHOWN.to_owned(),
    };
    format!("{path}?{}", query.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

/// A body of JSON without its texts; names, numbers and what stands for values of a request (`{ids}`) are told.
pub fn shown_body(body: &str) -> String {
    let (mut shown, mut rest) = (String::new(), body);
    while let Some((before, after)) = rest.split_once('"') {
        let end = end_of_text(after);
        let (text, following) = (&after[..end], after.get(end + 1..).unwrap_or(""));
        let is_name = following.trim_start().starts_with(':');
        let told = if is_name || text.is_empty() { text } else { NOT_SHOWN };
        shown.push_str(&format!("{before}\"{told}\""));
        rest = following;
    }
    shown + rest
}

/// Where a text of JSON ends that begins here: at its closing quote.
fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    let closes = |byte: u8| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    };
    text.bytes().position(closes).unwrap_or(text.len())
}

fn is_placeholder(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use super::{as_written, may_be_secret, origin, shown, shown_body};

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["authorization", "X-Edge-Secret", "sessionid", "/user/apiKey"] {
            assert!(may_be_secret(name), "{name}");
        }
        for name in ["x-version", "page", "/kind", ""] {
            assert!(!may_be_secret(name), "{name}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318"),
            ("https://otel.test/of/s3cret", "https://otel.test"),
        ] {
            assert_eq!(origin(endpoint), expected);
        }
    }

    #[test]
    fn values_of_a_query_are_not_shown() {
        for (path, expected) in [
            ("/verify", "/verify"),
            ("/verify?token=s3cret", "/verify?token=(not shown)"),
            ("/orders?user={id}&key=s3cret&page=", "/orders?user={id}&key=(not shown)&page="),
            ("/orders?s3cret", "/orders?(not shown)"),
            ("/orders?ids={a}s3cret{b}", "/orders?ids=(not shown)"),
            ("/orders?{a}?", "/orders?(not shown)"),
        ] {
            assert_eq!(shown(path), expected);
        }
    }

    #[test]
    fn what_a_file_shows_is_shown_but_for_what_is_called_a_secret() {
        for (path, expected) in [
            ("/items?ids={id},9&lang={query.lang}", "/items?ids={id},9&lang={query.lang}"),
            ("/items?ids=${FEW},{id}&page=", "/items?ids=${FEW},{id}&page="),
            ("/items?api_key=s3cret&token={token}", "/items?api_key=(not shown)&token={token}"),
            ("/items?s3cret", "/items?(not shown)"),
            ("/items/{id}", "/items/{id}"),
        ] {
            assert_eq!(as_written(path), expected);
        }
    }

    #[test]
    fn texts_of_a_body_are_not_shown() {
        for (body, expected) in [
            ("{\"ids\": {ids}, \"most\": 5}", "{\"ids\": {ids}, \"most\": 5}"),
            (
                "{\"key\" : \"s3\\\"cret\", \"ids\":{ids}, \"e\": \"\"}",
                "{\"key\" : \"(not shown)\", \"ids\":{ids}, \"e\": \"\"}",
            ),
            ("[\"s3cret\\\\\", {ids}]", "[\"(not shown)\", {ids}]"),
            ("\"open", "\"(not shown)\""),
        ] {
            assert_eq!(shown_body(body), expected);
        }
    }
}
