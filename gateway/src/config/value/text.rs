//! The kinds of text that keys take, each with its check. One static a kind.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use super::{
    edit_value, host_port, path_pattern, path_regex, problem_key, statuses, store_url, upstream_url, value_match,
};
use crate::config::is_scope;
use crate::config::settings::cache::KEPT_STATUSES;
use crate::config::settings::compress::MediaRange;
use crate::config::settings::split::StickyKey;
use crate::config::settings::token_place::TokenPlace;
use crate::config::settings::upstream_tls;

/// A kind of text.
pub(crate) struct TextKind {
    /// What it is called, with its article: "a header's name".
    pub(crate) name: &'static str,
    /// How it looks.
    pub(crate) example: &'static str,
    /// Says what is wrong with a text, in words that follow a colon.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $title:literal, $example:literal, $check:expr;)*) => {
        $($(#[$doc])* pub(crate) static $name: TextKind = TextKind { name: $title, example: $example, check: $check };)*
    };
}

kinds! {
    /// Any text.
    ANY = "text", "text", |_| Ok(());
    /// Some text.
    NOT_EMPTY = "text that is not empty", "text", |text| require(!text.is_empty(), "it is empty");
    /// What a token is for.
    SCOPE = "a scope", "orders:read", |text| require(is_scope(text), "a scope is not empty and holds no space");
    /// A listening address.
    SOCKET = "an IP address and port", "127.0.0.1:8080", |text| socket(text);
    /// A listening address, or nothing.
    SOCKET_OR_EMPTY = "an IP address and port, or empty", "127.0.0.1:9901",
        |text| if text.is_empty() { Ok(()) } else { socket(text) };
    /// A network.
    CIDR = "a network", "10.0.0.0/8", |text| cidr(text).map(drop);
    /// Where clients are, or are not.
    CLIENT_NETWORK = "a network, perhaps with a `!` before it", "10.0.0.0/8", |text| client_network(text).map(drop);
    /// An endpoint.
    HOST_PORT = "a host and port", "127.0.0.1:9001", |text| host_port::parse(text).map(drop);
    /// A route's host.
    HOST = "a host name", "*.example.com", |text| host_pattern(text);
    /// Who has to prove itself.
    SERVER_NAME = "a host name or an IP address", "orders.internal", |text| server_name(text);
    /// An environment variable's name.
    ENVIRONMENT = "an environment variable's name", "GATEWAY_ADMIN_TOKEN", |text| environment(text);
    /// A name that other keys refer to.
    NAME = "a name", "orders", |text| name(text);
    /// Who has passed a message on, or nobody.
    VIA = "a name, perhaps with a port, or empty", "edge-1", |text| via(text);
    /// A name in logs; a path is one too.
    LABEL = "a name", "orders", |text| label(text);
    /// A route's upstream.
    UPSTREAM = "an upstream's name or a URL", "orders", |text| upstream(text);
    /// A header's name.
    HEADER = "a header's name", "x-user", |text| header_name(text).map(drop);
    /// A header's name or the beginning of names.
    HEADER_PATTERN = "a header's name, or the beginning of one and a star", "x-auth-*", |text| header_pattern(text);
    /// A header that a route or an identity may set.
    EDITABLE_HEADER = "a header's name", "x-user", |text| editable_header(text);
    /// A header's value.
    HEADER_VALUE = "a header's value", "text", |text| header_value(text);
    /// The same, perhaps with values of the request.
    EDIT_VALUE = "a header's value", "{client_ip}",
        |text| header_value(text).and_then(|()| edit_value::parse(text).map(drop));
    /// A header's or query parameter's condition.
    VALUE_MATCH = "a value, \"*\" or \"~REGEX\"", "~v[0-9]+", |text| value_match::parse(text).map(drop);
    /// A query parameter's name.
    PARAMETER = "a query parameter's name", "version", |text| require(!text.is_empty(), "it is empty");
    /// The name of a query parameter that is edited.
    EDITABLE_PARAMETER = "a query parameter's name", "page", |text| editable_parameter(text);
    /// What a query parameter is set to.
    PARAMETER_VALUE = "a query parameter's value", "{client_ip}", |text| edit_value::parse(text).map(drop);
    /// A method.
    METHOD = "a method", "GET", |text| method(text);
    /// A regular expression of the whole path.
    PATH_REGEX = "a regular expression of the path", "/v[0-9]+/items/(?<id>[a-z]+)", |text| path_regex::parse(text).map(drop);
    /// A route's path.
    PATH_PATTERN = "a path pattern", "/api/{id}/{*rest}", |text| path_pattern::parse(text).map(drop);
    /// A new path.
    PATH_TEMPLATE = "a path", "/v2/{rest}", |text| path_pattern::template(text).map(drop);
    /// A fixed path.
    PATH = "a path", "/api", |text| path_pattern::plain(text);
    /// A fixed path with a query, or nothing.
    PATH_OR_EMPTY = "a path, or empty", "/health", |text| path_or_empty(text);
    /// A fixed path with a query.
    CHECK_PATH = "a path", "/verify", |text| check_path(text);
    /// An upstream call's target, parameters in any place.
    CALL = "a path and perhaps a query", "/users/{id}", |text| call(text);
    /// A host without a port, and no pattern.
    HOST_NAME = "a host name", "www.example.com", |text| host_port::host(text).map(drop);
    /// `client`, `upstream` or a name.
    SENT_HOST = "client, upstream or a host name", "client", |text| sent_host(text);
    /// The host that a check asks for.
    ASKED_HOST = "a host name, and perhaps a port", "shop.example", |text| asked_host(text);
    /// Statuses that are good.
    STATUSES = "a status, or from one to another", "200-399", |text| statuses::parse(text).map(drop);
    /// Where a service says what it offers, or nothing.
    DOCUMENT = "a file, a path of the upstream, or empty", "/openapi.json", |_| Ok(());
    /// An HTTP URL.
    URL = "a URL", "http://127.0.0.1:4318", |text| url(text);
    /// An HTTP URL, or nothing.
    URL_OR_EMPTY = "a URL, or empty", "http://127.0.0.1:4318", |text| if text.is_empty() { Ok(()) } else { url(text) };
    /// A Redis URL.
    REDIS_URL = "a Redis URL", "redis://127.0.0.1:6379", |text| store_url::parse(text).map(drop);
    /// What a limit counts by.
    LIMIT_KEY = "client_ip, subject, route, global, header:NAME, claim:NAME or custom:NAME", "client_ip", |text| limit_key(text);
    /// What a hash ring hashes.
    HASH_KEY = "client_ip, path, header:NAME or cookie:NAME", "header:x-user", |text| hash_key(text);
    /// What a split keeps clients by.
    STICKY_KEY = "client_ip, subject, header:NAME, cookie:NAME or claim:NAME", "subject", |text| sticky_key(text).map(drop);
    /// What a password is for, as people are told.
    REALM = "a realm", "internal tools", |text| realm(text);
    /// Where a token may be.
    TOKEN_PLACE = "header, header:NAME or cookie:NAME", "cookie:__Host-session", |text| token_place(text).map(drop);
    /// What a failure of an upstream is.
    FAILURE = "connect, reset, timeout, a status, or from one to another", "503", |text| failure(text).map(drop);
    /// Statuses of errors.
    ERROR_STATUS = "a status of 400 to 599, a class, or from one to another", "5xx", |text| error_status(text);
    /// When a hedge starts.
    HEDGE_AFTER = "a duration or a percentile", "p95", |text| hedge_after(text);
    /// When a request is slow.
    SLOW = "a duration or a percentile", "p99", |text| slow(text);
    /// RFC 6901.
    JSON_POINTER = "a JSON pointer", "/type", |text| json_pointer(text);
    /// RFC 6901, the whole document too.
    JSON_POINTER_OR_EMPTY = "a JSON pointer, or empty", "/items",
        |text| if text.is_empty() { Ok(()) } else { json_pointer(text) };
    /// A method that pages may use, or any.
    CORS_METHOD = "a method, or *", "GET", |text| cors_method(text);
    /// Content types.
    MEDIA_RANGE = "a content type", "text/html", |text| media_range(text).map(drop);
    /// A status that has a time in a cache.
    KEPT_STATUS = "a status whose answers are kept", "404", |text| kept_status(text);
    /// What a body of `problems` is for.
    PROBLEM_KEY = "a problem's code, a status or a class", "rate_limited", |text| problem_key::parse(text).map(drop);
    /// A CORS origin.
    ORIGIN = "an origin", "https://app.example", |text| origin(text);
    /// An `include` pattern.
    FILE_PATTERN = "a path, with stars", "routes/*.toml", |text| require(!text.is_empty(), "it is empty");
}

fn require(holds: bool, message: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message.to_owned()) }
}

