//! What a route answers where its service says nothing: fixed answers, redirects, documents of several parts, items of
//! a batch, and what stands in for a failing upstream.

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::problems::Told;
use crate::config::settings::Route;
use crate::config::settings::aggregate::{Aggregate, Part};
use crate::config::settings::own_answer::OwnAnswer;
use crate::config::settings::route::{Fallback, FixedAnswer};

/// The largest fixed body that is shown, bytes.
const MOST_SHOWN: usize = 4096;

/// The answers of a route, by status.
pub(super) fn of_route(route: &Route) -> Map<String, Value> {
    let (status, mut response) = match (route.own_answer.as_deref(), &route.aggregate, &route.batch) {
        (Some(OwnAnswer::Fixed(answer)), ..) => (answer.status.as_str().to_owned(), fixed(answer, "A fixed answer.")),
        (Some(OwnAnswer::Redirect(to)), ..) => (to.status.as_str().to_owned(), redirect("Leads to another address.")),
        (Some(OwnAnswer::Handler(_)), ..) => {
            ("default".to_owned(), json!({ "description": "What the program's own code answers." }))
        }
        (None, Some(aggregate), _) => ("200".to_owned(), parts(aggregate)),
        (None, None, Some(_)) => (
            "200".to_owned(),
            json!({
                "description": "The item.",
                "content": { "application/json": {} },
            }),
        ),
        (None, None, None) => ("default".to_owned(), json!({ "description": "What the service answers." })),
    };
    add_headers(&mut response, &["x-request-id"]);
    Map::from_iter([(status, response)])
}

/// What is particular about a route, in a sentence.
pub(super) fn in_words(route: &Route) -> Option<String> {
    if let Some(own) = &route.own_answer {
        return Some(match &**own {
            OwnAnswer::Fixed(_) => "The gateway answers itself.".to_owned(),
            OwnAnswer::Redirect(_) => "The gateway sends clients elsewhere.".to_owned(),
            OwnAnswer::Handler(name) => format!("The gateway's program answers itself, by its handler `{name}`."),
        });
    }
    if let Some(aggregate) = &route.aggregate {
        let parts = aggregate.parts.iter().map(|part| part_in_words(part, aggregate)).collect::<Vec<_>>().join("; ");
        return Some(format!("One document of several parts: {parts}."));
    }
    route.batch.as_ref().map(|batch| {
        format!("Requests are gathered, up to {} at once; each gets the item of its `{}`.", batch.max_size, batch.id)
    })
}

fn part_in_words(part: &Part, aggregate: &Aggregate) -> String {
    let mut text = format!("`{}`", part.name);
    if part.required {
        text.push_str(", without which there is no answer");
    } else if part.fallback.is_some() {
        text.push_str(", for which a fixed value may stand");
    } else {
        text.push_str(", which may be null");
    }
    let needs: Vec<String> =
        part.needs().filter_map(|at| aggregate.parts.get(at)).map(|other| format!("`{}`", other.name)).collect();
    if !needs.is_empty() {
        text.push_str(&format!(" and is asked for after {}", needs.join(", ")));
    }
    text
}

fn parts(aggregate: &Aggregate) -> Value {
    let property = |part: &Part| {
        let schema = match &part.fallback {
            Some(fallback) => match serde_json::from_slice::<Value>(fallback) {
                Ok(value) => json!({ "description": format!("Where it cannot be had: `{value}`.") }),
                Err(_) => json!({}),
            },
            None if part.required => json!({}),
            None => json!({ "description": "Null where it cannot be had." }),
        };
        (part.name.to_string(), schema)
    };
    let names: Vec<&str> = aggregate.parts.iter().map(|part| &*part.name).collect();
    let properties: Map<String, Value> = aggregate.parts.iter().map(property).collect();
    let schema = json!({ "type": "object", "required": names, "properties": properties });
    let mut response = json!({ "description": "The parts.", "content": { "application/json": { "schema": schema } } });
    add_headers(&mut response, &["x-aggregate-missing"]);
    response
}

/// An answer that leads elsewhere.
pub(super) fn redirect(description: &str) -> Value {
    let location = json!({ "description": "Where to.", "schema": { "type": "string", "format": "uri-reference" } });
    json!({ "description": description, "headers": { "location": location } })
}

fn fixed(answer: &FixedAnswer, description: &str) -> Value {
    let mut response = json!({ "description": description });
    if let Some(kind) = answer.content_type.as_ref().and_then(|kind| HeaderValue::to_str(kind).ok()) {
        let mut media = json!({ "schema": {} });
        let shown = std::str::from_utf8(&answer.body).ok().filter(|text| text.len() <= MOST_SHOWN);
        if let Some(text) = shown {
            let is_json = kind.contains("json");
            let value = is_json.then(|| serde_json::from_str(text).ok()).flatten();
            media["example"] = value.unwrap_or_else(|| text.into());
        }
        response["content"] = json!({ kind: media });
    }
    response
}

/// Adds what stands in for a failing upstream.
pub(super) fn add_fallback(route: &Route, responses: &mut Map<String, Value>) {
    let Some(Fallback::Answer(answer)) = &route.fallback else { return };
    let description = "A fixed answer, where the service cannot answer.";
    let stands_in = fixed(answer, description);
    match responses.get_mut(answer.status.as_str()) {
        None => drop(responses.insert(answer.status.as_str().to_owned(), stands_in)),
        // What is shared with others is not added to.
        Some(response) if response.get("$ref").is_some() => {}
        Some(response) => {
            say(response, description);
            for (kind, media) in stands_in["content"].as_object().into_iter().flatten() {
                add_content(response, kind, media.clone());
            }
        }
    }
}

/// Adds what the gateway itself answers with this status.
pub(super) fn add_problem(responses: &mut Map<String, Value>, told: Told) {
    let Told { status, words, response, content } = told;
    match responses.get_mut(status.as_str()) {
        None => drop(responses.insert(status.as_str().to_owned(), response)),
        // What is shared with others is not added to; the codes are told beside.
        Some(response) if response.get("$ref").is_some() => {}
        Some(response) => {
            say(response, &format!("Or of the gateway: {words}."));
            for (kind, media) in content {
                add_content(response, &kind, media);
            }
            if status == StatusCode::TOO_MANY_REQUESTS {
                add_headers(response, &["retry-after", "ratelimit", "ratelimit-policy"]);
            }
        }
    }
}

fn say(response: &mut Value, more: &str) {
    let said = response["description"].as_str().unwrap_or_default();
    let said = if said.is_empty() { more.to_owned() } else { format!("{said}\n\n{more}") };
    response["description"] = said.into();
}

fn add_content(response: &mut Value, kind: &str, media: Value) {
    let Some(response) = response.as_object_mut() else { return };
    let content = response.entry("content").or_insert_with(|| json!({}));
    if let Some(content) = content.as_object_mut() {
        content.entry(kind).or_insert(media);
    }
}

/// Adds headers of the gateway to an answer that is described here and has none of that name.
pub(super) fn add_headers(response: &mut Value, names: &[&str]) {
    let Some(response) = response.as_object_mut().filter(|it| !it.contains_key("$ref") && !names.is_empty()) else {
        return;
    };
    let headers = response.entry("headers").or_insert_with(|| json!({}));
    let Some(headers) = headers.as_object_mut() else { return };
    for name in names {
        if !headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            headers.insert((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
        }
    }
}
