//! A validated rule: which requests it matches, and what then happens.
//!
//! Values of these types cannot hold nonsense that a mock could trip over; text is read by `parse`. In code, a rule is
//! built by hand: `Rule::on("/orders/*").share(0.5).status(503)`.

use std::ops::Range;
use std::time::Duration;

use super::{Delay, Glob};

/// Which requests a rule matches. What is absent matches all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// The service's name.
    pub service: Option<String>,
    /// The endpoint's place in its service, from 0.
    pub endpoint: Option<usize>,
    /// The path, without the query.
    pub path: Option<Glob>,
    /// The method, in capitals.
    pub method: Option<String>,
    /// Each header's name (in small letters) and value; `*` = any value.
    pub headers: Vec<(String, String)>,
    /// The share of the requests that match otherwise, 0 to 1.
    pub share: Option<f64>,
    /// From this time after the origin, which is when the rules were set unless another was named.
    pub from: Option<Duration>,
    /// Before this time after the origin.
    pub until: Option<Duration>,
    /// Requests of the endpoint with these numbers, from 1, counted since the rules were set.
    pub requests: Option<Range<u64>>,
}

/// Where in an answer the connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Nothing of the answer is sent.
    BeforeHeaders,
    /// Half of the answer's head is sent.
    InHeaders,
    /// The head and half of the body are sent.
    InBody,
}

/// What is sent instead of a right answer. The connection is closed after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// Random bytes that are not HTTP.
    Bytes,
    /// A status line whose status is no number.
    StatusLine,
    /// Lines that end in a bare LF.
    BareLf,
    /// A field with a space before its colon.
    Header,
    /// Both `content-length` and `transfer-encoding`.
    ClTe,
    /// Two lengths that differ.
    TwoCl,
    /// A length that is no number.
    BadCl,
    /// A chunk whose size is no number.
    BadChunk,
    /// A head of 1 MiB.
    HugeHead,
    /// 1,000 answers with status 103, then the right one.
    Flood1xx,
}

/// What happens instead of, or to, the answer. At most one of these hits a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: a right answer.
    #[default]
    None,
    /// No answer, ever; the connection stays open until the client leaves.
    Hang,
    /// The connection is reset (RST).
    Reset(Reset),
    /// Less is sent than the head promises, then the connection is closed. The number of body bytes that are sent;
    /// `None` = half.
    Truncate(Option<u64>),
    /// Not a right answer.
    Garbage(Garbage),
    /// The listener is closed, and a request on an open connection has that connection reset.
    Refuse,
}

/// A rule that comes and goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flap {
    /// From one coming to the next.
    pub period: Duration,
    /// The share of each period for which the rule holds, from its beginning: more than 0, less than 1.
    pub duty: f64,
}

impl Flap {
    /// How long the rule holds in each period.
    pub(crate) fn on(&self) -> Duration {
        self.period.mul_f64(self.duty)
    }
}

/// An entity tag, as answers carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Etag {
    /// Made from the path and the query.
    OfTarget,
    /// This text, without its quotes.
    Is(String),
}

/// What caches are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caching {
    /// The value of `cache-control`.
    pub cache_control: Option<String>,
    /// The `etag`; a GET or HEAD whose `if-none-match` has it is answered 304.
    pub etag: Option<Etag>,
    /// The value of `age`, in seconds.
    pub age: Option<u64>,
    /// The value of `vary`.
    pub vary: Option<String>,
}

/// What a rule does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Act {
    /// Wait before anything else happens, in place of the service's own time.
    pub delay: Option<Delay>,
    /// So long a service, by the endpoint's own servers: the request waits in line as all others do.
    pub service: Option<Delay>,
    /// Answer with this status.
    pub status: Option<u16>,
    /// What happens to the answer.
    pub effect: Effect,
    /// Send the body at this many bytes a second.
    pub slow_body: Option<u64>,
    /// Close the connection, unannounced, after its n-th answer; 0 = instead of an answer.
    pub close: Option<u64>,
    /// Come and go. A rule that has nothing else to do closes the listener meanwhile.
    pub flap: Option<Flap>,
    /// Answer gRPC calls with this code, 0 to 16.
    pub grpc_status: Option<u8>,
    /// What caches are told.
    pub caching: Caching,
    /// More lines of the answer's head, names in small letters.
    pub headers: Vec<(String, String)>,
    /// Answer with this body, in place of the path's own.
    pub body: Option<String>,
}

