//! One request, timed from its send to the last byte of its answer: goose itself stops at the head.

use std::error::Error;
use std::time::Duration;

use loadgen::clock::monotonic_ns;
use loadgen::journey::model::Request;
use loadgen::journey::wire::Message;
use loadgen::request::Dice;
use loadgen::sample::{Failure, Outcome, Sample};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};

use crate::attack::Stage;
use crate::user::Values;

/// Bodies are kept as far as this when values are taken from them.
const MOST_KEPT: usize = 4 << 20;

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// It was as expected, and told so.
    pub(crate) ok: bool,
    /// The status; 0 when none came.
    pub(crate) status: u16,
    /// When it was sent.
    pub(crate) sent_ns: u64,
    /// When its last byte was there.
    pub(crate) end_ns: u64,
    /// What was taken from its body.
    pub(crate) taken: Vec<(String, String)>,
}

/// The times and sizes of an answer.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    status: u16,
    head_ns: u64,
    body_bytes: u64,
    residence_ns: Option<u64>,
    endpoint: Option<u16>,
}

/// Sends a request and reads its answer to the end; tells what happened. `None` when it is over.
pub(crate) async fn fetch(
    stage: &Stage,
    (client, base): (&Client, &str),
    request: &Request,
    (dice, values): (&mut Dice, &Values),
) -> Option<Fetched> {
    let built = build(client, base, request, dice, values);
    let takes = !request.take.is_empty();
    // In this order: whoever sees that it is over sees every request that began before, too.
    stage.teller.began();
    if stage.is_over() {
        stage.teller.ended();
        return None;
    }
    let sent_ns = monotonic_ns();
    let mut seen = Seen::default();
    let mut kept = Vec::new();
    let mut failure = match built {
        Ok(built) => exchange(client, built, &mut seen, takes.then_some(&mut kept)).await.err(),
        Err(_) => Some(Failure::Malformed),
    };
    let end_ns = monotonic_ns();
    let accepted = request.expect.accepts_status(seen.status);
    let mut taken = Vec::new();
    if failure.is_none() && accepted && takes {
        match take(&kept, &request.take) {
            Some(all) => taken = all,
            None => failure = Some(Failure::Missing),
        }
    }
    let outcome = match seen.status {
        _ if failure.is_some() => Outcome::Failed,
        _ if accepted => Outcome::Ok,
        status => Outcome::of_unexpected(status, seen.endpoint.is_some() || seen.residence_ns.is_some()),
    };
    let head_ns = if seen.status == 0 { end_ns } else { seen.head_ns };
    let Seen { status, body_bytes, residence_ns, endpoint, .. } = seen;
    let template = request.index;
    stage.teller.tell(Message::Sample(Sample {
        template,
        intended_ns: sent_ns,
        sent_ns,
        head_ns,
        end_ns,
        status,
        body_bytes,
        outcome,
        failure,
        residence_ns,
        endpoint,
        refusal: None,
    }));
    stage.teller.ended();
    Some(Fetched { ok: outcome == Outcome::Ok, status, sent_ns, end_ns, taken })
}

fn build(
    client: &Client,
    base: &str,
    request: &Request,
    dice: &mut Dice,
    values: &Values,
) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
    let method = Method::from_bytes(request.method.as_bytes())?;
    let path = request.path.render(dice, values);
    // What an answer gave must not lead to another host.
    if !path.starts_with('/') {
        return Err(format!("`{path}` is no path").into());
    }
    let url = format!("{base}{path}");
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(&value.render(dice, values))?);
    }
    let mut builder = client.request(method, url).headers(headers);
    if let Some(body) = &request.body {
        builder = builder.body(body.render(dice, values));
    }
    Ok(builder.build()?)
}

async fn exchange(
    client: &Client,
    request: reqwest::Request,
    seen: &mut Seen,
    mut kept: Option<&mut Vec<u8>>,
) -> Result<(), Failure> {
    let mut response = client.execute(request).await.map_err(|error| cause(&error))?;
    seen.head_ns = monotonic_ns();
    seen.status = response.status().as_u16();
    (seen.residence_ns, seen.endpoint) =
        (number(&response, "x-mock-residence-ns"), number(&response, "x-mock-endpoint"));
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        seen.body_bytes += chunk.len() as u64;
        if let Some(kept) = kept.as_deref_mut()
            && kept.len() + chunk.len() <= MOST_KEPT
        {
            kept.extend_from_slice(&chunk);
        }
    }
    Ok(())
}

fn number<T: std::str::FromStr>(response: &Response, name: &str) -> Option<T> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// Why there was no whole answer. An answer that is no HTTP shows as one that was cut.
fn cause(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::Connect
    } else if error.is_timeout() {
        Failure::Timeout
    } else if error.is_builder() || error.is_redirect() {
        Failure::Malformed
    } else {
        Failure::Closed
    }
}

/// Every value that is to be taken, or none.
fn take(body: &[u8], wanted: &[(String, String)]) -> Option<Vec<(String, String)>> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let one = |(name, pointer): &(String, String)| {
        let text = match body.pointer(pointer)? {
            serde_json::Value::Null => return None,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((name.clone(), text))
    };
    wanted.iter().map(one).collect()
}

/// A client of one user: its own connections and its own cookies.
pub(crate) fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    Client::builder()
        .cookie_store(true)
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::limited(5))
        .gzip(false)
        .no_proxy()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_value_leads_to_no_other_host() {
        let file = "[[journeys]]\nname = \"a\"\nuser = { next = \"NEXT\" }\n[[journeys.steps]]\nname = \"b\"\n\
                    path = \"{value(next)}\"\nheaders = { x = \"{value(next)}\" }\n";
        let journeys = loadgen::journey::file::parse(Path::new("a"), file).unwrap();
        let request = journeys.requests().next().unwrap();
        let of = |next: &str| {
            let values = Values::from([("next".to_owned(), next.to_owned())]);
            build(&Client::new(), "http://127.0.0.1:1", request, &mut Dice::new(1, 1), &values)
        };
        assert_eq!(of("/next?a=b").unwrap().url().as_str(), "http://127.0.0.1:1/next?a=b");
        for bad in ["@192.0.2.1/", "next", "", "/next\r\nx: y"] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_are_taken_by_their_place_or_not_at_all() {
        let body = br#"{"token":"a b","list":[{"id":7}],"nothing":null}"#;
        let of = |pointer: &str| take(body, &[("x".to_owned(), pointer.to_owned())]).map(|taken| taken[0].1.clone());
        assert_eq!(of("/token").as_deref(), Some("a b"));
        assert_eq!(of("/list/0/id").as_deref(), Some("7"));
        assert_eq!(
            (of("/nothing"), of("/absent"), take(b"no json", &[("x".to_owned(), String::new())])),
            (None, None, None)
        );
    }
}
