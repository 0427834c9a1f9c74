//! The file that `mocks --config` reads: services, their endpoints, and rules.
//!
//! ```toml
//! seed = 1                                  # all may be absent: without `services` it is a file of rules
//! threads = 1
//! control = "127.0.0.1:9700"
//! gateway = "127.0.0.1:8080"                # where calls go that name no address
//!
//! [services.orders]
//! endpoints = 3                             # on free ports; or addresses: ["127.0.0.1:9001", "127.0.0.1:9002"]
//! service_time = "lognormal(2ms, 0.4)"      # how long a request takes; nothing by default
//! servers = 8                               # requests that an endpoint serves at once; 0 = any number, the default
//! waiting_room = 1000                       # requests that may wait at an endpoint; the others get 503
//! tls = { cert = "a.pem", key = "a.key" }   # PEM, seen from where the program was started; in the clear by default
//!
//! [[services.orders.calls]]                 # what is called before the answer
//! path = "/checkout/*"                      # all by default
//! mode = "parallel"                         # or "sequence", the default
//! to = ["/users/7", "http://127.0.0.1:9009/stock"]
//! timeout = "1s"                            # of each
//! on_failure = 502                          # what is answered when one fails; or "ignore"
//! headers = { x-api-key = "{x-api-key}" }    # besides the request's context; {name} is a header of the request
//!
//! [[rules]]
//! match = { service = "orders", endpoint = 1, share = 0.5 }
//! act = { delay = "lognormal(2ms, 0.4)" }
//! ```

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value};

use crate::calls::read_calls;
use crate::faults::{Delay, Problems, join, rules_from_value};
use crate::mock::{Builder, Mock};
use crate::tls::Tls;

mod places;

pub(crate) use places::render;

const KEYS: &[&str] = &["seed", "threads", "control", "gateway", "services", "rules"];
const SERVICE_KEYS: &[&str] = &["endpoints", "service_time", "servers", "waiting_room", "calls", "tls"];
const TLS_KEYS: &[&str] = &["cert", "key"];
/// More endpoints or threads than this are a slip of the finger.
const MOST: u64 = 1000;

impl Builder {
    /// Reads a topology file. One without `services` describes what is said of none in particular, above all rules; the
    /// services may be added then.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let document = match toml::from_str::<Value>(text) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return Err(problems_of("(document)", "a table is expected")),
            Err(error) => {
                let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
                return Err(problems_of(&format!("line {line}"), error.message()));
            }
        };
        problems.unknown_keys(&document, "", KEYS);
        let mut builder = Mock::builder();
        if let Some(seed) = document.get("seed") {
            builder = match seed.as_u64() {
                Some(seed) => builder.seed(seed),
                None => refuse(&mut problems, builder, "seed", "a whole number is expected"),
            };
        }
        if let Some(threads) = document.get("threads") {
            builder = match threads.as_u64().filter(|count| (1..=MOST).contains(count)) {
                Some(threads) => builder.threads(usize::try_from(threads).unwrap_or(1)),
                None => refuse(&mut problems, builder, "threads", "a number from 1 to 1000 is expected"),
            };
        }
        if let Some(control) = document.get("control") {
            builder = match control.as_str().and_then(|text| text.parse().ok()) {
                Some(address) => builder.control(address),
                None => refuse(&mut problems, builder, "control", "an address such as 127.0.0.1:0 is expected"),
            };
        }
        if let Some(gateway) = document.get("gateway") {
            builder = match gateway.as_str().and_then(|text| text.parse().ok()) {
                Some(address) => builder.gateway(address),
                None => refuse(&mut problems, builder, "gateway", "an address such as 127.0.0.1:8080 is expected"),
            };
        }
        match document.get("services") {
            Some(Value::Object(services)) if !services.is_empty() => {
                for (name, service) in services {
                    builder = read_service(builder, name, service, &mut problems);
                }
            }
            Some(_) => problems.add("services", "a table for each service is expected: [services.orders]"),
            None => {}
        }
        if let Some(rules) = document.get("rules") {
            builder = builder.rules(rules_from_value(rules, &mut problems));
        }
        // Of services that could not be read nobody knows what they have.
        if problems.0.is_empty() && builder.has_services() {
            problems = builder.rules_for_nothing();
        }
        problems.or(builder)
    }
}

fn read_service(builder: Builder, name: &str, service: &Value, problems: &mut Problems) -> Builder {
    let at = join("services", name);
    let mut builder = builder.service(name);
    let Some(service) = service.as_object() else {
        return refuse(problems, builder, &at, "a table is expected");
    };
    problems.unknown_keys(service, &at, SERVICE_KEYS);
    builder = read_station(builder, service, &at, problems);
    if let Some(calls) = service.get("calls") {
        builder = read_calls(calls, &join(&at, "calls"), problems).into_iter().fold(builder, Builder::calls);
    }
    if let Some(tls) = service.get("tls") {
        builder = read_tls(builder, tls, &join(&at, "tls"), problems);
    }
    let key = join(&at, "endpoints");
    match service.get("endpoints") {
        None => builder.endpoints(1),
        Some(Value::Array(addresses)) if !addresses.is_empty() => {
            for (index, address) in addresses.iter().enumerate() {
                builder = match address.as_str().and_then(|text| text.parse::<SocketAddr>().ok()) {
                    Some(address) => builder.listen(address),
                    None => {
                        let key = format!("{key}[{index}]");
                        refuse(problems, builder, &key, "an address such as 127.0.0.1:9001 is expected")
                    }
                };
            }
            builder
        }
        Some(count) => match count.as_u64().filter(|count| (1..=MOST).contains(count)) {
            Some(count) => builder.endpoints(usize::try_from(count).unwrap_or(1)),
            None => refuse(problems, builder, &key, "a number from 1 to 1000, or a list of addresses, is expected"),
        },
    }
}

