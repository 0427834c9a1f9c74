//! The four headers, by example and against a model.

use proptest::prelude::*;

use super::super::peer::Scheme;
use super::*;

fn proxies() -> TrustedProxies {
    TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()])
}

const OURS: &str = "for=10.0.0.1;host=api.example;proto=http";

#[track_caller]
fn check(trusted: bool, came: &[(&str, &str)], expected: [&str; 4]) {
    let mut headers = RequestFields::new();
    for (name, value) in came {
        headers.append(&HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http);
    let proxies = proxies();
    let trusted = trusted.then_some(&proxies);
    set_forwarded(&mut headers, &peer, trusted, Some(&HeaderValue::from_static("api.example")));
    for (name, expected) in
        [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST, &FORWARDED].into_iter().zip(expected)
    {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(values, [expected], "{name}");
    }
}

#[test]
fn strangers_words_are_replaced() {
    let lies = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=1.1.1.1"),
    ];
    check(false, &lies, ["10.0.0.1", "http", "api.example", OURS]);
    check(false, &[], ["10.0.0.1", "http", "api.example", OURS]);
}

#[test]
fn trusted_chains_are_appended_to() {
    check(
        true,
        &[
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-for", "10.9.9.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example:8443"),
            ("forwarded", "for=203.0.113.7;proto=https"),
        ],
        [
            "203.0.113.7, 10.9.9.9, 10.0.0.1",
            "https",
            "shop.example:8443",
            "for=203.0.113.7;proto=https, for=10.0.0.1;host=api.example;proto=http",
        ],
    );
    check(true, &[], ["10.0.0.1", "http", "api.example", OURS]);
}

#[test]
fn the_older_chain_is_told_in_the_newer_words() {
    check(
        true,
        &[("x-forwarded-for", "2001:db8::7, what, 203.0.113.7")],
        [
            "2001:db8::7, what, 203.0.113.7, 10.0.0.1",
            "http",
            "api.example",
            "for=\"[2001:db8::7]\", for=unknown, for=203.0.113.7, for=10.0.0.1;host=api.example;proto=http",
        ],
    );
}

#[test]
fn the_older_words_on_scheme_and_host_are_those_of_the_clients_element() {
    let told = [("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example")];
    let words = "host=shop.example;proto=https";
    for (chain, forwarded) in [
        ("203.0.113.7", format!("for=203.0.113.7;{words}, for=10.0.0.1")),
        ("198.51.100.1, 203.0.113.7", format!("for=198.51.100.1, for=203.0.113.7;{words}, for=10.0.0.1")),
        ("203.0.113.7, 10.9.9.9", format!("for=203.0.113.7;{words}, for=10.9.9.9, for=10.0.0.1")),
        ("10.8.8.8, 10.9.9.9", format!("for=10.8.8.8;{words}, for=10.9.9.9, for=10.0.0.1")),
        ("203.0.113.7, what", format!("for=203.0.113.7, for=unknown;{words}, for=10.0.0.1")),
    ] {
        let came = [("x-forwarded-for", chain), told[0], told[1]];
        check(true, &came, [&format!("{chain}, 10.0.0.1"), "https", "shop.example", &forwarded]);
    }
    check(true, &told, ["10.0.0.1", "https", "shop.example", &format!("for=10.0.0.1;{words}")]);
    // One of both is enough: the other one is told of what came here, in the same place.
    let chain = "203.0.113.7, 10.0.0.1";
    let forwarded = "for=203.0.113.7;host=api.example;proto=https, for=10.0.0.1";
    let came = [("x-forwarded-for", "203.0.113.7"), told[0]];
    check(true, &came, [chain, "https", "api.example", forwarded]);
    let forwarded = "for=203.0.113.7;host=shop.example;proto=http, for=10.0.0.1";
    let came = [("x-forwarded-for", "203.0.113.7"), told[1], ("x-forwarded-proto", "ftp")];
    check(true, &came, [chain, "http", "shop.example", forwarded]);
    // A stranger's words are not told on.
    let lies = [("x-forwarded-for", "203.0.113.7"), told[0], told[1]];
    check(false, &lies, ["10.0.0.1", "http", "api.example", OURS]);
}

#[test]
fn the_newer_chain_alone_is_told_in_the_older_words() {
    let forwarded = "for=198.51.100.1;proto=http;host=lies, \
                     for=\"[2001:db8::7]:9\";proto=HTTPS;host=\"shop.example:8443\", \
                     for=10.9.9.9;proto=http;host=inner.example";
    check(
        true,
        &[("forwarded", forwarded)],
        [
            "198.51.100.1, 2001:db8::7, 10.9.9.9, 10.0.0.1",
            "HTTPS",
            "shop.example:8443",
            &format!("{forwarded}, {OURS}"),
        ],
    );
    // What cannot be used of it is told as ever.
    for doubtful in ["for=_hidden;proto=ftp;host=\"a/b\"", "for=unknown", "proto=\"\""] {
        let chain = format!("{doubtful}, {OURS}");
        check(true, &[("forwarded", doubtful)], ["unknown, 10.0.0.1", "http", "api.example", &chain]);
    }
    let open = "for=\"203.0.113.7;proto=https";
    check(true, &[("forwarded", open)], ["10.0.0.1", "http", "api.example", &format!("{open}, {OURS}")]);
}

