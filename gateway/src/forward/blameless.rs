//! Failures of which the endpoint's breaker is not told: another attempt has told it, or there is nobody to blame.

use super::acquire::AlreadyTold;
use super::attempt::Failure;
use crate::config::settings::upstream::Health;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::upstream::{Leg, Selected};

/// Why something failed.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The stream of what is no call was reset by a service of gRPC, which has no other answer to that.
#[derive(Debug, thiserror::Error)]
#[error("the upstream speaks gRPC, and this is no call of it: {0}")]
struct NoCall(Cause);

/// The upstream was closing the connections that a call went by, and had not begun with it (RFC 9113, section 6.8): it
/// is in good order.
#[derive(Debug, thiserror::Error)]
#[error("its connections were being closed, one after the other: {0}")]
struct TurnedAway(Cause);

/// The upstream reset the stream for being asked too much of, as Tomcat does where a head is larger than it takes: it
/// is well, and whoever asks so could else open its breaker for everybody.
#[derive(Debug, thiserror::Error)]
#[error("it was asked for too much: {0}")]
struct Calmed(Cause);

/// A connection broke under all that it carried, and the breaker hears of that from another one.
#[derive(Debug, thiserror::Error)]
#[error("others ended with the same connection: {0}")]
struct Together(Cause);

/// Whether this failure is nothing to tell the breaker: another attempt has told it, or it was asked for.
pub(super) fn says_nothing(failure: &Failure) -> bool {
    let Failure::Problem(error) = failure else { return false };
    let is_told = |cause: &Cause| cause.is::<AlreadyTold>() || cause.is::<Together>();
    let is_known =
        |cause: &Cause| is_told(cause) || cause.is::<NoCall>() || cause.is::<Calmed>() || cause.is::<TurnedAway>();
    error.internal.as_ref().is_some_and(is_known)
}

/// The failure of a call that may have ended as its connection did: then one of all tells the breaker, and no other.
#[cold]
pub(super) fn with_others<N: Network>(exchange: &Exchange<N>, leg: &Leg<N::Stream>, failure: Failure) -> Failure {
    // Who tells the breaker nothing leaves that to another one.
    let is_silent = exchange.is_doubtful || exchange.waits_for_client() || says_nothing(&failure);
    if is_silent || leg.is_mine_to_blame() { failure } else { explained(failure, |why| Together(why).into()) }
}

/// Whether the request is no call of gRPC, and its upstream is known to speak that: whoever sends such requests could
/// else open a breaker for those who call.
#[cold]
pub(super) fn is_no_call<N: Network>(exchange: &Exchange<N>, selected: &Selected<N>) -> bool {
    !exchange.is_grpc && selected.settings.health.as_ref().is_some_and(Health::asks_grpc)
}

/// The failure of what is no call.
#[cold]
pub(super) fn reset_as_no_call(failure: Failure) -> Failure {
    explained(failure, |why| NoCall(why).into())
}

/// The failure of a call whose stream was reset for being asked too much of (RFC 9113, section 7).
#[cold]
pub(super) fn calmed(failure: Failure) -> Failure {
    explained(failure, |why| Calmed(why).into())
}

/// The failure of a call that too many connections have turned away, or whose body cannot be sent again.
#[cold]
pub(super) fn turned_away(failure: Failure) -> Failure {
    explained(failure, |why| TurnedAway(why).into())
}

fn explained(failure: Failure, explain: impl FnOnce(Cause) -> Cause) -> Failure {
    match failure {
        Failure::Problem(mut error) => {
            error.internal = error.internal.take().map(explain);
            Failure::Problem(error)
        }
        other => other,
    }
}
