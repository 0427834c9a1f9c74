//! The query that an upstream is sent, where its route edits it: with the values that a question tells, and the names
//! of those that only a request has. What may be a secret is not shown.

use percent_encoding::percent_decode_str;

use super::Question;
use crate::config::settings::Route;
use crate::config::settings::header_edits::{KnownValue, ValuePiece};
use crate::config::settings::query_edits::{Parameter, QueryEdits as Settings};
use crate::config::settings::target::{NOT_SHOWN, may_be_secret};
use crate::query_edits::QueryEdits;
use crate::routing::Params;

/// What is asked for with this path and query, of which the path may have been rewritten: `sent`. `path` is that which
/// was asked for, in its one form, where the route's parameters are.
pub(super) fn target(route: &Route, question: &Question, (path, params): (&str, &Params), sent: String) -> String {
    // A path that could not be rewritten is no target.
    if !sent.starts_with('/') {
        return sent;
    }
    let sent = if route.hides_path { without_path(&sent) } else { sent };
    if route.request_query.is_empty() {
        return sent;
    }
    let (begun, came) = sent.split_once('?').map_or((&*sent, None), |(begun, query)| (begun, Some(query)));
    let own = &route.request_query;
    let shown = Settings { set: shown(&own.set), add: shown(&own.add), ..own.clone() };
    let Some(edits) = QueryEdits::new(&shown) else { return sent };
    let query = edits.apply(came, |piece, out| write(question, (path, params), piece, out));
    query.map_or_else(|| begun.to_owned(), |query| format!("{begun}?{}", readable(&query)))
}

/// The same where a variable wrote a part of the path: some services are let in by it.
fn without_path(sent: &str) -> String {
    match sent.split_once('?') {
        Some((_, query)) => format!("/{NOT_SHOWN}?{query}"),
        None => format!("/{NOT_SHOWN}"),
    }
}

/// A piece of a value, or its name where that takes a request.
fn write(question: &Question, (path, params): (&str, &Params), piece: &ValuePiece, out: &mut Vec<u8>) {
    match piece {
        ValuePiece::Literal(text) => out.extend_from_slice(text.as_bytes()),
        ValuePiece::Param(number) => {
            let range = params.get(*number).map(|&(start, end)| start as usize..end as usize);
            out.extend(percent_decode_str(range.and_then(|range| path.get(range)).unwrap_or("")));
        }
        ValuePiece::Header(name) => {
            let lines: Vec<&[u8]> = question.headers.get_all(name).map(|value| value.as_bytes()).collect();
            out.extend(lines.join(&b", "[..]));
        }
        ValuePiece::Known(known) => {
            let told = match known {
                KnownValue::ClientIp => question.counted_as().map(|client| client.to_string()),
                KnownValue::Host => Some(question.host()).filter(|host| !host.is_empty()),
                KnownValue::Method => Some(question.method.to_string()),
                KnownValue::Uri => question.uri.path_and_query().map(ToString::to_string),
                KnownValue::Path => Some(path.to_owned()),
                KnownValue::Scheme | KnownValue::Port | KnownValue::RequestId => None,
            };
            out.extend(told.unwrap_or_else(|| format!("{{{}}}", known.as_str())).into_bytes());
        }
    }
}

/// The names of values, and what stands in a secret's place, as people read them.
fn readable(query: &str) -> String {
    let names =
        KnownValue::ALL.iter().map(|known| (format!("%7B{}%7D", known.as_str()), format!("{{{}}}", known.as_str())));
    let secret = ("%28not%20shown%29".to_owned(), NOT_SHOWN.to_owned());
    names.chain([secret]).fold(query.to_owned(), |query, (sent, shown)| query.replace(&sent, &shown))
}

