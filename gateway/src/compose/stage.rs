//! The stage: calls the parts, each as soon as those are there whose values it needs, until it is known of each whether
//! it is in the answer.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderValue, header};
use smallvec::SmallVec;

use super::aggregate::{Aggregate, Parameters, Part};
use super::call::{Call, Called, Lost, Outcome, Tally, Wanted, run};
use super::document::{Document, Place};
use crate::error::{Code, FailedPart, GatewayError};
use crate::exchange::{Exchange, Parts};
use crate::header_edits;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::PartResult;
use crate::telemetry::recorder::{Calls, MissingPart};

/// An optional part that has failed: its number, with what, and why.
type NotThere = (usize, PartResult, Option<Box<str>>);

/// What concerns a request's own body, conditions and codings: it is the aggregate that is asked, not one of its parts.
const NOT_PASSED: [http::HeaderName; 11] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::EXPECT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::TE,
];

/// Calls the parts of the exchange's aggregate: `params` are its parameters' ranges of the path, `send` makes calls.
///
/// # Errors
/// What a required part failed with, in its name.
pub async fn gather<N, F>(
    exchange: &mut Exchange<N>,
    headers: RequestFields,
    params: &[(u32, u32)],
    send: impl Fn(Call<N>) -> F,
) -> Result<Document<N>, Box<GatewayError>>
where
    N: Network,
    F: Future<Output = Called<N>>,
{
    let aggregate = exchange.route().and_then(|route| route.aggregate.clone());
    let aggregate = aggregate.ok_or_else(|| GatewayError::new(Code::Internal, "The route is no aggregate."))?;
    (exchange.parts, exchange.calls) = (Some(Parts::new(aggregate.parts.len())), Some(Calls::for_parts()));
    exchange.upstream_began = Some(exchange.moment());
    let headers = headers_of_parts(headers);
    let mut places: Vec<Option<Place<N>>> = (0..aggregate.parts.len()).map(|_| None).collect();
    let (mut course, ready) = aggregate.graph.begin();
    let mut ready: SmallVec<[usize; 8]> = ready.collect();
    let mut calls = FuturesUnordered::new();
    let mut lost: SmallVec<[NotThere; 2]> = SmallVec::new();
    loop {
        let mut settled: SmallVec<[(usize, Outcome<N>); 2]> = SmallVec::new();
        for number in ready.drain(..) {
            match begin(exchange, &aggregate, number, params, &places, &headers) {
                Ok(call) => calls.push(answered(number, &aggregate, call, &send)),
                Err(lost) => settled.push((number, Outcome::Failed(lost))),
            }
        }
        if settled.is_empty() {
            let next = poll_fn(|cx| {
                exchange.answer_roll_call(None);
                calls.poll_next_unpin(cx)
            });
            let Some(came) = next.await else { break };
            settled.push(came);
        }
        for (number, outcome) in settled {
            let part = &aggregate.parts[number];
            places[number] = Some(match outcome {
                Outcome::Streams(streaming) => Place::Streams(streaming),
                Outcome::Whole(bytes, kept) => Place::Whole(bytes, Some(kept)),
                Outcome::Failed(Lost { result, problem, why }) if part.required => {
                    exchange.lacks(MissingPart { part: Arc::clone(&part.name), result, why, in_its_place: None });
                    places.into_iter().flatten().for_each(|place| place.give_up(PartResult::Cancelled));
                    return Err(in_the_name_of(part, problem));
                }
                Outcome::Failed(Lost { result, why, .. }) => {
                    lost.push((number, result, why));
                    Place::Missing(part.fallback.clone())
                }
            });
            ready.extend(course.settle(&aggregate.graph, number));
        }
    }
    drop(calls);
    exchange.upstream_head = Some(exchange.moment());
    let places = places.into_iter().map(|place| place.unwrap_or_else(Place::nothing)).collect();
    let mut document = fit(Document::new(aggregate, places))?;
    for (number, part) in document.missing() {
        // What did not fail was left out, as all of it would be too much.
        let known = lost.iter().position(|(lost, ..)| *lost == number).map(|at| lost.swap_remove(at));
        let (_, result, why) =
            known.unwrap_or((number, PartResult::Invalid, Some("The answer would be too large.".into())));
        let in_its_place = Some(if part.stands_in { "fallback" } else { "null" });
        exchange.lacks(MissingPart { part: Arc::clone(&part.name), result, why, in_its_place });
    }
    document.begin(exchange);
    Ok(document)
}

