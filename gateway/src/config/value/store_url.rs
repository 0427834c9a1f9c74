//! A store's URL: `redis://host:port/db`, `redis+cluster://host:port,host:port`,
//! `redis+sentinel://host:port,host:port/master/db`; `rediss…` with TLS, and `USER@` before the first host.

use crate::config::settings::store::Servers;

const FORMS: &str = "it begins with redis://, rediss://, redis+cluster:// or redis+sentinel://";

/// What a store's URL says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    /// Where the servers are.
    pub(crate) servers: Servers,
    /// They are spoken to with TLS.
    pub(crate) tls: bool,
    /// As whom.
    pub(crate) user: Option<String>,
}

/// Reads it.
pub(crate) fn parse(text: &str) -> Result<StoreUrl, String> {
    let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
    let (kind, tls) = match scheme.strip_prefix("rediss") {
        Some(kind) => (kind, true),
        None => (scheme.strip_prefix("redis").ok_or(FORMS)?, false),
    };
    let mut path = rest.split('/');
    let hosts = path.next().unwrap_or("");
    let (user, hosts) = match hosts.rsplit_once('@') {
        Some((user, hosts)) => (Some(self::user(user)?), hosts),
        None => (None, hosts),
    };
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
    Ok(StoreUrl { servers, tls, user })
}

/// Who stands before the `@`, as it is: nothing is decoded.
fn user(text: &str) -> Result<String, String> {
    if text.contains(':') {
        return Err("a password belongs in password_env".to_owned());
    }
    if text.is_empty() || text.contains([',', '@', '%']) {
        return Err(format!("{text:?} before the @ is no user's name"));
    }
    Ok(text.to_owned())
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

    fn read(text: &str) -> (Servers, bool) {
        let StoreUrl { servers, tls, user } = parse(text).unwrap();
        assert_eq!(user, None, "{text}");
        (servers, tls)
    }

    #[test]
    fn every_form_is_read() {
        let host = |name: &str, port| (name.to_owned(), port);
        assert_eq!(read("redis://a"), (Servers::One(host("a", 6379), 0), false));
        assert_eq!(read("rediss://10.0.0.1:7000/3"), (Servers::One(host("10.0.0.1", 7000), 3), true));
        assert_eq!(read("redis://[::1]:7000"), (Servers::One(host("::1", 7000), 0), false));
        assert_eq!(read("redis://[::1]/"), (Servers::One(host("::1", 6379), 0), false));
        let nodes = vec![host("a", 7000), host("b", 6379)];
        assert_eq!(read("redis+cluster://a:7000,b"), (Servers::Cluster(nodes), false));
        let sentinels = Servers::Sentinels(vec![host("a", 26379), host("b", 1)], "main".to_owned(), 2);
        assert_eq!(read("rediss+sentinel://a,b:1/main/2"), (sentinels, true));
    }

    #[test]
    fn a_user_may_stand_before_the_hosts_of_every_form() {
        for (text, bare) in [
            ("rediss://alice@localhost:7000/1", "rediss://localhost:7000/1"),
            ("redis+cluster://alice@a:7000,b", "redis+cluster://a:7000,b"),
            ("redis+sentinel://alice@a,b/main", "redis+sentinel://a,b/main"),
        ] {
            let (servers, tls) = read(bare);
            assert_eq!(parse(text), Ok(StoreUrl { servers, tls, user: Some("alice".to_owned()) }));
        }
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
            ("redis://:secret@a", "a password belongs in password_env"),
            ("redis://@a", "\"\" before the @ is no user's name"),
            ("redis://me%40here@a", "\"me%40here\" before the @ is no user's name"),
            ("redis+cluster://me@a,me@b", "\"me@a,me\" before the @ is no user's name"),
            ("redis://me@", "the host is missing"),
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