impl Act {
    /// Does this act close the listener?
    pub(crate) fn refuses(&self) -> bool {
        self.effect == Effect::Refuse
    }
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// Which requests.
    pub matches: Match,
    /// What happens.
    pub act: Act,
}

impl Rule {
    /// A rule for every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// A rule for the paths that this pattern matches (`*` = any run of characters).
    pub fn on(path: &str) -> Self {
        let mut rule = Self::default();
        rule.matches.path = Some(Glob::new(path));
        rule
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.matches.method = Some(method.to_ascii_uppercase());
        self
    }

    /// Only requests with this header; the value `*` = any.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.matches.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Only requests to the service's n-th endpoint, from 0.
    #[must_use]
    pub fn endpoint(mut self, index: usize) -> Self {
        self.matches.endpoint = Some(index);
        self
    }

    /// Only this share of the requests, 0 to 1.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.matches.share = Some(share.clamp(0.0, 1.0));
        self
    }

    /// Only requests with these numbers, from 1, since the rules were set.
    #[must_use]
    pub fn requests(mut self, numbers: Range<u64>) -> Self {
        self.matches.requests = Some(numbers);
        self
    }

    /// Only between these times after the origin.
    #[must_use]
    pub fn between(mut self, from: Duration, until: Duration) -> Self {
        (self.matches.from, self.matches.until) = (Some(from), Some(until));
        self
    }

    /// Wait this long before the answer.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.drawn_delay(Delay::Fixed(delay))
    }

    /// Wait before the answer for as long as is drawn, or as a queue has it.
    #[must_use]
    pub fn drawn_delay(mut self, delay: Delay) -> Self {
        self.act.delay = Some(delay);
        self
    }

    /// A service that takes so long, by the endpoint's own servers.
    #[must_use]
    pub fn service(mut self, time: Delay) -> Self {
        self.act.service = Some(time);
        self
    }

    /// Answer with this status, 200 to 599.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.act.status = Some(status.clamp(200, 599));
        self
    }

    /// What happens to the answer.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.act.effect = effect;
        self
    }

    /// Send the body at this many bytes a second.
    #[must_use]
    pub fn slow_body(mut self, bytes_per_second: u64) -> Self {
        self.act.slow_body = Some(bytes_per_second.max(1));
        self
    }

    /// Come and go: hold for the share `duty` of each period, from its beginning.
    #[must_use]
    pub fn flap(mut self, period: Duration, duty: f64) -> Self {
        self.act.flap = Some(Flap { period, duty: duty.clamp(0.001, 0.999) });
        if self.act == (Act { flap: self.act.flap, ..Act::default() }) {
            self.act.effect = Effect::Refuse;
        }
        self
    }

    /// Answer gRPC calls with this code, 0 to 16.
    #[must_use]
    pub fn grpc_status(mut self, code: u8) -> Self {
        self.act.grpc_status = Some(code.min(16));
        self
    }

    /// Tell caches this.
    #[must_use]
    pub fn caching(mut self, caching: Caching) -> Self {
        self.act.caching = caching;
        self
    }

    /// Answer with this body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.act.body = Some(body.to_owned());
        self
    }

    /// Close the connection, unannounced, after its n-th answer; 0 = instead of an answer.
    #[must_use]
    pub fn close(mut self, after: u64) -> Self {
        self.act.close = Some(after);
        self
    }
}

impl Reset {
    /// Each place, with its name in rules.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("before_headers", Self::BeforeHeaders), ("in_headers", Self::InHeaders), ("in_body", Self::InBody)];
}

impl Garbage {
    /// Each kind, with its name in rules.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("bytes", Self::Bytes),
        ("status_line", Self::StatusLine),
        ("bare_lf", Self::BareLf),
        ("header", Self::Header),
        ("cl_te", Self::ClTe),
        ("two_cl", Self::TwoCl),
        ("bad_cl", Self::BadCl),
        ("bad_chunk", Self::BadChunk),
        ("huge_head", Self::HugeHead),
        ("flood_1xx", Self::Flood1xx),
    ];
}
