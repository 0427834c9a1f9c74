//! Requests of loads that no route takes: they are answered 404, whatever the services do.
//!
//! Only the path is looked at. A request whose host, method or headers fit no route is one that somebody has thought
//! about; one whose path fits none is a typing mistake, unless 404 is expected of it.

use gateway::config::Config;
use gateway::routing::of_url::params_of;
use gateway::routing::{PathRules, normalise};
use loadgen::request::{Dice, Text};

use super::super::model::{ExpectPart, LoadPart, RequestPart, Scenario};
use super::super::source::{Sources, Span};

/// How many requests of a path with placeholders are drawn: what one of them reaches has a route.
const DRAWS: u64 = 32;
/// What is answered to a request that no route takes.
const NOT_FOUND: u16 = 404;

/// For each request that no route takes, and that is not meant so, a sentence with its line. `places` has the paths of
/// each load's requests, in their order.
pub(super) fn find(
    scenario: &Scenario,
    expectations: &[ExpectPart],
    config: &Config,
    places: &[Vec<Span>],
    sources: &Sources,
) -> Vec<String> {
    let mut found = Vec::new();
    for (load, places) in scenario.loads.iter().zip(places) {
        for (request, at) in load.requests.iter().zip(places) {
            if request.weight > 0 && !is_meant(load, request, expectations) && !is_taken(&request.path, config) {
                let (place, path) = (sources.locate(*at), &request.path);
                found.push(format!(
                    "no route takes the path `{path}` of the load `{}`, so that it is answered 404 ({}:{}); where that \
                     is meant, write expect = [404]",
                    load.name,
                    place.path.display(),
                    place.line
                ));
            }
        }
    }
    found
}

/// Whether somebody expects it.
fn is_meant(load: &LoadPart, request: &RequestPart, expectations: &[ExpectPart]) -> bool {
    let prefix = format!("load.{}.", load.name);
    let says = |figure: &String| {
        figure.starts_with(&prefix) && [".status.404", ".outcome.client_error"].iter().any(|end| figure.ends_with(end))
    };
    request.expect.contains(&NOT_FOUND) || expectations.iter().flat_map(ExpectPart::figures).any(says)
}

/// Whether a route takes what the path may become.
fn is_taken(written: &str, config: &Config) -> bool {
    // What cannot be read was told already.
    let Ok(text) = Text::parse(written) else { return true };
    let has_placeholders = text.literals().concat() != written;
    let draws = if has_placeholders { DRAWS } else { 1 };
    (0..draws).any(|number| {
        // Values are for the users of journeys, of which there are none here.
        let path = text.render(&mut Dice::new(0, number), &Default::default());
        is_path_taken(path.split('?').next().unwrap_or_default(), config)
    })
}

fn is_path_taken(path: &str, config: &Config) -> bool {
    let rules = PathRules { keep_escaped_slash: true, merge_slashes: config.server.merge_slashes };
    // One that has no form is answered otherwise, and written so on purpose.
    let Ok(path) = normalise(path, rules) else { return true };
    config.routes.iter().any(|route| params_of(route, &path).is_some())
}