/// The parameters that are written, without secrets.
fn shown(written: &[Parameter]) -> Vec<Parameter> {
    let shown = |one: &Parameter| match one.is_filled_in || may_be_secret(&one.name) {
        true => Parameter { value: [ValuePiece::Literal(NOT_SHOWN.into())].into(), ..one.clone() },
        false => one.clone(),
    };
    written.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::answer;
    use super::*;
    use crate::config::{Environment, Purpose, load_text, load_text_with};
    use crate::explain::told::in_words;

    /// An environment in which every variable is a secret.
    struct Secrets;

    impl Environment for Secrets {
        fn get(&self, _: &str) -> Option<String> {
            Some("hunter2".to_owned())
        }
    }

    #[test]
    fn what_variables_write_is_told_nowhere() {
        let text = "[upstreams.u]\nendpoints = ['127.0.0.1:1']\n[identity.providers.p]\nkind = 'custom'\nname = 'p'\n\
                    [[routes]]\npath = '/t/{*rest}'\nupstream = 'u'\nrewrite = { path = '/bot${KEY}/{rest}' }\n\
                    request_query.set = { appid = '${KEY}', v = '2' }\n\
                    forward_auth = { upstream = 'u', path = '/check/${KEY}' }\n\
                    [[routes]]\npath = '/only'\nupstream = 'u'\nrewrite = { path = '/bot${KEY}' }\n\
                    [[routes]]\npath = '/edge'\nupstream = 'u'\nheaders = { x-edge = '${KEY}' }\nquery = { edge = '${KEY}' }\n\
                    [[routes]]\npath = '/who'\nupstream = 'u'\nauth = { providers = ['p'], claims = { tenant = '${KEY}' } }\n\
                    [[batches]]\npath = '/b/{id}'\nupstream = 'u'\nrequest = { path = '/b/${KEY}?ids={ids}' }\n\
                    response = { items = '/items', key = '/id' }\n";
        let config = load_text_with(text, Path::new("gateway.toml"), Purpose::Check, &Secrets);
        let config = config.unwrap_or_else(|problems| panic!("{problems:?}")).config;
        let told =
            |url: &str, headers: &[&str]| in_words(&answer(&config, &Question::parse("GET", url, headers).unwrap()));
        for (url, headers, expected) in [
            ("/t/x?y=1", &[][..], &["/(not shown)?y=1&appid=(not shown)&v=2", "u/check/${KEY} within"][..]),
            ("/only?y=1", &[], &["/(not shown)?y=1"]),
            ("/only", &[], &["/(not shown)"]),
            ("/edge?edge=hunter", &["x-edge: hunter"], &["header x-edge is there, but not (not shown)"]),
            ("/edge?edge=hunter2", &["x-edge: hunter2"], &["x-edge (not shown)", "edge (not shown)"]),
            ("/who", &[], &["tenant = ${KEY}"]),
            ("/b/1", &[], &["/b/${KEY}?ids={ids}"]),
        ] {
            let text = told(url, headers);
            assert!(expected.iter().all(|words| text.contains(words)), "{text}");
            let asked = text.replacen("edge=hunter2", "", 1);
            assert!(!asked.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_query_is_told_as_it_is_sent_without_secrets_and_with_names_of_what_is_not_known() {
        let text = "[[routes]]\npath = '/t/{tenant}/{*rest}'\nupstream = 'http://127.0.0.1:1'\n\
                    rewrite = { path = '/{rest}' }\nrequest_query.remove = ['debug']\nrequest_query.set = { \
                    tenant = '{tenant}', ip = '{client_ip}', id = 'r-{request_id}', api_key = 'hunter2', p = '{header:x-p}' }\n";
        let config = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let told = |url: &str, client: Option<&str>| {
            let question = Question::parse("GET", url, &["x-p: a b"]).unwrap();
            let question = client.into_iter().fold(question, |it, client| it.asked_from(client.parse().unwrap()));
            let policies = answer(&config, &question).policies.unwrap();
            (policies.target, policies.sending.request_query.unwrap())
        };
        let (sent, edits) = told("/t/a%26b/x?%64ebug=1&q=%7e&tenant=root", None);
        let written = "tenant=a%26b&ip={client_ip}&id=r-{request_id}&api_key=(not shown)&p=a%20b";
        assert_eq!(sent, format!("/x?q=%7e&{written}"));
        assert_eq!(edits, "sets tenant, ip, id, api_key, p; removes debug");
        let (sent, _) = told("/t/a/x", Some("10.0.0.7"));
        assert!(sent.starts_with("/x?tenant=a&ip=10.0.0.7&id="), "{sent}");
    }
}