/// How long the service takes, and how many it serves at once.
fn read_station(mut builder: Builder, service: &Map<String, Value>, at: &str, problems: &mut Problems) -> Builder {
    if let Some(time) = service.get("service_time") {
        let read = time.as_str().map_or_else(|| Err(format!("{time} is not a string")), Delay::parse);
        builder = match read {
            Ok(Delay::Queue(_)) => {
                let key = join(at, "service_time");
                refuse(problems, builder, &key, "a time is expected; `servers` and `waiting_room` make it a queue")
            }
            Ok(time) => builder.service_time(time),
            Err(message) => refuse(problems, builder, &join(at, "service_time"), &message),
        };
    }
    for (key, set) in
        [("servers", Builder::servers as fn(Builder, u32) -> Builder), ("waiting_room", Builder::waiting_room)]
    {
        let Some(value) = service.get(key) else { continue };
        builder = match value.as_u64().and_then(|count| u32::try_from(count).ok()) {
            Some(_) if !service.contains_key("service_time") => {
                refuse(problems, builder, &join(at, key), "needs a `service_time`: without one nobody waits")
            }
            Some(count) => set(builder, count),
            None => refuse(problems, builder, &join(at, key), "a whole number from 0 on is expected"),
        };
    }
    builder
}

/// The files of a certificate and its key.
fn read_tls(builder: Builder, tls: &Value, at: &str, problems: &mut Problems) -> Builder {
    let Some(table) = tls.as_object() else {
        return refuse(problems, builder, at, "a table of `cert` and `key` is expected");
    };
    problems.unknown_keys(table, at, TLS_KEYS);
    let file = |key: &str| table.get(key).and_then(Value::as_str).map(Path::new);
    match (file("cert"), file("key")) {
        (Some(cert), Some(key)) => match Tls::from_files(cert, key) {
            Ok(tls) => builder.tls(tls),
            Err(error) => refuse(problems, builder, at, &error.to_string()),
        },
        _ => refuse(problems, builder, at, "the files `cert` and `key` are expected"),
    }
}

fn refuse(problems: &mut Problems, builder: Builder, key: &str, message: &str) -> Builder {
    problems.add(key, message);
    builder
}

fn problems_of(key: &str, message: &str) -> Problems {
    let mut problems = Problems::default();
    problems.add(key, message);
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_documentation_starts() {
        let page = include_str!("../../docs/mocks.md");
        let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let mock = Builder::from_toml(text).unwrap().launch().unwrap();
        assert_eq!((mock.addrs().len(), mock.addrs_of("orders").len(), mock.rules().len()), (4, 3, 1));
        assert_eq!(mock.addrs_of("orders"), mock.addrs()[..3], "services keep the file's order");
        assert!(mock.control_addr().is_some());
    }

    #[test]
    fn every_way_to_say_it_is_read() {
        let text = "[services.users]\nendpoints = ['127.0.0.1:0']\nservice_time = 'fixed(2ms)'\nservers = 8\n\
                    [[services.users.calls]]\nto = ['/stock']\n[services.orders]";
        let mock = Builder::from_toml(text).unwrap().launch().unwrap();
        assert_eq!((mock.addrs_of("users").len(), mock.addrs_of("orders").len()), (1, 1));
    }

    #[test]
    fn every_problem_is_found() {
        let text = "seed = -1\nthreads = 0\ncontrol = 'here'\ngateway = 1\nport = 1\n[services.a]\nendpoints = ['x']\nserver = 1\n\
                    [services.b]\nendpoints = 0\nservice_time = 'soon'\nservers = -1\ntls = { cert = 'none.pem' }\n[[rules]]\nact = { status = 1 }";
        let problems = Builder::from_toml(text).unwrap_err();
        let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "port",
            "seed",
            "threads",
            "control",
            "gateway",
            "services.a.server",
            "services.a.endpoints[0]",
            "services.b.service_time",
            "services.b.servers",
            "services.b.tls",
            "services.b.endpoints",
            "rules[0].act.status",
        ];
        assert_eq!(keys, expected);
        let text = "[services.a]\nendpoints = 2\n[[rules]]\nmatch = { endpoint = 9 }\nact = { status = 503 }\n\
                    [[rules]]\nmatch = { service = 'users' }\nact = { status = 503 }";
        let told = Builder::from_toml(text).unwrap_err().to_string();
        let wanted = "rules[0].match.endpoint: it is a place in the service, from 0, and the last one is 1\n\
                      rules[1].match.service: there is no service `users`; there are a";
        assert_eq!(told, wanted);
        assert_eq!(Builder::from_toml("a = 1\nb = = 2").unwrap_err().0[0].key, "line 2");
        assert_eq!(Builder::from_toml("services = {}").unwrap_err().0[0].key, "services");
    }

    #[test]
    fn the_services_of_the_example_are_read() {
        let text = include_str!("../../examples/aggregates/services.toml");
        assert!(Builder::from_toml(text).is_ok_and(|builder| builder.has_services()));
    }

    #[test]
    fn a_file_of_rules_needs_no_services() {
        let rules = "[[rules]]\nmatch = { path = '/orders/*' }\nact = { delay = '50ms' }";
        let mock = Builder::from_toml(rules).unwrap().launch().unwrap();
        assert_eq!((mock.addrs_of("mock").len(), mock.rules().len()), (1, 1), "one service, as without a file");
        let mock = Builder::from_toml(rules).unwrap().service("orders").endpoints(2).launch().unwrap();
        assert_eq!((mock.addrs_of("orders").len(), mock.addrs().len(), mock.rules().len()), (2, 2, 1));
    }
}