#[test]
fn the_newer_chain_beside_older_words_is_passed_on_and_not_believed() {
    let told = "for=203.0.113.7;proto=https;host=evil";
    let forwarded = format!("{told}, {OURS}");
    for (name, value, chain) in
        [("x-forwarded-for", "203.0.113.9", "203.0.113.9, 10.0.0.1"), ("x-forwarded-proto", "http", "10.0.0.1")]
    {
        check(true, &[(name, value), ("forwarded", told)], [chain, "http", "api.example", &forwarded]);
    }
}

#[test]
fn a_connection_is_as_secure_as_the_one_header_says_that_trusted_proxies_speak() {
    let proxies = proxies();
    let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http);
    for (came, expected) in [
        (&[("x-forwarded-proto", "https")][..], true),
        (&[("forwarded", "for=203.0.113.7;proto=https")], true),
        (&[("forwarded", "for=203.0.113.7;Proto=\"HTTPS\", for=10.2.2.2;proto=http")], true),
        (&[("forwarded", "for=203.0.113.7;proto=https, for=203.0.113.8;proto=http")], false),
        (&[("forwarded", "for=203.0.113.7")], false),
        (&[("forwarded", "for=203.0.113.7;proto=https"), ("x-forwarded-proto", "http")], false),
        (&[("forwarded", "for=203.0.113.7;proto=https"), ("x-forwarded-for", "203.0.113.7")], false),
    ] {
        let mut headers = RequestFields::new();
        for &(name, value) in came {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(is_secure(&headers, &peer, Some(&proxies)), expected, "{came:?}");
        assert!(!is_secure(&headers, &peer, None), "a stranger's {came:?}");
    }
}

#[test]
fn doubtful_words_of_a_trusted_peer_do_not_stand() {
    for (proto, host) in [("ftp", "a,b"), ("http, https", "a/b"), ("", ""), ("https://", "a b")] {
        check(
            true,
            &[("x-forwarded-proto", proto), ("x-forwarded-host", host)],
            ["10.0.0.1", "http", "api.example", OURS],
        );
    }
    check(
        true,
        &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")],
        ["10.0.0.1", "http", "api.example", OURS],
    );
}

#[test]
fn without_a_host_none_is_told() {
    let peer = Peer::new("192.0.2.1:1".parse().unwrap(), Scheme::Https);
    for trusted in [false, true] {
        let mut headers = RequestFields::new();
        headers.append(&X_FORWARDED_HOST, HeaderValue::from_static("a b"));
        let proxies = proxies();
        set_forwarded(&mut headers, &peer, trusted.then_some(&proxies), None);
        assert!(!headers.contains_key(&X_FORWARDED_HOST));
        assert_eq!(headers.get(&FORWARDED).unwrap(), "for=192.0.2.1;proto=https");
        assert_eq!(headers.get(&X_FORWARDED_PROTO).unwrap(), "https");
    }
}

/// What the four headers shall be after a trusted peer's request, written down simply.
mod model {
    use super::*;