fn socket(text: &str) -> Result<(), String> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    if let Some(port) = text.strip_prefix(':').filter(|port| port.parse::<u16>().is_ok()) {
        return Err(format!("the address is missing, 0.0.0.0:{port} is every one"));
    }
    if let Some(port) = text.strip_prefix("*:").filter(|port| port.parse::<u16>().is_ok()) {
        return Err(format!("every address is 0.0.0.0:{port}, and with those of IPv6 [::]:{port}"));
    }
    if let Some(why) = host_port::without_brackets(text) {
        return Err(why);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Err("the port is missing".to_owned());
    }
    require(!text.starts_with("localhost:"), "names are not resolved here, localhost is 127.0.0.1")?;
    Err("it is an IP address, a colon and a port up to 65535".to_owned())
}

/// A network, or one address.
pub(crate) fn cidr(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    network.map_err(|_| "it is an address and a prefix length".to_owned())
}

/// A network, and whether clients have to be in it.
pub(crate) fn client_network(text: &str) -> Result<(bool, IpNet), String> {
    let (is_in, network) = text.strip_prefix('!').map_or((true, text), |network| (false, network));
    Ok((is_in, cidr(network)?))
}

/// A name as it is once it is decoded. What some services take for the end of a name is in none.
fn editable_parameter(text: &str) -> Result<(), String> {
    require(!text.is_empty(), "it is empty")?;
    require(!text.contains(['&', '=', ';']), "it is a name alone, without a value, and without `&` and `;`")?;
    let decoded = percent_encoding::percent_decode_str(text).count();
    require(decoded == text.len(), "it is written as it is once it is decoded, without percent signs")
}