/// Begins a part's call; why it cannot be made, where others did not give what it needs.
fn begin<N: Network>(
    exchange: &Exchange<N>,
    aggregate: &Aggregate,
    number: usize,
    params: &[(u32, u32)],
    places: &[Option<Place<N>>],
    headers: &RequestFields,
) -> Result<Call<N>, Lost> {
    let part = &aggregate.parts[number];
    let passed = exchange.now().saturating_duration_since(exchange.started);
    if exchange.timeout.is_some_and(|timeout| timeout <= passed) {
        let problem = GatewayError::new(Code::UpstreamTimeout, "Others took all the time that there was.");
        return Err(unasked(exchange, part, PartResult::Timeout, problem));
    }
    let parameters = Parameters { path: exchange.path(), ranges: params };
    let value_of = |other: usize| places.get(other)?.as_ref()?.bytes();
    match part.target(parameters, exchange.uri.query().unwrap_or(""), value_of) {
        Ok(target) => {
            let mut call = exchange.part(part.route, &target, &part.name);
            if call.route().is_some_and(|route| route.edits.make_values) {
                call.made = header_edits::of_call(exchange, part.route, headers, params);
            }
            Ok(Call { exchange: call, headers: headers.clone(), target, body: RequestBody::Empty })
        }
        Err(_) => {
            let detail = "It cannot be asked for: a value that it needs is missing, or cannot stand in its path.";
            Err(unasked(exchange, part, PartResult::Unasked, GatewayError::new(Code::PartFailed, detail)))
        }
    }
}

/// Counts a part that nobody was asked for.
fn unasked<N: Network>(exchange: &Exchange<N>, part: &Part, result: PartResult, problem: GatewayError) -> Lost {
    Tally::new(&part.series, exchange.shard.index).result = result;
    let why = exchange.cause_of_call(&problem);
    Lost { result, problem: Box::new(problem), why }
}

async fn answered<N: Network, F: Future<Output = Called<N>>>(
    number: usize,
    aggregate: &Aggregate,
    mut call: Call<N>,
    send: &impl Fn(Call<N>) -> F,
) -> (usize, Outcome<N>) {
    let part = &aggregate.parts[number];
    let wanted = Wanted { whole: aggregate.graph.is_needed(number), most: aggregate.settings.max_response };
    let tally = Tally::of(&part.series, &mut call.exchange);
    let deadlines = Arc::clone(&call.exchange.connection.deadlines);
    (number, run(deadlines, send(call), wanted, tally).await)
}

/// The problem that the client is told of: the part's own, with the part's name.
fn in_the_name_of(part: &Part, mut problem: Box<GatewayError>) -> Box<GatewayError> {
    problem.detail = Cow::Owned(format!("The part \"{}\" failed. {}", part.name, problem.detail));
    let status = problem.part.take().and_then(|part| part.status);
    problem.part = Some(Box::new(FailedPart { name: Arc::clone(&part.name), status }));
    problem
}

/// Sees to it that the document is no larger than it may be, as far as that is known: optional parts are left out, the
/// largest first.
fn fit<N: Network>(mut document: Document<N>) -> Result<Document<N>, Box<GatewayError>> {
    while document.is_too_large() {
        if !document.leave_one_out() {
            document.discard();
            let detail = "The answer would be larger than this aggregate's may be.";
            return Err(Box::new(GatewayError::new(Code::UpstreamInvalid, detail)));
        }
    }
    Ok(document)
}

/// What parts, or a call for many, are sent of the client's headers.
pub(super) fn headers_of_parts(mut headers: RequestFields) -> RequestFields {
    for name in &NOT_PASSED {
        headers.remove(name);
    }
    headers.insert(&header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(&header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

impl<N: Network> Place<N> {
    /// Of a part that was never heard of again, which cannot be: every one settles.
    fn nothing() -> Self {
        Self::Missing(Bytes::from_static(b"null"))
    }
}
