//! Where a configuration that the user brings would lead beyond this machine.
//!
//! Of an unknown program's file nothing is understood but its addresses: numbers, a name with a port, the host of a
//! URL, and what stands behind the words that name a server without a port. Each has to be on this machine. A host that
//! is the name of a group of servers in the file, or that the program puts together, is not looked at: what is in the
//! group is. Pure.

use std::net::{IpAddr, Ipv4Addr};

/// Schemes of URLs that are names and lead nowhere, or are no network's.
const NO_NETWORK: [&str; 2] = ["unix", "file"];
/// Words of which the next names a server, with or without a port; `server` is one by itself.
const NAMERS: [&str; 6] = ["address", "fastcgi_pass", "grpc_pass", "proxy_pass", "reverse_proxy", "uwsgi_pass"];

/// The first address in a filled configuration that is not on this machine: its line, and how it is written.
pub(super) fn find(text: &str) -> Option<(usize, String)> {
    let groups = groups(text);
    text.lines()
        .zip(1..)
        .find_map(|(line, number)| in_line(without_comment(line), &groups).map(|found| (number, found)))
}

/// What stands before a comment; a `#` within a word is none.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices('#').find(begins).map_or(line, |(at, _)| &line[..at])
}

/// The names of groups of servers of nginx: `upstream NAME {`.
fn groups(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.lines().flat_map(|line| without_comment(line).split_whitespace()).collect();
    let named = words.windows(2).filter(|pair| pair[0] == "upstream");
    named.map(|pair| pair[1].trim_end_matches('{')).collect()
}

fn in_line(line: &str, groups: &[&str]) -> Option<String> {
    let apart = line.replace('{', " { ").replace('}', " } ");
    let is_end = |letter: char| letter.is_whitespace() || "\"'`;,()<>|=".contains(letter);
    // A key of YAML or JSON ends with a colon.
    let words: Vec<&str> =
        apart.split(is_end).map(|word| word.trim_end_matches(':')).filter(|word| !word.is_empty()).collect();
    // Who issues tokens is a name in the form of a URL, and nobody connects to it.
    if words.first() == Some(&"issuer") {
        return None;
    }
    let before = |at: usize, back: usize| at.checked_sub(back).map(|at| words[at]);
    // `server prod;` in nginx, `server NAME prod check` in HAProxy.
    let of_server = if line.contains(';') { 1 } else { 2 };
    for (at, word) in words.iter().enumerate() {
        let is_named =
            before(at, of_server) == Some("server") || before(at, 1).is_some_and(|one| NAMERS.contains(&one));
        let host = match word.split_once("://") {
            _ if ["{", "}"].contains(word) || word.starts_with("unix:") => continue,
            Some((scheme, _)) if NO_NETWORK.contains(&scheme) => continue,
            // The only place where a group stands for a host, and without a port.
            Some((_, rest)) if groups.contains(&authority(rest)) => continue,
            Some((_, rest)) => Some(host_of(rest)),
            None if is_named => Some(host_of(word)),
            None => address(word),
        };
        let Some(host) = host else { continue };
        if !host.is_empty() && !host.contains('$') && !is_here(host) {
            return Some((*word).to_owned());
        }
    }
    None
}

/// What stands between a scheme and a path.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// The host of what follows a scheme, or of a server.
fn host_of(rest: &str) -> &str {
    let rest = authority(rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    match rest.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => match rest.matches(':').count() {
            1 => rest.split(':').next().unwrap_or_default(),
            _ => rest,
        },
    }
}

/// The host of a word that is an address by its form: an IP address by itself or with a port, or a name with one. A
/// network (`10.0.0.0/8`) is none: nobody connects to it.
fn address(word: &str) -> Option<&str> {
    if let Some(inner) = word.strip_prefix('[') {
        let (host, _) = inner.split_once(']')?;
        return host.parse::<IpAddr>().is_ok().then_some(host);
    }
    if word.parse::<IpAddr>().is_ok() {
        return Some(word);
    }
    let (host, port) = word.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let is_name = host.starts_with(|first: char| first.is_ascii_alphabetic())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    (is_name || host.parse::<Ipv4Addr>().is_ok()).then_some(host)
}

/// Whether it is on this machine. All of its own addresses are, where a program takes requests.
fn is_here(host: &str) -> bool {
    let by_number = |ip: IpAddr| ip.to_canonical().is_loopback() || ip.is_unspecified();
    match host.parse::<IpAddr>() {
        Ok(ip) => by_number(ip),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host == "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_elsewhere_is_found_with_its_line() {
        for (text, found) in [
            ("a;\nproxy_pass http://10.1.2.3;", Some((2, "http://10.1.2.3"))),
            ("upstream app {\n  server prod:8080;\n}\nproxy_pass http://app;", Some((2, "prod:8080"))),
            ("upstream app { server prod.internal; }", Some((1, "prod.internal"))),
            ("upstream api { server api:8080; }\nproxy_pass http://api;", Some((1, "api:8080"))),
            ("backend api\n  server api1 api:8080 check", Some((2, "api:8080"))),
            ("upstream api { server 127.0.0.1:1; }\nproxy_pass http://api:80;", Some((2, "http://api:80"))),
            ("\"address\": \"orders.internal\", \"port_value\": 80", Some((1, "orders.internal"))),
            ("grpc_pass prod;", Some((1, "prod"))),
            ("  server s1 prod check port 80", Some((1, "prod"))),
            ("  server s1 10.0.0.7:80 check", Some((1, "10.0.0.7:80"))),
            ("socket_address: { address: orders.internal, port_value: 80 }", Some((1, "orders.internal"))),
            ("address: 192.0.2.9", Some((1, "192.0.2.9"))),
            ("endpoints = [\"127.0.0.1:9001\", \"192.0.2.7:80\"]", Some((1, "192.0.2.7:80"))),
            ("otlp_endpoint = \"http://collector:4318\"", Some((1, "http://collector:4318"))),
            ("server [2001:db8::1]:80;", Some((1, "[2001:db8::1]:80"))),
            ("reverse_proxy app.example", Some((1, "app.example"))),
        ] {
            let found = found.map(|(line, word): (usize, &str)| (line, word.to_owned()));
            assert_eq!(find(text), found, "{text}");
        }
    }

    #[test]
    fn what_is_here_and_what_leads_nowhere_is_left() {
        for text in [
            "listen 127.0.0.1:8001; proxy_pass http://127.0.0.1:9001/;",
            "upstream app { server 127.0.0.1:9001; keepalive 16; }\nlocation / { proxy_pass http://app; }",
            "server { listen 127.0.0.1:8001; location / { proxy_pass http://127.0.0.1:9001; } }",
            "issuer = \"https://idp.example\"",
            "issuer: https://idp.example",
            "events {} http { upstream all { server 127.0.0.1:1; }\nserver { location / { proxy_pass http://all; } } }",
            "server {\n  server_name _;\n  listen 0.0.0.0:80;\n}",
            "backend app\n  server s1 127.0.0.1:9001 check inter 2s\nbind *:8001",
            "address: { socket_address: { address: 127.0.0.1, port_value: 80 } }",
            "\"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.X",
            "set_real_ip_from 10.0.0.0/8;",
            "# proxy_pass http://10.1.2.3;",
            "proxy_pass http://$backend$request_uri;",
            "server unix:/run/app.sock;",
            "admin localhost:2019",
            "limit_req_zone $binary_remote_addr zone=one:10m rate=10r/s;",
            "http2: true",
            "fastcgi_pass unix:///run/php.sock; root file:///srv;",
            "timeout: 5s\nversion: 1.2.3",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
