//! What can go wrong with a request: a stable code, a status, and whose fault it is.
//!
//! A failure is a value. `response::problem` turns it into bytes, `telemetry` counts it; nothing else speaks HTTP
//! about errors. The public text is the code's title and a detail that names nothing internal.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

use crate::telemetry::metrics::ShedReason;

/// Whose fault a failed request is; the access record's `fault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client sent what cannot be served, or left.
    Client,
    /// The gateway refused or failed.
    Gateway,
    /// The upstream failed.
    Upstream,
}

impl Fault {
    /// As written in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:ident, $fault:ident, $title:literal;)*) => {
        /// A problem's stable code, one for each way in which a request fails (contract, notes.md).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As written in answers, records and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The status that it is answered with.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// Whose fault it is.
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// A short sentence for people, the same for each occurrence (RFC 9457, section 3.1.3).
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// The request is malformed.
    BadRequest = "bad_request", BAD_REQUEST, Client, "The request is malformed";
    /// No identity, or one that does not hold.
    Unauthorized = "unauthorized", UNAUTHORIZED, Client, "Authentication is required";
    /// The identity, the address or the page may not do this.
    Forbidden = "forbidden", FORBIDDEN, Client, "This client may not do this";
    /// No route matches.
    RouteNotFound = "route_not_found", NOT_FOUND, Client, "No route matches this request";
    /// The path is known, the method is not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, Client, "The method is not allowed here";
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, Client, "The request did not arrive in time";
    /// The body is too large.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, Client, "The request body is too large";
    /// The target is too long.
    UriTooLong = "uri_too_long", URI_TOO_LONG, Client, "The request target is too long";
    /// An `Expect` that is not `100-continue`.
    ExpectationFailed = "expectation_failed", EXPECTATION_FAILED, Client, "The expectation cannot be met";
    /// SNI and host differ.
    Misdirected = "misdirected", MISDIRECTED_REQUEST, Client, "This connection does not serve that host";
    /// A limit is used up.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, Client, "Too many requests";
    /// The head is too large.
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, Client, "The request head is too large";
    /// A bug of the gateway.
    Internal = "internal", INTERNAL_SERVER_ERROR, Gateway, "The gateway failed";
    /// Nobody says at which address the client is, which the route asks.
    ClientUnknown = "client_unknown", INTERNAL_SERVER_ERROR, Gateway, "The client's address is not known";
    /// No connection to the upstream.
    UpstreamConnect = "upstream_connect", BAD_GATEWAY, Upstream, "The upstream could not be reached";
    /// The upstream closed the connection before it answered.
    UpstreamReset = "upstream_reset", BAD_GATEWAY, Upstream, "The upstream closed the connection";
    /// The upstream's answer is not HTTP, or too large.
    UpstreamInvalid = "upstream_invalid", BAD_GATEWAY, Upstream, "The upstream's answer is invalid";
    /// The upstream answered with an error, of which the route passes nothing on but the status.
    UpstreamError = "upstream_error", BAD_GATEWAY, Upstream, "The upstream answered with an error";
    /// A part of an aggregate cannot be had; answered with the part's own status where it has one.
    PartFailed = "part_failed", BAD_GATEWAY, Upstream, "A part of the answer is missing";
    /// An item of a batch is not in its upstream's answer.
    ItemNotFound = "item_not_found", NOT_FOUND, Client, "There is no such item";
    /// The call for all items of a batch was refused; answered with its own status where that concerns each of them.
    BatchFailed = "batch_failed", BAD_GATEWAY, Upstream, "The upstream did not answer the batch";
    /// No endpoint is there to be picked.
    NoEndpoint = "no_endpoint", SERVICE_UNAVAILABLE, Upstream, "No endpoint is available";
    /// The upstream's breaker is open.
    BreakerOpen = "breaker_open", SERVICE_UNAVAILABLE, Upstream, "The upstream is failing and is left to recover";
    /// The gateway is at its limit, or time ran out in it.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, Gateway, "The gateway cannot serve this now";
    /// The limit's store is down and the rule says closed.
    LimitStoreDown = "limit_store_down", SERVICE_UNAVAILABLE, Gateway, "The rate limit cannot be checked";
    /// Whoever would have to say whether the credential holds cannot be asked: a server of keys, an issuer, a store.
    IdentityUnavailable = "identity_unavailable", SERVICE_UNAVAILABLE, Gateway, "The credential cannot be checked now";
    /// The service that is asked whether a request may pass does not say.
    AuthorityUnavailable = "authority_unavailable", SERVICE_UNAVAILABLE, Gateway, "Nobody says whether this may pass";
    /// No connection in time.
    ConnectTimeout = "connect_timeout", GATEWAY_TIMEOUT, Upstream, "The upstream did not accept a connection in time";
    /// No answer in time.
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT, Upstream, "The upstream did not answer in time";
    /// Nothing is kept that would do, and the client wants nothing else.
    NotCached = "not_cached", GATEWAY_TIMEOUT, Client, "Nothing that is kept would do";
    /// It has come by too often: an upstream is the gateway itself.
    RequestLoop = "request_loop", LOOP_DETECTED, Gateway, "The request goes in a circle";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that failed in the gateway, ready to be answered.
#[derive(Debug)]
pub struct GatewayError {
    /// The stable code; it decides the status, but for a part's own.
    pub code: Code,
    /// What the client is told about this occurrence; names nothing internal.
    pub detail: Cow<'static, str>,
    /// What operators are told; never sent to a client.
    pub internal: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// When it is worth trying again, where that is known.
    pub retry_after: Option<Duration>,
    /// The connection cannot be used for another request: framing is in doubt, or a body was left unread.
    pub close: bool,
    /// The methods that a 405 names.
    pub allow: Option<HeaderValue>,
    /// What it was turned away for, where that is to protect the gateway or an upstream.
    pub shed: Option<ShedReason>,
    /// How the client may prove who it is (`WWW-Authenticate`).
    pub challenge: Option<Box<HeaderValue>>,
    /// The part of an aggregate, or the call, that it is about.
    pub part: Option<Box<FailedPart>>,
}

/// A part of an aggregate without which there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPart {
    /// Its name; empty for what has none.
    pub name: Arc<str>,
    /// The status that it was answered with, which is the answer's then.
    pub status: Option<StatusCode>,
}