fn kept_status(text: &str) -> Result<(), String> {
    let all = KEPT_STATUSES.map(|status| status.to_string());
    require(all.iter().any(|status| status == text), &format!("they are {}", all.join(", ")))
}

fn host_pattern(text: &str) -> Result<(), String> {
    match text.strip_prefix("*.") {
        Some(parent) => host_port::host_name(parent).map(drop),
        None if text.contains("://") => Err("a host is written without its scheme".to_owned()),
        None if text == "*" => Err("where no host is written it is any".to_owned()),
        None if text.contains('*') => Err("a star stands only for whole labels at the beginning".to_owned()),
        None if text.starts_with(|c: char| c != '[') && text.contains(':') => {
            host_port::host(text).map(drop).map_err(|_| "a host is written without its port".to_owned())
        }
        None => host_port::host(text).map(drop),
    }
}

fn server_name(text: &str) -> Result<(), String> {
    let host = host_port::host(text)?;
    upstream_tls::server_name(&host).map(drop).ok_or_else(|| "no certificate can be for it".to_owned())
}

fn environment(text: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    require(!text.is_empty() && text.bytes().all(fits), "it is letters, digits and underscores")?;
    require(!text.as_bytes()[0].is_ascii_digit(), "it cannot begin with a digit")
}

fn name(text: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    require(!text.is_empty(), "it is empty")?;
    require(text.len() <= 64, "it is longer than 64 characters")?;
    require(text.bytes().all(fits), "it is letters, digits, hyphens, dots and underscores")
}

/// A pseudonym, perhaps with a port (RFC 9110, section 7.6.3).
fn via(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let (name_of_it, port) = text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    require(port.is_none_or(|port| port.parse::<u16>().is_ok()), "what follows the colon is no port")?;
    name(name_of_it)
}

