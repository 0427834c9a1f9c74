//! Which bodies of the operator's own (`problems`) a request could be told, and for which codes: those of its route
//! before those of the gateway, as when a problem is answered.

use std::fmt;

use serde::Serialize;

use crate::config::settings::problems::{ProblemBody, ProblemKey, Problems};
use crate::config::settings::{Config, Route};
use crate::error::Code;

/// A body in place of problem documents.
#[derive(Debug, Serialize)]
pub struct OwnProblem {
    /// Whose word it is: `route` or `server`.
    pub of: &'static str,
    /// What it is written for: a code, a status or a class.
    pub problems: String,
    /// What it is said to be; absent where it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The file that it was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The codes of which it is told. Where another body comes first for each, there are none; one for a status may
    /// be told still, where a part of an aggregate is answered so; `upstream_error` stands with those for the statuses
    /// that the route's `intercept` names.
    pub codes: Vec<&'static str>,
}

impl OwnProblem {
    fn new(of: &'static str, key: ProblemKey, body: &ProblemBody, codes: Vec<&'static str>) -> Self {
        let content_type = body.content_type.as_ref().map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        let file = body.file.as_ref().map(|file| file.display().to_string());
        Self { of, problems: key.to_string(), content_type, file, codes }
    }
}

/// As on a line of a terminal: `5xx of the route (text/html, errors/5xx.html): upstream_connect, upstream_reset`.
impl fmt::Display for OwnProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.of == "route" { "the route" } else { "[server]" };
        let what: Vec<&str> = self.content_type.iter().chain(&self.file).map(String::as_str).collect();
        let what = if what.is_empty() { "empty".to_owned() } else { what.join(", ") };
        let codes =
            if self.codes.is_empty() { "no code that is not another's".to_owned() } else { self.codes.join(", ") };
        write!(f, "{} of {place} ({what}): {codes}", self.problems)
    }
}

/// Those for requests of this route, or of none; the route's own come first.
pub(super) fn of(config: &Config, route: Option<&Route>) -> Vec<OwnProblem> {
    let own = route.and_then(|route| route.problems.as_deref()).map(|problems| ("route", problems));
    let all = config.server.problems.as_deref().map(|problems| ("server", problems));
    let bodies = |(of, problems)| Problems::bodies(problems).map(move |(key, body)| (of, *key, body));
    let told: Vec<(&str, ProblemKey, &ProblemBody)> = own.into_iter().chain(all).flat_map(bodies).collect();
    // The first that is for a code and its status is what is told.
    let first = |code, status| told.iter().position(|(_, key, _)| key.is_for(code, status));
    let intercept = route.and_then(|route| route.intercept.as_ref());
    let is_told = |code: Code, at: usize| match code {
        // Which has the status of the upstream's answer.
        Code::UpstreamError => {
            intercept.is_some_and(|intercept| intercept.statuses().any(|status| first(code, status) == Some(at)))
        }
        _ => first(code, code.status()) == Some(at),
    };
    let codes = |at| Code::ALL.iter().filter(|code| is_told(**code, at)).map(|code| code.as_str()).collect();
    told.iter().enumerate().map(|(at, (of, key, body))| OwnProblem::new(of, *key, body, codes(at))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Question, answer};
    use crate::config::{Purpose, load_text};

    const TEXT: &str = "[server]\n[server.problems]\nupstream_connect = { body = 'all' }\n\
                        404 = { body = '{}', content_type = 'application/json' }\n4xx = { body = '' }\n\
                        [[routes]]\nname = 'a'\npath = '/a'\nupstream = 'http://127.0.0.1:1'\n\
                        problems = { 502 = { body = 'own' } }\n\
                        [[routes]]\nname = 'b'\npath = '/b'\nanswer = { body = 'b' }\n";

    fn told(method: &str, path: &str, headers: &[&str]) -> Vec<String> {
        let config = load_text(TEXT, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let answer = answer(&config, &Question::parse(method, path, headers).unwrap());
        answer.problems.iter().map(ToString::to_string).collect()
    }

    fn codes<'a>(told: &'a [String], beginning: &str) -> Vec<&'a str> {
        let line = told.iter().find_map(|line| line.strip_prefix(beginning)).unwrap_or_else(|| panic!("{told:#?}"));
        line.split(", ").collect()
    }

    #[test]
    fn the_routes_bodies_take_their_codes_from_the_gateways() {
        let a = told("GET", "/a", &[]);
        let own = codes(&a, "502 of the route (text/plain; charset=utf-8): ");
        assert!(own.contains(&"upstream_connect") && own.contains(&"upstream_reset"), "{own:?}");
        let all = codes(&a, "upstream_connect of [server] (text/plain; charset=utf-8): ");
        assert_eq!(all, ["no code that is not another's"]);
        let class = codes(&a, "4xx of [server] (empty): ");
        assert!(class.contains(&"rate_limited") && !class.contains(&"route_not_found"), "{class:?}");

        for path in ["/b", "/nowhere", "/%00"] {
            let told = told("GET", path, &[]);
            assert_eq!(told.len(), 3, "{told:#?}");
            assert_eq!(
                codes(&told, "upstream_connect of [server] (text/plain; charset=utf-8): "),
                ["upstream_connect"]
            );
            assert!(codes(&told, "404 of [server] (application/json): ").contains(&"route_not_found"));
        }
    }

    #[test]
    fn an_error_that_is_intercepted_is_told_by_the_body_for_its_status() {
        let text = TEXT.replace("problems = { 502", "intercept = ['404']\nproblems = { 502");
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let of = |path| answer(&config, &Question::parse("GET", path, &[]).unwrap()).problems;
        let bodies = |path| -> Vec<String> {
            let told = of(path).into_iter().filter(|body| body.codes.contains(&"upstream_error"));
            told.map(|body| body.problems).collect()
        };
        assert_eq!((bodies("/a"), bodies("/b")), (vec!["404".to_owned()], Vec::new()));
    }

    #[test]
    fn callers_of_grpc_are_told_none_of_them() {
        let grpc = ["content-type: application/grpc"];
        assert_eq!((told("POST", "/a", &grpc).len(), told("GET", "/a", &grpc).len()), (0, 4));
    }
}