    fn joined(headers: &RequestFields, name: &HeaderName) -> String {
        let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap());
        lines
            .fold(String::new(), |list, line| if list.is_empty() { line.to_owned() } else { format!("{list}, {line}") })
    }

    /// An element for each entry, and whether it is a trusted proxy's.
    fn converted(chain: &str) -> Vec<(bool, String)> {
        let node = |entry: &str| match parse_node(entry.as_bytes()) {
            Some(ip) if ip.is_ipv6() => (proxies().contains(ip), format!("for=\"[{ip}]\"")),
            Some(ip) => (proxies().contains(ip), format!("for={ip}")),
            None => (false, "for=unknown".to_owned()),
        };
        if chain.is_empty() { Vec::new() } else { chain.split(',').map(node).collect() }
    }

    /// Host and scheme, as an element tells them.
    fn words(host: Option<&str>, scheme: &str) -> String {
        let host = match host {
            Some(host) if host.contains([':', '[', ']', '=', ';']) => format!(";host=\"{host}\""),
            Some(host) => format!(";host={host}"),
            None => String::new(),
        };
        format!("{host};proto={scheme}")
    }

    /// The older headers in the newer one's words.
    fn newer(came: &RequestFields, chain: &str, own: &str, host: Option<&str>) -> String {
        let scheme = kept(came, &X_FORWARDED_PROTO, is_scheme, None).pop();
        let told = kept(came, &X_FORWARDED_HOST, is_host, None).pop();
        let words = words(told.as_deref().or(host), scheme.as_deref().unwrap_or("http"));
        let elements = converted(chain);
        let client = elements.iter().rposition(|(is_proxy, _)| !is_proxy).unwrap_or(0);
        let (mut texts, own) = (elements.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), own.to_owned());
        match texts.get_mut(client).filter(|_| scheme.is_some() || told.is_some()) {
            Some(element) => {
                element.push_str(&words);
                texts.push(own);
            }
            None => texts.push(own + &words),
        }
        texts.join(", ")
    }

    fn appended(list: &str, own: &str) -> String {
        if list.is_empty() { own.to_owned() } else { format!("{list}, {own}") }
    }

    fn kept(headers: &RequestFields, name: &HeaderName, valid: fn(&[u8]) -> bool, own: Option<&str>) -> Vec<String> {
        let came: Vec<_> = headers.get_all(name).iter().collect();
        match came.as_slice() {
            [one] if valid(one.as_bytes()) => vec![one.to_str().unwrap().to_owned()],
            _ => own.into_iter().map(str::to_owned).collect(),
        }
    }

    /// The elements of `forwarded` where it came alone: whether each is a trusted proxy's, its address, its scheme.
    fn alone(came: &RequestFields) -> Vec<(bool, String, Option<String>)> {
        let older = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST];
        if older.into_iter().any(|name| came.contains_key(name)) || joined(came, &FORWARDED).is_empty() {
            return Vec::new();
        }
        let value = |element: &str, name: &str| {
            element.split(';').find_map(|pair| Some(pair.trim().strip_prefix(name)?.to_owned()))
        };
        let element = |element: &str| {
            let ip = value(element, "for=").and_then(|node| parse_node(node.as_bytes()));
            let text = ip.map_or("unknown".to_owned(), |ip| ip.to_string());
            (ip.is_some_and(|ip| proxies().contains(ip)), text, value(element, "proto="))
        };
        let lines = came.get_all(&FORWARDED).iter();
        lines.flat_map(|line| line.to_str().unwrap().split(',')).map(element).collect()
    }

    pub(super) fn expected(came: &RequestFields, ip: &str, host: Option<&str>) -> [Vec<String>; 4] {
        let alone = alone(came);
        let nodes: Vec<_> = alone.iter().map(|(_, node, _)| node.as_str()).collect();
        let client = alone.iter().rev().find(|(is_proxy, ..)| !is_proxy).or(alone.first());
        let scheme = client.and_then(|(.., scheme)| scheme.as_deref()).filter(|scheme| is_scheme(scheme.as_bytes()));
        let chain = if alone.is_empty() { joined(came, &X_FORWARDED_FOR) } else { nodes.join(", ") };
        let told = joined(came, &FORWARDED);
        let own = if ip.contains(':') { format!("for=\"[{ip}]\"") } else { format!("for={ip}") };
        let forwarded = if told.is_empty() {
            newer(came, &chain, &own, host)
        } else {
            appended(&told, &format!("{own}{}", words(host, "http")))
        };
        [
            vec![appended(&chain, ip)],
            kept(came, &X_FORWARDED_PROTO, is_scheme, scheme.or(Some("http"))),
            kept(came, &X_FORWARDED_HOST, is_host, host),
            vec![forwarded],
        ]
    }
}

proptest! {
    #[test]
    fn a_trusted_chain_is_extended_as_the_model_says(
        came in prop::collection::vec(
            (
                0usize..4,
                prop_oneof![
                    "[0-9a-f:.\\[\\], ]{0,20}",
                    Just("203.0.113.7, 10.1.1.1".to_owned()),
                    Just("2001:db8::7,[::1]:80 ,192.0.2.1:99".to_owned()),
                    Just("https".to_owned()),
                    Just("api.example:80".to_owned()),
                    Just("for=10.0.0.9;proto=https".to_owned()),
                ],
            ),
            0..6,
        ),
        peer in prop_oneof![Just("10.0.0.1"), Just("2001:db8::1"), Just("255.100.99.10")],
        host in prop_oneof![Just(None), Just(Some("api.example")), Just(Some("api.example:8443"))],
    ) {
        let names = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST, &FORWARDED];
        let mut headers = RequestFields::new();
        for (name, value) in came {
            headers.append(names[name], value.trim());
        }
        let expected = model::expected(&headers, peer, host);
        let from = Peer::new(std::net::SocketAddr::new(peer.parse().unwrap(), 1), Scheme::Http);
        let told = told_host(&headers, &proxies());
        set_forwarded(&mut headers, &from, Some(&proxies()), host.map(HeaderValue::from_static).as_ref());
        // Whoever asks for the host of the client's own connection is told what an upstream is.
        let told = told.or(host.map(HeaderValue::from_static));
        prop_assert_eq!(told, headers.get(&X_FORWARDED_HOST).map(FieldValue::to_header_value));
        let values = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
        let made = names.map(|name| values(name).collect::<Vec<_>>());
        prop_assert_eq!(made, expected);
    }
}