impl GatewayError {
    /// A failure with this code; `detail` is public.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            internal: None,
            retry_after: None,
            close: false,
            allow: None,
            challenge: None,
            shed: None,
            part: None,
        }
    }

    /// The same for another one whom it concerns, without what only operators may see.
    pub fn again(&self) -> Self {
        Self {
            code: self.code,
            detail: self.detail.clone(),
            internal: None,
            retry_after: self.retry_after,
            close: self.close,
            allow: self.allow.clone(),
            shed: self.shed,
            challenge: self.challenge.clone(),
            part: self.part.clone(),
        }
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.part.as_ref().and_then(|part| part.status).unwrap_or_else(|| self.code.status())
    }

    /// A client of HTTP/2 that asks for a WebSocket gets one, or nothing: without it, its request makes no sense.
    #[cold]
    pub fn no_websocket() -> Self {
        Self::unserved_method("This route takes no WebSockets.", HeaderValue::from_static("GET"))
    }

    /// 405, with the methods that would do (RFC 9110, section 15.5.6); `detail` is public.
    #[cold]
    pub fn unserved_method(detail: &'static str, allow: HeaderValue) -> Self {
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    /// What stands in the place of an upstream's answer with this status, of which nothing else is passed on.
    #[cold]
    pub fn intercepted(status: StatusCode) -> Self {
        let part = FailedPart { name: Arc::default(), status: Some(status) };
        let error = Self::new(Code::UpstreamError, "The service answered so, and what it said is not passed on.");
        Self { part: Some(Box::new(part)), ..error }
    }

    /// An upstream that has not answered before the request's time was up.
    #[cold]
    pub fn upstream_late() -> Self {
        Self::new(Code::UpstreamTimeout, "The upstream did not answer in time.")
    }

    /// A body beyond what its route takes, of which the rest is not read.
    #[cold]
    pub fn body_too_large() -> Self {
        Self::new(Code::BodyTooLarge, "The request body is larger than this route allows.").closing()
    }

    /// Turned away at a limit: 503 with a time to come back; `detail` is public.
    pub fn shed(reason: ShedReason, detail: &'static str) -> Self {
        let error = Self::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1));
        Self { shed: Some(reason), ..error }
    }

    /// The same, with what only operators may see.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.internal = Some(source.into());
        self
    }

    /// The same, and the connection is closed after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The same, with a challenge to prove who asks (RFC 9110, section 11.6.1).
    #[must_use]
    pub fn challenging(mut self, challenge: HeaderValue) -> Self {
        self.challenge = Some(Box::new(challenge));
        self
    }

    /// The same, with a time to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        match &self.internal {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for GatewayError {}

/// An error with its causes: the outermost alone says little.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