fn label(text: &str) -> Result<(), String> {
    require(!text.is_empty(), "it is empty")?;
    require(text.len() <= 512, "it is longer than 512 bytes")?;
    require(!text.chars().any(char::is_control), "it holds control characters")
}

fn upstream(text: &str) -> Result<(), String> {
    if upstream_url::is_url(text) {
        return upstream_url::parse(text).map(drop);
    }
    name(text).map_err(|why| if host_port::parse(text).is_ok() { format!("write http://{text}") } else { why })
}

/// A header's name, in lower case.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| "it holds characters that no header's name holds".to_owned())
}

fn header_pattern(text: &str) -> Result<(), String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    require(!name.is_empty(), "a star alone would strip every header")?;
    let name = header_name(name)?;
    let strips = |header: &str| if text.ends_with('*') { header.starts_with(name.as_str()) } else { header == name };
    match FRAMING.iter().find(|header| strips(header)) {
        Some(header) => Err(format!("it would strip `{header}`, which the gateway needs")),
        None => Ok(()),
    }
}

/// Headers that say where a message ends or belong to one connection (RFC 9110, section 7.6.1; RFC 9112), and `host`.
/// An edit of them would make a message ambiguous.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn check_path(text: &str) -> Result<(), String> {
    require(!text.is_empty(), "it is empty")?;
    path_or_empty(text)
}

/// A header that may be set or removed.
pub(crate) fn editable_header(text: &str) -> Result<(), String> {
    let name = header_name(text)?;
    match name.as_str() {
        "host" => Err("the gateway sets it, see the route's key `host`".to_owned()),
        name if FRAMING.contains(&name) => {
            Err("the gateway sets it; an edit could change where a message ends".to_owned())
        }
        _ => Ok(()),
    }
}

fn header_value(text: &str) -> Result<(), String> {
    let visible = text.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f));
    require(visible && HeaderValue::from_str(text).is_ok(), "it holds characters that no header holds")?;
    require(text.trim() == text, "it begins or ends with a blank")
}

fn method(text: &str) -> Result<(), String> {
    require(Method::from_bytes(text.as_bytes()).is_ok(), "it holds characters that no method holds")?;
    require(text != "CONNECT", "tunnels are opened by `upgrades`")?;
    let upper = text.to_ascii_uppercase();
    require(text == upper, &format!("methods are upper case, write {upper}"))
}

fn path_or_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    path_pattern::plain(text.split('?').next().unwrap_or(text))
}

fn call(text: &str) -> Result<(), String> {
    require(text.starts_with('/'), "a path begins with a slash")?;
    require(text.bytes().all(|b| b.is_ascii_graphic() && b != b'#'), "it holds characters that no URL holds")?;
    let mut open = false;
    for c in text.chars().filter(|c| matches!(c, '{' | '}')) {
        require((c == '{') != open, "braces do not match")?;
        open = c == '{';
    }
    require(!open, "braces do not match")
}

fn sent_host(text: &str) -> Result<(), String> {
    match text {
        "client" | "upstream" => Ok(()),
        _ => asked_host(text),
    }
}

fn asked_host(text: &str) -> Result<(), String> {
    if host_port::parse(text).is_ok() { Ok(()) } else { host_port::host(text).map(drop) }
}

fn url(text: &str) -> Result<(), String> {
    let parsed: http::Uri = text.parse().map_err(|_| "that is no URL".to_owned())?;
    require(matches!(parsed.scheme_str(), Some("http" | "https")), "it begins with http:// or https://")?;
    require(parsed.host().is_some_and(|host| !host.is_empty()), "the host is missing")
}

fn limit_key(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        Some(("header", header)) => header_name(header).map(drop),
        Some(("claim", claim)) => require(!claim.is_empty(), "the claim's name is missing"),
        Some(("custom", key)) => name(key),
        None if matches!(text, "client_ip" | "subject" | "route" | "global") => Ok(()),
        _ => Err("that is no key".to_owned()),
    }
}

