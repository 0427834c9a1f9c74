//! A store's URL: `redis://host:port/db`, `redis+cluster://host:port,host:port`,
//! `redis+sentinel://host:port,host:port/master/db`; `rediss…` with TLS.

use crate::config::settings::store::Servers;

const FORMS: &str = "it begins with redis://, rediss://, redis+cluster:// or redis+sentinel://";

/// The servers, and whether they are spoken to with TLS.
pub(crate) fn parse(text: &str) -> Result<(Servers, bool), String> {
    let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
    let (kind, tls) = match scheme.strip_prefix("rediss") {
        Some(kind) => (kind, true),
        None => (scheme.strip_prefix("redis").ok_or(FORMS)?, false),
    };
    let mut path = rest.split('/');
    let hosts = path.next().unwrap_or("");
    if hosts.contains('@') {
        return Err("a password belongs in password_env".to_owned());
    }
    if hosts.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let servers = match kind {
        "" => Servers::One(server(hosts, 6379)?, database(path.next())?),
        "+cluster" => Servers::Cluster(servers(hosts, 6379)?),
        "+sentinel" => {
            let master = path.next().filter(|name| !name.is_empty());
            let master = master.ok_or("the master's name is missing: redis+sentinel://host:port/NAME")?;
            Servers::Sentinels(servers(hosts, 26379)?, master.to_owned(), database(path.next())?)
        }
        _ => return Err(FORMS.to_owned()),
    };
    if path.next().is_some_and(|more| !more.is_empty()) {
        return Err("there is more behind the last slash than a store has".to_owned());
    }
    Ok((servers, tls))
}

fn servers(hosts: &str, port: u16) -> Result<Vec<(String, u16)>, String> {
    hosts.split(',').map(|host| server(host, port)).collect()
}

fn server(host: &str, default: u16) -> Result<(String, u16), String> {
    // An IPv6 address stands in brackets, so that its colons are not taken for the port's.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().map_err(|_| format!("{port:?} is no port"))?),
        _ => (host, default),
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if name.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if name.contains(['?', '#', ' ', '[', ']']) {
        return Err(format!("{name:?} is no host"));
    }
    Ok((name.to_owned(), port))
}

fn database(text: Option<&str>) -> Result<i64, String> {
    match text {
        None | Some("") => Ok(0),
        Some(text) => match text.parse() {
            Ok(number @ 0..=1_000_000) => Ok(number),
            _ => Err(format!("{text:?} is no database's number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let host = |name: &str, port| (name.to_owned(), port);
        assert_eq!(parse("redis://a"), Ok((Servers::One(host("a", 6379), 0), false)));
        assert_eq!(parse("rediss://10.0.0.1:7000/3"), Ok((Servers::One(host("10.0.0.1", 7000), 3), true)));
        assert_eq!(parse("redis://[::1]:7000"), Ok((Servers::One(host("::1", 7000), 0), false)));
        assert_eq!(parse("redis://[::1]/"), Ok((Servers::One(host("::1", 6379), 0), false)));
        let nodes = vec![host("a", 7000), host("b", 6379)];
        assert_eq!(parse("redis+cluster://a:7000,b"), Ok((Servers::Cluster(nodes), false)));
        let sentinels = Servers::Sentinels(vec![host("a", 26379), host("b", 1)], "main".to_owned(), 2);
        assert_eq!(parse("rediss+sentinel://a,b:1/main/2"), Ok((sentinels, true)));
    }

    #[test]
    fn what_is_none_is_said_why() {
        for (text, why) in [
            ("a:6379", FORMS),
            ("http://a", FORMS),
            ("redis+proxy://a", FORMS),
            ("redis://", "the host is missing"),
            ("redis:///1", "the host is missing"),
            ("redis://:6379", "the host is missing"),
            ("redis://me:secret@a", "a password belongs in password_env"),
            ("redis://a:b", "\"b\" is no port"),
            ("redis://a/b", "\"b\" is no database's number"),
            ("redis://a/1/2", "there is more behind the last slash than a store has"),
            ("redis+sentinel://a", "the master's name is missing: redis+sentinel://host:port/NAME"),
            ("redis://a?b", "\"a?b\" is no host"),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()), "{text}");
        }
    }
}
