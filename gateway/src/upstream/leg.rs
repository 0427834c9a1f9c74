//! The upstream's leg of an exchange: a connection of its own, or a call on one that others share. Whoever drives the
//! exchange sees no difference.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::carrier::Shared;
use super::connection::Connection;
use super::far::Far;
use crate::http1::{Error, Interim, RequestHead, ResponseHead};
use crate::network::ByteStream;
use crate::request_body::RequestBody;

/// The leg.
pub enum Leg<S: ByteStream> {
    /// A connection of its own: HTTP/1.
    Own(Connection<S>),
    /// A call on a connection that others share: HTTP/2.
    Shared(Box<Shared>),
}

/// Calls the same of either.
macro_rules! either {
    ($self:expr, $leg:ident => $call:expr) => {
        match $self {
            Self::Own($leg) => $call,
            Self::Shared(shared) => {
                let $leg = &mut shared.call;
                $call
            }
        }
    };
    (ref $self:expr, $leg:ident => $call:expr) => {
        match $self {
            Self::Own($leg) => $call,
            Self::Shared(shared) => {
                let $leg = &shared.call;
                $call
            }
        }
    };
}

impl<S: ByteStream> Leg<S> {
    /// Begins the exchange.
    #[inline]
    pub fn begin(&mut self, head: &RequestHead, body: RequestBody) {
        either!(self, leg => leg.begin(head, body));
    }

    /// Sends what can be sent and reads until the answer's head is whole.
    ///
    /// # Errors
    /// As `Error` says; the leg is of no more use then.
    #[inline]
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        either!(self, leg => leg.poll_head(cx))
    }

    /// The interim answers that have come on it.
    pub(crate) fn interim(&mut self) -> &mut Interim {
        either!(self, leg => leg.interim())
    }

    /// The next part of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// The answer is cut or invalid; what was taken so far is not the whole.
    #[inline]
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        either!(self, leg => leg.poll_frame(cx))
    }

    /// Moves the request on, and looks at nothing of the answer.
    ///
    /// # Errors
    /// The client broke the request off: the leg is of no more use then.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        either!(self, leg => leg.poll_send(cx))
    }

    /// Whether some of the request is still to leave.
    pub fn is_sending(&self) -> bool {
        either!(ref self, leg => leg.is_sending())
    }

    /// Whether the answer's last byte has been taken.
    #[inline]
    pub fn is_over(&self) -> bool {
        either!(ref self, leg => leg.is_over())
    }

    /// Bytes of the answer's body that are left, where that is known.
    pub fn length_left(&self) -> Option<u64> {
        either!(ref self, leg => leg.length_left())
    }

    /// Whether the upstream cannot have begun with the request: then it can go out again elsewhere.
    pub fn nothing_left(&self) -> bool {
        either!(ref self, leg => leg.nothing_left())
    }

    /// Whether nothing of the answer has come.
    pub fn nothing_came(&self) -> bool {
        either!(ref self, leg => leg.nothing_came())
    }

    /// Whether the request's body can be had back.
    pub fn can_take_body(&self) -> bool {
        either!(ref self, leg => leg.can_take_body())
    }

    /// The request's body back from its beginning, if that can be. After that the leg is of no more use.
    pub fn take_body(&mut self) -> Option<RequestBody> {
        either!(self, leg => leg.take_body())
    }

    /// Keeps no more of the request's body: nobody will want it back, and the answer may take hours.
    pub fn keep_no_more(&mut self) {
        either!(self, leg => leg.keep_no_more());
    }

    /// Whether its connection had served others before: only then can the upstream have closed it for being idle.
    pub fn is_reused(&self) -> bool {
        match self {
            Self::Own(connection) => connection.is_reused(),
            Self::Shared(shared) => shared.place.is_reused(),
        }
    }

    /// Whether the upstream reset this call for being asked too much of.
    pub fn was_calmed(&self) -> bool {
        matches!(self, Self::Shared(shared) if shared.call.was_calmed())
    }

    /// Whether the upstream reset this call alone, on a connection that goes on.
    pub fn was_reset(&self) -> bool {
        matches!(self, Self::Shared(shared) if shared.call.was_reset())
    }

    /// Whether the upstream closes the connection in good order, and has not begun with this call: nobody's failure.
    /// How many calls the connection took before is remembered for the next.
    pub fn was_turned_away(&self) -> bool {
        let Self::Shared(shared) = self else { return false };
        let Shared { call, place } = &**shared;
        if !call.was_turned_away() {
            return false;
        }
        if let Some(taken) = call.taken_before() {
            place.turned_away(taken);
        }
        true
    }

    /// Whether the upstream closes the connection in good order, and has taken nothing on it: not even this call, which
    /// was its first. That is remembered for the next, too: it says nothing of a number.
    pub fn took_nothing(&self) -> bool {
        let Self::Shared(shared) = self else { return false };
        let Shared { call, place } = &**shared;
        if call.took_nothing() {
            place.turned_away(0);
        }
        call.took_nothing()
    }

    /// Whether the upstream has refused this call alone, and so has not begun with it (RFC 9113, section 8.7).
    pub fn was_refused(&self) -> bool {
        matches!(self, Self::Shared(shared) if shared.call.was_refused())
    }

    /// Whether it met a connection that the upstream had closed, or was about to, before the request came. Of one that
    /// others share only who found it idle can say so, and not of a stream that was reset.
    pub fn may_be_stale(&self) -> bool {
        match self {
            Self::Own(connection) => connection.is_reused(),
            Self::Shared(shared) => {
                let Shared { call, place } = &**shared;
                let was_closed = call.is_cut() && place.was_idle() && !place.was_ended_for_an_error();
                place.is_reused() && (call.nothing_left() || was_closed)
            }
        }
    }

    /// Whether the upstream has ended the connection for an error, which this call may have been: it is not to go out
    /// again.
    pub fn is_suspect(&self) -> bool {
        matches!(self, Self::Shared(shared) if shared.call.is_suspect())
    }

    /// Whether it is for the caller to tell the breaker that it failed. Of all calls that end because their connection
    /// does, the first to ask tells it: one client can make a service end a connection that many share.
    pub fn is_mine_to_blame(&self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Shared(shared) => !shared.call.fell_with_connection() || shared.place.is_mine_to_blame(),
        }
    }

    /// Whether it shares its connection.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Whether the upstream may be asked to switch to a WebSocket. Over HTTP/2 it says so itself (RFC 8441).
    pub fn can_switch(&self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Shared(shared) => shared.place.takes_extended_connect(),
        }
    }

    /// The upstream's end of the tunnel, after it has switched, and what it has sent already.
    pub fn into_tunnel(self) -> Option<(Far<S>, Bytes)> {
        match self {
            Self::Own(connection) => {
                let (stream, read_ahead, open) = connection.into_stream();
                Some((Far::Own(stream, open), read_ahead))
            }
            Self::Shared(shared) => {
                let Shared { call, place } = *shared;
                Some((Far::Shared(Box::new((call.into_duplex()?, place))), Bytes::new()))
            }
        }
    }

    /// The time ran out in which something was to come.
    pub fn timed_out(&self) {
        if let Self::Shared(shared) = self {
            shared.place.timed_out();
        }
    }
}