fn hash_key(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        Some(("header", header)) => header_name(header).map(drop),
        Some(("cookie", cookie)) => header_name(cookie).map(drop).map_err(|_| "that is no cookie's name".to_owned()),
        None if matches!(text, "client_ip" | "path") => Ok(()),
        _ => Err("that is no key".to_owned()),
    }
}

/// What clients of a split are kept by.
pub(crate) fn sticky_key(text: &str) -> Result<StickyKey, String> {
    match text.split_once(':') {
        Some(("claim", claim)) => {
            limit_key(text)?;
            Ok(StickyKey::Claim(claim.into()))
        }
        Some(("header", header)) => header_name(header).map(StickyKey::Header),
        Some(("cookie", cookie)) => {
            hash_key(text)?;
            Ok(StickyKey::Cookie(cookie.into()))
        }
        _ => match text {
            "client_ip" => Ok(StickyKey::ClientIp),
            "subject" => Ok(StickyKey::Subject),
            "route" | "global" => Err("that keeps all clients together: leave `sticky` out".to_owned()),
            _ => Err("that is no key".to_owned()),
        },
    }
}

fn realm(text: &str) -> Result<(), String> {
    require(!text.is_empty() && text.len() <= 128, "it has 1 to 128 characters")?;
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte));
    require(is_plain, "it is plain ASCII, without quotes and backslashes")
}

/// Where a client may present a token.
pub(crate) fn token_place(text: &str) -> Result<TokenPlace, String> {
    match text.split_once(':') {
        None if text == "header" => Ok(TokenPlace::Bearer),
        Some(("header", name)) => {
            editable_header(name)?;
            match header_name(name)? {
                http::header::AUTHORIZATION => Err("its bearer tokens are `header`".to_owned()),
                http::header::COOKIE => Err("a cookie is `cookie:NAME`".to_owned()),
                name => Ok(TokenPlace::Header(name)),
            }
        }
        Some(("cookie", cookie)) => {
            hash_key(text)?;
            Ok(TokenPlace::Cookie(cookie.into()))
        }
        Some(("query" | "form", _)) => Err("a token there is in logs and histories, and is not looked for".to_owned()),
        _ => Err("that is no place of a token".to_owned()),
    }
}

/// The statuses that a failure of an upstream has: none where it is one without an answer.
pub(crate) fn failure(text: &str) -> Result<Option<RangeInclusive<u16>>, String> {
    if matches!(text, "connect" | "reset" | "timeout") {
        return Ok(None);
    }
    let statuses = statuses::parse(text).ok().filter(|statuses| *statuses.start() >= 400);
    statuses
        .map(Some)
        .ok_or_else(|| "a status is 400 to 599, a class 5xx, and 500-504 is from one to another".to_owned())
}

fn error_status(text: &str) -> Result<(), String> {
    let all = "a status is 400 to 599, a class 5xx, and 500-504 is from one to another";
    require(matches!(failure(text), Ok(Some(_))), all)
}

fn hedge_after(text: &str) -> Result<(), String> {
    match text.strip_prefix('p') {
        Some(percent) => require(percent.parse::<u8>().is_ok_and(|p| (50..=99).contains(&p)), "it is p50 to p99"),
        None => super::quantity::duration(text).map(drop),
    }
}

fn slow(text: &str) -> Result<(), String> {
    if text.starts_with('p') {
        return hedge_after(text);
    }
    let after = super::quantity::duration(text)?;
    require(after <= std::time::Duration::from_secs(3600), "it is an hour at most")
}

fn json_pointer(text: &str) -> Result<(), String> {
    require(text.starts_with('/'), "it begins with a slash")?;
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    require(escapes, "`~` is written ~0")
}

/// An origin as browsers write it (RFC 6454, section 6.2): what is written otherwise would never be equal to one. Pages
/// of applications have schemes of their own.
fn origin(text: &str) -> Result<(), String> {
    if text == "*" { Ok(()) } else { super::origin::parse(text).map(drop) }
}

/// A content type, or all of a kind.
pub(crate) fn media_range(text: &str) -> Result<MediaRange, String> {
    MediaRange::parse(text)
}

fn cors_method(text: &str) -> Result<(), String> {
    if text == "*" { Ok(()) } else { method(text) }
}
