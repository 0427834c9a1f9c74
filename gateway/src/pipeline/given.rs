//! What a request has come to, as the answer that its client is given.

use super::Outcome;
use crate::exchange::Exchange;
use crate::forward::Failure;
use crate::network::Network;
use crate::reply::Reply;
use crate::request_fields::RequestFields;
use crate::response;
use crate::response_body::Held;

/// Makes the answer of an outcome; `headers` are what is left of the request's.
#[inline]
pub(super) fn give<N: Network>(
    exchange: Box<Exchange<N>>,
    headers: &RequestFields,
    outcome: Result<Outcome<N>, Failure>,
) -> Reply<N> {
    match outcome {
        Ok(Outcome::Relay(answer)) => response::relay(exchange, answer),
        Ok(Outcome::Composed(document)) => response::composed(exchange, *document),
        Ok(Outcome::Item(item)) => response::item(exchange, item),
        Ok(Outcome::Given(given)) => response::given(exchange, given.0, given.1),
        Ok(Outcome::Taken(taken)) => response::relay_behind(exchange, taken.0, taken.1),
        Ok(Outcome::Switch(answer)) => response::switch(exchange, answer),
        Ok(Outcome::Options) => response::options(exchange),
        Ok(Outcome::Preflight) => response::preflight(exchange),
        Ok(Outcome::Handled(response)) => response::handled(Held::Own(exchange), *response),
        Ok(Outcome::Own(target)) => response::own(exchange, headers, &target),
        Ok(Outcome::ToHttps(target)) => response::to_https(exchange, headers, &target),
        Ok(Outcome::Refused(refused)) => {
            exchange.note_refusal(headers);
            response::refused(exchange, refused.head, refused.body)
        }
        Err(Failure::Problem(error)) => {
            exchange.note_problem(headers, &error);
            response::problem::answer(exchange, &error)
        }
        Err(Failure::Covered(error)) => {
            exchange.note_problem(headers, &error);
            response::fallback(exchange, &error)
        }
        Err(Failure::ClientLeft) => response::client_left(exchange),
    }
}
